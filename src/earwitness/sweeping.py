"""Forgets what is older than the history is to be kept, a little at a time: there is one writer, and every run waits for it."""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from earwitness.clock import Clock
from earwitness.evidence.storage import EvidenceStorage
from earwitness.store import evidence_links, history, impairment_notices, outbox, quiet, spend, used, verdicts
from earwitness.store.store import Store

log = structlog.get_logger()

_EVERY = 3600.0  # seconds
_AT_A_TIME = 500  # runs; the writer is held for some ten milliseconds
_PAUSE = 0.1  # seconds from one lot to the next: five thousand runs a second go, more than any machine makes


def _forget(connection: Connection, before: float) -> None:
    verdicts.forget_before(connection, before)
    outbox.forget_before(connection, before)
    used.forget_before(connection, before)
    spend.forget_alerts_before(connection, before)
    quiet.forget_before(connection, before)
    impairment_notices.forget_before(connection, before)
    evidence_links.forget_before(connection, before)


class Sweeper:
    """Runs for as long as the daemon does. What incidents rest on stays."""

    def __init__(self, store: Store, evidence: EvidenceStorage, clock: Clock, keep: Callable[[], float]) -> None:
        """`keep`: seconds for which the configuration in use keeps the history."""
        self._store, self._evidence, self._clock, self._keep = store, evidence, clock, keep

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self.sweep()
            except (SQLAlchemyError, OSError):  # A full disk or a locked database passes; housekeeping shows it.
                log.exception("sweep_failed")
            await self._clock.sleep(_EVERY)

    async def sweep(self) -> None:
        """Forget all that is too old by now."""
        before = self._clock.now() - self._keep()
        await self._store.write(lambda c: _forget(c, before))
        gone = await self._forget_runs(before)
        named = await self._store.read(history.named_evidence)
        files = await asyncio.to_thread(self._evidence.sweep, named, self._clock.now())
        if gone or files:
            log.info("swept", runs=gone, files=files)

    async def _forget_runs(self, before: float) -> int:
        gone = 0
        while old := await self._store.read(lambda c: history.old_runs(c, before, _AT_A_TIME)):
            gone += await self._store.write(lambda c, old=old: history.forget_runs(c, old))  # type: ignore[misc]
            await self._clock.sleep(_PAUSE)
        return gone
