"""Calls per second: a carrier queues what comes faster, and the wait would look like the target's."""

from earwitness.clock import Clock


class Pace:
    """Gives turns at least `1 / per_second` apart."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._next = clock.monotonic()

    async def turn(self) -> None:
        now = self._clock.monotonic()
        wait, self._next = max(0.0, self._next - now), max(self._next, now) + self._gap
        if wait:
            await self._clock.sleep(wait)
