"""Money and calls: what was set aside, what was dialled, what it cost. Amounts are whole millionths of the currency."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Connection, delete, func, insert, select, update

from earwitness.store.tables import calls

_MILLION = 1_000_000
ALERT = "alert-"  # what the runs of calls that alerts make begin with


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as far as it got."""

    run: str
    state: str  # reserved, intended, dialled, settled
    to: str | None
    from_: str | None
    sid: str | None
    intended_at: float | None
    script: str | None


def micros(amount: Decimal) -> int:
    return int((amount * _MILLION).to_integral_value())


def day_of(moment: float) -> str:
    """Return the UTC day that money spent at this moment counts for."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Cap:
    """What may be spent in a UTC day, in millionths: by one journey, or by all."""

    micros: int
    journey: str | None = None


def spent(connection: Connection, day: str, currency: str, journey: str | None = None) -> int:
    """Return what is spent or set aside on this day, in millionths: for one journey, or in all."""
    total = select(func.coalesce(func.sum(calls.c.micros), 0)).where(calls.c.day == day, calls.c.currency == currency)
    if journey is not None:
        total = total.where(calls.c.journey == journey)
    return int(connection.scalar(total) or 0)


def reserve(
    connection: Connection,
    run: str,
    journey: str | None,
    amount: int,
    currency: str,
    now: float,
    caps: Sequence[Cap],
) -> Cap | None:
    """Set the money aside. Return the first of `caps` that this would pass, and then set nothing aside."""
    day = day_of(now)
    for cap in caps:
        if spent(connection, day, currency, cap.journey) + amount > cap.micros:
            return cap
    row = {"run": run, "state": "reserved", "reserved_at": now, "day": day, "micros": amount, "currency": currency}
    connection.execute(insert(calls).values(row | {"journey": journey}))
    return None


def intend(connection: Connection, run: str, to: str, from_: str, script: str, now: float) -> None:
    values = {"state": "intended", "to": to, "from": from_, "script": script, "intended_at": now}
    connection.execute(update(calls).where(calls.c.run == run).values(values))


def dialled(connection: Connection, run: str, sid: str) -> None:
    connection.execute(update(calls).where(calls.c.run == run).values(state="dialled", sid=sid))


def settle(connection: Connection, run: str, amount: int) -> None:
    connection.execute(update(calls).where(calls.c.run == run).values(state="settled", micros=amount))


def reprice(connection: Connection, run: str, amount: int) -> int:
    """Book what the run's call cost after all. Return how much more that is than what was booked, in millionths."""
    before = connection.scalar(select(calls.c.micros).where(calls.c.run == run))
    if before is None:
        return 0  # it is older than the history
    settle(connection, run, amount)
    return amount - int(before)


def release_unused(connection: Connection, run: str) -> None:
    """Give back what a run set aside without ever meaning to dial."""
    unused = (calls.c.run == run) & (calls.c.state == "reserved")
    connection.execute(update(calls).where(unused).values(state="settled", micros=0))


_COLUMNS = (calls.c.run, calls.c.state, calls.c.to, calls.c["from"], calls.c.sid, calls.c.intended_at, calls.c.script)


def call_of(connection: Connection, run: str) -> CallRow | None:
    row = connection.execute(select(*_COLUMNS).where(calls.c.run == run)).first()
    return CallRow(*row) if row else None


def runs_of(connection: Connection, prefix: str) -> list[CallRow]:
    """Return the calls of all runs whose names begin so, as far as each got."""
    rows = connection.execute(select(*_COLUMNS).where(calls.c.run.startswith(prefix, autoescape=True)))
    return [CallRow(*row) for row in rows]


def knows(connection: Connection, sid: str) -> bool:
    """Whether a call of ours has this name already."""
    return connection.execute(select(calls.c.run).where(calls.c.sid == sid).limit(1)).first() is not None


def forget_alerts_before(connection: Connection, moment: float) -> None:
    """Drop the calls that alerts made before this moment; those of runs go with their runs."""
    connection.execute(delete(calls).where(calls.c.run.startswith(ALERT), calls.c.reserved_at < moment))
