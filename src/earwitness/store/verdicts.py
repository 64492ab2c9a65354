"""Incidents and the judge's requests."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from earwitness.model import Incident, Request, Status, Why
from earwitness.store.codec import decode, encode
from earwitness.store.dialect import insert_if_new
from earwitness.store.tables import held, incidents, requests


def save_incidents(connection: Connection, changed: Sequence[Incident]) -> None:
    """Replace each incident by its newest form."""
    rows = {i.id: i for i in changed}
    if not rows:
        return
    connection.execute(delete(incidents).where(incidents.c.id.in_(list(rows))))
    connection.execute(insert(incidents), [_row(i) for i in rows.values()])
    for incident in rows.values():
        known = set(connection.scalars(select(held.c.run).where(held.c.incident == incident.id)))
        fresh = [run for run in dict.fromkeys((*incident.observations, *incident.weighed)) if run not in known]
        if fresh:
            connection.execute(insert(held), [{"run": run, "incident": incident.id} for run in fresh])


def _row(incident: Incident) -> dict[str, object]:
    return {
        "id": incident.id,
        "status": incident.status.value,
        "severity": incident.severity.value,
        "opened_at": incident.opened_at,
        "resolved_at": incident.resolved_at,
        "document": encode(incident),
    }


def open_incidents(connection: Connection) -> list[Incident]:
    rows = connection.scalars(select(incidents.c.document).where(incidents.c.status != Status.RESOLVED.value))
    return [decode(Incident, document) for document in rows]


def ended_since(connection: Connection, moment: float) -> list[Incident]:
    """Return the incidents that ended since then, except those that went on in another."""
    rows = connection.scalars(select(incidents.c.document).where(incidents.c.resolved_at >= moment))
    return [incident for incident in (decode(Incident, row) for row in rows) if incident.merged_into is None]


def recent_incidents(connection: Connection, *, limit: int, status: Status | None = None) -> list[Incident]:
    """Return incidents, newest first."""
    query = select(incidents.c.document).order_by(incidents.c.opened_at.desc()).limit(limit)
    if status is not None:
        query = query.where(incidents.c.status == status.value)
    return [decode(Incident, document) for document in connection.scalars(query)]


def incident(connection: Connection, incident_id: str) -> Incident | None:
    document = connection.scalar(select(incidents.c.document).where(incidents.c.id == incident_id))
    return decode(Incident, document) if document else None


def add_requests(connection: Connection, wanted: Sequence[Request]) -> None:
    """Record what the judge wants; a key that is already there is not asked for twice."""
    for request in wanted:
        row = {
            "key": request.key,
            "probe": request.probe,
            "why": request.why.value,
            "incident": request.incident,
            "not_after": request.not_after,
            "state": "pending",
        }
        insert_if_new(connection, requests, row)


def pending_requests(connection: Connection) -> list[Request]:
    rows = connection.execute(select(requests).where(requests.c.state == "pending").order_by(requests.c.not_after))
    return [Request(r.key, r.probe, Why(r.why), r.not_after, r.incident) for r in rows]


def end_request(connection: Connection, key: str, state: str) -> None:
    """Say that the request was `taken` by a run, or `expired`."""
    connection.execute(update(requests).where(requests.c.key == key).values(state=state))


def forget_before(connection: Connection, moment: float) -> None:
    """Drop incidents that were resolved before this moment, and requests that were answered or expired."""
    old = select(incidents.c.id).where(incidents.c.resolved_at < moment)
    connection.execute(delete(held).where(held.c.incident.in_(old)))
    connection.execute(delete(incidents).where(incidents.c.resolved_at < moment))
    connection.execute(delete(requests).where(requests.c.not_after < moment, requests.c.state != "pending"))
