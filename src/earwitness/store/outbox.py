"""The outbox: what is taken next, and every attempt to tell it. What is put into it is in `owed`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, update

from earwitness.model import TransitionKind
from earwitness.store import digests, failover
from earwitness.store.owed import OWED, going_on
from earwitness.store.tables import attempts, deliveries

_UNSURE = ("timeout", "connection", "interrupted", "server_error", "bad_reply", "monitor_fault")
_earlier = deliveries.alias()
_earlier_of_thread = and_(
    _earlier.c.incident == deliveries.c.incident,
    _earlier.c.hook == deliveries.c.hook,
    _earlier.c.seq < deliveries.c.seq,
)
_telling = deliveries.alias()
_behind_its_digest = exists().where(  # an earlier delivery was put into a digest that is still owed
    _earlier_of_thread,
    _earlier.c.digest == _telling.c.incident,
    _telling.c.kind == TransitionKind.DIGEST.value,
    _telling.c.state.in_(OWED),
)
# an earlier delivery of the same incident to the same hook is still owed, by itself or in a digest
_behind = or_(exists().where(_earlier_of_thread, _earlier.c.state.in_(OWED)), _behind_its_digest)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One transition owed to one hook."""

    seq: int
    key: str
    incident: str
    kind: TransitionKind
    at: float
    text: str
    hook: str
    attempts: int
    owed_since: float
    body: bytes | None
    reference: str | None = None  # what the hook asked to be remembered of this incident
    doubt: float | None = None  # when an attempt last ended without word of whether it had arrived


def lease(
    connection: Connection, hook: str, token: str, now: float, seconds: float, storm_cap: int | None = None
) -> Delivery | None:
    """Take the hook's next delivery that is due: what is urgent first. A delivery waits for the earlier ones of its incident.

    A lease that ran out is taken over; its former holder's token no longer counts. What was held for its company, and what passes
    the storm cap (messages a minute), is told in one digest.
    """
    while (row := _next_due(connection, hook, now)) is not None:
        row = digests.instead_of(connection, row, storm_cap, now)
        if row is not None:
            return _leased(connection, row, token, now, seconds)
    return None


def _next_due(connection: Connection, hook: str, now: float) -> Row[Any] | None:
    """Three looks, each along an index in the order of `seq`, since one over all that is owed would sort it.

    The sum keeps SQLite from the index by `next_at`, which would have it sort a long queue for each of its rows.
    """
    pending = and_(deliveries.c.state == "pending", deliveries.c.next_at + 0.0 <= now)
    looks = (
        and_(deliveries.c.state == "leased", deliveries.c.lease_until <= now),
        and_(pending, deliveries.c.urgent == 1),
        and_(pending, deliveries.c.urgent == 0),
    )
    for due in looks:
        query = select(deliveries).where(deliveries.c.hook == hook, due, ~_behind).order_by(deliveries.c.seq).limit(1)
        if (row := connection.execute(query).first()) is not None:
            return row
    return None


def _leased(connection: Connection, row: Row[Any], token: str, now: float, seconds: float) -> Delivery:
    if row.state == "leased":
        note_interrupted(connection, [row.seq], now)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.seq == row.seq)
        .values(state="leased", lease=token, lease_until=now + seconds, leased_at=now, attempts=row.attempts + 1)
    )
    return Delivery(
        row.seq,
        row.key,
        row.incident,
        TransitionKind(row.kind),
        row.at,
        row.text,
        row.hook,
        row.attempts + 1,
        row.owed_since,
        row.body,
        reference_of(connection, row.incident, row.hook),
        _doubt(connection, row.seq),
    )


def note_interrupted(connection: Connection, seqs: Iterable[int], now: float) -> None:
    """Record the attempts that somebody died over: whether they arrived is not known."""
    rows = [
        {"delivery": seq, "at": now, "outcome": "retry", "reason": "interrupted", "detail": "its process ended"}
        for seq in seqs
    ]
    if rows:
        connection.execute(insert(attempts), rows)


def _doubt(connection: Connection, seq: int) -> float | None:
    """Return when an attempt last ended without word of whether it had arrived."""
    unsure = and_(attempts.c.delivery == seq, attempts.c.outcome == "retry", attempts.c.reason.in_(_UNSURE))
    newest: float | None = connection.scalar(select(func.max(attempts.c.at)).where(unsure))
    return newest


def reference_of(connection: Connection, incident: str, hook: str) -> str | None:
    """Return what the hook asked to be remembered last; whole numbers order deliveries as they were told."""
    same = and_(deliveries.c.incident == incident, deliveries.c.hook == hook, deliveries.c.reference.is_not(None))
    return connection.scalar(select(deliveries.c.reference).where(same).order_by(deliveries.c.seq.desc()).limit(1))


def release_leases(connection: Connection, now: float) -> int:
    """Free what an earlier process of this data directory held; for whoever holds the directory alone."""
    held = deliveries.c.state == "leased"
    note_interrupted(connection, connection.scalars(select(deliveries.c.seq).where(held)).all(), now)
    freed = update(deliveries).where(held).values(state="pending", lease=None, lease_until=None)
    return connection.execute(freed).rowcount


def unlease(connection: Connection, token: str) -> None:
    """Free what was taken with this token, of which nobody knows whether it was, and nothing was attempted."""
    freed = {"state": "pending", "lease": None, "lease_until": None, "attempts": deliveries.c.attempts - 1}
    connection.execute(update(deliveries).where(deliveries.c.lease == token).values(freed))


def bring_forward(connection: Connection, now: float, longest: float) -> None:
    """After the clock was set back: what is due later than any pause is long is due now, and no lease outlives its length."""
    quiet = func.coalesce(deliveries.c.held, "") == "quiet"  # until an hour of the day, which the clock knows
    far = and_(deliveries.c.state == "pending", ~quiet, deliveries.c.next_at > now + longest)
    connection.execute(update(deliveries).where(far).values(next_at=now))
    held = and_(deliveries.c.state == "leased", deliveries.c.lease_until > now + longest)
    connection.execute(update(deliveries).where(held).values(lease_until=now))


def freeze(connection: Connection, seq: int, token: str, body: bytes) -> bool:
    """Keep the body that every attempt will send. False: the lease was lost."""
    held = and_(deliveries.c.seq == seq, deliveries.c.lease == token)
    return connection.execute(update(deliveries).where(held).values(body=body)).rowcount == 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended, and what is to happen next."""

    outcome: str  # delivered, retry, refused, expired
    reason: str
    detail: str
    next_at: float | None = None


def settle(
    connection: Connection, seq: int, token: str, attempt: Attempt, now: float, reference: str | None = None
) -> bool:
    """Record the attempt and release the lease. False: the lease was lost, and only the attempt is recorded.

    `reference` is remembered for the later deliveries of the incident to the hook. After a refusal the next hook takes over.
    """
    connection.execute(
        insert(attempts).values(
            delivery=seq, at=now, outcome=attempt.outcome, reason=attempt.reason, detail=attempt.detail
        )
    )
    state = "pending" if attempt.outcome == "retry" else attempt.outcome
    values: dict[str, object] = {"state": state, "lease": None, "lease_until": None, "reason": attempt.reason}
    if attempt.outcome == "delivered":
        values["delivered_at"] = now
    if attempt.next_at is not None:
        values["next_at"] = attempt.next_at
    if reference is not None:
        values["reference"] = reference
    held = and_(deliveries.c.seq == seq, deliveries.c.lease == token)
    settled = connection.execute(update(deliveries).where(held).values(values)).rowcount == 1
    if settled and attempt.outcome in ("refused", "expired"):
        failover.take_over(connection, seq, now)
    return settled


def next_due(connection: Connection, hook: str) -> float | None:
    """Return when the hook next has something to do; what waits for an earlier delivery is not due."""
    due = func.min(func.coalesce(deliveries.c.lease_until, deliveries.c.next_at))
    return connection.scalar(select(due).where(deliveries.c.hook == hook, deliveries.c.state.in_(OWED), ~_behind))


@dataclass(frozen=True, slots=True)
class Backlog:
    hook: str
    depth: int
    oldest_at: float


def backlog(connection: Connection) -> list[Backlog]:
    """Return what each hook is still owed."""
    query = (
        select(deliveries.c.hook, func.count(), func.min(deliveries.c.owed_since))
        .where(deliveries.c.state.in_(OWED))
        .group_by(deliveries.c.hook)
    )
    return [Backlog(*row) for row in connection.execute(query)]


def recent_deliveries(
    connection: Connection, *, incident: str | None, limit: int, state: str | None = None
) -> Sequence[dict[str, object]]:
    """Return deliveries, newest first, each with its trail of attempts."""
    query = select(deliveries).order_by(deliveries.c.seq.desc()).limit(limit)
    if incident is not None:
        told_in = select(deliveries.c.digest).where(deliveries.c.incident == incident, deliveries.c.digest.is_not(None))
        query = query.where(or_(deliveries.c.incident == incident, deliveries.c.incident.in_(told_in)))
    if state is not None:
        query = query.where(deliveries.c.state == state)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    trail: dict[int, list[dict[str, object]]] = {row["seq"]: [] for row in rows}
    for row in connection.execute(
        select(attempts).where(attempts.c.delivery.in_(list(trail))).order_by(attempts.c.seq)
    ):
        trail[row.delivery].append({"at": row.at, "outcome": row.outcome, "reason": row.reason, "detail": row.detail})
    shown = (
        "key",
        "incident",
        "kind",
        "at",
        "text",
        "hook",
        "state",
        "attempts",
        "next_at",
        "reason",
        "delivered_at",
        "held",
        "digest",
    )
    return [{k: row[k] for k in shown} | {"trail": trail[row["seq"]]} for row in rows]


def forget_before(connection: Connection, moment: float) -> None:
    """Drop deliveries that were settled before this moment, with their trails.

    Those of an incident that goes on stay: they say who is to hear of its end.
    """
    settled = and_(deliveries.c.at < moment, deliveries.c.state.not_in(OWED))
    old = and_(settled, deliveries.c.incident.not_in(going_on()))
    connection.execute(delete(attempts).where(attempts.c.delivery.in_(select(deliveries.c.seq).where(old))))
    connection.execute(delete(deliveries).where(old))
