"""What waits for somebody's word, accepted and rejected in the console and the API: prompts in other words, and changed payment pages."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import RedirectResponse

from earwitness.browser.pages import PageProposal
from earwitness.console.api import InHouse
from earwitness.console.house import House
from earwitness.presentation import iso_time
from earwitness.telephony.baselines import Proposal, UnknownWordsError

baselines = APIRouter()


@baselines.get("/api/v1/baselines")
async def proposals(house: InHouse) -> list[dict[str, Any]]:
    """Return the prompts and the payment pages that wait for somebody's word; `kind` says which."""
    prompts = await asyncio.to_thread(house.baselines.proposals)
    return [*map(_json, prompts), *map(_json, await asyncio.to_thread(house.pages.proposals))]


@baselines.get("/api/v1/baselines/{key}.wav")
async def sound(house: InHouse, key: str) -> Response:
    _, wav = await _known_prompt(house, key)
    return Response(wav, media_type="audio/wav")


@baselines.post("/api/v1/baselines/{key}/{action}")
async def act(house: InHouse, key: str, action: str) -> dict[str, Any]:
    """Accept a prompt as a reference recording, or a page's inventory as its baseline; or reject it."""
    return _json(await _do(house, key, action))


@baselines.post("/baselines/{key}/{action}", include_in_schema=False)
async def act_on_page(house: InHouse, key: str, action: str) -> Response:
    await _do(house, key, action)
    return RedirectResponse("/", 303)


async def _do(house: House, key: str, action: str) -> Proposal | PageProposal:
    proposal = await _known(house, key)
    if action == "accept":
        try:
            await asyncio.to_thread(_accept, house, proposal)
        except UnknownWordsError as error:
            raise HTTPException(409, str(error)) from error
    elif action == "reject":
        await asyncio.to_thread(_reject, house, proposal)
    else:
        raise HTTPException(404, f"there is no action {action}; there are accept and reject")
    return proposal


def _accept(house: House, proposal: Proposal | PageProposal) -> None:
    if isinstance(proposal, PageProposal):
        house.pages.accept(proposal)
    else:
        house.baselines.accept(proposal)


def _reject(house: House, proposal: Proposal | PageProposal) -> None:
    if isinstance(proposal, PageProposal):
        house.pages.discard(proposal.inventory.probe)
    else:
        house.baselines.discard(proposal)


async def _known(house: House, key: str) -> Proposal | PageProposal:
    """Return the proposal of this key. Only keys that are listed lead to a file."""
    pages = await asyncio.to_thread(house.pages.proposals)
    page = next((p for p in pages if p.key == key), None)
    return page if page is not None else (await _known_prompt(house, key))[0]


async def _known_prompt(house: House, key: str) -> tuple[Proposal, bytes]:
    listed = await asyncio.to_thread(house.baselines.proposals)
    known = house.baselines.proposal(key) if any(p.key == key for p in listed) else None
    if known is None:
        raise HTTPException(404, f"no prompt or page {key} waits to be accepted")
    return known


def _json(proposal: Proposal | PageProposal) -> dict[str, Any]:
    if isinstance(proposal, PageProposal):
        return proposal.shown()
    url = f"/api/v1/baselines/{proposal.key}.wav"
    heard = {"heard_at": iso_time(proposal.heard_at), "stable": proposal.stable, "sound": url}
    return {"kind": "prompt", **asdict(proposal), **heard}
