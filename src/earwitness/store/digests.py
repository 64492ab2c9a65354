"""Digests: several incidents told in one message, because they were to be grouped or because there were too many for the hook.

A digest is a delivery of its own, of the incident that it stands for: its id. The rows that it tells are settled as `digested` in the
same transaction that makes it, so each is told once. It is over when all of its incidents are.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, insert, or_, select, update

from earwitness.model import Incident, Severity, TransitionKind
from earwitness.store.codec import decode
from earwitness.store.owed import FOLLOW_UPS, OWED, REACHED, owe
from earwitness.store.tables import deliveries, digests, incidents

_MINUTE = 60.0
_MOST_SHOWN = 200  # incidents of a digest that are read in full; the others are counted
_AT_ONCE = 500  # rows of one statement
_NEWS = tuple(
    kind.value
    for kind in (
        TransitionKind.OPEN,
        TransitionKind.REOPEN,
        TransitionKind.RAISE,
        TransitionKind.LOWER,
        TransitionKind.ATTACH,
        TransitionKind.UNMUTE,
        TransitionKind.REMIND,
        TransitionKind.ESCALATE,
    )
)
_FOLLOW_UPS = tuple(kind.value for kind in FOLLOW_UPS)

_other = deliveries.alias()
_same_thread = and_(_other.c.incident == deliveries.c.incident, _other.c.hook == deliveries.c.hook)
_told_alone = exists().where(_same_thread, _other.c.state.in_(("leased", "delivered")))
_kind_allows = or_(deliveries.c.kind.in_(_NEWS), and_(deliveries.c.kind.in_(_FOLLOW_UPS), ~_told_alone))
_behind_what_is_not = exists().where(
    _same_thread,
    _other.c.seq < deliveries.c.seq,
    _other.c.state.in_(OWED),
    or_(
        _other.c.state == "leased",
        _other.c.attempts > 0,
        _other.c.urgent == 1,
        _other.c.kind.not_in((*_NEWS, *_FOLLOW_UPS)),
    ),
)
_summarisable = and_(
    deliveries.c.state == "pending",
    deliveries.c.attempts == 0,
    deliveries.c.urgent == 0,
    _kind_allows,
    ~_behind_what_is_not,
)


_gravest_first = case({severity.value: number for number, severity in enumerate(Severity)}, value=incidents.c.severity)


def instead_of(connection: Connection, row: Row[Any], storm_cap: int | None, now: float) -> Row[Any] | None:
    """Return what is to be sent where this row is due: the row, or a digest that tells it. None: it was put off, look again."""
    room = None if storm_cap is None else storm_cap - _sent(connection, row.hook, now)
    if row.held is None and (room is None or room > 1):
        return row
    if not connection.scalar(select(_summarisable).where(deliveries.c.seq == row.seq)):
        return row
    due = or_(deliveries.c.next_at <= now, deliveries.c.held != "quiet")
    if room is not None and room <= 0:
        _put_off(connection, row.hook, due, now)
        return None
    together = due if room is not None and room <= 1 else and_(due, deliveries.c.held.is_not(None))
    return _digest(connection, row, together, now) or row


def _sent(connection: Connection, hook: str, now: float) -> int:
    return connection.scalar(select(func.count()).where(_of_late(hook, now))) or 0


def _of_late(hook: str, now: float) -> ColumnElement[bool]:
    """What was sent in the last minute; not what seems to lie in the future since the clock was set back."""
    return and_(
        deliveries.c.hook == hook, deliveries.c.leased_at > now - _MINUTE, deliveries.c.leased_at <= now + _MINUTE
    )


def _put_off(connection: Connection, hook: str, due: ColumnElement[bool], now: float) -> None:
    """Hold what is due until the first message of the last minute is a minute old; then it is told in one."""
    first = select(func.min(deliveries.c.leased_at)).where(_of_late(hook, now))
    until = (connection.scalar(first) or now) + _MINUTE
    seqs = list(connection.scalars(select(deliveries.c.seq).where(deliveries.c.hook == hook, due, _summarisable)))
    for part in _parts(seqs):
        connection.execute(update(deliveries).where(deliveries.c.seq.in_(part)).values(next_at=until, held="storm"))


def _digest(connection: Connection, row: Row[Any], together: ColumnElement[bool], now: float) -> Row[Any] | None:
    """Settle what is told together, and owe the digest of it. None: it would tell of one incident only."""
    columns = (deliveries.c.seq, deliveries.c.incident, deliveries.c.failover)
    query = select(*columns).where(deliveries.c.hook == row.hook, together, _summarisable)
    rows = connection.execute(query).all()
    if len({r.incident for r in rows}) < 2:
        return None
    digest = "digest-" + hashlib.sha256(f"{row.hook} {row.key}".encode()).hexdigest()[:12]
    connection.execute(insert(digests).values(id=digest, hook=row.hook, at=now))
    for part in _parts([r.seq for r in rows]):
        told = {"state": "digested", "digest": digest, "delivered_at": None, "held": None}
        connection.execute(update(deliveries).where(deliveries.c.seq.in_(part)).values(told))
    owe(connection, _first_row(connection, digest, row.hook, now))
    return connection.execute(select(deliveries).where(deliveries.c.incident == digest)).one()


def _first_row(connection: Connection, digest: str, hook: str, now: float) -> dict[str, Any]:
    """A digest of incidents that are all over opens nothing, which nobody would end."""
    if _goes_on(connection, digest):
        return _row(digest, TransitionKind.DIGEST, hook, now)
    connection.execute(update(digests).where(digests.c.id == digest).values(closed_at=now))
    return _row(digest, TransitionKind.RESOLVE, hook, now) | {"text": ""}


def _row(digest: str, kind: TransitionKind, hook: str, now: float) -> dict[str, Any]:
    key, text = f"{digest}.{kind.value}.{hook}", "every incident of the digest is over"
    return {
        "key": key,
        "incident": digest,
        "kind": kind.value,
        "at": now,
        "text": text if kind is TransitionKind.RESOLVE else "",
        "hook": hook,
        "next_at": now,
    }


def close_finished(connection: Connection, resolved: Iterable[str], now: float) -> None:
    """Owe the end of each digest whose last incident is among the resolved."""
    touched: set[str] = set()
    for part in _parts(list(resolved)):
        named = and_(deliveries.c.incident.in_(part), deliveries.c.digest.is_not(None))
        touched |= set(connection.scalars(select(deliveries.c.digest).where(named).distinct()))
    for digest in sorted(touched):
        row = connection.execute(select(digests).where(digests.c.id == digest, digests.c.closed_at.is_(None))).first()
        if row is None or _goes_on(connection, digest):
            continue
        connection.execute(update(digests).where(digests.c.id == digest).values(closed_at=now))
        taken = and_(deliveries.c.incident == digest, deliveries.c.state.in_(REACHED))
        if connection.execute(select(deliveries.c.seq).where(taken).limit(1)).first() is not None:
            owe(connection, _row(digest, TransitionKind.RESOLVE, row.hook, now))


def _goes_on(connection: Connection, digest: str) -> bool:
    going_on = and_(incidents.c.id == deliveries.c.incident, incidents.c.resolved_at.is_(None))
    query = select(deliveries.c.seq).join(incidents, going_on).where(deliveries.c.digest == digest).limit(1)
    return connection.execute(query).first() is not None


@dataclass(frozen=True, slots=True)
class Digest:
    """What a digest tells: how many incidents of each severity, and the gravest of them in full."""

    id: str
    hook: str
    at: float
    closed_at: float | None
    counts: dict[Severity, int]
    incidents: Sequence[Incident]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def digest(connection: Connection, digest_id: str) -> Digest | None:
    row = connection.execute(select(digests).where(digests.c.id == digest_id)).first()
    if row is None:
        return None
    told = select(deliveries.c.incident).where(deliveries.c.digest == digest_id).distinct()
    members = incidents.c.id.in_(told)
    counted = connection.execute(
        select(incidents.c.severity, func.count()).where(members).group_by(incidents.c.severity)
    )
    counts = {Severity(severity): number for severity, number in counted}
    query = select(incidents.c.document).where(members).order_by(_gravest_first, incidents.c.opened_at)
    shown = [decode(Incident, document) for document in connection.scalars(query.limit(_MOST_SHOWN))]
    return Digest(row.id, row.hook, row.at, row.closed_at, counts, shown)


def members(connection: Connection, digest_id: str) -> list[str]:
    """Return the ids of all incidents that the digest told of."""
    query = select(deliveries.c.incident).where(deliveries.c.digest == digest_id).distinct()
    return sorted(connection.scalars(query))


def end_of(connection: Connection, digest: str, hook: str, now: float) -> dict[str, Any] | None:
    """Return the row that would tell a hook the end of a digest. None: it is not over, or there is none of this name."""
    over = select(digests.c.id).where(digests.c.id == digest, digests.c.closed_at.is_not(None))
    return None if connection.scalar(over) is None else _row(digest, TransitionKind.RESOLVE, hook, now)


def unanswered(connection: Connection, digest_id: str) -> list[str]:
    """Return the ids of its incidents that go on and that nobody has acknowledged as they are now."""
    told = select(deliveries.c.incident).where(deliveries.c.digest == digest_id)
    query = select(incidents.c.document).where(incidents.c.id.in_(told), incidents.c.resolved_at.is_(None))
    going_on = (decode(Incident, document) for document in connection.scalars(query))
    return sorted(incident.id for incident in going_on if incident.unanswered)


def _parts(values: list[Any]) -> Iterable[list[Any]]:
    return (values[n : n + _AT_ONCE] for n in range(0, len(values), _AT_ONCE))
