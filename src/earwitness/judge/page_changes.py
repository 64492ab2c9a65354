"""How a payment page was seen to differ from what was accepted, remembered over visits that find it as it was.

A skimmer may show itself to some visitors only, and a page may be delivered in several versions: each is known by the words of its finding.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

A_DAY = 86400.0  # seconds for which a change is remembered at least
MOST_CHANGES = 16  # that are told apart


@dataclass(frozen=True, slots=True)
class Change:
    """How a payment page differed from what was accepted."""

    what: str
    at: float  # when the latest run began that told so
    times: int = 1  # how many runs did
    of_late: int = 1  # and since the probe was last well
    told: bool = False  # whether an incident that the probe has left told of it

    @property
    def weight(self) -> int:
        """How many runs speak for it: one that comes and goes needs one more than one that stays."""
        return max(self.of_late, self.times - 1)


def remembered(known: Iterable[Change], oldest: float, *, well: bool) -> tuple[Change, ...]:
    """Return those that were seen since. `well`: the page was found as accepted often enough to be believed."""
    young = (change for change in known if change.at >= oldest)
    return tuple(replace(change, of_late=0) if well and change.of_late else change for change in young)


def seen_again(known: tuple[Change, ...], what: str, at: float) -> tuple[Change, ...]:
    """Return them with what a run tells that began at that moment."""
    if all(change.what != what for change in known):
        return (*known, Change(what, at))[-MOST_CHANGES:]
    return tuple(_once_more(change, at) if change.what == what else change for change in known)


def _once_more(change: Change, at: float) -> Change:
    return replace(change, at=at, times=change.times + 1, of_late=change.of_late + 1)
