"""Asks ticket systems, which cannot call us, what people did with the tickets of open incidents, and does it here too."""

from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from earwitness.alerting.couriers import Hook, kept_by
from earwitness.alerting.senders import Senders, converse
from earwitness.clock import Clock
from earwitness.hooks.base import HookOutcome, Known, Said
from earwitness.impairments import Impairments
from earwitness.model import Commanded, Status
from earwitness.store import outbox, owed, verdicts
from earwitness.store.store import Store

log = structlog.get_logger()
_MOST = 100  # incidents of one poll, the newest
_IN_ALL = 120.0  # seconds that one poll may take


class Poller:
    """Polls for one hook until it is stopped."""

    def __init__(
        self,
        hook: Hook,
        store: Store,
        clock: Clock,
        senders: Senders,
        impairments: Impairments,
        on_said: Callable[[Commanded], Awaitable[object]],
    ) -> None:
        self.hook = hook
        self._every: float | None = getattr(hook.spec, "poll_every", None)
        self._store = store
        self._clock = clock
        self._senders = senders
        self._impairments = impairments
        self._on_said = on_said

    @property
    def wanted(self) -> bool:
        return self.hook.kind.poll is not None and self._every is not None

    async def run(self) -> None:
        assert self._every is not None
        try:
            while True:
                await self._clock.sleep(self._every)
                try:
                    await self.look()
                except SQLAlchemyError:  # The database may be away for a while.
                    log.exception("poll_failed", hook=self.hook.name)
        finally:
            self._judge(None)

    async def look(self) -> None:
        """Ask once, and do here what was done there."""
        assert self.hook.kind.poll is not None
        known = await self._store.read(self._known)
        if not known:
            self._judge(None)
            return
        poll = self.hook.kind.poll(self.hook.spec, known, self._clock.now())
        found = await converse(poll, self._senders, self.hook.spec, self.hook.timeout, _IN_ALL)
        if isinstance(found, HookOutcome):
            log.warning("poll_failed", hook=self.hook.name, reason=found.reason.value, detail=found.detail)
            self._judge(f"{self.hook.name} cannot be asked what people did there: {found.detail}")
            return
        self._judge(None)
        for said in found:
            await self._do(said)

    async def _do(self, said: Said) -> None:
        now = self._clock.now()
        await self._on_said(Commanded(now, said.incident, said.action, said.who, said.note, via=self.hook.name))
        log.info("told_by_provider", hook=self.hook.name, incident=said.incident, action=said.action)

    def _known(self, connection: Connection) -> list[Known]:
        mark = f"{self.hook.kind.name}\n"
        newest = sorted(verdicts.open_incidents(connection), key=lambda i: -i.opened_at)
        return [
            Known(
                i.id, kept_by(mark, outbox.reference_of(connection, i.id, self.hook.name)), i.status is not Status.OPEN
            )
            for i in newest
            if self.hook.name in owed.told(connection, i.id)
        ][:_MOST]

    def _judge(self, trouble: str | None) -> None:
        self._impairments.set("alerts", trouble is not None, f"poll {self.hook.name}", trouble or "")
