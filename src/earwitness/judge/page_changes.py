"""How a payment page was seen to differ from what was accepted, remembered over visits that find it as it was.

A skimmer may show itself to some visitors only, and a page may be delivered in several versions: so each difference is followed by itself,
whatever else a visit met.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

A_DAY = 86400.0  # seconds for which a change is remembered at least
_VISITS = 5  # or for so many, if they take longer
_RETURNS = 2  # times that a change was gone before it counts as one that comes and goes
MOST_WAYS = 16  # in which a page may be met within a day while a further one is told
MOST_CHANGES = 128  # that are remembered: four visits full of them


@dataclass(frozen=True, slots=True)
class Change:
    """One difference of a payment page from what was accepted."""

    what: str
    at: float  # when the latest run began that met it
    times: int = 1  # how many runs did
    of_late: int = 1  # and since the probe was last well
    gone: int = 0  # how often the page was well after it was met
    told: bool = False  # whether an incident told of it that the probe is in, or left for the one that it is in

    @property
    def weight(self) -> int:
        """How many runs speak for it: one that comes and goes needs one more than one that stays."""
        return max(self.of_late, self.times - 1)


def patience(interval: float) -> float:
    """Return for how many seconds a change is remembered that is met no more, of a page that is visited so often."""
    return max(_VISITS * interval, A_DAY)


def remembered(known: Iterable[Change], oldest: float, *, well: bool) -> tuple[Change, ...]:
    """Return those that were met since, and those that an incident told of. `well`: the page was found as accepted often enough to be believed."""
    kept = (change for change in known if change.told or change.at >= oldest)
    return tuple(_not_of_late(c, well=well) if c.of_late and (well or c.at < oldest) else c for c in kept)


def _not_of_late(change: Change, *, well: bool) -> Change:
    return replace(change, of_late=0, gone=change.gone + well)


def seen_again(known: tuple[Change, ...], differences: Iterable[str], at: float) -> tuple[Change, ...]:
    """Return them with what a run met that began at that moment; of too many, those that were met last."""
    met, before = dict.fromkeys(differences), {change.what for change in known}
    others = [change for change in known if change.what not in met]
    again = [_once_more(change, at) for change in known if change.what in met]
    return (*others, *again, *(Change(what, at) for what in met if what not in before))[-MOST_CHANGES:]


def _once_more(change: Change, at: float) -> Change:
    return replace(change, at=at, times=change.times + 1, of_late=change.of_late + 1)


def believed(changes: Iterable[Change], after: int, other_each_time_after: int) -> bool:
    """Whether of late so many runs met the same change, or so many met one each time."""
    of_late = [change for change in changes if change.of_late]
    repeated = any(change.weight >= after for change in of_late)
    return repeated or len({change.at for change in of_late}) >= other_each_time_after


def now_and_then(changes: Iterable[Change], since: float) -> bool:
    """Whether an incident told of one that was met since then, and that came back more than once after the page had been well."""
    return any(change.told and change.gone > _RETURNS and change.at >= since for change in changes)


def anew(changes: Iterable[Change]) -> int:
    """Return how many visits of late met the page changed in a way that no other visit did."""
    return len({change.at for change in changes if change.of_late and change.times == 1})


def ways(changes: Iterable[Change], now: float) -> int:
    """Return in how many ways the page was met of late, or within a day: what comes together, and never without, is one."""
    return len({change.at for change in changes if change.of_late or change.at >= now - A_DAY})


def restless(changes: Collection[Change], now: float) -> bool:
    """Whether the page was met in more ways within a day than can be told apart, or in ways that fill the memory."""
    full = sum(change.at >= now - A_DAY for change in changes) >= MOST_CHANGES
    return full or ways(changes, now) >= MOST_WAYS
