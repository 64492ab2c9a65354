"""The pages people look at: what customers can do now, and each incident with what was heard and seen."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from earwitness.console.api import EVIDENCE, InHouse, find, journey_json, probe_json, send_again, suspected_json
from earwitness.console.house import House
from earwitness.console.sharing import links_json
from earwitness.console.waveform import picture_of
from earwitness.model import Commanded, Observation
from earwitness.presentation import incident_json, observation_json, quiet_json
from earwitness.store import digests, evidence_links, history, outbox, verdicts

pages = APIRouter(include_in_schema=False)


def page(request: Request, name: str, shown: dict[str, Any], status_code: int = 200) -> Response:
    """Return the page that this template makes of what is to be shown."""
    from earwitness.console.templating import templates  # noqa: PLC0415  Jinja is 2 MB that nothing needs before somebody looks.

    return templates.TemplateResponse(request, name, shown, status_code=status_code)


def _dependency_titles(house: House) -> dict[str, str]:
    return {name: rule.title for name, rule in house.rules.dependencies.items()}


@pages.get("/")
async def overview(request: Request, house: InHouse) -> Response:
    recent = await house.store.read(lambda c: verdicts.recent_incidents(c, limit=20))
    now = house.clock.now()
    proposed = await asyncio.to_thread(house.baselines.proposals)
    shown: dict[str, Any] = {
        "journeys": [journey_json(house, name) for name in house.rules.journeys],
        "probes": {name: probe_json(house, name) for name in house.rules.probes},
        "incidents": [incident_json(i, EVIDENCE) for i in recent],
        "suspected": suspected_json(house),
        "quiet": [quiet_json(period, now) for period in house.commit.state.quiet.values()],
        "planned": {n: end for n, p in house.rules.maintenance.items() if (end := p.times.ends(now)) is not None},
        "impaired": house.impairments.details(),
        "pages": await asyncio.to_thread(house.pages.proposals),
        "changed": [proposal for proposal in proposed if proposal.stable],
        "titles": _dependency_titles(house),
        "now": now,
    }
    return page(request, "overview.html", shown)


@pages.get("/incidents/{incident_id}")
async def incident(request: Request, house: InHouse, incident_id: str) -> Response:
    found = await find(house, incident_id)
    seen = await house.store.read(lambda c: [history.observation(c, run) for run in found.observations[:20]])
    shown: dict[str, Any] = {
        "incident": incident_json(found, EVIDENCE),
        "titles": _dependency_titles(house),
        "observations": [await _shown(o, house) for o in seen if o],
        "deliveries": await house.store.read(lambda c: outbox.recent_deliveries(c, incident=incident_id, limit=50)),
        "links": links_json(house, await house.store.read(lambda c: evidence_links.made(c, incident_id))),
        "now": house.clock.now(),
    }
    return page(request, "incident.html", shown)


async def _shown(seen: Observation, house: House) -> dict[str, Any]:
    """Return an observation with the picture of its call, if it kept a recording."""
    picture = await asyncio.to_thread(picture_of, seen, house.evidence)
    return {**observation_json(seen, EVIDENCE), "picture": Markup(picture) if picture else None}  # noqa: S704 - made by us


@pages.post("/deliveries/{key}/retry")
async def retry_delivery(house: InHouse, key: str) -> Response:
    await send_again(house, key, "console")
    return RedirectResponse(f"/incidents/{key.partition('.')[0]}", 303)


@pages.get("/digests/{digest_id}")
async def digest(request: Request, house: InHouse, digest_id: str) -> Response:
    """Show what was told in one message."""
    found = await house.store.read(lambda c: digests.digest(c, digest_id))
    if found is None:
        raise HTTPException(404, f"there is no digest {digest_id}")
    told = await house.store.read(lambda c: digests.members(c, digest_id))
    shown = {incident.id for incident in found.incidents}
    others = [incident for incident in told if incident not in shown]
    return page(request, "digest.html", {"digest": found, "others": others, "now": house.clock.now()})


@pages.post("/incidents/{incident_id}/{action}")
async def act(house: InHouse, incident_id: str, action: str) -> Response:
    found = await find(house, incident_id)
    if action not in ("acknowledge", "resolve"):
        raise HTTPException(404, f"there is no action {action}")
    await house.commit.submit(Commanded(house.clock.now(), found.id, action, "console"))
    return RedirectResponse(f"/incidents/{found.id}", 303)
