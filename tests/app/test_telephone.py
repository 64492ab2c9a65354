"""What the carrier sends to us: signed or refused, in any amount, and answered at once."""

import asyncio
import base64
import json

import httpx
import pytest
from fastapi import FastAPI
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from earwitness.config.fields import Secret
from earwitness.console.guard import Guard
from earwitness.console.telephone import telephone
from earwitness.serving import listen, served
from earwitness.telephony.switchboard import Switchboard

TOKEN = "12345"
PUBLIC = "https://probe.example.com/base"  # what the carrier calls; a proxy leads it to us
FORM = {"CallSid": "CA1", "CallStatus": "ringing", "Timestamp": "Wed, 25 Nov 2026 12:00:01 +0000", "To": "+15005550009"}


@pytest.fixture
def switchboard():
    return Switchboard()


@pytest.fixture
async def url(switchboard):
    app = FastAPI()
    app.state.switchboard = switchboard
    app.include_router(telephone)
    listener = listen("127.0.0.1", 0)
    async with served(Guard(app, Secret("ours")), listener, ws="websockets-sansio", ws_max_size=65536):
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def extension(switchboard):
    return switchboard.open(Secret(TOKEN), PUBLIC)


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def signed(address, form=None):
    return {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(address, form or {})}


def test_the_published_test_vector_is_signed_so():
    address = "https://probe.example.com/twilio/status?run=7"
    form = {"CallSid": "CA" + "b" * 32, "CallStatus": "completed", "To": "+15005550009", "From": "+15005550006"}
    assert RequestValidator(TOKEN).compute_signature(address, form | {"SequenceNumber": "3"}) == (
        "IUu1JE4JuqYQ029nN9aARSAppcg="
    )


async def test_a_signed_callback_reaches_its_run_behind_a_proxy(url, extension, http):
    address = f"http://{url}/twilio/calls/{extension.token}"
    answer = await http.post(address, data=FORM, headers=signed(extension.status_url, FORM))
    assert answer.status_code == 204
    (callback,) = extension.callbacks
    assert (callback.call_sid, callback.status, callback.at) == ("CA1", "ringing", 1795608001.0)


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "/twilio/calls/{token}", 403),
        ({"X-Twilio-Signature": ""}, "/twilio/calls/{token}", 403),
        ({"X-Twilio-Signature": "AAAA"}, "/twilio/calls/{token}", 403),
        (None, "/twilio/calls/{token}?more=1", 403),
        (None, "/twilio/calls/nobody", 404),
    ],
)
async def test_what_is_not_signed_as_it_came_is_refused(url, extension, http, headers, path, status):
    good = signed(extension.status_url, FORM)
    address = f"http://{url}" + path.format(token=extension.token)
    answer = await http.post(address, data=FORM, headers=good if headers is None else headers)
    assert answer.status_code == status
    assert not extension.callbacks


async def test_a_changed_field_breaks_the_signature(url, extension, http):
    headers = signed(extension.status_url, FORM)
    address = f"http://{url}/twilio/calls/{extension.token}"
    assert (await http.post(address, data={**FORM, "CallStatus": "busy"}, headers=headers)).status_code == 403


async def test_a_callback_that_is_too_large_is_refused(url, extension, http):
    form = FORM | {"More": "x" * 70_000}
    address = f"http://{url}/twilio/calls/{extension.token}"
    answer = await http.post(address, data=form, headers=signed(extension.status_url, form))
    assert answer.status_code == 413


async def test_a_replayed_callback_changes_nothing(url, extension, http):
    """Whoever has one signed callback can send it again as often as they like: it pushes none out, and hastens no look at the API."""
    address = f"http://{url}/twilio/calls/{extension.token}"
    first = FORM | {"CallStatus": "initiated"}
    for form in (first, FORM):
        await http.post(address, data=form, headers=signed(extension.status_url, form))
    known = tuple(extension.callbacks)
    await extension.told()
    for form in (FORM, first) * 40:
        answer = await http.post(address, data=form, headers=signed(extension.status_url, form))
        assert answer.status_code == 204
    assert tuple(extension.callbacks) == known
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await extension.told()


async def test_a_replayed_transcription_pushes_no_words_out(url, extension, http):
    address = f"http://{url}/twilio/transcriptions/{extension.token}"

    def utterance(number, event="transcription-content"):
        data = json.dumps({"transcript": f"word {number}"})
        return {
            "SequenceId": str(number),
            "TranscriptionEvent": event,
            "Track": "inbound_track",
            "TranscriptionData": data,
        }

    async def send(form):
        await http.post(address, data=form, headers=signed(extension.transcription_url, form))

    for form in (utterance(1, "transcription-started"), utterance(2), utterance(3, "transcription-stopped")):
        await send(form)
    for _ in range(2100):
        extension.heard.take(utterance(2))
    await send(utterance(2))
    assert [said.text for said in extension.heard.transcript()._utterances] == ["word 2"]


async def test_callbacks_of_a_call_are_bounded_whatever_they_tell(url, extension, http):
    address = f"http://{url}/twilio/calls/{extension.token}"
    for number in range(60):
        form = FORM | {"CallSid": f"CA{number}"}
        await http.post(address, data=form, headers=signed(extension.status_url, form))
    assert len(extension.callbacks) == 50


async def test_a_call_that_is_over_still_answers_its_late_callbacks(url, switchboard, extension, http):
    switchboard.close(extension)
    address = f"http://{url}/twilio/calls/{extension.token}"
    assert (await http.post(address, data=FORM, headers=signed(extension.status_url, FORM))).status_code == 204


async def test_the_rest_of_the_house_still_asks_for_its_token(url, http):
    assert (await http.get(f"http://{url}/api/v1/probes")).status_code == 401
    assert (await http.get(f"http://{url}/twilio/../api/v1/probes")).status_code == 401


def start(**more):
    form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    return json.dumps({"event": "start", "start": {"callSid": "CA1", "mediaFormat": form} | more})


def media(payload=b"\xff" * 160, track="inbound"):
    return json.dumps({"event": "media", "media": {"track": track, "payload": base64.b64encode(payload).decode()}})


def socket(url, extension):
    address = f"ws://{url}/twilio/streams/{extension.token}"
    return connect(address, additional_headers=signed(extension.stream_url), proxy=None)


async def test_the_sound_of_a_stream_arrives_frame_by_frame(url, extension):
    async with socket(url, extension) as stream:
        await stream.send(json.dumps({"event": "connected", "protocol": "Call"}))
        await stream.send(start())
        await stream.send(media(b"\x01" * 160))
        await stream.send(media(b"\x02" * 160, track="outbound"))
        await stream.send(media(b"\x03" * 160))
        await stream.send(json.dumps({"event": "stop"}))
        assert [await extension.frame() for _ in range(3)] == [b"\x01" * 160, b"\x03" * 160, None]


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": "AAAA"}])
async def test_an_unsigned_stream_is_refused(url, extension, headers):
    with pytest.raises(InvalidStatus):
        async with connect(f"ws://{url}/twilio/streams/{extension.token}", additional_headers=headers, proxy=None):
            pass
    assert not extension.streaming


async def test_a_call_has_one_stream(url, extension):
    async with socket(url, extension) as stream:
        await stream.send(start())
        with pytest.raises(InvalidStatus):
            async with socket(url, extension):
                pass


@pytest.mark.parametrize(
    "messages",
    [
        ["{"],
        ["[]"],
        [media()],
        [start(callSid="CA2")],
        [start(mediaFormat={"encoding": "audio/opus", "sampleRate": 48000})],
        [start(), json.dumps({"event": "media", "media": {"payload": "***"}})],
        [start(), json.dumps({"event": "media", "media": {"payload": "A" * 9000}})],
        [start(), json.dumps({"event": "media"})],
        [start(), json.dumps({"event": "surprise"})],
        [start(), b"\x00\x01"],
        [start(), "x" * 70_000],
    ],
)
async def test_a_stream_that_is_none_is_closed_and_its_run_is_told(url, extension, messages):
    extension.call_sid = "CA1"
    async with socket(url, extension) as stream:
        for message in messages:
            await stream.send(message)
        with pytest.raises(ConnectionClosed):
            await stream.recv()
    assert await extension.frame() is None


async def test_a_stream_that_floods_is_bounded(url, extension):
    async with socket(url, extension) as stream:
        await stream.send(start())
        for _ in range(3200):
            await stream.send(media())
        await stream.send(json.dumps({"event": "stop"}))
        with pytest.raises(ConnectionClosed):
            await stream.recv()
    assert extension.dropped_frames == 200
