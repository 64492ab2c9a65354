"""What people did at a provider, whether it called us or was asked, is done here: once, and only if it was said of things as they are."""

import hashlib
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import Connection

from earwitness.alerting.digests import is_digest
from earwitness.clock import Clock
from earwitness.hooks.base import Said
from earwitness.model import Commanded, Incident, TransitionKind
from earwitness.store import digests, owed, used, verdicts
from earwitness.store.store import Store

log = structlog.get_logger()
Submit = Callable[[Commanded], Awaitable[object]]
_BEGINNINGS = (TransitionKind.OPEN, TransitionKind.REOPEN)


async def take(store: Store, clock: Clock, submit: Submit, hook: str, said: Said, *, shown: bool = True) -> None:
    """Do it here, and tell it to all hooks; not to the one through which it was said, where it is `shown` to people already."""
    key = _key(hook, said)
    if key is not None and await store.read(lambda c: used.is_used(c, key)):
        return
    for incident in await store.read(lambda c: _meant(c, hook, said)):
        via = hook if shown or is_digest(said.incident) else None
        await submit(Commanded(clock.now(), incident, said.action, said.who, said.note, via=via))
        log.info("told_by_provider", hook=hook, incident=incident, action=said.action)
    if key is not None:
        await store.write(lambda c: used.use(c, key, clock.now()))


def _key(hook: str, said: Said) -> str | None:
    """Return what makes it count once. How one incident's ticket stands may count again, when the incident has opened again."""
    named = said.key or (f"{said.incident} {said.action}" if is_digest(said.incident) else None)
    return None if named is None else f"{hook} {hashlib.sha256(named.encode()).hexdigest()}"


def _meant(connection: Connection, hook: str, said: Said) -> list[str]:
    """Return the incidents that are meant. Who acknowledges a digest looks after all that it told; who resolves it ends none of them."""
    if is_digest(said.incident):
        return digests.unanswered(connection, said.incident) if said.action == "acknowledge" else []
    incident = verdicts.incident(connection, said.incident)
    if incident is None or _is_stale(connection, hook, incident, said):
        return []
    return [incident.id]


def _is_stale(connection: Connection, hook: str, incident: Incident, said: Said) -> bool:
    """Whether it was said of the incident before it opened again, or where nobody knows yet that it did."""
    began = max((e.at for e in incident.timeline if e.kind in _BEGINNINGS), default=incident.opened_at)
    if said.at is not None and said.at < began:
        return True
    unknown_there = owed.is_owed(connection, incident.id, hook, _BEGINNINGS) or owed.was_refused(
        connection, incident.id, hook, _BEGINNINGS
    )
    return said.action == "resolve" and unknown_there
