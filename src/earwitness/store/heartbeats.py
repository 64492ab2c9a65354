"""Proof that the store writes: the moment of the newest heartbeat."""

from sqlalchemy import Connection, select, update

from earwitness.store.dialect import insert_if_new
from earwitness.store.tables import heartbeats

_NAME = "dead-man"


def record(connection: Connection, now: float) -> None:
    if not insert_if_new(connection, heartbeats, {"name": _NAME, "at": now}):
        connection.execute(update(heartbeats).where(heartbeats.c.name == _NAME).values(at=now))


def newest(connection: Connection) -> float | None:
    moment: float | None = connection.scalar(select(heartbeats.c.at).where(heartbeats.c.name == _NAME))
    return moment
