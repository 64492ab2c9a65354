"""Figures, side by side with a peer in the same run. Ratios count: the machine is shared and noisy."""

import earwitness.audio  # noqa: F401 - before numpy: it tells numpy to use one thread, as the daemon's does
