"""The browser that the monitor uses for all its browser probes."""

from pathlib import Path

from pydantic import Field

from earwitness.config.fields import Size, Spec


class BrowserProcessSpec(Spec):
    """One process for all runs, started anew after `runs` of them, or once it uses more than `memory` with its children.

    `executable` is a Chromium or Chrome; by default Playwright's own, else the first of those on PATH.
    """

    executable: Path | None = None
    runs: int = Field(default=100, ge=1)
    memory: Size = Field(default=2 * 1024**3, ge=100 * 1024**2)  # bytes that are resident, of all its processes
