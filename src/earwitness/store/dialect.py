"""The statements that SQL never standardised: what an insert does where the key is already there."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert the row; False if a unique key of it is already there. Any other error is raised."""
    return connection.execute(_if_new(connection.dialect.name, table), row).rowcount == 1


def insert_those_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert those of the rows of which no unique key is already there, and return how many. Any other error is raised."""
    return connection.execute(_if_new(connection.dialect.name, table), rows).rowcount if rows else 0


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert the rows, each in place of the one that has its primary key."""
    if rows:
        connection.execute(_in_place(connection.dialect.name, table), rows)


# Composing a statement anew takes longer than executing it.


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
