"""Media streams over real WebSockets: what a server hears of a call while it goes on."""

import asyncio
import base64
import ssl

import httpx
import pytest
import trustme
from receivers import notice_codes, poll, stream_receiver, webhook_receiver
from simulated_calls import ACCOUNT, API, form, hears, keys_in, recorded
from twilio.request_validator import RequestValidator

from earwitness.audio.wav import mulaw_encode, read_wav
from earwitness.simulator import CONTACT_CENTRE, TEST_LINE
from earwitness.simulator.media_stream import streams_of
from earwitness.simulator.server import Simulator
from earwitness.simulator.stream_sender import StreamSender

TOKEN = "a secret token"
FRAME = 160  # samples


@pytest.fixture
async def fast():
    async with Simulator(speed=20) as simulator:
        yield simulator


@pytest.fixture
async def asker(fast):
    async with httpx.AsyncClient(base_url=fast.url, auth=(ACCOUNT, TOKEN), trust_env=False) as client:
        yield client


@pytest.fixture
async def receiver():
    async with stream_receiver() as running:
        yield running


def _streaming(receiver, rest, attributes="", inside=""):
    return f'<Response><Start><Stream url="{receiver.url}" {attributes}>{inside}</Stream></Start>{rest}</Response>'


async def _call(asker, twiml, to=CONTACT_CENTRE, **more):
    reply = await asker.post(f"{API}/Calls.json", data=form(to, twiml, **more))
    assert reply.status_code == 201, reply.text
    return reply.json()["sid"]


async def _notices(asker, sid):
    return await notice_codes(asker, f"{API}/Calls/{sid}")


async def test_a_stream_is_the_sound_of_the_call_in_frames_of_20_ms(asker, receiver):
    parameters = '<Parameter name="probe" value="ivr"/><Parameter name="run" value="7"/>'
    twiml = _streaming(receiver, '<Pause length="4"/>', 'name="ears"', parameters)
    sid = await _call(asker, twiml)
    (heard,) = await receiver.all_ended()
    assert heard.events()[:2] == ["connected", "start"]
    assert heard.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = heard.messages[1]["start"]
    assert (start["callSid"], start["accountSid"], start["tracks"]) == (sid, ACCOUNT, ["inbound"])
    assert start["customParameters"] == {"probe": "ivr", "run": "7"}
    assert start["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert start["streamSid"].startswith("MZ")
    assert all(message["streamSid"] == start["streamSid"] for message in heard.messages[1:])
    assert heard.messages[-1]["stop"] == {"accountSid": ACCOUNT, "callSid": sid}
    numbers = [message["sequenceNumber"] for message in heard.messages[1:]]
    assert numbers == [str(n + 1) for n in range(len(numbers))]
    media = heard.media()
    assert [m["chunk"] for m in media] == [str(n + 1) for n in range(len(media))]
    assert [m["timestamp"] for m in media] == [str(20 * n) for n in range(len(media))]
    assert all(len(base64.b64decode(m["payload"])) == FRAME for m in media)
    assert hears("welcome", heard.sound())


async def test_the_stream_is_what_the_recording_holds(asker, fast, receiver):
    twiml = _streaming(receiver, '<Pause length="4"/><Play digits="4"/><Pause length="3"/>', 'track="both_tracks"')
    sid = await _call(asker, twiml)
    (heard,) = await receiver.all_ended()
    for channel, track in zip(recorded(fast.carrier.calls[sid]), ("inbound", "outbound"), strict=True):
        sound, whole = heard.sound(track), mulaw_encode(channel)
        place = whole.find(mulaw_encode(sound))
        assert place >= 0, f"the {track} track is the recording, sample for sample"
        assert place == 0, "from its beginning"
        assert len(whole) - len(sound) < FRAME, "to its end"
    assert keys_in(heard.sound("outbound")) == "4"


async def test_the_handshake_is_signed_over_the_address(asker, receiver):
    await _call(asker, _streaming(receiver, '<Pause length="1"/>'))
    (heard,) = await receiver.all_ended()
    assert RequestValidator(TOKEN).validate(receiver.url, {}, heard.headers["x-twilio-signature"])
    assert not RequestValidator("another").validate(receiver.url, {}, heard.headers["x-twilio-signature"])


async def test_a_stream_goes_over_tls_to_a_certificate_that_is_trusted(asker, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(secured)
    async with stream_receiver(secured=secured) as receiver:
        assert receiver.url.startswith("wss://")
        await _call(asker, _streaming(receiver, '<Pause length="4"/>'))
        (heard,) = await receiver.all_ended()
    assert hears("welcome", heard.sound())
    assert RequestValidator(TOKEN).validate(receiver.url, {}, heard.headers["x-twilio-signature"])


async def test_a_stream_to_a_certificate_that_is_not_trusted_is_an_error_of_the_call(asker):
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(secured)
    async with stream_receiver(secured=secured) as receiver:
        sid = await _call(asker, _streaming(receiver, '<Pause length="4"/>'))
        assert await _notices(asker, sid) == ["31920"]


async def test_new_twiml_is_heard_from_then_on_and_the_stream_goes_on(asker, fast, receiver):
    sid = await _call(asker, _streaming(receiver, '<Pause length="300"/>', 'track="both_tracks"'))
    await receiver.until(lambda streams: streams and len(streams[0].media()) > 200)
    reply = await asker.post(
        f"{API}/Calls/{sid}.json", data={"Twiml": '<Response><Play digits="4"/><Pause length="6"/></Response>'}
    )
    assert reply.status_code == 200
    (heard,) = await receiver.all_ended()
    assert keys_in(heard.sound("outbound")) == "4"
    assert hears("welcome", heard.sound())
    assert hears("mortgage_team", heard.sound())
    first, last = heard.media()[0], heard.media()[-1]
    assert int(last["timestamp"]) - int(first["timestamp"]) == 20 * (len(heard.media()) - 1), "nothing is missing"
    whole = mulaw_encode(recorded(fast.carrier.calls[sid])[0])
    assert mulaw_encode(heard.sound()) in whole, "what was played before is as it was"


async def test_a_stream_may_be_dropped_when_the_twiml_is_replaced(asker, fast, receiver):
    fast.faults.turn_on("stream-dropped-on-update")
    sid = await _call(asker, _streaming(receiver, '<Pause length="300"/>'))
    await receiver.until(lambda streams: streams and len(streams[0].media()) > 50)
    await asker.post(f"{API}/Calls/{sid}.json", data={"Twiml": '<Response><Pause length="300"/></Response>'})
    (heard,) = await receiver.all_ended()
    assert heard.events()[-1] == "stop"
    assert (await asker.get(f"{API}/Calls/{sid}.json")).json()["status"] == "in-progress"


async def test_twiml_stops_a_stream_by_name(asker, fast, receiver):
    rest = '<Pause length="2"/><Stop><Stream name="ears"/></Stop><Pause length="2"/>'
    sid = await _call(asker, _streaming(receiver, rest, 'name="ears"'))
    (heard,) = await receiver.all_ended()
    assert len(heard.sound()) / 8000 == pytest.approx(2, abs=0.02)
    assert fast.carrier.calls[sid].plan.talk == pytest.approx(4)


async def test_hanging_up_ends_the_stream(asker, receiver):
    sid = await _call(asker, _streaming(receiver, '<Pause length="600"/>'))
    await receiver.until(lambda streams: streams and len(streams[0].media()) > 10)
    await asker.post(f"{API}/Calls/{sid}.json", data={"Status": "completed"})
    (heard,) = await receiver.all_ended()
    assert heard.events()[-1] == "stop"


# --- over the REST API -----------------------------------------------------------------------------------------------


async def _in_progress(asker, sid):
    await poll(asker, f"{API}/Calls/{sid}.json", lambda call: call["status"] == "in-progress")


async def test_a_stream_is_started_and_stopped_by_request(asker, receiver):
    sid = await _call(asker, '<Response><Pause length="600"/></Response>')
    await _in_progress(asker, sid)
    order = {"Url": receiver.url, "Name": "ears", "Parameter1.Name": "run", "Parameter1.Value": "9"}
    started = (await asker.post(f"{API}/Calls/{sid}/Streams.json", data=order)).json()
    assert (started["name"], started["status"], started["call_sid"]) == ("ears", "in-progress", sid)
    await receiver.until(lambda streams: streams and len(streams[0].media()) > 10)
    path = f"{API}/Calls/{sid}/Streams/{started['sid']}.json"
    assert (await asker.post(path, data={"Status": "stopped"})).json()["status"] == "stopped"
    (heard,) = await receiver.all_ended()
    assert heard.messages[1]["streamSid"] == started["sid"]
    assert heard.messages[1]["start"]["customParameters"] == {"run": "9"}


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"Url": "https://127.0.0.1/"}, 400, 20001),
        ({"Url": ""}, 400, 20001),
        ({"Url": "wss://127.0.0.1/", "Track": "sideways"}, 400, 31941),
    ],
)
async def test_a_stream_that_makes_no_sense_is_refused(asker, order, status, code):
    sid = await _call(asker, '<Response><Pause length="600"/></Response>')
    await _in_progress(asker, sid)
    reply = await asker.post(f"{API}/Calls/{sid}/Streams.json", data=order)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_there_is_no_stream_before_the_answer_and_none_of_another_name(asker, fast):
    fast.faults.turn_on("calls-queued", {"seconds": 86400})
    sid = await _call(asker, '<Response><Pause length="600"/></Response>')
    reply = await asker.post(f"{API}/Calls/{sid}/Streams.json", data={"Url": "wss://127.0.0.1/"})
    assert reply.json()["code"] == 21220
    reply = await asker.post(f"{API}/Calls/{sid}/Streams/ears.json", data={"Status": "stopped"})
    assert reply.json()["code"] == 20404


async def test_a_streams_webhook_is_told_of_its_start_and_end(asker, receiver):
    async with webhook_receiver() as hook:
        attributes = f'name="ears" statusCallback="{hook.url}"'
        sid = await _call(asker, _streaming(receiver, '<Pause length="1"/>', attributes))
        first, last = await hook.until(lambda told: len(told) == 2)
    assert (first.fields["StreamEvent"], last.fields["StreamEvent"]) == ("stream-started", "stream-stopped")
    assert (first.fields["StreamName"], first.fields["CallSid"]) == ("ears", sid)
    assert RequestValidator(TOKEN).validate(hook.url, first.fields, first.signature)


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_stream_that_is_refused_is_an_error_of_the_call(asker, fast, receiver):
    fast.faults.turn_on("stream-refused")
    async with webhook_receiver() as hook:
        sid = await _call(asker, _streaming(receiver, '<Pause length="2"/>', f'statusCallback="{hook.url}"'))
        (told,) = await hook.until(len)
    assert (told.fields["StreamEvent"], told.fields["StreamError"]) == ("stream-error", "31920")
    assert await _notices(asker, sid) == ["31920"]
    assert receiver.streams == []


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9/", "wss://example.com/ears", "wss://192.0.2.1/ears"])
async def test_a_server_that_is_not_there_or_not_here_is_an_error_of_the_call(asker, url):
    sid = await _call(asker, f'<Response><Start><Stream url="{url}"/></Start><Pause length="2"/></Response>')
    assert await _notices(asker, sid) == ["31920"]


async def test_a_late_stream_misses_the_beginning(asker, fast, receiver):
    fast.faults.turn_on("stream-late", {"seconds": 4})
    await _call(asker, _streaming(receiver, '<Pause length="16"/>'))
    (heard,) = await receiver.all_ended()
    assert not hears("welcome", heard.sound())
    assert len(heard.sound()) / 8000 == pytest.approx(12, abs=0.02)


async def test_a_stream_that_stalls_stays_open_and_carries_nothing(asker, fast, receiver):
    fast.faults.turn_on("stream-stalls", {"seconds": 2})
    sid = await _call(asker, _streaming(receiver, '<Pause length="600"/>'))
    (heard,) = await receiver.until(lambda streams: streams and len(streams[0].media()) == 100)
    call = fast.carrier.calls[sid]
    while fast.carrier.elapsed(call) < 15:
        await fast.carrier.wait(call, 15, call.changed)
    assert (len(heard.media()), heard.ended.is_set()) == (100, False)
    await asker.post(f"{API}/Calls/{sid}.json", data={"Status": "completed"})
    await receiver.all_ended()
    assert heard.events().count("media") == 100


async def test_a_server_that_closes_is_noted_and_the_call_goes_on(asker):
    async def hang_up(connection, _):
        await connection.recv()
        await connection.close()

    async with stream_receiver(hang_up) as receiver:
        sid = await _call(asker, _streaming(receiver, '<Pause length="600"/>'))
        assert await _notices(asker, sid) == ["31921"]
        assert (await asker.get(f"{API}/Calls/{sid}.json")).json()["status"] == "in-progress"


async def test_a_slow_reader_holds_up_nobody_and_gets_everything_in_the_end(asker, fast):
    may_read = asyncio.Event()

    async def wait(_connection, _heard):
        await may_read.wait()

    async with stream_receiver(wait) as slow, stream_receiver() as quick:
        both = "".join(f'<Start><Stream url="{server.url}" track="both_tracks"/></Start>' for server in (slow, quick))
        sid = await _call(asker, f'<Response>{both}<Pause length="40"/></Response>')
        (heard,) = await quick.all_ended()
        assert len(heard.media()) > 1900, "the other stream of the same call went on to its end"
        assert (await asker.get("/healthz")).status_code == 200
        may_read.set()
        (late,) = await slow.all_ended()
    assert len(late.sound()) / 8000 > 38
    assert mulaw_encode(late.sound()) in mulaw_encode(recorded(fast.carrier.calls[sid])[0])
    assert late.events()[-1] == "stop"


async def test_what_a_slow_reader_left_for_too_long_is_discarded(asker, fast, receiver):
    sid = await _call(asker, '<Response><Pause length="60"/></Response>', TEST_LINE)
    await _in_progress(asker, sid)
    call = fast.carrier.calls[sid]
    fast.carrier.start_stream(call, {"Url": receiver.url})
    sender = StreamSender(fast.carrier, fast.app.state.live._courier, streams_of(call, 1e6)[0], backlog=1.0)
    sender._due(0.5)
    assert sender._due(9.5) == range(425, 475)
    assert [notice.code for _, notice in call.notices] == [31931]


async def test_the_simulator_ends_although_a_stream_is_open(receiver):
    async with (
        asyncio.timeout(15),
        Simulator(speed=5) as simulator,
        httpx.AsyncClient(base_url=simulator.url, auth=(ACCOUNT, TOKEN), trust_env=False) as asker,
    ):
        await _call(asker, _streaming(receiver, '<Pause length="600"/>'))
        await receiver.until(lambda streams: streams and streams[0].media())
    await receiver.all_ended()


async def test_the_recording_of_a_streamed_call_is_as_ever(asker, receiver):
    sid = await _call(asker, _streaming(receiver, '<Pause length="4"/>'))
    await receiver.all_ended()
    found = await poll(
        asker, f"{API}/Calls/{sid}/Recordings.json", lambda reply: reply["recordings"][0]["status"] == "completed"
    )
    sound = read_wav((await asker.get(f"{API}/Recordings/{found['recordings'][0]['sid']}.wav")).content)
    assert hears("welcome", sound.samples[0])
