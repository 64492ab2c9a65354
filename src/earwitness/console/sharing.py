"""Links to an incident's evidence for people without a login, such as a third party's: signed, expiring, and taken back when wanted.

Who has the link has the archive, and nothing else. Every link is on record, so that it can be found again and taken back.
"""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy import Row

from earwitness.console.api import InHouse, archive, find
from earwitness.console.house import House
from earwitness.evidence.links import PATH, EvidenceLink
from earwitness.presentation import iso_time
from earwitness.store import evidence_links

_USUAL, _LONGEST = 7 * 86400.0, 30 * 86400.0  # seconds that a link is good for
sharing = APIRouter()


@sharing.post("/api/v1/incidents/{incident_id}/evidence-links", status_code=201)
async def share(
    house: InHouse, incident_id: str, seconds: Annotated[float, Field(gt=0, le=_LONGEST)] = _USUAL
) -> dict[str, Any]:
    """Make a link to the incident's evidence that is good for so many seconds, a week if not said."""
    found, now = await find(house, incident_id), house.clock.now()
    kept = house.config.history.keep  # by then the evidence is gone, and so is the record of the link
    link = EvidenceLink(secrets.token_hex(8), found.id, now + min(seconds, kept))
    await house.store.write(lambda c: evidence_links.add(c, link, now))
    return {"id": link.id, "url": house.evidence_links.url(link), "expires_at": iso_time(link.expires)}


@sharing.get("/api/v1/evidence-links")
async def links(house: InHouse, incident: str | None = None) -> list[dict[str, Any]]:
    """List what was given out, of all incidents or of one."""
    return links_json(house, await house.store.read(lambda c: evidence_links.made(c, incident)))


@sharing.delete("/api/v1/evidence-links/{link_id}")
async def take_back(house: InHouse, link_id: str) -> dict[str, Any]:
    """Let a link lead nowhere from now on."""
    if not await house.store.write(lambda c: evidence_links.take_back(c, link_id, house.clock.now())):
        raise HTTPException(404, f"there is no link {link_id}; earwitness incidents links lists them")
    return {"id": link_id, "taken_back": True}


@sharing.post("/incidents/{incident_id}/share", include_in_schema=False)
async def share_by_hand(house: InHouse, incident_id: str) -> Response:
    await share(house, incident_id)
    return RedirectResponse(f"/incidents/{incident_id}#shared", 303)


@sharing.post("/incidents/{incident_id}/unshare/{link_id}", include_in_schema=False)
async def take_back_by_hand(house: InHouse, incident_id: str, link_id: str) -> Response:
    await take_back(house, link_id)
    return RedirectResponse(f"/incidents/{incident_id}#shared", 303)


@sharing.get(PATH + "{token}", include_in_schema=False)
async def shared(house: InHouse, token: str) -> Response:
    link = house.evidence_links.read(token)
    if link is None:
        raise HTTPException(404, "this link is not one of ours, or was cut short on its way")
    now = house.clock.now()
    if link.expires < now or not await house.store.read(lambda c: evidence_links.is_good(c, link.id, now)):
        raise HTTPException(410, "this link is good for nothing any more; ask whoever sent it for another")
    return await archive(house, link.incident)


def links_json(house: House, rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """Return the links with what has become of each: good, expired or taken back."""
    return [_link_json(house, row) for row in rows]


def _link_json(house: House, row: Row[Any]) -> dict[str, Any]:
    over = "expired" if row.expires_at <= house.clock.now() else "good"
    return {
        "id": row.id,
        "incident": row.incident,
        "state": "taken back" if row.taken_back_at is not None else over,
        "url": house.evidence_links.url(EvidenceLink(row.id, row.incident, row.expires_at)),
        "made_at": iso_time(row.made_at),
        "expires_at": iso_time(row.expires_at),
    }
