"""Figures, side by side with a peer in the same run. Ratios count: the machine is shared and noisy."""
