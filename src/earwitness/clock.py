"""Time, injected everywhere, so that tests can make an hour pass in a millisecond."""

import asyncio
import time
from typing import Protocol

CLOCK_SLACK = 2.0  # seconds that the clock may go back without notice; time servers correct by less


class Clock(Protocol):
    """Wall time in seconds since the epoch (UTC), monotonic seconds for durations, and sleep."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
