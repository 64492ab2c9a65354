"""The driver against an API that fails in the middle of a call."""

import errno
import threading
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
import respx
from calling import FROM, PAY, SID, TO, Caller, FullDisk, VirtualClock, spec
from structlog.testing import capture_logs

from earwitness.audio import workers
from earwitness.audio.wav import read_wav, write_wav
from earwitness.model import Failure, Outcome
from earwitness.probes.call import KIND, run
from earwitness.telephony import aftermath, driver, hearing

API = "http://carrier.test"
ROOT = f"{API}/2010-04-01/Accounts/{SID}"
CALL_SID = "CA" + "3" * 32
WELCOME = ({"expect": "Welcome to Acme"}, {"press": "2"})
CREATED = "Sun, 15 Jun 2025 15:06:40 +0000"
FAILS = httpx.Response(500, json={"code": 20500, "message": "sorry", "status": 500})


def status(name, **rest):
    base = {
        "sid": CALL_SID,
        "status": name,
        "to": TO,
        "from": FROM,
        "price": None,
        "duration": None,
        "date_created": CREATED,
    }
    return httpx.Response(200, json={**base, **rest})


@pytest.fixture
async def caller():
    async with httpx.AsyncClient() as http:
        yield Caller(API, http, VirtualClock())


@pytest.fixture
def api():
    with respx.mock(using="httpx", assert_all_called=False) as router:
        router.post(f"{ROOT}/Calls.json").mock(return_value=httpx.Response(201, json=status("queued").json()))
        yield router


def answers(api, responses: Sequence[httpx.Response]):
    """Give `responses` one after the other, the last for ever."""
    left = list(responses)
    return api.get(f"{ROOT}/Calls/{CALL_SID}.json").mock(
        side_effect=lambda _: left.pop(0) if len(left) > 1 else left[0]
    )


async def test_an_api_that_fails_for_a_while_loses_no_call(caller, api):
    answers(api, [status("ringing"), FAILS, FAILS, FAILS, status("in-progress"), FAILS, status("busy")])
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.BUSY]


async def test_an_api_that_fails_for_good_leaves_the_call_unknown_and_its_worst_cost_booked(caller, api):
    fetched = answers(api, [status("ringing"), FAILS])
    hang_up = api.post(f"{ROOT}/Calls/{CALL_SID}.json").mock(return_value=FAILS)
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    assert hang_up.called
    assert str(caller.ledger.settled) == "0.042 USD"
    assert fetched.call_count < 12


async def test_a_call_that_never_ends_is_hung_up(caller, api):
    answers(api, [status("in-progress")])
    hang_up = api.post(f"{ROOT}/Calls/{CALL_SID}.json").mock(return_value=status("completed"))
    observation = await run(spec(), caller.context())
    assert hang_up.calls.last.request.content == b"Status=completed"
    assert [finding.failure for finding in observation.findings] == [Failure.CARRIER_API_FAILED]
    assert "still in-progress after" in observation.findings[0].message
    assert observation.outcome is Outcome.UNKNOWN
    assert caller.clock.passed <= KIND.budget(spec())


async def test_a_price_in_another_currency_is_never_booked_as_ours(caller, api):
    answers(api, [status("completed", duration="61", price="-9000", price_unit="JPY")])
    recorded(api, silence(61.0))
    with capture_logs() as logs:
        for _ in range(2):
            await run(spec(), caller.context())
    assert [str(entry[1]) for entry in caller.ledger.entries if entry[0] == "settle"] == ["0.028 USD"] * 2
    (told,) = [line for line in logs if line["event"] == "price_in_another_currency"]
    assert (told["told"], told["ours"]) == ("JPY", "USD")
    assert caller.ledger.unpriced == []


async def test_giving_up_is_noted_when_the_call_cannot_be_hung_up(caller, api):
    answers(api, [status("in-progress")])
    api.post(f"{ROOT}/Calls/{CALL_SID}.json").mock(return_value=FAILS)
    with capture_logs() as logs:
        observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    assert [line["call_sid"] for line in logs if line["event"] == "call_not_hung_up"] == [CALL_SID]


@pytest.mark.parametrize(
    ("code", "failure", "outcome"),
    [
        ("13224", Failure.MONITOR_ERROR, Outcome.UNKNOWN),
        ("32017", Failure.ACCOUNT_REFUSED, Outcome.UNKNOWN),
        ("32016", Failure.CARRIER_API_FAILED, Outcome.UNKNOWN),
        (None, Failure.NEVER_CONNECTED, Outcome.FINDING),
    ],
)
async def test_a_failed_call_is_the_targets_only_if_the_carrier_names_no_other_reason(
    caller, api, code, failure, outcome
):
    answers(api, [status("failed")])
    notices = [{"error_code": code, "log": "0"}] if code else []
    api.get(url__startswith=f"{ROOT}/Calls/{CALL_SID}/Notifications.json").respond(200, json={"notifications": notices})
    observation = await run(spec(), caller.context())
    assert ([finding.failure for finding in observation.findings], observation.outcome) == ([failure], outcome)


@pytest.mark.parametrize(
    ("steps", "failure", "outcome"),
    [
        (({"expect": "Welcome to Acme"},), Failure.DEAD_AIR, Outcome.FINDING),
        (({"expect": "Welcome to Acme"}, {"press": "1"}), Failure.RECORDING_MISSING, Outcome.UNKNOWN),
    ],
)
async def test_a_recording_dropped_as_silent_means_dead_air_only_if_we_were_silent_too(
    caller, api, steps, failure, outcome
):
    answers(api, [status("completed", duration="20")])
    recording = {"sid": "RE1", "status": "absent", "error_code": 16102}
    api.get(url__startswith=f"{ROOT}/Recordings.json").respond(200, json={"recordings": [recording]})
    observation = await run(spec(steps), caller.context())
    assert ([finding.failure for finding in observation.findings], observation.outcome) == ([failure], outcome)


@pytest.mark.parametrize("media", [b"<html>sorry</html>", b"RIFF\x00\x00\x00\x00WAVE", b""])
@pytest.mark.parametrize(("steps", "kept"), [(WELCOME, True), (PAY, False)], ids=["no secret", "card"])
async def test_a_file_that_is_no_recording_blames_nobody_and_is_kept_unless_a_card_may_be_in_it(
    caller, api, media, steps, kept
):
    answers(api, [status("completed", duration="20")])
    listed = {"recordings": [{"sid": "RE1", "status": "completed", "error_code": None}]}
    api.get(url__startswith=f"{ROOT}/Recordings.json").respond(200, json=listed)
    api.get(url__startswith=f"{ROOT}/Recordings/RE1.wav").mock(
        side_effect=[httpx.Response(404), httpx.Response(200, content=media)]
    )
    deleted = api.delete(url__startswith=f"{ROOT}/Recordings/RE1.json").respond(204)
    observation = await run(spec(steps), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.RECORDING_UNREADABLE]
    assert observation.outcome is Outcome.UNKNOWN
    assert caller.sink.files.get("recording") == (media if kept else None)
    assert deleted.called is kept
    assert [(left.recording_sid, left.wait) for left in caller.ledger.left] == ([] if kept else [("RE1", 604800.0)])


async def test_hearing_never_runs_on_the_event_loop(caller, api, monkeypatch):
    threads = []

    def listen(*_):
        threads.append(threading.current_thread().name)
        raise hearing.UnusableError("enough")

    monkeypatch.setattr(aftermath, "listen", listen)
    answers(api, [status("completed", duration="20")])
    listed = {"recordings": [{"sid": "RE1", "status": "completed", "error_code": None}]}
    api.get(url__startswith=f"{ROOT}/Recordings.json").respond(200, json=listed)
    api.get(url__startswith=f"{ROOT}/Recordings/RE1.wav").respond(200, content=b"RIFF")
    await run(spec(), caller.context())
    assert [name.split("_")[0] for name in threads] == ["hearing"]
    assert workers._POOL._max_workers == 2


def test_giving_up_a_call_fits_into_the_budget():
    limits = driver.LOOK_LIMIT + driver.HANG_UP_LIMIT
    assert spec().deadline + limits <= KIND.budget(spec())


def test_the_budget_is_what_a_call_may_last():
    assert KIND.budget(spec(ring_timeout="20s", length_limit="100s")) == 150.0


def recorded(api, wav):
    listed = {"recordings": [{"sid": "RE1", "status": "completed", "error_code": None}]}
    api.get(url__startswith=f"{ROOT}/Recordings.json").respond(200, json=listed)
    api.get(url__startswith=f"{ROOT}/Recordings/RE1.wav").respond(200, content=wav)
    return api.delete(url__startswith=f"{ROOT}/Recordings/RE1").respond(204)


def silence(seconds, channels=2):
    return write_wav(np.zeros((channels, int(8000 * seconds)), np.float32), 8000)


@pytest.mark.parametrize(
    ("wav", "said"),
    [
        (silence(0.2), "too little to hear anything in"),
        (silence(5.0), "5.0s of a call of 20s"),
        (silence(20.0, channels=1), "channel"),
    ],
)
async def test_a_recording_that_nobody_can_be_judged_by_is_kept_and_deleted_at_the_carrier(caller, api, wav, said):
    answers(api, [status("completed", duration="20")])
    deleted = recorded(api, wav)
    observation = await run(spec(WELCOME), caller.context())
    (finding,) = observation.findings
    assert (finding.failure, observation.outcome) == (Failure.RECORDING_UNREADABLE, Outcome.UNKNOWN)
    assert said in finding.message
    assert read_wav(caller.sink.files["recording"]).duration == pytest.approx(read_wav(wav).duration)
    assert deleted.called


async def test_a_recording_that_the_disk_refuses_stays_at_the_carrier(caller, api):
    answers(api, [status("completed", duration="20")])
    deleted = recorded(api, silence(0.2))
    caller.sink = FullDisk()
    observation = await run(spec(WELCOME), caller.context())
    assert (observation.outcome, observation.facts["evidence_lost"]) == (Outcome.UNKNOWN, 2)
    assert not deleted.called
    (left,) = caller.ledger.left  # and is deleted when nobody came for it in a week
    assert (left.recording_sid, left.wait) == ("RE1", 604800.0)


async def test_a_failed_call_whose_notifications_cannot_be_read_blames_nobody(caller, api):
    answers(api, [status("failed")])
    api.get(url__startswith=f"{ROOT}/Calls/{CALL_SID}/Notifications.json").mock(return_value=FAILS)
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    assert [finding.failure for finding in observation.findings] == [Failure.CARRIER_API_FAILED]


async def test_a_call_that_cannot_be_put_on_record_is_hung_up_at_once(caller, api):
    hang_up = api.post(f"{ROOT}/Calls/{CALL_SID}.json").mock(return_value=status("completed"))

    async def refuse(_sid):
        raise OSError(errno.ENOSPC, "no space left")

    caller.ledger.dialled = refuse
    with pytest.raises(OSError, match="no space left"):
        await run(spec(), caller.context())
    assert hang_up.calls.last.request.content == b"Status=completed"
