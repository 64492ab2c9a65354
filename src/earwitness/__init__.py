"""Earwitness: a monitor of customer experience that telephones, opens pages, and says how bad it is and why."""
