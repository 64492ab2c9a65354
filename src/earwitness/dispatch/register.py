"""Puts runs on record before they start, those that begin together in one statement, and the slots that nobody runs."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain, repeat
from typing import Any

import structlog
from sqlalchemy import Connection

from earwitness.clock import Clock
from earwitness.model import Run
from earwitness.store import history, verdicts
from earwitness.store.history import Missed
from earwitness.store.store import Store

log = structlog.get_logger()

_RETRY = (0.5, 1.0, 2.0, 5.0)  # seconds between tries while the disk refuses
_Waiting = tuple[Run, asyncio.Future[bool]]


class Register:
    """`spawn` starts what works on while nobody waits for it."""

    def __init__(self, store: Store, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._waiting: list[_Waiting] = []
        self.failing = False  # whether the store refuses to take what is to be run

    async def begin(self, run: Run) -> bool:
        """Return when the run is on record. False: its slot or request was taken before."""
        begun: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((run, begun))
        if len(self._waiting) == 1:
            self._spawn(self._enter_all())
        return await begun

    async def _enter_all(self) -> None:
        """Enter what has come by the time that this gets its turn: all that the loop started in the same round."""
        batch, self._waiting = self._waiting, []
        await self._enter(batch)

    async def _enter(self, batch: Sequence[_Waiting]) -> None:
        """Keep trying: nothing is run without a record, and nothing is dropped because the disk is full."""
        starting = [run for run, _ in batch]
        for pause in chain(_RETRY, repeat(_RETRY[-1])):
            try:
                begun = await self._store.write(lambda c: _begin(c, starting, self._clock.now()))
            except Exception:  # Whatever the store says, the runs wait for it.
                self.failing = True
                log.exception("run_not_recorded", runs=len(batch))
                await self._clock.sleep(pause)
            else:
                self.failing = False
                _tell(batch, begun)
                return

    async def miss(self, missed: Missed) -> bool:
        """Record slots that were not run. False: they are on record already.

        Where the store refuses they go without a record: slots go by, and waiting with each would pile them up.
        """
        try:
            return await self._store.write(lambda c: history.record_missed(c, missed))
        except Exception:  # Whatever the store says.
            self.failing = True
            log.exception("slot_not_recorded", probe=missed.run.probe)
            return True


def _begin(connection: Connection, starting: Sequence[Run], now: float) -> set[str]:
    for run in starting:
        if run.request is not None:
            verdicts.end_request(connection, run.request, "taken")
    return history.begin_runs(connection, starting, now)


def _tell(batch: Sequence[_Waiting], begun: set[str]) -> None:
    for run, waiting in batch:
        if not waiting.done():  # it was cancelled, and nobody waits
            waiting.set_result(run.id in begun)
