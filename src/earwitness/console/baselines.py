"""Prompts that are said in other words now, or were never recorded: listened to, accepted and rejected in the console and the API."""

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import RedirectResponse

from earwitness.console.api import InHouse
from earwitness.console.house import House
from earwitness.presentation import iso_time
from earwitness.telephony.baselines import Proposal, UnknownWordsError

baselines = APIRouter()


@baselines.get("/api/v1/baselines")
async def proposals(house: InHouse) -> list[dict[str, Any]]:
    """Return the prompts that wait for somebody's word."""
    return [_json(p) for p in await asyncio.to_thread(house.baselines.proposals)]


@baselines.get("/api/v1/baselines/{key}.wav")
async def sound(house: InHouse, key: str) -> Response:
    known = await _known(house, key)
    return Response(known[1], media_type="audio/wav")


@baselines.post("/api/v1/baselines/{key}/{action}")
async def act(house: InHouse, key: str, action: str) -> dict[str, Any]:
    """Accept a prompt as a reference recording, or reject it."""
    return _json(await _do(house, key, action))


@baselines.post("/baselines/{key}/{action}", include_in_schema=False)
async def act_on_page(house: InHouse, key: str, action: str) -> Response:
    await _do(house, key, action)
    return RedirectResponse("/", 303)


async def _do(house: House, key: str, action: str) -> Proposal:
    proposal, _ = await _known(house, key)
    if action == "accept":
        try:
            await asyncio.to_thread(house.baselines.accept, proposal)
        except UnknownWordsError as error:
            raise HTTPException(409, str(error)) from error
    elif action == "reject":
        await asyncio.to_thread(house.baselines.discard, proposal)
    else:
        raise HTTPException(404, f"there is no action {action}; there are accept and reject")
    return proposal


async def _known(house: House, key: str) -> tuple[Proposal, bytes]:
    """Return the proposal of this key. Only keys that are listed lead to a file."""
    listed = await asyncio.to_thread(house.baselines.proposals)
    known = house.baselines.proposal(key) if any(p.key == key for p in listed) else None
    if known is None:
        raise HTTPException(404, f"no prompt {key} waits to be accepted")
    return known


def _json(proposal: Proposal) -> dict[str, Any]:
    url = f"/api/v1/baselines/{proposal.key}.wav"
    return {**asdict(proposal), "heard_at": iso_time(proposal.heard_at), "stable": proposal.stable, "sound": url}
