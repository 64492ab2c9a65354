"""What is left to do at the carrier when a run is over: recordings to delete, prices to read. Rows go when it is done."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from earwitness.store.dialect import insert_if_new
from earwitness.store.tables import errands


@dataclass(frozen=True, slots=True)
class ErrandRow:
    """An errand for one call of ours. Times are epoch seconds: `since` it was left, `due` when it is tried next."""

    kind: str  # delete_recordings, read_price
    call_sid: str
    carrier: str  # its name in the configuration
    run: str
    recording_sid: str | None
    reason: str
    since: float
    due: float
    tries: int = 0


def leave(connection: Connection, row: ErrandRow) -> None:
    """Put the errand on the list, once for each kind and call."""
    values = {name: getattr(row, name) for name in ErrandRow.__dataclass_fields__}
    insert_if_new(connection, errands, values)


def due(connection: Connection, now: float, limit: int) -> list[ErrandRow]:
    """Return what is to be tried by now, the longest due first."""
    found = select(errands).where(errands.c.due <= now).order_by(errands.c.due).limit(limit)
    return [ErrandRow(**row) for row in connection.execute(found).mappings()]


def left(connection: Connection) -> int:
    """Return how many errands there are."""
    return int(connection.scalar(select(func.count()).select_from(errands)) or 0)


def postpone(connection: Connection, row: ErrandRow, moment: float) -> None:
    connection.execute(update(errands).where(_same(row)).values(due=moment, tries=row.tries + 1))


def done(connection: Connection, row: ErrandRow) -> None:
    connection.execute(delete(errands).where(_same(row)))


def _same(row: ErrandRow) -> ColumnElement[bool]:
    return (errands.c.kind == row.kind) & (errands.c.call_sid == row.call_sid)
