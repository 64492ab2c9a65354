"""Webhooks over real HTTP: what the simulator tells, when, and how it is signed."""

import asyncio
from email.utils import parsedate_to_datetime

import httpx
import pytest
from receivers import notice_codes, webhook_receiver
from simulated_calls import ACCOUNT, API, FROM, form
from twilio.request_validator import RequestValidator

from earwitness.simulator import BUSY_LINE, CONTACT_CENTRE, UNANSWERED_LINE, UNOBTAINABLE_LINE
from earwitness.simulator.server import Simulator

EVERYTHING = ["initiated", "ringing", "answered", "completed"]
LISTEN = '<Response><Pause length="6"/></Response>'


@pytest.fixture
async def fast():
    async with Simulator(speed=40) as simulator:
        yield simulator


@pytest.fixture
async def asker(fast):
    async with httpx.AsyncClient(base_url=fast.url, auth=(ACCOUNT, "a secret token"), trust_env=False) as client:
        yield client


@pytest.fixture
async def receiver():
    async with webhook_receiver() as running:
        yield running


async def _call(asker, receiver, to=CONTACT_CENTRE, twiml=LISTEN, **more):
    told = {"StatusCallback": receiver.url, "StatusCallbackEvent": EVERYTHING}
    reply = await asker.post(f"{API}/Calls.json", data={**form(to, twiml), **told, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


def _course(told):
    return [(t.fields["CallStatus"], t.fields["SequenceNumber"]) for t in told]


def _genuine(told, token="a secret token"):
    return RequestValidator(token).validate(told.url, told.fields if told.method == "POST" else {}, told.signature)


async def test_a_call_is_told_of_from_its_dialling_to_its_end(asker, receiver):
    call = await _call(asker, receiver)
    told = await receiver.until_status("completed")
    assert _course(told) == [("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")]
    assert all(t.method == "POST" and _genuine(t) for t in told)
    last = told[-1].fields
    assert (last["CallSid"], last["AccountSid"], last["To"], last["From"]) == (
        call["sid"],
        ACCOUNT,
        CONTACT_CENTRE,
        FROM,
    )
    assert (last["Called"], last["Caller"], last["Direction"]) == (CONTACT_CENTRE, FROM, "outbound-api")
    assert (last["CallbackSource"], last["ApiVersion"]) == ("call-progress-events", "2010-04-01")
    assert (last["CallDuration"], last["Duration"], last["SipResponseCode"]) == ("6", "1", "200")
    assert "CallDuration" not in told[0].fields
    times = [parsedate_to_datetime(t.fields["Timestamp"]).timestamp() for t in told]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(8.6, abs=1)


async def test_the_last_callback_leads_to_the_recording(asker, receiver):
    await _call(asker, receiver)
    last = (await receiver.until_status("completed"))[-1].fields
    assert last["RecordingUrl"].endswith(f"{API}/Recordings/{last['RecordingSid']}")
    assert last["RecordingDuration"] == "6"


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [(BUSY_LINE, "busy", "486"), (UNANSWERED_LINE, "no-answer", "480"), (UNOBTAINABLE_LINE, "failed", "404")],
)
async def test_a_call_that_is_not_answered_ends_with_its_reason(asker, receiver, line, status, code):
    await _call(asker, receiver, line, Timeout="5")
    last = (await receiver.until_status(status))[-1].fields
    assert (last["SipResponseCode"], last["CallDuration"], last["Duration"]) == (code, "0", "0")
    assert "RecordingSid" not in last


async def test_only_the_events_that_were_asked_for_are_told_and_the_end_when_none_was(asker, receiver):
    await _call(asker, receiver, StatusCallbackEvent=["answered", "completed"])
    assert _course(await receiver.until_status("completed")) == [("in-progress", "2"), ("completed", "3")]
    receiver.told.clear()
    reply = await asker.post(f"{API}/Calls.json", data={**form(CONTACT_CENTRE, LISTEN), "StatusCallback": receiver.url})
    assert reply.status_code == 201
    assert _course(await receiver.until_status("completed")) == [("completed", "3")]


async def test_a_webhook_may_be_told_by_get(asker, receiver):
    await _call(asker, receiver, StatusCallback=receiver.url + "?run=7", StatusCallbackMethod="GET")
    told = await receiver.until_status("completed")
    assert all(t.method == "GET" and t.fields["run"] == "7" and _genuine(t) for t in told)


async def test_a_call_that_is_hung_up_is_told_of_at_once(asker, receiver):
    call = await _call(asker, receiver, twiml='<Response><Pause length="600"/></Response>')
    await receiver.until_status("in-progress")
    await asker.post(f"{API}/Calls/{call['sid']}.json", data={"Status": "completed"})
    last = (await receiver.until_status("completed"))[-1].fields
    assert int(last["CallDuration"]) < 300


async def test_a_recording_is_told_of_when_it_begins_and_when_it_is_ready(asker, receiver):
    events = {"RecordingStatusCallback": receiver.url, "RecordingStatusCallbackEvent": ["in-progress", "completed"]}
    await asker.post(f"{API}/Calls.json", data={**form(CONTACT_CENTRE, LISTEN), **events})
    first, last = await receiver.until(lambda told: len(told) == 2)
    assert (first.fields["RecordingStatus"], last.fields["RecordingStatus"]) == ("in-progress", "completed")
    assert (last.fields["RecordingDuration"], last.fields["RecordingChannels"]) == ("6", "2")
    assert (last.fields["RecordingSource"], last.fields["RecordingTrack"]) == ("OutboundAPI", "both")
    assert _genuine(last)
    reply = await asker.get(last.fields["RecordingUrl"] + ".wav")
    assert reply.headers["content-type"] == "audio/x-wav"


async def test_a_recording_that_is_absent_is_told_of_if_that_was_asked_for(asker, fast, receiver):
    fast.faults.turn_on("recording-absent")
    events = {"RecordingStatusCallback": receiver.url, "RecordingStatusCallbackEvent": "completed absent"}
    await asker.post(f"{API}/Calls.json", data={**form(CONTACT_CENTRE, LISTEN), **events})
    (told,) = await receiver.until(len)
    assert (told.fields["RecordingStatus"], told.fields["ErrorCode"]) == ("absent", "16102")


async def test_a_recording_in_twiml_has_a_webhook_of_its_own(asker, receiver):
    recording = f'<Start><Recording trim="do-not-trim" recordingStatusCallback="{receiver.url}"/></Start>'
    twiml = f'<Response>{recording}<Pause length="6"/></Response>'
    await asker.post(f"{API}/Calls.json", data={**form(CONTACT_CENTRE, twiml), "Record": "false"})
    (told,) = await receiver.until(len)
    assert (told.fields["RecordingStatus"], told.fields["RecordingSource"]) == ("completed", "StartCallRecordingAPI")


async def test_a_recording_that_begins_later_is_told_of_too(asker, receiver):
    call = await _call(
        asker, receiver, twiml='<Response><Pause length="400"/></Response>', StatusCallbackEvent="answered"
    )
    await receiver.until_status("in-progress")
    more = {"RecordingStatusCallback": receiver.url, "RecordingStatusCallbackEvent": "in-progress"}
    reply = await asker.post(f"{API}/Calls/{call['sid']}/Recordings.json", data=more)
    told = await receiver.until(lambda told: len(told) == 2)
    assert told[1].fields["RecordingSid"] == reply.json()["sid"]


async def test_a_webhook_may_be_given_while_the_call_goes_on(asker, receiver):
    data = form(CONTACT_CENTRE, '<Response><Pause length="400"/></Response>')
    call = (await asker.post(f"{API}/Calls.json", data=data)).json()
    more = {"StatusCallback": receiver.url, "Status": "completed"}
    assert (await asker.post(f"{API}/Calls/{call['sid']}.json", data=more)).status_code == 200
    (told,) = await receiver.until(len)
    assert told.fields["CallStatus"] in ("canceled", "completed")


async def test_nothing_is_kept_of_calls_that_are_over(asker, fast, receiver):
    for _ in range(3):
        await _call(asker, receiver)
    await receiver.until(lambda told: sum(t.fields["CallStatus"] == "completed" for t in told) == 3)
    async with asyncio.timeout(20):
        while fast.app.state.live._told or fast.app.state.live._tasks:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_a_configured_token_signs_instead_of_the_one_that_placed_the_call(receiver):
    async with (
        Simulator(speed=40, auth_token="configured") as simulator,
        httpx.AsyncClient(base_url=simulator.url, auth=("SK" + "1" * 32, "key"), trust_env=False) as asker,
    ):
        await _call(asker, receiver)
        told = await receiver.until_status("completed")
    assert _genuine(told[0], "configured")
    assert not _genuine(told[0], "key")


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_lost_callbacks_never_come_though_the_call_is_made(asker, fast, receiver):
    fast.faults.turn_on("callbacks-lost")
    await _call(asker, receiver)
    fast.faults.turn_off("callbacks-lost")
    call = await _call(asker, receiver)
    told = await receiver.until_status("completed")
    assert {t.fields["CallSid"] for t in told} == {call["sid"]}
    assert len(fast.carrier.calls) == 2


async def test_duplicates_are_equal_to_the_letter(asker, fast, receiver):
    fast.faults.turn_on("callbacks-duplicated")
    await _call(asker, receiver)
    told = await receiver.until(lambda told: len(told) == 8)
    assert all(one.fields == other.fields for one, other in zip(told[::2], told[1::2], strict=True))


async def test_reordered_callbacks_come_in_the_wrong_order_and_all_of_them(asker, fast, receiver):
    fast.faults.turn_on("callbacks-reordered")
    await _call(asker, receiver)
    told = await receiver.until(lambda told: len(told) == 4)
    assert [number for _, number in _course(told)] == ["1", "0", "3", "2"]


async def test_an_odd_one_that_was_held_back_comes_at_the_end(asker, fast, receiver):
    fast.faults.turn_on("callbacks-reordered")
    await _call(asker, receiver, StatusCallbackEvent="completed")
    assert _course(await receiver.until(len)) == [("completed", "3")]


async def test_late_callbacks_tell_of_the_time_when_it_happened(asker, fast, receiver):
    fast.faults.turn_on("callbacks-late", {"seconds": 60})
    call = await _call(asker, receiver)
    (first, *_) = await receiver.until(len)
    assert first.fields["CallStatus"] == "initiated"
    reply = (await asker.get(f"{API}/Calls/{call['sid']}.json")).json()
    assert reply["status"] == "completed", "the call was over before the first callback came"
    assert first.fields["Timestamp"] == reply["start_time"]


async def test_a_forged_callback_says_that_the_call_failed_and_is_not_signed_by_the_account(asker, fast, receiver):
    fast.faults.turn_on("callbacks-forged")
    await _call(asker, receiver)
    told = await receiver.until(lambda told: len(told) == 5)
    assert [(t.fields["CallStatus"], _genuine(t)) for t in told] == [
        ("initiated", True),
        ("failed", False),
        ("ringing", True),
        ("in-progress", True),
        ("completed", True),
    ]


async def test_a_webhook_that_answers_badly_is_noted(asker, receiver):
    receiver.status = 500
    call = await _call(asker, receiver, StatusCallbackEvent="completed")
    await receiver.until_status("completed")
    assert await notice_codes(asker, f"{API}/Calls/{call['sid']}") == ["15003"]


async def test_a_webhook_that_nobody_serves_is_noted(asker, receiver):
    call = await _call(asker, receiver, StatusCallback="http://127.0.0.1:9/", StatusCallbackEvent="initiated")
    assert await notice_codes(asker, f"{API}/Calls/{call['sid']}") == ["11205"]


async def test_other_addresses_are_called_only_if_that_was_allowed(asker, receiver):
    elsewhere = receiver.url.replace("127.0.0.1", "0.0.0.0")  # leads here on Linux, but is no loopback address
    call = await _call(asker, receiver, StatusCallback=elsewhere, StatusCallbackEvent="initiated")
    assert await notice_codes(asker, f"{API}/Calls/{call['sid']}") == ["11200"]
    async with (
        Simulator(speed=40, call_anywhere=True) as simulator,
        httpx.AsyncClient(base_url=simulator.url, auth=(ACCOUNT, "a secret token"), trust_env=False) as free,
    ):
        call = await _call(free, receiver, StatusCallback=elsewhere)
        told = await receiver.until_status("completed")
    assert {t.fields["CallSid"] for t in told} == {call["sid"]}


@pytest.mark.parametrize("host", ["example.com", "192.0.2.7", "localhost.example.com", "[2001:db8::1]"])
async def test_nothing_but_this_machine_is_called(asker, receiver, host):
    call = await _call(asker, receiver, StatusCallback=f"http://{host}/status", StatusCallbackEvent="initiated")
    assert await notice_codes(asker, f"{API}/Calls/{call['sid']}") == ["11200"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"StatusCallback": "ftp://127.0.0.1/"}, 21609),
        ({"StatusCallback": "status"}, 21609),
        ({"StatusCallbackMethod": "PUT"}, 20001),
        ({"StatusCallbackEvent": "exploded"}, 20001),
        ({"RecordingStatusCallback": "http:///"}, 21609),
    ],
)
async def test_a_webhook_that_makes_no_sense_is_refused(asker, receiver, more, code):
    data = {**form(CONTACT_CENTRE), "StatusCallback": receiver.url, **more}
    assert (await asker.post(f"{API}/Calls.json", data=data)).json()["code"] == code
