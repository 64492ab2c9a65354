"""Twilio's REST API over real HTTP, through the real SDK where it has the call, through plain HTTP where not."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from simulated_calls import ACCOUNT, API, FROM, PAY_BY_CARD, form, hears, keys_in
from twilio.base.exceptions import TwilioRestException

from earwitness.audio.wav import read_wav
from earwitness.simulator import BUSY_LINE, CONTACT_CENTRE, UNANSWERED_LINE

CREATE = {"from_": FROM, "twiml": PAY_BY_CARD, "record": True, "recording_channels": "dual", "trim": "do-not-trim"}


async def _blocking(call, *args, **kwargs):
    return await asyncio.to_thread(call, *args, **kwargs)


async def test_the_sdk_places_a_call_follows_it_and_finds_its_recording(sdk, clock):
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    assert (call.status, call.duration, call.price, call.start_time) == ("queued", None, None, None)
    assert (call.to, call.from_formatted, call.direction) == (CONTACT_CENTRE, FROM, "outbound-api")
    clock.seconds += 5
    talking = await _blocking(sdk.calls(call.sid).fetch)
    assert (talking.status, talking.end_time) == ("in-progress", None)
    clock.seconds += 60
    over = await _blocking(sdk.calls(call.sid).fetch)
    assert (over.status, over.price, over.price_unit) == ("completed", "-0.01400", "USD")
    assert 20 < int(over.duration) < 40
    assert timedelta(seconds=20) < over.end_time - over.start_time < timedelta(seconds=45)
    recordings = await _blocking(sdk.calls(call.sid).recordings.list)
    assert [(r.status, r.channels, r.source, r.error_code) for r in recordings] == [
        ("completed", 2, "OutboundAPI", None)
    ]
    assert (await _blocking(sdk.balance.fetch)).balance == "99.986"


async def test_the_recording_is_a_wav_of_both_sides(sdk, wire, clock):
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    clock.seconds += 60
    (recording,) = await _blocking(sdk.recordings.list, call_sid=call.sid)
    reply = await wire.get(f"{API}/Recordings/{recording.sid}.wav", params={"RequestedChannels": 2})
    assert reply.headers["content-type"] == "audio/x-wav"
    theirs, ours = read_wav(reply.content).samples
    assert hears("payment_accepted", theirs)
    assert keys_in(ours).startswith("24")
    one = read_wav((await wire.get(f"{API}/Recordings/{recording.sid}", params={"RequestedChannels": 1})).content)
    assert one.channels == 1
    assert (await wire.get(recording.media_url)).content == reply.content


async def test_media_needs_credentials_and_a_finished_recording(sdk, wire, simulator, clock):
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    clock.seconds += 5
    (recording,) = await _blocking(sdk.calls(call.sid).recordings.list)
    path = f"{API}/Recordings/{recording.sid}.wav"
    assert (await wire.get(path)).json()["code"] == 20404
    clock.seconds += 60
    async with httpx.AsyncClient(base_url=simulator.url, trust_env=False) as stranger:
        assert (await stranger.get(path)).status_code == 401
    assert (await wire.get(path)).status_code == 200
    assert (await wire.get(path.replace(".wav", ".mp3"))).status_code == 404
    assert (await wire.get(path, params={"RequestedChannels": 3})).status_code == 400
    assert await _blocking(sdk.recordings(recording.sid).delete)
    assert (await wire.get(path)).status_code == 404


async def test_two_channels_of_a_mono_recording_are_refused(http, clock):
    call = (await http.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE, RecordingChannels="mono"))).json()
    clock.seconds += 60
    (recording,) = (await http.get(f"{API}/Calls/{call['sid']}/Recordings.json")).json()["recordings"]
    reply = await http.get(f"{API}/Recordings/{recording['sid']}.wav", params={"RequestedChannels": 2})
    assert reply.status_code == 400


async def test_an_absent_recording_says_why(sdk, simulator, clock):
    simulator.faults.turn_on("recording-absent")
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    clock.seconds += 60
    (recording,) = await _blocking(sdk.calls(call.sid).recordings.list)
    assert (recording.status, recording.error_code, recording.duration) == ("absent", 16102, "-1")


async def test_a_call_is_hung_up_once(sdk, clock):
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    clock.seconds += 5
    assert (await _blocking(sdk.calls(call.sid).update, status="completed")).status == "completed"
    with pytest.raises(TwilioRestException) as refused:
        await _blocking(sdk.calls(call.sid).update, status="completed")
    assert (refused.value.status, refused.value.code) == (400, 21220)


async def test_a_call_that_is_over_can_be_deleted(sdk, clock):
    call = await _blocking(sdk.calls.create, to=BUSY_LINE, **CREATE)
    with pytest.raises(TwilioRestException):
        await _blocking(sdk.calls(call.sid).delete)
    clock.seconds += 9
    assert await _blocking(sdk.calls(call.sid).delete)
    with pytest.raises(TwilioRestException) as gone:
        await _blocking(sdk.calls(call.sid).fetch)
    assert gone.value.code == 20404


async def test_lists_are_filtered_and_paged(sdk, clock):
    numbers = [CONTACT_CENTRE, BUSY_LINE, CONTACT_CENTRE, UNANSWERED_LINE, CONTACT_CENTRE]
    placed = []
    for number in numbers:
        placed.append((await _blocking(sdk.calls.create, to=number, **CREATE)).sid)
        clock.seconds += 100
    listed = await _blocking(sdk.calls.list, page_size=2)
    assert [call.sid for call in listed] == placed[::-1], "newest first, over three pages"
    assert len(await _blocking(sdk.calls.list, to=CONTACT_CENTRE, from_=FROM)) == 3
    assert [c.sid for c in await _blocking(sdk.calls.list, status="busy")] == [placed[1]]
    assert await _blocking(sdk.calls.list, from_="+12025550144") == []
    since = datetime.fromtimestamp(clock.seconds - 250, UTC)
    assert [c.sid for c in await _blocking(sdk.calls.list, start_time_after=since)] == placed[:2:-1]
    assert [c.sid for c in await _blocking(sdk.calls.list, start_time_before=since)] == placed[2::-1]


async def test_a_call_that_is_queued_has_no_start_and_one_that_talks_no_end(http, clock):
    await http.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE))

    async def found(name):
        reply = await http.get(f"{API}/Calls.json", params={name: "2020-01-01"})
        return len(reply.json()["calls"])

    assert [await found("StartTime>"), await found("EndTime>")] == [0, 0]
    clock.seconds += 5
    assert [await found("StartTime>"), await found("EndTime>")] == [1, 0]
    clock.seconds += 60
    assert [await found("StartTime>"), await found("EndTime>")] == [1, 1]


async def test_another_account_sees_nothing_of_it(sdk, simulator):
    call = await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    other = "AC" + "b" * 32
    async with httpx.AsyncClient(base_url=simulator.url, auth=(other, "x"), trust_env=False) as stranger:
        assert (await stranger.get(f"/2010-04-01/Accounts/{other}/Calls.json")).json()["calls"] == []
        assert (await stranger.get(f"/2010-04-01/Accounts/{other}/Calls/{call.sid}.json")).status_code == 404
        assert (await stranger.get(f"{API}/Calls/{call.sid}.json")).status_code == 401


@pytest.mark.parametrize("auth", [None, ("AC123", "token"), (ACCOUNT, ""), ("AC" + "b" * 32, "token")])
async def test_bad_credentials_are_20003(http, auth):
    http.auth = auth
    reply = await http.get(f"{API}.json")
    assert (reply.status_code, reply.json()["code"], reply.json()["status"]) == (401, 20003, 401)
    assert reply.json()["more_info"].startswith("https://")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": "+15005550001"}, 21217),
        ({"To": "+15005550002"}, 21214),
        ({"To": "+15005550003"}, 21215),
        ({"To": "+15005550004"}, 21216),
        ({"To": "911"}, 21211),
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"From": "+15005550001"}, 21212),
        ({"From": "Acme"}, 21212),
        ({"Twiml": ""}, 21205),
        ({"Url": "https://example.com"}, 21205),
        ({"Twiml": "x" * 4001}, 32018),
        ({"Timeout": "0"}, 20001),
        ({"TimeLimit": "soon"}, 20001),
        ({"SendDigits": "1x"}, 20001),
    ],
)
async def test_a_call_that_cannot_be_placed_is_refused_by_code(http, change, code):
    reply = await http.post(f"{API}/Calls.json", data={**form(CONTACT_CENTRE), **change})
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert (await http.get("/calls")).json() == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": "+15005550001"}, 21211),
        ({"To": "x"}, 21211),
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
    ],
)
async def test_a_message_that_cannot_be_sent_is_refused_by_code(http, change, code):
    message = {"To": "+12025550111", "From": FROM, "Body": "hello", **change}
    assert (await http.post(f"{API}/Messages.json", data=message)).json()["code"] == code


async def test_a_message_is_queued(sdk):
    message = await _blocking(sdk.messages.create, to="+12025550111", from_=FROM, body="hello")
    assert (message.status, message.num_segments, message.body) == ("queued", "1", "hello")


async def test_what_is_wrong_with_the_twiml_is_notified_after_the_answer(sdk, clock):
    call = await _blocking(
        sdk.calls.create, to=CONTACT_CENTRE, from_=FROM, twiml="<Response><Bark/><Pause/></Response>"
    )
    assert await _blocking(sdk.calls(call.sid).notifications.list) == []
    clock.seconds += 60
    (notice,) = await _blocking(sdk.calls(call.sid).notifications.list)
    assert (notice.error_code, notice.log) == ("12200", "1")


async def test_the_account_can_be_read_when_it_is_suspended_and_dials_nothing(sdk, simulator):
    assert (await _blocking(sdk.api.accounts(ACCOUNT).fetch)).status == "active"
    simulator.faults.turn_on("account-suspended")
    account = await _blocking(sdk.api.accounts(ACCOUNT).fetch)
    assert (account.status, account.type) == ("suspended", "Full")
    with pytest.raises(TwilioRestException) as refused:
        await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    assert refused.value.code == 10001


@pytest.mark.parametrize(
    ("fault", "parameters", "status", "code"),
    [
        ("number-invalid", {}, 400, 21211),
        ("geo-permission", {}, 400, 21215),
        ("concurrency-limit", {}, 429, 10004),
        ("balance-gone", {}, 403, 10001),
    ],
)
async def test_a_call_is_refused_before_it_exists(sdk, simulator, fault, parameters, status, code):
    simulator.faults.turn_on(fault, parameters)
    with pytest.raises(TwilioRestException) as refused:
        await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert simulator.carrier.calls == {}


async def test_only_the_number_that_is_named_is_invalid(sdk, simulator):
    simulator.faults.turn_on("number-invalid", {"number": BUSY_LINE})
    assert (await _blocking(sdk.calls.create, to=CONTACT_CENTRE, **CREATE)).status == "queued"
    with pytest.raises(TwilioRestException):
        await _blocking(sdk.calls.create, to=BUSY_LINE, **CREATE)


async def test_an_account_without_money_is_suspended_and_can_be_read(sdk, simulator):
    simulator.faults.turn_on("balance-gone")
    assert (await _blocking(sdk.balance.fetch)).balance == "0.000"
    assert (await _blocking(sdk.api.accounts(ACCOUNT).fetch)).status == "suspended"
    with pytest.raises(TwilioRestException):
        await _blocking(sdk.messages.create, to="+12025550111", from_=FROM, body="hello")


@pytest.mark.parametrize("path", ["/Nothing.json", "/Calls/CA0.json", "/Recordings/RE0.json", "/Recordings/RE0.wav"])
async def test_what_is_not_there_is_20404(http, path):
    reply = await http.get(API + path)
    assert (reply.status_code, reply.json()["code"]) == (404, 20404)


@pytest.mark.parametrize("query", [{"PageSize": "0"}, {"PageSize": "x"}, {"Page": "-1"}, {"StartTime>": "yesterday"}])
async def test_a_list_that_makes_no_sense_is_refused(http, clock, query):
    await http.post(f"{API}/Calls.json", data=form(BUSY_LINE))
    clock.seconds += 9
    reply = await http.get(f"{API}/Calls.json", params=query)
    assert (reply.status_code, reply.json()["code"]) == (400, 20001)
