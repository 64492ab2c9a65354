"""The call probe over HTTP against the simulated carrier and contact centre."""

import json
import shutil

import pytest
from calling import BANK, CARD, FROM, MORTGAGES, PAY, PROMPTS, SID, TO, TOKEN, FullDisk, spec

from earwitness.audio.dtmf import find_keys
from earwitness.audio.wav import read_wav
from earwitness.impairments import Impairments
from earwitness.model import Attribution, Effect, Failure, Outcome, Why
from earwitness.probes.call import KIND, resume, run
from earwitness.probes.context import InterruptedCall
from earwitness.telephony import carrier as carrier_module
from earwitness.telephony.references import unchecked_texts


async def calls(sim, http):
    return (await http.get(f"{sim.url}/calls")).json()


async def test_a_healthy_payment_call_is_ok(caller, sim, http):
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings
    assert [step.ok for step in observation.steps] == [True] * 5
    assert observation.measures["audio_quality"] > 4
    assert 1 < observation.measures["answer"] < 6
    assert 1 < observation.measures["prompt_delay"] < 5
    assert caller.ledger.kinds == ["reserve", "intent", "dialled", "settle"]
    assert str(caller.ledger.settled) == "0.01400 USD"
    assert caller.released == 1
    assert observation.facts["call_sid"] == caller.ledger.entries[2][1]
    assert observation.facts["recording_deleted"] is True
    assert len(await calls(sim, http)) == 1
    left = await http.get(f"{sim.url}/2010-04-01/Accounts/{SID}/Recordings.json", auth=(SID, TOKEN))
    assert left.json()["recordings"] == []


async def test_what_is_kept_can_be_played_and_read_and_holds_no_card_number(caller):
    caller.why = Why.MANUAL
    observation = await run(spec(), caller.context())
    assert {evidence.kind for evidence in observation.evidence} == {"script", "transcript", "recording"}
    recording = read_wav(caller.sink.files["recording"])
    assert (recording.rate, recording.channels) == (8000, 2)
    transcript = json.loads(caller.sink.files["transcript"])
    assert [step["result"] for step in transcript["steps"]] == ["ok"] * 5
    assert transcript["steps"][4]["heard"][0]["text"].startswith("Your payment was accepted")
    shown = repr(observation) + str(caller.sink.files["script"]) + str(transcript)
    assert CARD[:13] not in shown
    assert [digits(channel) for channel in recording.samples] == ["", "2"]
    (span,) = transcript["recording"]["silenced"]
    step = transcript["steps"][3]
    assert span[0] < step["at"] < step["at"] + 3 < span[1] < step["at"] + 5
    assert TOKEN not in shown


def digits(channel):
    return "".join(key.key for key in find_keys(channel))


@pytest.mark.parametrize(
    "fault",
    ["card-processor-down", "dtmf-ignored", "dead-air", "poor-audio", "one-way"],
)
async def test_no_card_is_heard_in_what_is_kept_of_a_failed_call(caller, sim, monkeypatch, fault):
    fetched, download = [], caller.carrier.download

    async def fetch(sid):
        fetched.append(await download(sid))
        return fetched[-1]

    monkeypatch.setattr(caller.carrier, "download", fetch)
    sim.faults.turn_on(fault)
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.FINDING
    original, kept = read_wav(fetched[0]), read_wav(caller.sink.files["recording"])
    assert kept.samples.shape == original.samples.shape
    assert any(CARD in digits(channel) for channel in original.samples)
    assert all(len(digits(channel)) <= 1 for channel in kept.samples)


async def test_a_card_pressed_in_pieces_is_in_nothing_that_is_kept(caller, sim):
    pieces = [{"press": CARD[at : at + 2]} for at in range(0, 16, 2)]
    caller.why = Why.MANUAL
    observation = await run(spec([*PAY[:3], *pieces, {"press": "#"}, PAY[4]]), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings
    (call,) = sim.carrier.calls.values()
    assert "".join(key.key for key in call.plan.ours.keys) == f"2{CARD}#"
    kept = read_wav(caller.sink.files["recording"])
    assert not any("42" in digits(channel) for channel in kept.samples)
    assert '"42"' not in caller.sink.files["script"].decode()
    assert "press 42" not in caller.sink.files["transcript"].decode()
    assert "press 42" not in repr(caller.ledger.entries)


async def test_a_healthy_scheduled_call_keeps_no_sound(caller):
    observation = await run(spec(), caller.context())
    assert {evidence.kind for evidence in observation.evidence} == {"script", "transcript"}


async def test_a_refused_payment_is_told_in_the_words_of_the_line(caller, sim):
    sim.faults.turn_on("card-processor-down")
    observation = await run(spec(), caller.context())
    (finding,) = observation.findings
    assert (finding.failure, finding.effect, finding.attribution) == (
        Failure.WRONG_PROMPT,
        Effect.BLOCKED,
        Attribution.TARGET,
    )
    assert finding.message == (
        'expected "Your payment was accepted", heard "We are sorry, your payment could not be taken. Please try again later."'
    )
    assert finding.step == "expect Your payment was accepted"
    assert "recording" in caller.sink.files


async def test_an_apology_that_no_list_names_is_a_wrong_prompt_too(caller, sim):
    sim.faults.turn_on("bank-down")
    observation = await run(spec(BANK, must_not_hear=[]), caller.context())
    (finding,) = observation.findings
    assert finding.failure is Failure.WRONG_PROMPT
    assert "bank payments are not available at the moment" in finding.message
    assert finding.message.endswith("then the line hung up")


@pytest.mark.parametrize(
    ("fault", "parameters", "failure", "effect"),
    [
        ("prompt-missing", {}, Failure.PROMPT_MISSING, Effect.BLOCKED),
        ("dead-air", {}, Failure.DEAD_AIR, Effect.BLOCKED),
        ("one-way", {}, Failure.ONE_WAY, Effect.BLOCKED),
        ("dtmf-ignored", {}, Failure.DTMF_IGNORED, Effect.BLOCKED),
        ("prompt-truncated", {"prompt": "enter_card"}, Failure.PROMPT_TRUNCATED, Effect.NUISANCE),
        ("prompt-truncated", {"prompt": "payment_accepted"}, Failure.PROMPT_TRUNCATED, Effect.BLOCKED),
        ("early-hangup", {}, Failure.EARLY_HANGUP, Effect.BLOCKED),
        ("early-hangup", {"seconds": 12}, Failure.EARLY_HANGUP, Effect.BLOCKED),
        ("slow-prompts", {"seconds": 3}, Failure.SLOW, Effect.NUISANCE),
        ("poor-audio", {}, Failure.POOR_AUDIO, Effect.NUISANCE),
        ("poor-audio", {"level": 1}, Failure.POOR_AUDIO, Effect.NUISANCE),
        ("error-prompt", {}, Failure.WRONG_PROMPT, Effect.BLOCKED),
        ("reworded-prompt", {"prompt": "payment_accepted"}, Failure.WRONG_PROMPT, Effect.BLOCKED),
        ("dtmf-slow", {"seconds": 9}, Failure.SLOW, Effect.BLOCKED),
        ("hold-music", {"before": "enter_card", "seconds": 60}, Failure.HOLD_TOO_LONG, Effect.BLOCKED),
        ("line-busy", {}, Failure.BUSY, Effect.BLOCKED),
        ("line-unanswered", {}, Failure.NO_ANSWER, Effect.BLOCKED),
        ("announced-unobtainable", {}, Failure.UNOBTAINABLE, Effect.BLOCKED),
        ("busy-tone-after-answer", {}, Failure.BUSY, Effect.BLOCKED),
        ("ring-back-after-answer", {}, Failure.NO_ANSWER, Effect.BLOCKED),
        ("ring-back-after-answer", {"seconds": 60}, Failure.NO_ANSWER, Effect.BLOCKED),
        ("fax-answers", {}, Failure.WRONG_PROMPT, Effect.BLOCKED),
        ("number-ported", {}, Failure.WRONG_PROMPT, Effect.BLOCKED),
    ],
)
async def test_each_fault_of_the_contact_centre_is_named(caller, sim, fault, parameters, failure, effect):
    sim.faults.turn_on(fault, parameters)
    observation = await run(spec(), caller.context())
    assert [(f.failure, f.effect, f.attribution) for f in observation.findings] == [
        (failure, effect, Attribution.TARGET)
    ]
    assert observation.outcome is Outcome.FINDING


@pytest.mark.parametrize(
    ("fault", "parameters", "defect"),
    [
        ("noise", {}, "noise"),
        ("hum", {}, "hum"),
        ("clipping", {}, "clipping"),
        ("low-level", {}, "quiet"),
        ("packet-loss", {}, "packet loss"),
        ("packet-loss", {"mode": "repeat"}, "packet loss"),
        ("dropouts", {"every": 1.2, "seconds": 0.3}, "dropouts"),
        ("echo-of-caller", {}, "echo of the caller"),
        ("robotic", {}, "distortion"),
        ("muffled", {}, "distortion"),
    ],
)
async def test_a_payment_over_a_poor_line_is_a_nuisance_that_names_the_defect(caller, sim, fault, parameters, defect):
    sim.faults.turn_on(fault, parameters)
    observation = await run(spec(), caller.context())
    (finding,) = observation.findings
    assert (finding.failure, finding.effect) == (Failure.POOR_AUDIO, Effect.NUISANCE)
    assert defect in finding.message
    assert all(step.ok for step in observation.steps)


async def test_a_fax_is_named(caller, sim):
    sim.faults.turn_on("fax-answers")
    (finding,) = (await run(spec(), caller.context())).findings
    assert "a fax machine answering" in finding.message


@pytest.mark.parametrize(("fault", "parameters"), [("late-answer", {}), ("dtmf-slow", {})])
async def test_what_takes_longer_and_stays_within_limits_is_ok(caller, sim, fault, parameters):
    sim.faults.turn_on(fault, parameters)
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings


async def test_a_prompt_in_other_words_is_a_notice_when_the_payment_goes_through(caller, sim):
    sim.faults.turn_on("reworded-prompt")
    observation = await run(spec(), caller.context())
    assert [(f.failure, f.effect) for f in observation.findings] == [(Failure.PROMPT_CHANGED, Effect.NONE)]
    assert observation.outcome is Outcome.OK


def with_unforeseen(tmp_path):
    """Return a folder with everything that the simulator can say."""
    for folder in (PROMPTS, PROMPTS.with_name("unforeseen")):
        for path in folder.iterdir():
            shutil.copy(path, tmp_path)
    return tmp_path


HOLIDAY = {
    "expect": "Please note that our offices are closed",
    "optional": True,
    "within": {"minor": "3s", "major": "8s"},
}


@pytest.mark.parametrize("holiday", [True, False])
async def test_a_holiday_message_may_be_expected_and_stay_away(caller, sim, tmp_path, holiday):
    if holiday:
        sim.faults.turn_on("holiday-message")
    caller.prompts = with_unforeseen(tmp_path)
    observation = await run(spec([HOLIDAY, *PAY]), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings


async def test_callers_in_the_queue_of_another_team_are_misrouted(caller, sim, tmp_path):
    sim.faults.turn_on("wrong-queue")
    caller.prompts = with_unforeseen(tmp_path)
    steps = [*MORTGAGES[:2], {**MORTGAGES[2], "misroute": {"sales": ["You are through to the sales team"]}}]
    (finding,) = (await run(spec(steps), caller.context())).findings
    assert (finding.failure, finding.effect) == (Failure.MISROUTED, Effect.DIVERTED)
    assert "put through to sales" in finding.message


async def test_a_line_so_slow_that_our_keys_overtake_it_is_a_nuisance_if_the_payment_goes_through(caller, sim):
    sim.faults.turn_on("slow-prompts", {"seconds": 5})
    observation = await run(spec(), caller.context())
    assert Failure.SLOW in {finding.failure for finding in observation.findings}
    assert {finding.effect for finding in observation.findings} == {Effect.NUISANCE}
    assert observation.steps[-1].ok


async def test_callers_put_through_to_the_wrong_team_are_misrouted(caller, sim):
    assert (await run(spec(MORTGAGES), caller.context())).outcome is Outcome.OK
    sim.faults.turn_on("misroute")
    (finding,) = (await run(spec(MORTGAGES), caller.context())).findings
    assert (finding.failure, finding.effect) == (Failure.MISROUTED, Effect.DIVERTED)
    assert "lost and stolen cards" in finding.message


@pytest.mark.parametrize(
    ("to", "failure"),
    [("+12025550101", Failure.BUSY), ("+12025550102", Failure.NO_ANSWER), ("+12025550103", Failure.NEVER_CONNECTED)],
)
async def test_a_line_that_is_not_answered_is_named_and_costs_nothing(caller, to, failure):
    caller.allowed = frozenset({to})
    observation = await run(spec(to=to), caller.context())
    assert [(f.failure, f.attribution) for f in observation.findings] == [(failure, Attribution.TARGET)]
    assert caller.ledger.settled.amount == 0


@pytest.mark.parametrize(
    ("fault", "parameters", "failure"),
    [
        ("twilio-down", {}, Failure.CARRIER_API_FAILED),
        ("twilio-500", {}, Failure.CARRIER_API_FAILED),
        ("twilio-429", {}, Failure.CARRIER_API_FAILED),
        ("twilio-html", {}, Failure.CARRIER_API_FAILED),
        ("twilio-auth", {}, Failure.ACCOUNT_REFUSED),
        ("account-suspended", {}, Failure.ACCOUNT_REFUSED),
        ("recording-absent", {}, Failure.RECORDING_MISSING),
        ("recording-never", {}, Failure.RECORDING_MISSING),
        ("recording-truncated", {}, Failure.RECORDING_UNREADABLE),
    ],
)
async def test_what_the_carrier_breaks_is_never_the_customers_outage(caller, sim, http, fault, parameters, failure):
    sim.faults.turn_on(fault, parameters)
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [failure]
    assert observation.outcome is Outcome.UNKNOWN
    assert TOKEN not in repr(observation)
    assert "settle" in caller.ledger.kinds
    assert len(await calls(sim, http)) <= 1


@pytest.mark.parametrize("steps", [{}, {"ring_timeout": "5s", "length_limit": "60s"}])
async def test_a_call_that_stays_in_the_carriers_queue_is_cancelled_in_the_runs_own_time(
    caller, sim, http, clock, steps
):
    sim.faults.turn_on("calls-queued", {"seconds": 600})
    planned, began = spec(**steps), clock.monotonic()
    observation = await run(planned, caller.context())
    assert clock.monotonic() - began <= KIND.budget(planned)
    assert observation.outcome is Outcome.UNKNOWN
    assert "still queued after" in observation.findings[0].message
    await clock.sleep(700)
    assert [call["status"] for call in await calls(sim, http)] == ["canceled"]


async def test_a_call_recorded_in_part_is_kept_without_its_keys(caller, sim):
    sim.faults.turn_on("recording-truncated", {"share": 0.8})
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.RECORDING_UNREADABLE]
    kept = read_wav(caller.sink.files["recording"])
    assert [digits(channel) for channel in kept.samples] == ["", ""]
    assert kept.duration > 20


async def test_a_short_wait_in_the_carriers_queue_changes_no_verdict(caller, sim):
    sim.faults.turn_on("calls-queued", {"seconds": 12})
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings
    assert observation.measures["answer"] < 6


@pytest.mark.parametrize("fault", ["recording-late", "channels-swapped"])
async def test_what_the_carrier_may_do_changes_no_verdict(caller, sim, fault):
    sim.faults.turn_on(fault)
    assert (await run(spec(), caller.context())).outcome is Outcome.OK


@pytest.mark.parametrize("answer", ["500", "never", "closed"])
async def test_a_create_whose_answer_is_lost_dials_once_and_is_adopted(caller, sim, http, answer, monkeypatch):
    monkeypatch.setattr(carrier_module, "REQUEST_TIMEOUT", 0.5)
    caller.carrier = carrier_module.Carrier(caller.carrier.spec, http, caller.clock)
    sim.faults.turn_on("create-lost", {"answer": answer})
    observation = await run(spec(), caller.context())
    (call,) = await calls(sim, http)
    assert observation.outcome is Outcome.OK, observation.findings
    assert observation.facts["call_sid"] == call["sid"]
    assert caller.ledger.entries[2] == ("dialled", call["sid"])


async def test_two_calls_that_fit_a_lost_create_are_both_left_alone(caller, sim, http):
    await http.post(
        f"{sim.url}/2010-04-01/Accounts/{SID}/Calls.json",
        data={"To": TO, "From": FROM, "Twiml": "<Response><Pause length='60'/></Response>"},
        auth=(SID, TOKEN),
    )
    sim.faults.turn_on("create-lost")
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    assert "2 calls fit" in observation.findings[0].message
    assert caller.ledger.kinds == ["reserve", "intent", "settle"]
    assert len(await calls(sim, http)) == 2


async def test_a_refused_number_is_not_dialled(caller, sim, http):
    caller.allowed = frozenset({"+12025550111"})
    observation = await run(spec(), caller.context())
    assert [(f.failure, f.attribution) for f in observation.findings] == [
        (Failure.NOT_ALLOWED_TO_DIAL, Attribution.MONITOR)
    ]
    assert observation.outcome is Outcome.UNKNOWN
    assert caller.ledger.entries == []
    assert await calls(sim, http) == []


async def test_over_budget_the_run_is_skipped_and_nothing_is_dialled(caller, sim, http):
    caller.ledger.refuses = True
    observation = await run(spec(), caller.context())
    assert (observation.outcome, observation.skipped) == (Outcome.SKIPPED, "over_budget")
    assert caller.ledger.entries == []
    assert await calls(sim, http) == []


async def test_a_prompt_library_that_cannot_be_read_costs_no_call(caller, sim, http, tmp_path):
    (tmp_path / "welcome.wav").write_bytes(b"RIFF")
    caller.prompts = tmp_path
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.MONITOR_ERROR]
    assert await calls(sim, http) == []


def prompts(folder, *, without=(), only=()):
    """Return `folder`, filled with the simulator's prompts but for those `without` which it is to be, or with `only` some."""
    for file in PROMPTS.iterdir():
        if file.stem not in without and (not only or file.stem in only):
            (folder / file.name).symlink_to(file)
    return folder


async def test_without_references_nobody_can_tell_whether_the_words_were_right(caller, sim, tmp_path):
    sim.faults.turn_on("card-processor-down")
    caller.prompts = prompts(tmp_path, only=("welcome", "enter_card"))
    observation = await run(spec(), caller.context())
    (finding,) = observation.findings
    assert (finding.failure, finding.effect, finding.attribution) == (
        Failure.WORDS_NOT_CHECKED,
        Effect.NONE,
        Attribution.MONITOR,
    )
    assert '"Your payment was accepted"; add NAME.wav' in finding.message
    assert "Welcome" not in finding.message
    assert observation.outcome is Outcome.UNKNOWN
    assert "words not checked" in observation.steps[-1].note
    impairments = Impairments(lambda *_: None)
    impairments.observed(observation)
    assert impairments.current() == ["reference_recordings"]
    assert unchecked_texts(spec(), caller.prompts) == ["Your payment was accepted"]


async def test_what_was_found_goes_before_what_could_not_be_told(caller, sim, tmp_path):
    sim.faults.turn_on("poor-audio")
    caller.prompts = prompts(tmp_path, without=("payment_accepted",))
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.POOR_AUDIO]
    assert observation.outcome is Outcome.FINDING


async def test_an_alternative_without_a_reference_may_have_been_what_was_said(caller, tmp_path):
    caller.prompts = prompts(tmp_path, without=("payment_accepted",))
    steps = [*PAY[:4], {"expect": ["Your bank payment was accepted", "Your payment was accepted"]}]
    observation = await run(spec(steps), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.WORDS_NOT_CHECKED]
    assert "bank" not in observation.findings[0].message


async def test_who_only_listens_needs_no_reference(caller):
    caller.prompts = None
    steps = [{"listen": "8s"}, {"press": "2"}, {"listen": "8s"}]
    observation = await run(spec(steps), caller.context())
    assert observation.outcome is Outcome.OK, observation.findings


async def test_a_full_disk_loses_the_evidence_and_not_the_finding(caller, sim):
    sim.faults.turn_on("card-processor-down")
    caller.sink = FullDisk()
    observation = await run(spec(), caller.context())
    assert [finding.failure for finding in observation.findings] == [Failure.WRONG_PROMPT]
    assert observation.outcome is Outcome.FINDING
    assert (observation.evidence, observation.facts["evidence_lost"]) == ((), 3)


async def test_effects_may_be_overridden(caller, sim):
    sim.faults.turn_on("card-processor-down")
    steps = [*PAY[:4], {**PAY[4], "effect": "nuisance"}]
    (finding,) = (await run(spec(steps), caller.context())).findings
    assert finding.effect is Effect.NUISANCE


async def dialled(sim, http):
    """Place a call as an earlier process would have, and return its SID."""
    from earwitness.telephony.twiml import compile_plan  # noqa: PLC0415

    twiml = compile_plan(spec()).twiml
    data = {
        "To": TO,
        "From": FROM,
        "Twiml": twiml,
        "Record": "true",
        "RecordingChannels": "dual",
        "Trim": "do-not-trim",
    }
    answer = await http.post(f"{sim.url}/2010-04-01/Accounts/{SID}/Calls.json", data=data, auth=(SID, TOKEN))
    return answer.json()["sid"]


@pytest.mark.parametrize("knows_sid", [True, False])
async def test_a_call_left_in_flight_is_taken_up_and_not_dialled_again(caller, sim, http, clock, knows_sid):
    sid, intended_at = await dialled(sim, http), clock.now()
    await clock.sleep(5)
    interrupted = InterruptedCall(TO, FROM, intended_at, sid if knows_sid else None)
    caller.prompts = None  # the script above was compiled without references
    observation = await resume(spec(), caller.context(), interrupted)
    assert [finding.failure for finding in observation.findings] == [Failure.WORDS_NOT_CHECKED]
    assert all(step.ok for step in observation.steps)
    assert observation.facts["call_sid"] == sid
    assert caller.ledger.kinds == (["settle"] if knows_sid else ["dialled", "settle"])
    assert len(await calls(sim, http)) == 1


def script_of(steps=PAY):
    from earwitness.telephony.twiml import compile_plan  # noqa: PLC0415

    made = spec(steps)
    return json.dumps({"steps": [step.title for step in made.steps], "waits": compile_plan(made).waits})


async def test_a_call_left_in_flight_is_judged_by_the_waits_that_it_went_by(caller, sim, http, clock):
    """Since then, references have come, or other calls have measured other pauses."""
    sid, intended_at = await dialled(sim, http), clock.now()
    await clock.sleep(5)
    observation = await resume(spec(), caller.context(), InterruptedCall(TO, FROM, intended_at, sid, script_of()))
    assert (observation.outcome, observation.findings) == (Outcome.OK, ())
    assert [step.ok for step in observation.steps] == [True] * 5


async def test_a_call_whose_steps_were_edited_while_it_was_in_flight_is_hung_up_and_judged_by_nobody(
    caller, sim, http, clock
):
    sid, intended_at = await dialled(sim, http), clock.now()
    await clock.sleep(5)
    edited = [PAY[0], {"press": "3"}, *PAY[2:]]
    interrupted = InterruptedCall(TO, FROM, intended_at, sid, script_of())
    (finding,) = (await resume(spec(edited), caller.context(), interrupted)).findings
    assert (finding.failure, finding.attribution) == (Failure.INTERRUPTED, Attribution.MONITOR)
    assert "its steps were edited" in finding.message
    assert sim.carrier.calls[sid].plan.ended_by == "caller" or sim.carrier.calls[sid].plan.status(1e9) == "canceled"
    assert caller.ledger.kinds == ["settle"]


async def test_a_call_that_the_carrier_does_not_know_is_unknown(caller, sim, http, clock):
    interrupted = InterruptedCall(TO, FROM, clock.now(), None)
    observation = await resume(spec(), caller.context(), interrupted)
    assert [finding.failure for finding in observation.findings] == [Failure.INTERRUPTED]
    assert observation.outcome is Outcome.UNKNOWN
    assert await calls(sim, http) == []


async def test_a_carrier_that_fails_during_resume_is_unknown(caller, sim, clock):
    sim.faults.turn_on("twilio-500")
    observation = await resume(spec(), caller.context(), InterruptedCall(TO, FROM, clock.now(), None))
    assert observation.outcome is Outcome.UNKNOWN
