"""Whether the monitor itself stood still while a run waited: a paused machine or a starved process, whose own wait is nobody's slowness."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from earwitness.model import Attribution, Effect, Failure, Finding, Observation, without_doubt

_BEAT = 0.05  # seconds
_LEAST = 0.1  # seconds of standing still that may change what a run sees
_SHARE = 0.2  # of the run, that it stood still for
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


class Pulse:
    """Beats on the event loop while runs are under way, and adds up how late its beats come."""

    def __init__(self) -> None:
        self._watching = 0
        self._lost = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def felt(self) -> Iterator[Callable[[], float]]:
        """Yield a function that returns for how many seconds the loop has stood still since."""
        loop = asyncio.get_running_loop()
        if not self._watching:
            self._await(loop)
        self._watching += 1
        before = self._until_now(loop)
        try:
            yield lambda: self._until_now(loop) - before
        finally:
            self._watching -= 1
            if not self._watching and self._timer is not None:
                self._timer.cancel()

    def _await(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _BEAT
        self._timer = loop.call_at(self._due, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lost = self._until_now(loop)
        self._await(loop)

    def _until_now(self, loop: asyncio.AbstractEventLoop) -> float:
        """Count a beat that is overdue: after a pause a run may end before it comes."""
        late = loop.time() - self._due
        stood_still = late if late >= _LEAST else 0.0  # a busy loop is always a little late, which ends no run's wait
        return self._lost + stood_still


def as_far_as_told(seen: Observation, stood_still: float, took: float) -> Observation:
    """Return the observation, without what it says of the target's time when the monitor had no eye on it. Both in seconds."""
    if stood_still < max(_LEAST, _SHARE * took) or not any(_is_of_time(finding) for finding in seen.findings):
        return seen
    kept = tuple(finding for finding in seen.findings if not _is_of_time(finding))
    doubted = "; ".join(finding.message for finding in seen.findings if _is_of_time(finding))
    message = f"the monitor itself stood still for {stood_still:.1f} s of this run's {took:.1f} s, so nobody can tell: {doubted}"
    doubt = Finding(Failure.MONITOR_ERROR, message, Effect.NONE, Attribution.MONITOR)
    return replace(seen, findings=tuple(without_doubt((*kept, doubt))))


def _is_of_time(finding: Finding) -> bool:
    return finding.failure in _OF_TIME and finding.attribution not in _OURS
