"""Loads the ear before numpy, as the daemon does: it tells numpy to use one thread, with which these tests take a fifth of the time."""

import earwitness.audio  # noqa: F401
