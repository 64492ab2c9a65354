"""Prompts that no reference recording holds: said in other words now, or never recorded. Each is proposed as a new baseline.

Other words on a call that reaches its goal are a notice, not an incident, once two calls in a row heard the same; words that differ
from call to call are a wrong prompt that does no great harm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rapidfuzz.fuzz import token_set_ratio

from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.script import CallReport, Result, StepReport
from earwitness.audio.words import WILDCARD, having_words, normalise
from earwitness.audio.workers import in_worker
from earwitness.model import Effect, Failure, Finding
from earwitness.telephony.baselines import Baselines, Proposal, proposal_key
from earwitness.telephony.hearing import same_sound


@dataclass(frozen=True, slots=True)
class Lesson:
    """Of which call it is learnt: the probe's baselines, its name and the run's, the references of the call, and the time (epoch seconds)."""

    baselines: Baselines
    probe: str
    run: str
    library: PromptLibrary
    now: float


async def compared(
    findings: list[Finding], report: CallReport, cuts: Mapping[int, bytes], lesson: Lesson
) -> list[Finding]:
    """Return `findings` with those of changed prompts held against what the call before heard. What was heard is proposed anew.

    Raises OSError where the disk refuses to keep a prompt.
    """
    told = {finding: finding for finding in findings}
    for place, wav in cuts.items():
        step = report.steps[place]
        known, proposal = await _proposed(place, step, wav, lesson)
        finding = next((f for f in told if f.failure is Failure.PROMPT_CHANGED and f.at == step.at), None)
        if finding is not None:
            told[finding] = _judged(finding, proposal, lesson.baselines, known=known)
    return list(told.values())


async def _proposed(place: int, step: StepReport, wav: bytes, lesson: Lesson) -> tuple[bool, Proposal]:
    """Return whether an earlier call proposed something for this step, and what is proposed now."""
    text = await _text(place, step, wav, lesson)
    key = proposal_key(lesson.probe, place, text)
    before = lesson.baselines.proposal(key)
    same = before is not None and await in_worker(same_sound, before[1], wav)
    calls = before[0].calls + (before[0].run != lesson.run) if before and same else 1
    told = step.words if step.words and WILDCARD in text else text
    proposal = Proposal(
        key,
        lesson.probe,
        step.step.title,
        told,
        step.words,
        lesson.now,
        calls,
        lesson.run,
        _superseded(step, text, lesson),
    )
    lesson.baselines.propose(proposal, before[1] if before and same else wav)
    return before is not None and before[0].run != lesson.run, proposal


def _superseded(step: StepReport, text: str, lesson: Lesson) -> tuple[str, ...]:
    """Return the marks of the recordings that the new sound takes the place of, if it is known which of the texts it says."""
    sure = len(step.step.expect) == 1 or bool(step.words)
    return lesson.library.marks(text) if sure else ()


async def _text(place: int, step: StepReport, wav: bytes, lesson: Lesson) -> str:
    """Return which of the texts that the step expects the new sound stands for.

    Where nobody heard its words, it is one that has no recording: the one that sounded like this before, else the first.
    """
    if step.words:
        said = normalise(step.words)
        return max(step.step.expect, key=lambda text: token_set_ratio(normalise(text), said))
    open_texts = [text for text in step.step.expect if text in step.unchecked] or [step.step.expect[0]]
    for text in open_texts:
        known = lesson.baselines.proposal(proposal_key(lesson.probe, place, text))
        if known is None or await in_worker(same_sound, known[1], wav):
            return text
    return open_texts[0]


def _judged(finding: Finding, proposal: Proposal, baselines: Baselines, *, known: bool) -> Finding:
    if known and not proposal.stable:
        message = f"{finding.message}; it differs from what the call before heard"
        return replace(finding, failure=Failure.WRONG_PROMPT, effect=Effect.NUISANCE, message=message)
    if proposal.stable:
        said = f"heard the same in {proposal.calls} calls; if it is meant, run: {baselines.accepting(proposal.probe)}"
        return replace(finding, message=f"{finding.message}; {said}")
    return replace(finding, message=f"{finding.message}; the next call will tell whether it stays so")


def settled(report: CallReport, baselines: Baselines, probe: str) -> None:
    """Forget proposals for prompts that are said as they were recorded."""
    for place, step in enumerate(report.steps):
        if step.result is not Result.OK or not step.step.hears or step.unchecked:
            continue
        for text in _said(step):
            if proposed := baselines.proposal(proposal_key(probe, place, text)):
                baselines.discard(proposed[0])


def _said(step: StepReport) -> Sequence[str]:
    """Return which of the texts that the step expects were recognised."""
    heard = [normalise(prompt.text) for prompt in step.heard]
    return [t for t in step.step.expect if len(step.step.expect) == 1 or having_words(t, heard, str)]
