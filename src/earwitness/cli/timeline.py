"""The story on the terminal: a timeline for people, not a log."""

import time
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_STYLE = {
    "story": ("●", "bold"),
    "ok": ("✓", "bold green"),
    "fault": ("✗", "bold red"),
    "mended": ("+", "bold cyan"),
    "alert": ("➜", "bold magenta"),
    "evidence": ("♪", "cyan"),
    "console": ("⌂", "bold"),
    "left out": ("-", "bold yellow"),
    "broken": ("!", "bold white on red"),
}
_SEVERITY = {
    "sev1": "bold white on red",
    "sev2": "bold black on yellow",
    "sev3": "bold black on bright_yellow",
    "nonprod": "bold white on blue",
}
_LABEL = {"sev1": "SEV1", "sev2": "SEV2", "sev3": "SEV3", "nonprod": "NON-PRODUCTION"}


class Timeline:
    """Prints what happens as it happens, with the seconds since the beginning."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        self._start = time.monotonic()

    def say(self, kind: str, words: str) -> None:
        mark, style = _STYLE[kind]
        line = Text.assemble(
            (f"{self._elapsed():5.1f} s  ", "dim"), (f"{mark} ", style), (words, style if kind == "broken" else "")
        )
        self._console.print(line, soft_wrap=True)

    def incident(self, incident: dict[str, Any]) -> None:
        """Show an incident: in full when it opens, in a line when it is over."""
        label = Text(f" {_LABEL[incident['severity']]} ", _SEVERITY[incident["severity"]])
        when = (f"{self._elapsed():5.1f} s  ", "dim")
        if incident["status"] == "resolved":
            self._console.print(
                Text.assemble(when, label, (" resolved  ", "bold green"), incident["title"]), soft_wrap=True
            )
            return
        self._console.print(Text.assemble(when, label, (" opened  ", "bold"), incident["title"]), soft_wrap=True)
        self._console.print(
            Panel(_facts(incident), border_style="dim", padding=(0, 1), title=incident["id"], title_align="left")
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._start


def _facts(incident: dict[str, Any]) -> Table:
    cause = incident["cause"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("why", incident["reason"])
    table.add_row("cause", f"{cause['dependency'] or 'no shared dependency'} (confidence {cause['confidence']:.2f})")
    table.add_row("fails", ", ".join(incident["probes"]))
    table.add_row("evidence", ", ".join(e["name"] for e in incident["evidence"]))
    return table
