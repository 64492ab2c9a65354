"""What commands print for people."""

import re
from typing import Any

from rich.console import Console

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)  # and what turns the reading direction


def clean(text: str) -> str:
    """Return `text` without the characters by which a terminal is controlled: what targets and people said is only to be read."""
    return _CONTROLS.sub("", text)


class Terminal(Console):
    """A terminal that takes no markup and no control characters from what is printed."""

    def __init__(self) -> None:
        super().__init__(markup=False, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(clean(o) if isinstance(o, str) else o for o in objects), **options)
