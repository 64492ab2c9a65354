"""Twilio's REST API, at /2010-04-01: the part that a caller of telephone numbers needs."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from earwitness.simulator.call import TERMINAL, Call
from earwitness.simulator.carrier import Carrier, Form
from earwitness.simulator.carrier_errors import TwilioError, bad_request, not_found, unauthorised
from earwitness.simulator.carrier_json import (
    VERSION,
    Resource,
    account_json,
    call_json,
    message_json,
    notification_json,
    recording_json,
    root,
    start_time,
    stream_json,
)
from earwitness.simulator.carrier_lists import page, within
from earwitness.simulator.live import Live
from earwitness.simulator.recording import Recording

PREFIX = f"/{VERSION}"
_ACCOUNT = re.compile(r"AC[0-9a-zA-Z]{32}")
_API_KEY = re.compile(r"SK[0-9a-zA-Z]{32}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks: the account of the path, and the token or key that came with it."""

    account: str
    token: str


async def authenticate(request: Request, account: str) -> Credentials:
    """Return the credentials, if they may be those of the path's account. Any token will do. Raises TwilioError."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, token = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorised() from None
    may = _API_KEY.fullmatch(user) or user == account
    if scheme.lower() != "basic" or not token or not may or not _ACCOUNT.fullmatch(account):
        raise unauthorised()
    return Credentials(account, token)


async def authorise(credentials: Annotated[Credentials, Depends(authenticate)]) -> str:
    return credentials.account


async def the_token(credentials: Annotated[Credentials, Depends(authenticate)]) -> str:
    return credentials.token


async def the_carrier(request: Request) -> Carrier:
    carrier: Carrier = request.app.state.carrier
    return carrier


async def the_live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


async def the_form(request: Request) -> Form:
    """Return the body's fields. The values of one that is repeated, as a list of events is, are joined by spaces."""
    body = (await request.body()).decode("utf-8", "replace")
    form: dict[str, str] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        form[name] = f"{form[name]} {value}" if name in form and name.endswith("Event") else value
    return form


async def the_query(request: Request) -> Form:
    return dict(request.query_params)


async def base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


Account = Annotated[str, Depends(authorise)]
Token = Annotated[str, Depends(the_token)]
TheCarrier = Annotated[Carrier, Depends(the_carrier)]
TheLive = Annotated[Live, Depends(the_live)]
TheForm = Annotated[Form, Depends(the_form)]
TheQuery = Annotated[Form, Depends(the_query)]
BaseUrl = Annotated[str, Depends(base_url)]


async def the_call(account: Account, call_sid: str, carrier: TheCarrier) -> Call:
    return carrier.call(account, call_sid)


TheCall = Annotated[Call, Depends(the_call)]
router = APIRouter(prefix=PREFIX + "/Accounts")
of_call = APIRouter(prefix="/{account}/Calls/{call_sid}")


def answer_error(_: Request, error: Exception) -> Response:
    """Return a TwilioError as Twilio writes it."""
    assert isinstance(error, TwilioError)
    headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if error.status == 401 else None
    return JSONResponse(error.body(), error.status, headers)


# --- calls -----------------------------------------------------------------------------------------------------------


@router.post("/{account}/Calls.json", status_code=201)
async def create_call(
    account: Account, token: Token, carrier: TheCarrier, live: TheLive, form: TheForm, base: BaseUrl
) -> Resource:
    call = carrier.create_call(account, form)
    carrier.remember_token(account, token)
    live.follow(call, base)
    return call_json(carrier, call)


@router.get("/{account}/Calls.json")
async def list_calls(account: Account, carrier: TheCarrier, query: TheQuery) -> Resource:
    calls = [c for c in reversed(carrier.calls.values()) if c.account == account and _passes(carrier, c, query)]
    return page(calls, "calls", f"{root(account)}/Calls.json", query, lambda call: call_json(carrier, call))


def _passes(carrier: Carrier, call: Call, query: Form) -> bool:
    elapsed, status = carrier.elapsed(call), carrier.status(call)
    wanted = {"To": call.order.to, "From": call.order.from_, "Status": status}
    ended = call.created_at + call.plan.ended_at if status in TERMINAL else None
    same = all(query.get(name, value) == value for name, value in wanted.items())
    return same and within(query, "StartTime", start_time(call, elapsed)) and within(query, "EndTime", ended)


@of_call.get(".json")
async def fetch_call(call: TheCall, carrier: TheCarrier) -> Resource:
    return call_json(carrier, call)


@of_call.post(".json")
async def update_call(call: TheCall, carrier: TheCarrier, live: TheLive, form: TheForm, base: BaseUrl) -> Resource:
    carrier.update_call(call, form)
    live.follow(call, base)
    return call_json(carrier, call)


@of_call.delete(".json", status_code=204)
async def delete_call(call: TheCall, carrier: TheCarrier) -> None:
    carrier.delete_call(call)


@of_call.get("/Notifications.json")
async def list_notifications(call: TheCall, carrier: TheCarrier, query: TheQuery, base: BaseUrl) -> Resource:
    numbered = list(enumerate(call.notified(carrier.elapsed(call))))
    path = f"{root(call.account)}/Calls/{call.sid}/Notifications.json"
    return page(numbered, "notifications", path, query, lambda n: notification_json(call, n[0], n[1], base))


# --- recordings ------------------------------------------------------------------------------------------------------


@of_call.post("/Recordings.json", status_code=201)
async def start_recording(call: TheCall, carrier: TheCarrier, live: TheLive, form: TheForm, base: BaseUrl) -> Resource:
    recording = carrier.start_recording(call, form)
    live.follow(call, base)
    return recording_json(carrier, recording, of_call=True, base_url=base)


@of_call.get("/Recordings.json")
async def list_recordings_of_call(call: TheCall, carrier: TheCarrier, query: TheQuery, base: BaseUrl) -> Resource:
    found = _created_within(carrier.recordings(call.account, call.sid), query)
    path = f"{root(call.account)}/Calls/{call.sid}/Recordings.json"
    return page(found, "recordings", path, query, lambda r: recording_json(carrier, r, of_call=True, base_url=base))


@router.get("/{account}/Recordings.json")
async def list_recordings(account: Account, carrier: TheCarrier, query: TheQuery, base: BaseUrl) -> Resource:
    found = _created_within(carrier.recordings(account, query.get("CallSid")), query)
    path = f"{root(account)}/Recordings.json"
    return page(found, "recordings", path, query, lambda r: recording_json(carrier, r, of_call=False, base_url=base))


def _created_within(recordings: list[Recording], query: Form) -> list[Recording]:
    return [r for r in recordings if within(query, "DateCreated", r.call.created_at + r.begins_at)]


@of_call.get("/Recordings/{sid}.json")
async def fetch_recording_of_call(call: TheCall, sid: str, carrier: TheCarrier, base: BaseUrl) -> Resource:
    found = carrier.recording(call.account, sid, call.sid)
    return recording_json(carrier, found, of_call=True, base_url=base)


@router.get("/{account}/Recordings/{sid}.json")
async def fetch_recording(account: Account, sid: str, carrier: TheCarrier, base: BaseUrl) -> Resource:
    return recording_json(carrier, carrier.recording(account, sid), of_call=False, base_url=base)


@of_call.delete("/Recordings/{sid}.json", status_code=204)
async def delete_recording_of_call(call: TheCall, sid: str, carrier: TheCarrier) -> None:
    carrier.delete_recording(carrier.recording(call.account, sid, call.sid))


@router.delete("/{account}/Recordings/{sid}.json", status_code=204)
async def delete_recording(account: Account, sid: str, carrier: TheCarrier) -> None:
    carrier.delete_recording(carrier.recording(account, sid))


@router.get("/{account}/Recordings/{name}")
async def fetch_media(account: Account, name: str, carrier: TheCarrier, query: TheQuery) -> Response:
    """Return the sound as WAV; there is no MP3 encoder here, so `.mp3` is answered 404."""
    sid = name.removesuffix(".wav")
    recording = carrier.recording(account, sid)
    if recording.status(carrier.elapsed(recording.call)) != "completed":
        raise not_found(f"{root(account)}/Recordings/{name}")
    wanted = query.get("RequestedChannels", str(recording.start.channels))
    if wanted not in ("1", "2") or int(wanted) > recording.start.channels:
        raise bad_request(
            20001, f"RequestedChannels {wanted} is not valid: the recording has {recording.start.channels}"
        )
    return Response(recording.wav(int(wanted)), media_type="audio/x-wav")


# --- media streams ---------------------------------------------------------------------------------------------------


@of_call.post("/Streams.json")
async def start_stream(call: TheCall, carrier: TheCarrier, live: TheLive, form: TheForm, base: BaseUrl) -> Resource:
    stream = carrier.start_stream(call, form)
    live.follow(call, base)
    return stream_json(carrier, stream)


@of_call.post("/Streams/{name}.json")
async def stop_stream(call: TheCall, name: str, carrier: TheCarrier, form: TheForm) -> Resource:
    return stream_json(carrier, carrier.stop_stream(call, name, form))


# --- the account -----------------------------------------------------------------------------------------------------


@router.get("/{account}/Balance.json")
async def fetch_balance(account: Account, carrier: TheCarrier) -> Resource:
    return {"account_sid": account, "balance": f"{carrier.balance(account):.3f}", "currency": "USD"}


@router.post("/{account}/Messages.json", status_code=201)
async def create_message(account: Account, carrier: TheCarrier, form: TheForm) -> Resource:
    return message_json(carrier.create_message(account, form))


@router.get("/{account}.json")
async def fetch_account(account: Account, carrier: TheCarrier) -> Resource:
    return account_json(account, suspended=carrier.suspended)


router.include_router(of_call)


@router.api_route("/{account}/{rest:path}", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
async def nothing_there(account: Account, rest: str) -> None:
    raise not_found(f"{root(account)}/{rest}")
