"""Virtual time: sleeping takes no time and moves the clock."""

import asyncio


class VirtualClock:
    def __init__(self, now=1_700_000_000.0):
        self.moment = now

    def now(self):
        return self.moment

    def monotonic(self):
        return self.moment

    async def sleep(self, seconds):
        self.moment += seconds
        await asyncio.sleep(0)


async def until(condition, seconds=10.0):
    """Wait for a condition, sync or async; fail when it takes longer than anything here should."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.01)
