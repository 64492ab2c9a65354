"""Links by which evidence was shared: what was given out, until when, and what was taken back."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, delete, insert, select, update

from earwitness.evidence.links import EvidenceLink
from earwitness.store.tables import evidence_links


def add(connection: Connection, link: EvidenceLink, now: float) -> None:
    row = {"id": link.id, "incident": link.incident, "made_at": now, "expires_at": link.expires}
    connection.execute(insert(evidence_links).values(row))


def made(
    connection: Connection, incident: str | None = None
) -> Sequence[Row[tuple[str, str, float, float, float | None]]]:
    """Return all links, or those of an incident, the newest first: id, incident, made_at, expires_at, taken_back_at."""
    query = select(evidence_links).order_by(evidence_links.c.made_at.desc(), evidence_links.c.id)
    if incident is not None:
        query = query.where(evidence_links.c.incident == incident)
    return connection.execute(query).all()


def is_good(connection: Connection, link_id: str, now: float) -> bool:
    """Return whether the link still leads to anything."""
    good = (evidence_links.c.id == link_id, evidence_links.c.expires_at > now, evidence_links.c.taken_back_at.is_(None))
    return connection.scalar(select(evidence_links.c.id).where(*good)) is not None


def take_back(connection: Connection, link_id: str, now: float) -> bool:
    """Let the link lead nowhere. False: there is no such link. Taken back twice, the first time counts."""
    known = evidence_links.c.id == link_id
    if connection.scalar(select(evidence_links.c.id).where(known)) is None:
        return False
    fresh = (known, evidence_links.c.taken_back_at.is_(None))
    connection.execute(update(evidence_links).where(*fresh).values(taken_back_at=now))
    return True


def forget_before(connection: Connection, moment: float) -> None:
    connection.execute(delete(evidence_links).where(evidence_links.c.expires_at < moment))
