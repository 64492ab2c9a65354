"""What counts once: links that were used, callbacks that were taken."""

from sqlalchemy import Connection, delete, select

from earwitness.store.dialect import insert_if_new
from earwitness.store.tables import used_once


def use(connection: Connection, key: str, now: float) -> bool:
    """Record the use. False: it was used before."""
    return insert_if_new(connection, used_once, {"key": key, "used_at": now})


def is_used(connection: Connection, key: str) -> bool:
    return connection.scalar(select(used_once.c.key).where(used_once.c.key == key)) is not None


def forget_before(connection: Connection, moment: float) -> None:
    """Drop what was used before this moment; what it was for has expired long since."""
    connection.execute(delete(used_once).where(used_once.c.used_at < moment))
