"""A delivery that is sent once more because a person wishes it, under its key and with its body: only while that is still so."""

from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from earwitness.model import Incident, Severity, Status, TransitionKind, is_impairment
from earwitness.store import digests, impairment_notices, verdicts
from earwitness.store.owed import FOLLOW_UPS, OWED, owe, thread
from earwitness.store.tables import attempts, deliveries


class NoLongerSoError(Exception):
    """What the delivery says is not so any more; the text says what is, and what to do."""


def send_again(connection: Connection, key: str, who: str, now: float) -> str | None:
    """Owe a settled delivery anew, at once and under its key; the trail says who wished it. Returns the state that it was in.

    None: there is no such delivery. One that is still owed stays as it is. With what opens something that is over its end is owed too.
    Raises NoLongerSoError for what would end, answer or grade an incident otherwise than it is.
    """
    row = connection.execute(select(deliveries).where(deliveries.c.key == key)).first()
    if row is None or row.state in OWED:
        return row.state if row else None
    incident = _incident(connection, row.incident)
    if incident is not None and (why := _no_longer_so(row, incident)) is not None:
        raise NoLongerSoError(f"{key} {why}")
    _owe_again(connection, row.seq, f"sent again by {who}", now)
    if row.kind not in FOLLOW_UPS:
        _end_again(connection, row, who, now)
    return str(row.state)


def _incident(connection: Connection, name: str) -> Incident | None:
    """Return the incident, or the notice that stands for one. None: it is a digest, which never opens again."""
    stored = impairment_notices.notice if is_impairment(name) else verdicts.incident
    return stored(connection, name)


def _no_longer_so(row: Row[Any], incident: Incident) -> str | None:
    """Return what has changed since, where the provider would take the delivery's word for it."""
    if row.kind == TransitionKind.RESOLVE:
        return None if _is_over(incident) else f"says that it is over, and {incident.id} is {incident.status}"
    if row.kind == TransitionKind.ACKNOWLEDGE:
        answered = incident.status is Status.ACKNOWLEDGED
        return None if answered else f"says that it is acknowledged, and {incident.id} is {incident.status}"
    if row.kind == TransitionKind.ESCALATE and not incident.unanswered:
        return f"says that nobody has acknowledged it, and {incident.id} is {incident.status}"
    graded = _severity_at(incident, row.at)
    if _is_over(incident) or graded is None or graded is incident.severity:
        return None
    return f"says {graded}, and {incident.id} is {incident.severity} by now; send the newest change again instead"


def _is_over(incident: Incident) -> bool:
    return incident.status is Status.RESOLVED


def _severity_at(incident: Incident, moment: float) -> Severity | None:
    """Return how bad it was told to be then. None: an earlier version did not say."""
    return next((e.severity for e in reversed(incident.timeline) if e.at <= moment), None)


def _owe_again(connection: Connection, seq: int, why: str, now: float) -> None:
    again = {"state": "pending", "attempts": 0, "next_at": now, "owed_since": now, "urgent": 1, "held": None}
    connection.execute(update(deliveries).where(deliveries.c.seq == seq).values(again))
    note = {"delivery": seq, "at": now, "outcome": "again", "reason": "by_hand", "detail": why}
    connection.execute(insert(attempts).values(note))


def _end_again(connection: Connection, row: Row[Any], who: str, now: float) -> None:
    """Where the incident or the digest is over, owe its end after what opens it: the row that told of it, or a new one."""
    end = _end_of(connection, row.incident, row.hook, now)
    if end is None:
        return
    later = and_(thread(row.incident, row.hook), deliveries.c.kind == TransitionKind.RESOLVE.value)
    query = select(deliveries).where(later, deliveries.c.seq > row.seq).order_by(deliveries.c.seq.desc()).limit(1)
    known = connection.execute(query).first()
    if known is None:
        owe(connection, end | {"hook": row.hook, "next_at": now, "urgent": 1})
    elif known.state not in OWED:
        _owe_again(connection, known.seq, f"what {who} sent again is over", now)


def _end_of(connection: Connection, name: str, hook: str, now: float) -> dict[str, Any] | None:
    """Return the row that would tell the end of an incident or a digest. None: it is not over."""
    incident = _incident(connection, name)
    if incident is None:
        return digests.end_of(connection, name, hook, now)
    if not _is_over(incident):
        return None
    number, entry = max((n, e) for n, e in enumerate(incident.timeline, 1) if e.kind is TransitionKind.RESOLVE)
    key = f"{name}.{number}.{hook}"
    return {"key": key, "incident": name, "kind": entry.kind.value, "at": entry.at, "text": entry.text}
