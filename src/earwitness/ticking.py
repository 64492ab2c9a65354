"""Tells the judge that time passes: at every full minute, and whenever a maintenance, a silence or a period begins or ends."""

from collections.abc import Callable, Iterable, Iterator

from earwitness.clock import Clock
from earwitness.commit import CommitLoop
from earwitness.judge import State
from earwitness.model import Rules, Ticked

_MINUTE = 60.0
_BEAT = 1.0  # seconds after which a silence that was just set is known here


def next_moment(now: float, state: State, rules: Rules) -> float:
    """Return the next moment at which something may begin or end, a minute from now at most (epoch seconds)."""
    return min((m for m in _moments(now, state, rules) if m > now), default=now + _MINUTE)


def _moments(now: float, state: State, rules: Rules) -> Iterator[float]:
    yield (now // _MINUTE + 1) * _MINUTE
    yield from (moment for period in state.quiet.values() for moment in (period.begins, period.ends))
    planned = [plan.times for plan in rules.maintenance.values()]
    planned += [period.times for period in rules.critical_periods.values()]
    planned += [window.times for window in rules.test_windows.values()]
    yield from (end for times in planned if (end := times.ends(now)) is not None)


def minutes_between(before: float, now: float) -> Iterable[float]:
    """Return the full minutes in (before, now]."""
    first = int(before // _MINUTE) + 1
    return (minute * _MINUTE for minute in range(first, int(now // _MINUTE) + 1))


class Ticker:
    """Runs for as long as the daemon does."""

    def __init__(self, clock: Clock, commit: CommitLoop, rules: Callable[[], Rules]) -> None:
        self._clock = clock
        self._commit = commit
        self._rules = rules

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            told = self._clock.now()
            await self._commit.submit(Ticked(told))
            while told <= (now := self._clock.now()) < next_moment(told, self._commit.state, self._rules()):
                await self._clock.sleep(min(_BEAT, next_moment(now, self._commit.state, self._rules()) - now))
