"""What goes on beside the work: the loop's lag, the budget's rest, the store's health."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from decimal import Decimal

import structlog
from sqlalchemy.exc import SQLAlchemyError

from earwitness.clock import CLOCK_SLACK
from earwitness.console.house import House
from earwitness.store import spend

log = structlog.get_logger()

_BEAT = 1.0  # seconds
_LEAST_DISK = 50 * 1024**2  # bytes


class Housekeeping:
    """Runs once a second."""

    def __init__(self, house: House, on_clock_set_back: Callable[[], Awaitable[None]]) -> None:
        self._house = house
        self._on_clock_set_back = on_clock_set_back
        self._offset = self._wall_offset()

    def _wall_offset(self) -> float:
        """How far the wall clock is ahead of the one that only ever goes forward, in seconds."""
        return self._house.clock.now() - self._house.clock.monotonic()

    async def run(self) -> None:
        while True:
            await self._measure_lag()
            try:
                await self._look_after()
            except (SQLAlchemyError, OSError):  # A full disk or a locked database passes; the daemon goes on.
                self._house.impairments.set("store", True)
                log.exception("housekeeping_failed")

    async def _look_after(self) -> None:
        offset = self._wall_offset()
        if offset < self._offset - CLOCK_SLACK:
            log.warning("clock_set_back", seconds=round(self._offset - offset, 1))
            await self._on_clock_set_back()
        self._offset = offset  # only now: what the store refused is tried again
        self._check_store()
        self._check_judge()
        await self._publish_budget()

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        expected = loop.time() + _BEAT
        await asyncio.sleep(_BEAT)
        self._house.metrics.loop_lag.set(max(0.0, loop.time() - expected))

    def _check_store(self) -> None:
        free = shutil.disk_usage(self._house.evidence.folder).free
        failing = self._house.commit.failing or self._house.dispatcher.failing
        detail = "the database refuses what is written" if failing else f"{free // 1024**2} MiB are left on the disk"
        self._house.impairments.set("store", failing or free < _LEAST_DISK, detail=detail)

    def _check_judge(self) -> None:
        """An event that could not be judged stays an impairment for a while: nobody can say whether the next one can be."""
        detail = "an event could not be judged, so what it told is missing; the log has judge_failed with the reason"
        self._house.impairments.set("judge", self._house.commit.confused, detail=detail)

    async def _publish_budget(self) -> None:
        if not self._house.config.carriers:
            return
        limit = self._house.config.budget.per_day
        day = spend.day_of(self._house.clock.now())
        spent = await self._house.store.read(lambda c: spend.spent(c, day, limit.currency))
        self._house.metrics.budget.labels(limit.currency).set(float(limit.amount - Decimal(spent) / 1_000_000))
