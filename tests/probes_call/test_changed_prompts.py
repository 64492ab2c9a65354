"""Prompts in other words: a notice with a new baseline where the call reaches its goal, a fault where it does not."""

import json

import pytest
from calling import PAY, PROMPTS, spec

from earwitness.audio.script import CallReport, PlannedStep, Result, StepReport
from earwitness.model import Effect, Failure, Outcome, Why
from earwitness.probes.call import run
from earwitness.telephony.baselines import Baselines, Proposal, UnknownWordsError
from earwitness.telephony.changes import compared


@pytest.fixture
def learner(caller, tmp_path):
    """A caller whose reference of the welcome is another prompt's sound, as after the contact centre recorded it anew."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for file in PROMPTS.iterdir():
        if file.stem not in {"welcome", "opening_hours"}:
            (prompts / file.name).symlink_to(file)
    (prompts / "welcome.wav").symlink_to(PROMPTS / "opening_hours.wav")
    (prompts / "welcome.txt").symlink_to(PROMPTS / "welcome.txt")
    caller.prompts, caller.baselines = prompts, Baselines(tmp_path / "baselines")
    make = caller.context

    def context():
        ctx = make()
        ctx.baselines = caller.baselines
        return ctx

    caller.context = context
    return caller


async def test_other_words_are_a_notice_then_a_stable_one_then_the_baseline(learner):
    first, second = [await run(spec(), learner.context()) for _ in range(2)]
    for seen in (first, second):
        (finding,) = seen.findings
        assert (finding.failure, finding.effect, seen.outcome) == (Failure.PROMPT_CHANGED, Effect.NONE, Outcome.OK)
    assert "the next call will tell" in first.findings[0].message
    assert "heard the same in 2 calls" in second.findings[0].message
    assert "earwitness baseline accept --probe pay-by-phone" in second.findings[0].message
    assert "recording" in learner.sink.files

    (proposal,) = learner.baselines.proposals()
    assert (proposal.stable, proposal.text) == (True, "Welcome to Acme")
    learner.baselines.accept(proposal)
    third = await run(spec(), learner.context())
    assert (third.findings, third.outcome) == ((), Outcome.OK)
    assert learner.baselines.proposals() == []


async def test_words_that_differ_from_call_to_call_are_a_wrong_prompt_of_little_harm(learner):
    await run(spec(), learner.context())
    (proposal,) = learner.baselines.proposals()
    learner.baselines.propose(proposal, (PROMPTS / "goodbye.wav").read_bytes())  # as if the call before had heard this
    (finding,) = (await run(spec(), learner.context())).findings
    assert (finding.failure, finding.effect) == (Failure.WRONG_PROMPT, Effect.NUISANCE)
    assert "differs from what the call before heard" in finding.message


async def test_other_words_on_a_call_that_fails_are_no_notice(learner, sim):
    sim.faults.turn_on("card-processor-down")
    seen = await run(spec(), learner.context())
    assert seen.outcome is Outcome.FINDING
    assert Failure.PROMPT_CHANGED not in {finding.failure for finding in seen.findings}


async def test_what_good_calls_measured_plans_the_next_and_a_confirmation_is_more_patient(learner, sim):
    learner.prompts = PROMPTS
    for why in (Why.SCHEDULED, Why.SCHEDULED, Why.CONFIRM):
        learner.why = why
        seen = await run(spec(PAY), learner.context())
        assert seen.outcome is Outcome.OK, seen.findings
    guessed, measured, patient = [call.plan.ours.keys[0].at for call in sim.carrier.calls.values()]
    assert measured < guessed == patient


async def test_a_call_that_fails_teaches_nothing(learner, sim):
    learner.prompts = PROMPTS
    sim.faults.turn_on("slow-prompts", {"seconds": 3})
    await run(spec(PAY), learner.context())
    assert learner.baselines.timings("pay-by-phone", [step.title for step in spec(PAY).steps]) == {}


def test_timings_that_cannot_be_read_count_as_none(tmp_path):
    baselines = Baselines(tmp_path)
    (tmp_path / "timings").mkdir()
    for content in (
        "{",
        "[]",
        '{"calls": 3}',
        json.dumps({"calls": [{"steps": ["a"], "timings": {"0": {"delay": "x"}}}]}),
    ):
        (tmp_path / "timings" / "probe.json").write_text(content)
        assert baselines.timings("probe", ["a"]) == {}


WORDING = {
    ("Welcome to Acme", "Hello from Acme"): ("hello and thanks for calling acme", "Hello from Acme"),
    ("Your balance is * dollars", "Your line is busy"): (
        "your balance is now two dollars",
        "your balance is now two dollars",
    ),
    ("Your balance is * dollars",): ("", "Your balance is * dollars"),
}


@pytest.mark.parametrize(("texts", "heard"), WORDING.items())
async def test_a_new_sound_is_proposed_for_the_alternative_that_it_is_nearest_to(tmp_path, texts, heard):
    words, text = heard
    step = StepReport(PlannedStep("expect it", "expect", expect=texts), Result.CHANGED, at=1.0, words=words)
    report = CallReport((step,), None, 10.0, 0, None)
    baselines = Baselines(tmp_path)
    await compared([], report, {0: (PROMPTS / "welcome.wav").read_bytes()}, baselines, "phone", 5.0)
    assert [proposal.text for proposal in baselines.proposals()] == [text]


async def test_a_sound_of_an_open_text_whose_words_nobody_heard_is_not_accepted(tmp_path):
    baselines = Baselines(tmp_path)
    proposal = Proposal("phone-1", "phone", "expect it", "Your balance is * dollars", "", 5.0)
    baselines.propose(proposal, (PROMPTS / "balance.wav").read_bytes())
    with pytest.raises(UnknownWordsError, match=r"write its words to NAME\.txt"):
        baselines.accept(proposal)
    assert baselines.proposals() == [proposal]
    assert not baselines.accepted.exists()
