"""Where the carrier reaches us: what it tells of a call, and the call's live sound. Its signature takes the place of our token.

The address that was signed is the one that we gave out (`public_url`), so it is rebuilt from that, whatever a proxy has made of the
request on its way. Callbacks are answered at once; what follows from them happens in the run that they are for.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect

from earwitness.console.callbacks import read_body
from earwitness.hooks.twilio import is_signed
from earwitness.telephony.switchboard import Callback, Extension, Switchboard

PREFIX = "/twilio/"
_LARGEST_CALLBACK = 64 * 1024  # bytes
_SILENCE_LIMIT = 60.0  # s without any message, sound of silence included, after which nobody streams any more
_MOST_SOUND = 8000 * 1500  # bytes: longer than a call may ring and last
_LARGEST_FRAME = 4096  # bytes of mu-law sound in one message: half a second
_MOST_MESSAGES = 200_000  # of one stream: more than an hour of 20 ms frames
_START_LIMIT = 10.0  # seconds in which a stream must say what it is
_POLICY, _GOING = 1008, 1000  # codes with which a WebSocket is closed
_log = structlog.get_logger(__name__)

telephone = APIRouter(prefix=PREFIX.rstrip("/"), include_in_schema=False)


@telephone.post("/calls/{token}")
async def on_callback(token: str, request: Request) -> Response:
    """Take a status callback: 204, 403 for a wrong signature, 404 for a call that is none of ours, 413 for too much."""
    return await _taken(token, request, lambda e: e.status_url, lambda e, form: e.tell(_callback(form)))


@telephone.post("/transcriptions/{token}")
async def on_transcription(token: str, request: Request) -> Response:
    """Take a callback of the carrier's own transcription; answers as for a status callback."""
    return await _taken(token, request, lambda e: e.transcription_url, lambda e, form: e.heard.take(form))


async def _taken(
    token: str,
    request: Request,
    address: Callable[[Extension], str],
    take: Callable[[Extension, dict[str, str]], None],
) -> Response:
    extension = _switchboard(request).find(token)
    if extension is None:
        return Response(status_code=404)
    body = await read_body(request, _LARGEST_CALLBACK)
    if body is None:
        return Response(status_code=413)
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    url = address(extension) + (f"?{request.url.query}" if request.url.query else "")
    if not _signed(extension, url, form, request.headers.get("x-twilio-signature", "")):
        _log.warning("callback_refused", why="the signature does not fit")
        return Response(status_code=403)
    take(extension, {name: values[-1] for name, values in form.items()})
    return Response(status_code=204)


def _callback(form: dict[str, str]) -> Callback:
    sip_code = form.get("SipResponseCode", "")
    return Callback(
        call_sid=form.get("CallSid", ""),
        status={"queued": "initiated"}.get(form.get("CallStatus", ""), form.get("CallStatus", "")),
        at=_moment(form.get("Timestamp", "")),
        sip_code=int(sip_code) if sip_code.isascii() and sip_code.isdigit() and len(sip_code) == 3 else None,
    )


def _moment(timestamp: str) -> float | None:
    """Return an RFC 2822 date as seconds since the epoch."""
    try:
        return parsedate_to_datetime(timestamp).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


@telephone.websocket("/streams/{token}")
async def on_stream(token: str, socket: WebSocket) -> None:
    """Take the live sound of one call. A connection that is not what it should be is closed, and the run told that no more comes."""
    extension = _switchboard(socket).find(token)
    refusal = _refusal(extension, socket)
    if extension is None or refusal:
        _log.warning("stream_refused", why=refusal)
        await socket.close(_POLICY)
        return
    extension.streaming = True
    await socket.accept()
    try:
        await _listen(extension, socket)
    except WebSocketDisconnect:
        _log.info("stream_disconnected", call_sid=extension.call_sid)
    except (_BadStreamError, TimeoutError) as error:
        _log.warning("stream_closed", why=str(error) or "nothing came in time", call_sid=extension.call_sid)
        with contextlib.suppress(RuntimeError):  # it may be closed already
            await socket.close(_POLICY)
    finally:
        extension.hung_up()


def _refusal(extension: Extension | None, socket: WebSocket) -> str | None:
    if extension is None:
        return "no call of ours has this address"
    if extension.streaming:
        return "the call has a stream already"
    signature = socket.headers.get("x-twilio-signature", "")
    return None if _signed(extension, extension.stream_url, {}, signature) else "the signature does not fit"


class _BadStreamError(Exception):
    """The messages are not those of a call's stream."""


async def _listen(extension: Extension, socket: WebSocket) -> None:
    async with asyncio.timeout(_START_LIMIT):
        await _started(extension, socket)
    heard = 0
    for _ in range(_MOST_MESSAGES):
        async with asyncio.timeout(_SILENCE_LIMIT):
            message = await _message(socket)
        match message.get("event"):
            case "media":
                sound = _sound(message)
                heard += len(sound)
                if heard > _MOST_SOUND:
                    raise _BadStreamError("it holds more sound than any call")
                extension.hear(sound)
            case "stop":
                await socket.close(_GOING)
                return
            case "dtmf" | "mark" | "connected":
                continue
            case event:
                raise _BadStreamError(f"unknown event {str(event)[:20]!r}")
    raise _BadStreamError("it never ends")


async def _started(extension: Extension, socket: WebSocket) -> None:
    """Return when the stream has said that it is this call's, in mu-law at 8 kHz."""
    message = await _message(socket)
    while message.get("event") == "connected":
        message = await _message(socket)
    start = message.get("start")
    if message.get("event") != "start" or not isinstance(start, dict):
        raise _BadStreamError("it does not begin with start")
    if extension.call_sid and start.get("callSid") != extension.call_sid:
        raise _BadStreamError("it is another call's")
    form = start.get("mediaFormat")
    if not isinstance(form, dict) or (form.get("encoding"), form.get("sampleRate")) != ("audio/x-mulaw", 8000):
        raise _BadStreamError("its sound is not mu-law at 8 kHz")


async def _message(socket: WebSocket) -> dict[str, Any]:
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", 1006))
    text = received.get("text")
    try:
        message = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise _BadStreamError("a message is not JSON") from error
    if not isinstance(message, dict):
        raise _BadStreamError("a message is no JSON object")
    return message


def _sound(message: dict[str, Any]) -> bytes:
    media = message.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str) or len(payload) > 2 * _LARGEST_FRAME:
        raise _BadStreamError("a media message without a payload, or with too much")
    if isinstance(media, dict) and media.get("track") == "outbound":
        return b""  # our own voice, which nobody asked for
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as error:
        raise _BadStreamError("a payload is not base64") from error


def _switchboard(connection: Request | WebSocket) -> Switchboard:
    switchboard: Switchboard = connection.app.state.switchboard
    return switchboard


def _signed(extension: Extension, url: str, form: dict[str, list[str]], signature: str) -> bool:
    return is_signed(extension.secret, url, form, signature)
