"""Whether the monitor itself stood still while a run waited: a paused machine or a starved process, whose own wait is nobody's slowness."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, takewhile

from earwitness.model import Attribution, Effect, Failure, Finding, Observation, without_doubt

_BEAT = 0.05  # seconds
_LEAST = 0.1  # seconds of standing still that may change what a run sees
_SHARE = 0.2  # of the run, or of the step that failed, that it stood still for
_REMEMBERED = 1000  # stops; a run is over long before so many
_OURS = (Attribution.MONITOR, Attribution.UNKNOWN)
_OF_TIME = frozenset(  # what a target is blamed for that was not waited for, or that gave up waiting for us
    {
        Failure.CONNECT_TIMEOUT,
        Failure.FIRST_BYTE_TIMEOUT,
        Failure.TRANSFER_TIMEOUT,
        Failure.CONNECTION_LOST,
        Failure.TLS_FAILED,
        Failure.NAME_SERVER_SILENT,
        Failure.WRONG_BANNER,
        Failure.SLOW,
        Failure.ELEMENT_MISSING,
        Failure.WRONG_PAGE,
        Failure.REQUEST_FAILED,
        Failure.PAGE_HUNG,
    }
)

_OF_REPLIES = frozenset(  # what a line says to a caller who listens live, and replies late or not at all
    {
        Failure.EARLY_HANGUP,
        Failure.WRONG_PROMPT,
        Failure.PROMPT_MISSING,
        Failure.PROMPT_TRUNCATED,
        Failure.DTMF_IGNORED,
        Failure.MISROUTED,
    }
)
_LINES_WAIT = 2.0  # seconds for which every line waits for a caller's reply

_Between = Callable[[float, float], float]
"""From one moment to another, in seconds into the run: for how many of them the loop stood still."""


class Pulse:
    """Beats on the event loop while runs are under way, and remembers between what moments a beat came late."""

    def __init__(self) -> None:
        self._watching = 0
        self._stops: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def felt(self) -> Iterator[_Between]:
        """Yield a function that returns for how many seconds the loop stood still between two moments, both in seconds from now on."""
        loop = asyncio.get_running_loop()
        if not self._watching:
            self._await(loop)
        self._watching += 1
        began = loop.time()
        try:
            yield lambda since, until: self._stood_still(loop, began + since, began + until)
        finally:
            self._watching -= 1
            if not self._watching and self._timer is not None:
                self._timer.cancel()

    def _await(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _BEAT
        self._timer = loop.call_at(self._due, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stops += self._overdue(loop)
        self._await(loop)

    def _overdue(self, loop: asyncio.AbstractEventLoop) -> list[tuple[float, float]]:
        """Count a beat that is still to come: after a pause a run may end before it does."""
        now = loop.time()
        late = now - self._due >= _LEAST  # a busy loop is always a little late, which ends no run's wait
        return [(self._due, now)] if late else []

    def _stood_still(self, loop: asyncio.AbstractEventLoop, since: float, until: float) -> float:
        latest = takewhile(lambda stop: stop[1] > since, chain(self._overdue(loop), reversed(self._stops)))
        return sum(max(0.0, min(ended, until) - max(began, since)) for began, ended in latest)


def as_far_as_told(seen: Observation, stood_still: _Between, took: float) -> Observation:
    """Return the observation of a run of so many seconds, without what it says of the target's time when the monitor had no eye on it."""
    doubted = [
        finding
        for finding in seen.findings
        if (_is_of_time(finding) and _looked_away(finding, seen, stood_still, took))
        or (_is_of_replies(finding, seen) and stood_still(0.0, took) >= _LINES_WAIT)
    ]
    if not doubted:
        return seen
    kept = (finding for finding in seen.findings if finding not in doubted)
    share = f"{stood_still(0.0, took):.1f} s of this run's {took:.1f} s"
    said = "; ".join(finding.message for finding in doubted)
    message = f"the monitor itself stood still for {share}, so nobody can tell: {said}"
    doubt = Finding(Failure.MONITOR_ERROR, message, Effect.NONE, Attribution.MONITOR)
    return replace(seen, findings=tuple(without_doubt((*kept, doubt))))


def _is_of_time(finding: Finding) -> bool:
    return finding.failure in _OF_TIME and finding.attribution not in _OURS


def _is_of_replies(finding: Finding, seen: Observation) -> bool:
    return finding.failure in _OF_REPLIES and finding.attribution not in _OURS and seen.facts.get("driver") == "live"


def _looked_away(finding: Finding, seen: Observation, stood_still: _Between, took: float) -> bool:
    """Whether it stood still for too much of the run, or of the finding's own step: a step has a limit of its own, however long the run."""
    steps = [(step.started, step.started + step.duration) for step in seen.steps if step.name == finding.step]
    stretches = ((since, until, stood_still(since, until)) for since, until in ((0.0, took), *steps))
    return any(still >= max(_LEAST, _SHARE * (until - since)) for since, until, still in stretches)
