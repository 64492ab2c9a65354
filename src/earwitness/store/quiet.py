"""Maintenance and silences that people set, and how long each of them held."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, or_, select, update

from earwitness.model import QuietBegun, QuietEnded, QuietPeriod
from earwitness.store.codec import decode, encode
from earwitness.store.tables import quiet_periods


def save(connection: Connection, periods: Iterable[QuietPeriod]) -> None:
    """Record periods, each by its newest form."""
    rows = [{"id": p.id, "kind": p.kind.value, "set_at": p.set_at, "document": encode(p)} for p in periods]
    if rows:
        connection.execute(delete(quiet_periods).where(quiet_periods.c.id.in_([row["id"] for row in rows])))
        connection.execute(insert(quiet_periods), rows)


def end(connection: Connection, ids: Iterable[str], now: float) -> None:
    """Record that these are over."""
    over = quiet_periods.c.id.in_(list(ids))
    connection.execute(update(quiet_periods).where(over).values(ended_at=now))


def current(connection: Connection) -> list[QuietPeriod]:
    """Return those that are not over, in the order in which they were set."""
    query = select(quiet_periods.c.document).where(quiet_periods.c.ended_at.is_(None)).order_by(quiet_periods.c.set_at)
    return [decode(QuietPeriod, document) for document in connection.scalars(query)]


def events_since(connection: Connection, moment: float) -> list[QuietBegun | QuietEnded]:
    """Return what people did to be quiet, as far as it held after this moment, in order of time."""
    lasting = or_(quiet_periods.c.ended_at.is_(None), quiet_periods.c.ended_at >= moment)
    rows = connection.execute(select(quiet_periods.c.document, quiet_periods.c.ended_at).where(lasting))
    events: list[QuietBegun | QuietEnded] = []
    for document, ended_at in rows:
        period = decode(QuietPeriod, document)
        events.append(QuietBegun(period.set_at, period))
        if ended_at is not None:
            events.append(QuietEnded(ended_at, period.id))
    return sorted(events, key=lambda event: event.at)


def forget_before(connection: Connection, moment: float) -> None:
    connection.execute(delete(quiet_periods).where(quiet_periods.c.ended_at < moment))
