"""Prompts in other words: a notice with a new baseline where the call reaches its goal, a fault where it does not."""

import itertools
import json
import shlex
from dataclasses import replace

import pytest
from calling import PAY, PROMPTS, spec
from structlog.testing import capture_logs
from typer.testing import CliRunner

from earwitness.audio.prompts import PromptLibrary, load_prompts
from earwitness.audio.script import CallReport, HeardPrompt, PlannedStep, Result, StepReport
from earwitness.cli.commands import app
from earwitness.model import Effect, Failure, Outcome, Why
from earwitness.probes.call import run
from earwitness.telephony.baselines import Baselines, Proposal, UnknownWordsError
from earwitness.telephony.changes import Lesson, compared, settled
from earwitness.telephony.twiml import Timing, compile_plan


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
    make, numbers = caller.context, itertools.count(1)

    def context():
        ctx = make()
        ctx.baselines = caller.baselines
        ctx.run = replace(ctx.run, id=f"run-{next(numbers)}")
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
    assert "recording" in learner.sink.files

    (proposal,) = learner.baselines.proposals()
    assert (proposal.stable, proposal.text) == (True, "Welcome to Acme")
    command = shlex.split(second.findings[0].message.partition("if it is meant, run: ")[2])
    assert command[:3] == ["earwitness", "baseline", "accept"]
    accepted = CliRunner().invoke(app, command[1:])
    assert accepted.exit_code == 0, accepted.output
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


def of_just_4000_characters():
    """Return steps whose script is as long as the carrier takes it."""
    steps = [*PAY, *[{"pause": "1s"}, {"say": "a" * 400}] * 8, {"say": "a"}, {"listen": "1s"}]
    room = 4000 - len(compile_plan(spec(steps, length_limit="15m"), load_prompts(PROMPTS).length).twiml)
    return [*steps[:-2], {"say": "a" * (room + 1)}, steps[-1]]


@pytest.mark.parametrize("too", ["long to last", "long to send"])
async def test_what_was_measured_never_keeps_a_call_from_being_made(learner, too):
    long = too == "long to last"
    call = spec(PAY, length_limit="60s") if long else spec(of_just_4000_characters(), length_limit="15m")
    learner.prompts, titles = PROMPTS, [step.title for step in call.steps]
    learner.baselines.remember("pay-by-phone", titles, {place: Timing(30.0, 30.0) for place in (0, 2, 4)})
    with capture_logs() as logs:
        seen = await run(call, learner.context())
    assert seen.facts["call_status"] == "completed", seen.findings
    (told,) = [line for line in logs if line["event"] == "measured_pauses_not_used"]
    assert ("of 60s" if long else "4000") in told["why"]


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


def lesson(baselines, run_id="run-1"):
    return Lesson(baselines, "phone", run_id, PromptLibrary(), 5.0)


def sound(name):
    return (PROMPTS / f"{name}.wav").read_bytes()


def reported(*texts_of_steps, **more):
    """A report of steps that each expect such texts and heard them in other words."""
    steps = [
        StepReport(PlannedStep(f"expect {n}", "expect", expect=texts), Result.CHANGED, at=1.0 + n, **more)
        for n, texts in enumerate(texts_of_steps)
    ]
    return CallReport(tuple(steps), None, 10.0, 0, None)


async def test_the_same_words_twice_in_one_call_are_one_call(tmp_path):
    baselines = Baselines(tmp_path)
    report = reported(("The menu",), ("The menu",))
    for run_id, calls in (("run-1", [1, 1]), ("run-1", [1, 1]), ("run-2", [2, 2])):
        await compared([], report, {0: sound("welcome"), 1: sound("welcome")}, lesson(baselines, run_id))
        assert [proposal.calls for proposal in baselines.proposals()] == calls


async def test_an_alternative_that_is_accepted_leaves_the_other_as_it_was(tmp_path):
    baselines = Baselines(tmp_path)
    for run_id, words, name in (("run-1", "open now", "welcome"), ("run-2", "closed now", "goodbye")):
        report = reported(("Open now", "Closed now"), words=words)
        await compared([], report, {0: sound(name)}, lesson(baselines, run_id))
        (proposal,) = baselines.proposals()
        baselines.accept(proposal)
    assert {prompt.text for prompt in load_prompts(baselines.accepted).prompts} == {"Open now", "Closed now"}


async def test_alternatives_whose_words_nobody_heard_are_proposed_side_by_side(tmp_path):
    baselines = Baselines(tmp_path)
    texts = ("Open now", "Closed now")
    for run_id, name in (("1", "welcome"), ("2", "goodbye"), ("3", "welcome"), ("4", "goodbye")):
        await compared([], reported(texts, unchecked=texts), {0: sound(name)}, lesson(baselines, run_id))
    assert {(proposal.text, proposal.calls) for proposal in baselines.proposals()} == {(text, 2) for text in texts}


async def test_a_prompt_said_as_recorded_forgets_only_what_was_proposed_for_it(tmp_path):
    baselines = Baselines(tmp_path)
    texts = ("Open now", "Closed now")
    for run_id, name in (("1", "welcome"), ("2", "goodbye")):
        await compared([], reported(texts, unchecked=texts), {0: sound(name)}, lesson(baselines, run_id))
    step = PlannedStep("expect 0", "expect", expect=texts)
    heard = HeardPrompt("open", "Open now", 1.0, 2.0, 1.0, 1.0, whole=True)
    settled(CallReport((StepReport(step, Result.OK, heard=(heard,)),), None, 10.0, 0, None), baselines, "phone")
    assert [proposal.text for proposal in baselines.proposals()] == ["Closed now"]


async def accepted_anew(learner):
    for _ in range(2):
        (finding,) = (await run(spec(), learner.context())).findings
        assert finding.failure is Failure.PROMPT_CHANGED
    (proposal,) = learner.baselines.proposals()
    return proposal


async def test_an_accepted_prompt_retires_what_it_replaces_so_the_old_wording_is_a_change_again(learner, sim):
    learner.prompts, baselines = PROMPTS, learner.baselines
    sim.faults.turn_on("reworded-prompt", {"prompt": "welcome"})
    baselines.accept(await accepted_anew(learner))
    assert (await run(spec(), learner.context())).findings == ()
    (known,) = baselines.accepted_prompts()
    assert (known.probe, known.text, [mark.split()[0] for mark in known.supersedes]) == (
        "pay-by-phone",
        "Welcome to Acme",
        ["welcome"],
    )
    assert baselines.superseded("another-probe") == frozenset()

    sim.faults.turn_off("reworded-prompt")
    baselines.accept(await accepted_anew(learner))  # the old words come back, and are accepted once more
    assert (await run(spec(), learner.context())).findings == ()
    assert len(baselines.accepted_prompts()) == 1
    sim.faults.turn_on("reworded-prompt", {"prompt": "welcome"})
    (finding,) = (await run(spec(), learner.context())).findings
    assert finding.failure is Failure.PROMPT_CHANGED
    assert (PROMPTS / "welcome.wav").exists()


async def test_the_commands_list_and_remove_what_was_accepted(learner, sim, tmp_path):
    learner.prompts = PROMPTS
    sim.faults.turn_on("reworded-prompt", {"prompt": "welcome"})
    learner.baselines.accept(await accepted_anew(learner))
    (name,) = [known.name for known in learner.baselines.accepted_prompts()]
    cli, folder = CliRunner(), ["--data-dir", str(tmp_path)]
    (listed,) = json.loads(cli.invoke(app, ["baseline", "list", "--json", *folder]).stdout)
    assert (listed["state"], listed["name"], listed["probe"]) == ("accepted", name, "pay-by-phone")
    assert name in cli.invoke(app, ["baseline", "list", *folder]).stdout
    assert cli.invoke(app, ["baseline", "remove", "nobody", *folder]).exit_code == 1
    assert cli.invoke(app, ["baseline", "remove", name, *folder]).exit_code == 0
    assert list(learner.baselines.accepted.iterdir()) == []
    (finding,) = (await run(spec(), learner.context())).findings
    assert finding.failure is Failure.PROMPT_CHANGED


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
    await compared([], report, {0: (PROMPTS / "welcome.wav").read_bytes()}, lesson(baselines))
    assert [proposal.text for proposal in baselines.proposals()] == [text]


async def test_a_sound_of_an_open_text_whose_words_nobody_heard_is_not_accepted(tmp_path):
    baselines = Baselines(tmp_path)
    proposal = Proposal("phone-1", "phone", "expect it", "Your balance is * dollars", "", 5.0)
    baselines.propose(proposal, (PROMPTS / "balance.wav").read_bytes())
    with pytest.raises(UnknownWordsError, match=r"write its words to NAME\.txt"):
        baselines.accept(proposal)
    assert baselines.proposals() == [proposal]
    assert not baselines.accepted.exists()
