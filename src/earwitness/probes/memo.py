"""What is worked out once for a configuration, and not anew for each run."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Remembers by identity: sections of a configuration never change, and to compare them takes longer than most work on them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Hashable], tuple[object, Any]] = {}

    def once(self, section: object, what: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned when it was first asked for `what` of this section."""
        kept = self._kept.get((id(section), what))
        if kept is None:  # the section is kept too, so that no other takes its identity
            kept = self._kept[id(section), what] = section, make()
        made: T = kept[1]
        return made
