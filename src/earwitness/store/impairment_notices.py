"""Notices that the monitor is impaired, as they were told: each a stand-in incident, which hooks know how to tell."""

from sqlalchemy import Connection, and_, delete, insert, select, update

from earwitness.model import Incident
from earwitness.store.codec import decode, encode
from earwitness.store.tables import impairment_notices


def save(connection: Connection, stand_in: Incident) -> None:
    """Keep the notice as it is now."""
    values = {"closed_at": stand_in.resolved_at, "document": encode(stand_in)}
    known = impairment_notices.c.id == stand_in.id
    if not connection.execute(update(impairment_notices).where(known).values(values)).rowcount:
        new = {"id": stand_in.id, "opened_at": stand_in.opened_at, **values}
        connection.execute(insert(impairment_notices).values(new))


def notice(connection: Connection, notice_id: str) -> Incident | None:
    query = select(impairment_notices.c.document).where(impairment_notices.c.id == notice_id)
    document = connection.scalar(query)
    return None if document is None else decode(Incident, document)


def going_on(connection: Connection) -> Incident | None:
    """Return the notice whose end nobody was told of yet; there is one at most."""
    query = select(impairment_notices.c.document).where(impairment_notices.c.closed_at.is_(None))
    document = connection.scalar(query)
    return None if document is None else decode(Incident, document)


def forget_before(connection: Connection, moment: float) -> None:
    over = and_(impairment_notices.c.closed_at.is_not(None), impairment_notices.c.closed_at < moment)
    connection.execute(delete(impairment_notices).where(over))
