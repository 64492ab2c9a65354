"""The tickets that a provider has of what is not over, to be asked for what people did with them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, literal, select

from earwitness.model import Status, TransitionKind
from earwitness.store.owed import FOLLOW_UPS, OWED, REACHED
from earwitness.store.tables import deliveries, digests, incidents

_MOVES = (TransitionKind.OPEN, TransitionKind.DIGEST, TransitionKind.REOPEN, *FOLLOW_UPS)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a hook was told of and that is not over, with what it asked to be remembered of it."""

    incident: str  # or digest
    reference: str | None
    acknowledged: bool


def known_to(connection: Connection, hook: str, only: Collection[str] | None = None) -> list[Ticket]:
    """Return the tickets that stand at the hook's provider as we know of them, the newest first; of all, or of these `only`.

    What the hook is still to be told to open, to answer or to end stands there as it was before, so it is left out; other news, which may
    be held for hours, changes nothing of where a ticket stands.
    """
    told: dict[str, list[Any]] = {}
    open_ = _open(hook).subquery()
    query = select(deliveries.c.incident, deliveries.c.kind, deliveries.c.state, deliveries.c.reference, open_)
    meant = and_(deliveries.c.hook == hook, deliveries.c.incident == open_.c.id)
    if only is not None:
        meant = and_(meant, open_.c.id.in_(only))
    for row in connection.execute(query.where(meant).order_by(open_.c.at.desc(), open_.c.id, deliveries.c.seq)):
        told.setdefault(row.incident, []).append(row)
    return [_ticket(rows) for rows in told.values() if _stands(rows)]


def _open(hook: str) -> Any:
    answered = (incidents.c.status == Status.ACKNOWLEDGED.value).label("acknowledged")
    of_incidents = select(incidents.c.id, incidents.c.opened_at.label("at"), answered)
    of_digests = select(digests.c.id, digests.c.at, literal(value=False).label("acknowledged"))
    unfinished = of_digests.where(digests.c.hook == hook, digests.c.closed_at.is_(None))
    return of_incidents.where(incidents.c.resolved_at.is_(None)).union_all(unfinished)


def _stands(rows: Iterable[Any]) -> bool:
    """Whether something arrived, of which the newest is no end, and nothing is still to be told that moves the ticket."""
    reached = [row for row in rows if row.state in REACHED]
    settled = not any(row.state in OWED and row.kind in _MOVES for row in reached)
    return bool(reached) and settled and reached[-1].kind != TransitionKind.RESOLVE


def _ticket(rows: Sequence[Any]) -> Ticket:
    reference = next((row.reference for row in reversed(rows) if row.reference is not None), None)
    return Ticket(rows[0].incident, reference, bool(rows[0].acknowledged))
