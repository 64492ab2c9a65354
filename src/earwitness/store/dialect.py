"""The one statement that SQL never standardised."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_if_new(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert the row; False if a unique key of it is already there. Any other error is raised."""
    return connection.execute(_statement(connection.dialect.name, table), row).rowcount == 1


@cache
def _statement(dialect: str, table: Table) -> Insert:
    """Return the statement; composing it anew takes longer than executing it."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
