"""Links to an incident's evidence for people without a login, such as a third party's: signed, expiring, and taken back when wanted.

Who has the link has the archive, and nothing else. A link that was taken back is on record in the store.
"""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Response
from pydantic import Field

from earwitness.console.api import InHouse, archive, find
from earwitness.console.house import House
from earwitness.evidence.links import PATH, EvidenceLink
from earwitness.presentation import iso_time
from earwitness.store import used

_USUAL, _LONGEST = 7 * 86400.0, 30 * 86400.0  # seconds that a link is good for
sharing = APIRouter()


@sharing.post("/api/v1/incidents/{incident_id}/evidence-links")
async def share(
    house: InHouse, incident_id: str, seconds: Annotated[float, Field(gt=0, le=_LONGEST)] = _USUAL
) -> dict[str, Any]:
    """Make a link to the incident's evidence that is good for so many seconds, a week if not said."""
    found = await find(house, incident_id)
    kept = house.config.history.keep  # by then the evidence is gone, and so is the record of what was taken back
    link = EvidenceLink(secrets.token_hex(8), found.id, house.clock.now() + min(seconds, kept))
    return {"id": link.id, "url": house.evidence_links.url(link), "expires_at": iso_time(link.expires)}


@sharing.delete("/api/v1/evidence-links/{link_id}")
async def take_back(house: InHouse, link_id: str) -> dict[str, Any]:
    """Let a link lead nowhere from now on."""
    await house.store.write(lambda c: used.use(c, _key(link_id), house.clock.now()))
    return {"id": link_id, "taken_back": True}


@sharing.get(PATH + "{token}", include_in_schema=False)
async def shared(house: InHouse, token: str) -> Response:
    link = house.evidence_links.read(token)
    if link is None:
        raise HTTPException(404, "this link is not one of ours, or was cut short on its way")
    if await _is_over(house, link):
        raise HTTPException(410, "this link is good for nothing any more; ask whoever sent it for another")
    return await archive(house, link.incident)


async def _is_over(house: House, link: EvidenceLink) -> bool:
    return link.expires < house.clock.now() or await house.store.read(lambda c: used.is_used(c, _key(link.id)))


def _key(link_id: str) -> str:
    return f"evidence {link_id}"
