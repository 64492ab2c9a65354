"""The page that a link in an alert leads to. It needs no login, and can acknowledge the link's incident once, nothing else."""

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from earwitness.alerting.ack_links import PATH, AckLink
from earwitness.console.api import InHouse
from earwitness.console.callbacks import read_body
from earwitness.console.house import House
from earwitness.console.pages import templates
from earwitness.model import Commanded, Incident, Status
from earwitness.presentation import SEVERITY_WORDS
from earwitness.store import used, verdicts

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
    await house.commit.submit(Commanded(now, incident.id, "acknowledge", who))
    await house.store.write(
        lambda c: used.use(c, _key(link), now)
    )  # last: a crash in between must not cost the acknowledgement
    return _page(request, incident, None, done=True)


async def _known(house: House, token: str) -> tuple[AckLink | None, Incident | None, str | None]:
    """Return the link, its incident, and why it is good for nothing, if it is."""
    link = house.ack_links.read(token)
    if link is None:
        return None, None, "This link is not one of ours, or was cut short on its way."
    incident = await house.store.read(lambda c: verdicts.incident(c, link.incident))
    if incident is None:
        return link, None, "The incident is not kept any more."
    if incident.status is not Status.OPEN:
        by = f" by {incident.acknowledged_by}" if incident.status is Status.ACKNOWLEDGED else ""
        return link, incident, f"It is {incident.status} already{by}."
    if await house.store.read(lambda c: used.is_used(c, _key(link))):
        return link, incident, "This link was used already."
    if link.expires < house.clock.now():
        return link, incident, "This link is too old; acknowledge it in the console."
    return link, incident, None


def _key(link: AckLink) -> str:
    return f"ack {link.incident} {link.nonce}"


def _name(form: bytes) -> str:
    given = parse_qs(form.decode("utf-8", "replace")).get("who", [""])[0]
    return " ".join(given.split())[:_LONGEST_NAME]


def _page(request: Request, incident: Incident | None, trouble: str | None, *, done: bool = False) -> Response:
    shown: dict[str, Any] = {"incident": incident, "trouble": trouble, "done": done}
    shown["severity"] = SEVERITY_WORDS[incident.severity] if incident else ""
    status = 200 if not trouble else 404 if incident is None else 409
    return templates.TemplateResponse(request, "acknowledge.html", shown, status_code=status)
