"""The simulator's own API: the fault switches, and its view of the calls that it got."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from earwitness.simulator.call import TERMINAL, Call
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.fault import FaultError
from earwitness.simulator.fault_list import FAULTS
from earwitness.simulator.faults import FaultBoard, UnknownFaultError

router = APIRouter()


def _board(request: Request) -> FaultBoard:
    board: FaultBoard = request.app.state.faults
    return board


def _fault(board: FaultBoard, name: str) -> dict[str, Any]:
    active = board.now().active.get(name)
    return {
        "name": name,
        "description": FAULTS[name].description,
        "on": active is not None,
        "parameters": dict(FAULTS[name].defaults if active is None else active),
    }


def _unknown(error: UnknownFaultError) -> JSONResponse:
    return JSONResponse({"error": str(error), "nearest": error.nearest}, 404)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/faults")
async def list_faults(request: Request) -> list[dict[str, Any]]:
    return [_fault(_board(request), name) for name in FAULTS]


@router.put("/faults/{name}")
async def turn_on(name: str, request: Request) -> JSONResponse:
    """Turn a fault on. The body, if there is one, is a JSON object of parameters."""
    try:
        _board(request).turn_on(name, await _parameters(request))
    except UnknownFaultError as error:
        return _unknown(error)
    except FaultError as error:
        return JSONResponse({"error": str(error)}, 400)
    return JSONResponse(_fault(_board(request), name))


async def _parameters(request: Request) -> dict[str, object]:
    body = await request.body()
    try:
        given = json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise FaultError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise FaultError('the body must be a JSON object of parameters, such as {"level": 0.8}')
    return given


@router.delete("/faults/{name}")
async def turn_off(name: str, request: Request) -> JSONResponse:
    try:
        _board(request).turn_off(name)
    except UnknownFaultError as error:
        return _unknown(error)
    return JSONResponse(_fault(_board(request), name))


@router.get("/calls")
async def list_calls(request: Request) -> list[dict[str, Any]]:
    """Return every call that was placed, oldest first, as the far end saw it so far."""
    carrier: Carrier = request.app.state.carrier
    return [_seen(carrier, call) for call in carrier.calls.values()]


def _seen(carrier: Carrier, call: Call) -> dict[str, Any]:
    elapsed = carrier.elapsed(call)
    status = call.plan.status(elapsed)
    return {
        "sid": call.sid,
        "to": call.order.to,
        "from": call.order.from_,
        "line": call.line.title,
        "placed_at": call.created_at,
        "status": status,
        "digits_heard": call.digits_heard(elapsed),
        "prompts": call.prompts_heard(elapsed),
        "outcome": call.outcome(elapsed),
        "ended_by": call.plan.ended_by if status in TERMINAL else None,
        "seconds": round(call.plan.talk, 3) if status in TERMINAL else None,
        "faults": sorted(call.plan.faults.active),
    }
