"""The live driver: the simulator streams a call's sound to our server, and keys go out when a prompt has ended."""

import asyncio
import json

import httpx
import pytest
from calling import FROM, MORTGAGES, PAY, SID, TO, TOKEN, Caller, carrier_spec, spec
from fastapi import FastAPI

from earwitness.audio.transcription.base import EngineError
from earwitness.clock import SystemClock
from earwitness.config.schema import BudgetSpec
from earwitness.config.transcription import TranscriptionSpec
from earwitness.console.telephone import telephone
from earwitness.dispatch.errands import Errands
from earwitness.dispatch.ledger import Ledger
from earwitness.metrics import Metrics
from earwitness.model import Attribution, Failure, Outcome
from earwitness.probes.call import resume, run
from earwitness.probes.context import InterruptedCall
from earwitness.serving import listen, served
from earwitness.simulator import UNOBTAINABLE_LINE
from earwitness.simulator.server import Simulator
from earwitness.store import errands
from earwitness.store.store import Store
from earwitness.telephony import driver, live, transcription
from earwitness.telephony.carrier import Carrier
from earwitness.telephony.switchboard import CarrierHearing, Extension, Switchboard
from earwitness.telephony.transcription import Transcription

SPEED = 8.0  # seconds of a call that pass in one
# Long enough to hear the line say that it heard nothing: a live key may fall just before the menu, and the menu then says little.
UNHEARD = [*PAY[:2], {**PAY[2], "within": {"major": "20s"}}]


@pytest.fixture
async def house():
    """Our side of the line: the routes that the carrier reaches, on a real server."""
    app = FastAPI()
    app.state.switchboard = Switchboard()
    app.include_router(telephone)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with served(app, listener, ws="websockets-sansio"):
        yield app.state.switchboard, url


@pytest.fixture
async def sim():
    async with Simulator(speed=SPEED) as simulator:
        yield simulator


class LiveCaller(Caller):
    def __init__(self, sim, http, house):
        super().__init__(sim.url, http, SystemClock())
        self.switchboard, url = house
        self.carrier = Carrier(carrier_spec(sim.url, public_url=url), http, self.clock, "main")

    def context(self):
        ctx = super().context()
        ctx.switchboard = self.switchboard
        return ctx


@pytest.fixture
async def caller(sim, house, monkeypatch):
    monkeypatch.setattr(driver, "RINGING_POLL", 0.2)
    monkeypatch.setattr(driver, "TALKING_POLL", 0.2)
    monkeypatch.setattr(driver, "RECORDING_FIRST", 0.1)
    async with httpx.AsyncClient() as http:
        yield LiveCaller(sim, http, house)


def live_spec(steps=PAY, **rest):
    return spec(steps, driver="live", **rest)


async def test_a_live_call_presses_each_key_when_its_prompt_has_ended(caller, sim):
    observation = await run(live_spec(), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings
    assert [step.ok for step in observation.steps] == [True] * 5
    (call,) = sim.carrier.calls.values()
    assert call.digits_heard(1e9).startswith("2424242")
    assert call.outcome(1e9) == "payment accepted"
    conversation = json.loads(caller.sink.files["conversation"])
    assert [line["what"].split(":")[0] for line in conversation][:2] == ["expect Welcome to Acme", "press 2"]
    assert "4242424242" not in caller.sink.files["conversation"].decode() + repr(observation)
    assert observation.facts["driver"] == "live"
    assert observation.facts["stream_seconds"] > 10


@pytest.mark.parametrize(
    ("fault", "parameters", "steps", "failure"),
    [
        ("card-processor-down", {}, PAY, Failure.WRONG_PROMPT),
        ("dtmf-ignored", {}, UNHEARD, Failure.DTMF_IGNORED),
        ("dtmf-ignored", {}, [PAY[0], {"pause": "2s"}, *PAY[1:3]], Failure.DTMF_IGNORED),
        ("early-hangup", {"seconds": 5}, PAY, Failure.EARLY_HANGUP),
        ("misroute", {}, MORTGAGES, Failure.MISROUTED),
        ("ring-back-after-answer", {"seconds": 15}, PAY, Failure.NO_ANSWER),
    ],
)
async def test_both_drivers_come_to_the_same_result(caller, sim, fault, parameters, steps, failure):
    sim.faults.turn_on(fault, parameters)
    found = [await run(made, caller.context()) for made in (live_spec(steps), spec(steps))]
    assert [[f.failure for f in seen.findings] for seen in found] == [[failure]] * 2
    assert {f.effect for seen in found for f in seen.findings} == {found[0].findings[0].effect}


async def test_no_key_is_pressed_into_a_line_that_rings(caller, sim):
    sim.faults.turn_on("ring-back-after-answer", {"seconds": 15})
    observation = await run(live_spec(), caller.context())
    (call,) = sim.carrier.calls.values()
    assert call.digits_heard(1e9) == ""
    assert (observation.facts["left_at"], observation.facts["hung_up_by"]) == (1, "us")


async def test_what_we_left_undone_because_a_person_answered_is_nobodys_fault(caller, sim):
    sim.faults.turn_on("number-ported")
    steps = [{"expect": "Good day and hello", "misroute": ["lost and stolen cards department"]}, {"press": "2"}, PAY[4]]
    observation = await run(live_spec(steps), caller.context())
    assert observation.facts["statement_said"] is True
    assert observation.outcome is Outcome.UNKNOWN
    assert [f.failure for f in observation.findings] == [Failure.INTERRUPTED]


async def test_a_slow_line_gets_its_keys_late_and_loses_nothing(caller, sim):
    sim.faults.turn_on("slow-prompts", {"seconds": 4})
    observation = await run(live_spec(), caller.context())
    assert {finding.failure for finding in observation.findings} == {Failure.SLOW}
    (call,) = sim.carrier.calls.values()
    assert call.outcome(1e9) == "payment accepted"


async def test_barging_in_does_not_wait_for_the_end(caller, sim):
    steps = [PAY[0], {"expect": "For your balance and our opening hours *", "barge_in": "true"}, *PAY[1:3]]
    observation = await run(live_spec(steps), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings
    (call,) = sim.carrier.calls.values()
    menu, pressed = call.plan.theirs.said[1], call.plan.ours.keys[0]
    assert pressed.at - menu.at < 10.0, "the menu lasts 14 s"


@pytest.mark.parametrize(("fault", "parameters"), [("stream-refused", {}), ("stream-stalls", {"seconds": 3})])
async def test_sound_that_does_not_come_is_never_the_targets_fault(caller, sim, monkeypatch, fault, parameters):
    monkeypatch.setattr(live, "STREAM_LIMIT", 1.0)
    monkeypatch.setattr(live, "QUEUE_ALLOWANCE", 0.0)
    sim.faults.turn_on(fault, parameters)
    observation = await run(live_spec(ring_timeout="5s"), caller.context())
    (finding,) = observation.findings
    assert observation.outcome is Outcome.UNKNOWN
    assert "the live sound stopped coming" in finding.message
    (left,) = caller.ledger.left
    assert (left.carrier, left.call_sid) == ("main", observation.facts["call_sid"])


async def test_the_recording_of_a_stalled_call_is_deleted_when_it_is_ready(caller, sim, monkeypatch, tmp_path):
    monkeypatch.setattr(live, "STREAM_LIMIT", 1.0)
    store, a_run = Store.open(tmp_path / "earwitness.db"), caller.context().run
    caller.ledger = Ledger(store, caller.clock, BudgetSpec(), a_run, Metrics())
    worker = Errands(store, caller.clock, Metrics(), {"main": caller.carrier}.__getitem__)
    sim.faults.turn_on("stream-stalls", {"seconds": 3})
    observation = await run(live_spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    sid = observation.facts["call_sid"]
    async with asyncio.timeout(20):
        while [recording.status for recording in await caller.carrier.recordings(sid)] != ["completed"]:
            await caller.clock.sleep(0.05)
    assert await store.read(errands.left) == 2  # a recording to delete, a price to read
    await worker.work_off()
    assert (await caller.carrier.recordings(sid), await store.read(errands.left)) == ((), 0)
    store.close()


async def test_a_sound_that_ends_while_the_call_goes_on_hangs_it_up_and_blames_nobody(caller, sim, monkeypatch):
    monkeypatch.setattr(live, "STREAM_LIMIT", 0.5)
    hear = Extension.hear

    def cut(extension, frame):
        if extension.streaming and extension.heard_frames == 150:
            extension.hung_up()
        extension.heard_frames += 1
        hear(extension, frame)

    monkeypatch.setattr(Extension, "heard_frames", 0, raising=False)
    monkeypatch.setattr(Extension, "hear", cut)
    steps = [*PAY[:1], {"pause": "60s"}, {"listen": "5s"}]
    observation = await run(live_spec(steps), caller.context())
    (finding,) = observation.findings
    assert (observation.outcome, finding.failure) == (Outcome.UNKNOWN, Failure.CARRIER_API_FAILED)
    assert "the live sound ended while the call went on" in finding.message
    (call,) = sim.carrier.calls.values()
    assert call.plan.ended_by == "caller"


async def test_a_fault_of_ours_in_a_conversation_leaves_no_call_behind(caller, sim, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(live.Ear, "look", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await run(live_spec(), caller.context())
    (call,) = sim.carrier.calls.values()
    assert call.plan.ended_by == "caller" or call.plan.status(1e9) == "canceled"


def test_a_transcript_that_cannot_be_put_in_order_is_an_error_of_the_engine():
    heard = CarrierHearing()
    heard.take({"TranscriptionEvent": "transcription-content", "SequenceId": "x"})
    with pytest.raises(EngineError, match="a SequenceId is no number"):
        heard.transcript()


async def test_without_a_public_address_a_live_call_is_not_made(caller, sim):
    ctx = caller.context()
    ctx.switchboard = None
    observation = await run(live_spec(), ctx)
    (finding,) = observation.findings
    assert (finding.failure, finding.attribution) == (Failure.MONITOR_ERROR, Attribution.MONITOR)
    assert "set public_url" in finding.message
    assert sim.carrier.calls == {}


@pytest.mark.parametrize(
    "fault", ["callbacks-lost", "callbacks-duplicated", "callbacks-reordered", "callbacks-late", "callbacks-forged"]
)
async def test_callbacks_in_any_order_end_in_the_same_verdict(caller, sim, fault):
    sim.faults.turn_on(fault)
    observation = await run(spec(PAY[:1]), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings


@pytest.mark.parametrize(
    "fault", [None, "callbacks-lost", "callbacks-duplicated", "callbacks-reordered", "callbacks-late"]
)
async def test_a_call_that_fails_fails_alike_whatever_callbacks_come(caller, sim, fault):
    if fault:
        sim.faults.turn_on(fault)
    caller.allowed = frozenset({UNOBTAINABLE_LINE})
    (finding,) = (await run(spec(PAY[:1], to=UNOBTAINABLE_LINE), caller.context())).findings
    assert (finding.failure, finding.attribution) == (Failure.NEVER_CONNECTED, Attribution.TARGET)


async def test_callbacks_that_somebody_replays_change_nothing(caller, sim, monkeypatch):
    """Every signed callback of a call is sent to us again, thirty times while the call goes on and once more when it is over."""
    seen = []
    plain = await run(spec(PAY[:1]), caller.context())
    tell = Extension.tell

    def noted(extension, callback):
        seen.append((extension, callback))
        for _ in range(31):
            tell(extension, callback)

    monkeypatch.setattr(Extension, "tell", noted)
    replayed = await run(spec(PAY[:1]), caller.context())
    entries = list(caller.ledger.entries)
    for extension, callback in seen:
        tell(extension, callback)
    assert seen
    assert (replayed.outcome, replayed.findings) == (plain.outcome, plain.findings)
    assert [step.ok for step in replayed.steps] == [step.ok for step in plain.steps]
    assert caller.ledger.entries == entries
    assert len(sim.carrier.calls) == 2, "one call for each run"


async def test_callbacks_tell_how_long_it_took_to_ring(caller):
    observation = await run(spec(PAY[:1]), caller.context())
    assert 0 <= observation.measures["post_dial_delay"] <= 2


BY_CARRIER = Transcription(TranscriptionSpec(engine="twilio"))


def wordy(caller):
    """Return the ports of a run without any reference recording, whose words the carrier writes down."""
    ctx = caller.context()
    ctx.prompts, ctx.transcriber = None, BY_CARRIER
    return ctx


@pytest.mark.parametrize("make", [spec, live_spec])
async def test_words_that_the_carrier_wrote_down_take_the_place_of_recordings(caller, make):
    observation = await run(make(), wordy(caller))
    assert observation.outcome is Outcome.OK, observation.findings
    transcript = json.loads(caller.sink.files["transcript"])
    assert [step["method"] for step in transcript["steps"]] == ["words", None, "words", None, "words"]
    assert transcript["steps"][0]["words"].startswith("Welcome to Acme")


async def test_an_error_in_words_is_a_wrong_prompt(caller, sim):
    sim.faults.turn_on("card-processor-down")
    (finding,) = (await run(spec(), wordy(caller))).findings
    assert finding.failure is Failure.WRONG_PROMPT
    assert "could not be taken" in finding.message or "try again later" in finding.message


def utterance(number, event="transcription-content", words="hello"):
    data = json.dumps({"transcript": words})
    return {"SequenceId": str(number), "TranscriptionEvent": event, "Track": "inbound_track", "TranscriptionData": data}


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
async def test_words_of_which_one_callback_is_lost_are_no_ground_to_judge_on(lost):
    hearing = CarrierHearing()
    events = {
        1: "transcription-started",
        2: "transcription-content",
        3: "transcription-content",
        4: "transcription-stopped",
    }
    for number, event in events.items():
        if number != lost:
            hearing.take(utterance(number, event))
    await hearing.settled(0.01)
    with pytest.raises(EngineError, match="did not come"):
        hearing.transcript()
    hearing.take(utterance(lost, events[lost]))
    await hearing.settled(60.0)
    assert hearing.transcript()


async def test_words_that_come_late_are_waited_for():
    hearing = CarrierHearing()
    waiting = asyncio.create_task(hearing.settled(60.0))
    for number, event in ((3, "transcription-stopped"), (1, "transcription-started")):
        hearing.take(utterance(number, event))
        await asyncio.sleep(0)
    assert not waiting.done()
    hearing.take(utterance(2))
    await waiting


@pytest.mark.parametrize("fault", ["transcription-fails", "callbacks-lost"])
async def test_words_that_do_not_come_are_the_monitors_fault(caller, sim, fault, monkeypatch):
    monkeypatch.setattr(transcription, "PATIENCE", 0.1)
    sim.faults.turn_on(fault)
    (finding,) = (await run(spec(), wordy(caller))).findings
    assert (finding.failure, finding.attribution) == (Failure.TRANSCRIPTION_FAILED, Attribution.MONITOR)


@pytest.mark.parametrize("fault", ["callbacks-duplicated", "callbacks-reordered", "callbacks-late"])
async def test_words_in_any_order_make_the_same_sense(caller, sim, fault):
    sim.faults.turn_on(fault, {"seconds": 1} if fault == "callbacks-late" else None)
    observation = await run(spec(), wordy(caller))
    assert observation.outcome is Outcome.OK, observation.findings


async def test_a_person_who_answers_is_told_what_this_is_and_the_call_ends(caller, sim):
    sim.faults.turn_on("number-ported")
    steps = [{"hold": "You are through to the mortgage team", "within": {"major": "60s"}}]
    observation = await run(live_spec(steps), caller.context())
    (call,) = sim.carrier.calls.values()
    assert call.plan.talk < 30
    assert observation.facts["statement_said"] is True
    assert observation.facts["hung_up_by"] == "us"
    assert [f.failure for f in observation.findings] == [Failure.INTERRUPTED], (
        "an adviser need not say a recording's words"
    )
    assert observation.outcome is Outcome.UNKNOWN


async def test_a_conversation_that_was_interrupted_is_hung_up_and_blames_nobody(caller, sim, http_of):
    twiml = "<Response><Pause length='600'/></Response>"
    sid = await http_of(twiml)
    observation = await resume(live_spec(), caller.context(), InterruptedCall(TO, FROM, caller.clock.now(), sid))
    (finding,) = observation.findings
    assert (finding.failure, observation.outcome) == (Failure.INTERRUPTED, Outcome.UNKNOWN)
    (call,) = sim.carrier.calls.values()
    assert call.plan.ended_by == "caller" or call.plan.status(1e9) == "canceled"


@pytest.fixture
async def http_of(sim):
    """Return a function that places a call as an earlier process would have, and gives its SID."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def place(twiml):
            data = {"To": TO, "From": FROM, "Twiml": twiml}
            answer = await client.post(f"{sim.url}/2010-04-01/Accounts/{SID}/Calls.json", data=data, auth=(SID, TOKEN))
            return answer.json()["sid"]

        yield place
