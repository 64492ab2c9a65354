"""The statements that SQL never standardised: what an insert does where the key is already there."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, CursorResult, Dialect, Insert, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert

Row = Mapping[str, object]


def insert_if_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert the row; False if a unique key of it is already there. Any other error is raised."""
    return connection.execute(_if_new(connection.dialect.name, table), row).rowcount == 1


def insert_those_new(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Insert those of the rows of which no unique key is already there, and return how many. Any other error is raised.

    Each row has a value for the same columns, of a type that the driver takes as it is.
    """
    return _execute_many(connection, _if_new, table, rows).rowcount if rows else 0


def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, which are as above, each in place of the one that has its primary key."""
    if rows:
        _execute_many(connection, _in_place, table, rows)


def _execute_many(
    connection: Connection, compose: Callable[[str, Table], Insert], table: Table, rows: Sequence[Row]
) -> CursorResult[Any]:
    """Hand text and values to the driver: for SQLAlchemy to prepare each row takes as long as to insert it."""
    text, order = _text(compose, connection.dialect, table, tuple(rows[0]))
    values = [tuple(map(row.__getitem__, order)) for row in rows] if order else rows
    return connection.exec_driver_sql(text, values)


# Composing a statement anew takes longer than executing it.


@lru_cache(maxsize=32)  # a dialect belongs to an engine
def _text(
    compose: Callable[[str, Table], Insert], dialect: Dialect, table: Table, columns: tuple[str, ...]
) -> tuple[str, Sequence[str] | None]:
    """Return the statement for these columns, and the order in which it takes them; None where it takes them by name."""
    compiled = compose(dialect.name, table).compile(dialect=dialect, column_keys=list(columns))
    return str(compiled), compiled.positiontup


@cache
def _if_new(dialect: str, table: Table) -> Insert:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _in_place(dialect: str, table: Table) -> Insert:
    insert = _insert(dialect, table)
    keys = list(table.primary_key.columns)
    others = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=keys, set_=others)


def _insert(dialect: str, table: Table) -> "PostgresInsert | sqlite.Insert":
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  With its drivers it is 1.5 MB, which SQLite does not need.

    return postgresql.insert(table)
