"""Who takes over from a hook that refused something for good, and what becomes of the rest that it was owed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from earwitness.store.owed import OWED, owe, refused, thread, told
from earwitness.store.tables import attempts, deliveries

_KEPT = ("incident", "kind", "at", "urgent")


def take_over(connection: Connection, seq: int, now: float) -> None:
    """Owe what this row told to the next hook; and with it the rest of its incident, if the hook never accepted any of it.

    A hook that was given up after a day keeps the rest too: one of the attempts may have arrived, and is to be ended there.
    """
    row = connection.execute(select(deliveries).where(deliveries.c.seq == seq)).one()
    for lost in _told_by(connection, row):
        _pass_on(connection, lost, now)
        if not _accepted(connection, lost):
            for waiting in _still_owed(connection, lost):
                if row.state == "refused":
                    _skip(connection, waiting.seq)
                _pass_on(connection, waiting, now)


def pass_on_unheard(connection: Connection, hook: str, reason: str, now: float, longest: float) -> list[str]:
    """Refuse for a hook that is gone what it is owed of incidents that it does not know. Returns whose.

    What it knows stays owed to it, should it come back, for `longest` seconds.
    """
    query = select(deliveries.c.seq).where(deliveries.c.hook == hook, deliveries.c.state.in_(OWED))
    given_up = []
    for seq in connection.scalars(query.order_by(deliveries.c.seq)).all():
        row = connection.execute(select(deliveries).where(deliveries.c.seq == seq)).one()
        if row.state not in OWED or (_accepted(connection, row) and now - row.owed_since <= longest):
            continue
        note = {"delivery": seq, "at": now, "outcome": "refused", "reason": reason}
        connection.execute(insert(attempts).values(note | {"detail": "no hook of this name is configured any more"}))
        refusal = {"state": "refused", "reason": reason, "lease": None, "lease_until": None}
        connection.execute(update(deliveries).where(deliveries.c.seq == seq).values(refusal))
        take_over(connection, seq, now)
        given_up.append(row.incident)
    return given_up


def _told_by(connection: Connection, row: Row[Any]) -> Sequence[Row[Any]]:
    """Return the row, or, of a digest, the rows that it told: they are refused with it."""
    first = connection.scalar(select(func.min(deliveries.c.seq)).where(deliveries.c.incident == row.incident))
    members = deliveries.c.digest == row.incident
    if row.seq != first or connection.execute(select(deliveries.c.seq).where(members).limit(1)).first() is None:
        return [row]
    rows = connection.execute(select(deliveries).where(members).order_by(deliveries.c.seq)).all()
    connection.execute(update(deliveries).where(members).values(state=row.state, reason=row.reason))
    return rows


def _accepted(connection: Connection, row: Row[Any]) -> bool:
    reached = and_(thread(row.incident, row.hook), deliveries.c.state.in_(("delivered", "digested")))
    return connection.execute(select(deliveries.c.seq).where(reached).limit(1)).first() is not None


def _still_owed(connection: Connection, row: Row[Any]) -> Sequence[Row[Any]]:
    waiting = and_(thread(row.incident, row.hook), deliveries.c.state.in_(OWED), deliveries.c.seq != row.seq)
    return connection.execute(select(deliveries).where(waiting).order_by(deliveries.c.seq)).all()


def _skip(connection: Connection, seq: int) -> None:
    skipped = {"state": "skipped", "reason": "refused_before", "lease": None, "lease_until": None}
    connection.execute(update(deliveries).where(deliveries.c.seq == seq).values(skipped))


def _pass_on(connection: Connection, row: Row[Any], now: float) -> None:
    """Owe the row to the next hook of its failover."""
    chain = row.failover.split()
    hook = _next(connection, row, chain)
    if hook is None:
        return
    values = {name: getattr(row, name) for name in _KEPT}
    values |= {"held": "group" if row.digest else row.held}  # what was told together stays together
    values |= {"key": row.key.removesuffix(row.hook) + hook, "hook": hook, "next_at": now}
    values |= {"text": f"{row.text}\n(In place of {row.hook}, which did not take it.)"}
    owe(connection, values | {"failover": " ".join(chain[chain.index(hook) + 1 :])})


def _next(connection: Connection, row: Row[Any], chain: Sequence[str]) -> str | None:
    """Return the first that has not refused the incident; where all have and nobody took it, the first not asked of this news."""
    gone = refused(connection, row.incident)
    left = [hook for hook in chain if hook not in gone]
    if not left and not told(connection, row.incident):
        asked = _asked(connection, row)
        left = [hook for hook in chain if hook not in asked]
    return left[0] if left else None


def _asked(connection: Connection, row: Row[Any]) -> set[str]:
    same = and_(deliveries.c.incident == row.incident, deliveries.c.kind == row.kind, deliveries.c.at == row.at)
    return set(connection.scalars(select(deliveries.c.hook).where(same)))


def refusing(connection: Connection) -> dict[str, str]:
    """Return the hooks whose newest settled delivery failed for good, each with the reason."""
    settled = and_(deliveries.c.state.in_(("refused", "expired", "delivered")), deliveries.c.leased_at.is_not(None))
    columns = (deliveries.c.hook, deliveries.c.state, deliveries.c.reason)
    rows = connection.execute(select(*columns).where(settled).order_by(deliveries.c.leased_at, deliveries.c.seq))
    newest = {hook: (state, reason) for hook, state, reason in rows}
    return {hook: reason for hook, (state, reason) in newest.items() if state != "delivered"}
