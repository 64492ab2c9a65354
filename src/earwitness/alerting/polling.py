"""Asks ticket systems, which cannot call us, what people did with the tickets of open incidents, and does it here too."""

import structlog
from sqlalchemy import Connection

from earwitness.alerting.couriers import Hook, kept_by
from earwitness.alerting.heard import Submit, take
from earwitness.alerting.senders import Senders, converse
from earwitness.clock import Clock
from earwitness.hooks.base import HookOutcome, Known, Polled
from earwitness.impairments import Impairments
from earwitness.model import Status
from earwitness.store import digests, outbox, owed, verdicts
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
        submit: Submit,
    ) -> None:
        self.hook = hook
        self._every: float | None = getattr(hook.spec, "poll_every", None)
        self._store = store
        self._clock = clock
        self._senders = senders
        self._impairments = impairments
        self._submit = submit

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
                except Exception:  # A fault of ours, or of the database, must end neither the polls nor the courier.
                    log.exception("poll_failed", hook=self.hook.name)
                    self._judge(f"{self.hook.name} cannot be asked what people did there: a fault of the monitor")
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
        self._judge(self._unasked(found))
        unchanged = set(known) & set(await self._store.read(self._known))  # what changed here meanwhile is asked anew
        for said in found.said:
            if any(said.incident == k.incident for k in unchanged):
                shown = self.hook.kind.shows_answers
                await take(self._store, self._clock, self._submit, self.hook.name, said, shown=shown)

    def _unasked(self, found: Polled) -> str | None:
        if not found.unasked:
            return None
        named = "; ".join(f"{ticket}: {outcome.detail}" for ticket, outcome in found.unasked.items())
        log.warning("poll_incomplete", hook=self.hook.name, tickets=sorted(found.unasked))
        return f"{self.hook.name} cannot be asked what people did with {named}"

    def _known(self, connection: Connection) -> list[Known]:
        """Return what is open and whose ticket the hook has: what it is still to be told of stands there as it was before."""
        newest = sorted(verdicts.open_incidents(connection), key=lambda i: -i.opened_at)
        found = [Known(i.id, self._reference(connection, i.id), i.status is not Status.OPEN) for i in newest]
        found += [
            Known(digest, self._reference(connection, digest), acknowledged=False)
            for digest in digests.open_of(connection, self.hook.name)
        ]
        return [k for k in found if self._has_ticket(connection, k.incident)][:_MOST]

    def _has_ticket(self, connection: Connection, incident: str) -> bool:
        hook = self.hook.name
        told = hook in owed.awaiting_end(connection, incident)
        return told and not owed.is_owed(connection, incident, hook)

    def _reference(self, connection: Connection, incident: str) -> str | None:
        return kept_by(f"{self.hook.kind.name}\n", outbox.reference_of(connection, incident, self.hook.name))

    def _judge(self, trouble: str | None) -> None:
        self._impairments.set("alerts", trouble is not None, f"poll {self.hook.name}", trouble or "")
