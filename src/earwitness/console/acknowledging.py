"""The page that a link in an alert leads to. It needs no login, and can acknowledge the link's incident or digest once, nothing else."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from earwitness.alerting.ack_links import PATH, AckLink
from earwitness.alerting.digests import is_digest, stand_in
from earwitness.console.api import InHouse
from earwitness.console.callbacks import read_body
from earwitness.console.house import House
from earwitness.console.pages import page
from earwitness.model import Commanded, Incident, Status
from earwitness.presentation import SEVERITY_WORDS
from earwitness.store import digests, used, verdicts

_LARGEST = 4096  # bytes of the form
_LONGEST_NAME = 80  # characters
acknowledging = APIRouter(prefix=PATH.rstrip("/"), include_in_schema=False)


@acknowledging.get("/{token}")
async def ask(house: InHouse, token: str, request: Request) -> Response:
    """Ask whether it is to be acknowledged; changes nothing."""
    link, incident, trouble = await _known(house, token)
    return _page(request, incident, trouble) if link else _page(request, None, trouble)


@acknowledging.post("/{token}")
async def acknowledge(house: InHouse, token: str, request: Request) -> Response:
    """Acknowledge, once."""
    link, incident, trouble = await _known(house, token)
    if link is None or incident is None or trouble:
        return _page(request, incident, trouble)
    who = _name(await read_body(request, _LARGEST) or b"") or f"somebody with the link sent to {link.hook}"
    now = house.clock.now()
    for meant in await house.store.read(lambda c: _meant(c, incident)):
        await house.commit.submit(Commanded(now, meant, "acknowledge", who))
    await house.store.write(
        lambda c: used.use(c, _key(link), now)
    )  # last: a crash in between must not cost the acknowledgement
    return _page(request, incident, None, done=True)


async def _known(house: House, token: str) -> tuple[AckLink | None, Incident | None, str | None]:
    """Return the link, its incident, and why it is good for nothing, if it is."""
    link = house.ack_links.read(token)
    if link is None:
        return None, None, "This link is not one of ours, or was cut short on its way."
    incident = await house.store.read(lambda c: _incident(c, link.incident))
    if incident is None:
        return link, None, "The incident is not kept any more."
    if not incident.takes_acknowledgement(house.clock.now()):
        by = f" by {incident.acknowledged_by}" if incident.status is Status.ACKNOWLEDGED else ""
        return link, incident, f"It is {incident.status} already{by}."
    if await house.store.read(lambda c: used.is_used(c, _key(link))):
        return link, incident, "This link was used already."
    if link.expires < house.clock.now():
        return link, incident, "This link is too old; acknowledge it in the console."
    return link, incident, None


def _incident(connection: Connection, name: str) -> Incident | None:
    """Return the incident, or the one that stands for a digest: acknowledged when all of it is."""
    digest = digests.digest(connection, name) if is_digest(name) else None
    if digest is None:
        return verdicts.incident(connection, name)
    found = stand_in(digest)
    answered = found.status is Status.OPEN and not digests.unanswered(connection, name)
    return replace(found, status=Status.ACKNOWLEDGED, acknowledged_by="those who look after it") if answered else found


def _meant(connection: Connection, incident: Incident) -> list[str]:
    return digests.unanswered(connection, incident.id) if is_digest(incident.id) else [incident.id]


def _key(link: AckLink) -> str:
    return f"ack {link.incident} {link.nonce}"


def _name(form: bytes) -> str:
    given = parse_qs(form.decode("utf-8", "replace")).get("who", [""])[0]
    return " ".join(given.split())[:_LONGEST_NAME]


def _page(request: Request, incident: Incident | None, trouble: str | None, *, done: bool = False) -> Response:
    shown: dict[str, Any] = {"incident": incident, "trouble": trouble, "done": done}
    shown["severity"] = SEVERITY_WORDS[incident.severity] if incident else ""
    status = 200 if not trouble else 404 if incident is None else 409
    return page(request, "acknowledge.html", shown, status_code=status)
