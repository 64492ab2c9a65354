"""How the database is connected to: what is committed survives a power cut, and what is not leaves no trace."""

from typing import Any

from sqlalchemy import Engine, create_engine, event


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Set what makes a committed row survive a power cut: WAL keeps readers going, FULL flushes at every commit."""
    connection.isolation_level = None  # we begin transactions ourselves
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def engine_of(url: str, begin: str) -> Engine:
    """`begin` is the statement: a writer takes its lock at once, since one that takes it later cannot wait for it."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine
