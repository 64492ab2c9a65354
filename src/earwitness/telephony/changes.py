"""Prompts that no reference recording holds: said in other words now, or never recorded. Each is proposed as a new baseline.

Other words on a call that reaches its goal are a notice, not an incident, once two calls in a row heard the same; words that differ
from call to call are a wrong prompt that does no great harm.
"""

from collections.abc import Mapping
from dataclasses import replace

from rapidfuzz.fuzz import token_set_ratio

from earwitness.audio.script import CallReport, Result, StepReport
from earwitness.audio.words import WILDCARD, normalise
from earwitness.audio.workers import in_worker
from earwitness.model import Effect, Failure, Finding
from earwitness.telephony.baselines import Baselines, Proposal, proposal_key
from earwitness.telephony.hearing import same_sound


async def compared(
    findings: list[Finding], report: CallReport, cuts: Mapping[int, bytes], baselines: Baselines, probe: str, now: float
) -> list[Finding]:
    """Return `findings` with those of changed prompts held against what the call before heard. What was heard is proposed anew.

    Raises OSError where the disk refuses to keep a prompt.
    """
    told = {finding: finding for finding in findings}
    for place, wav in cuts.items():
        step = report.steps[place]
        known, proposal = await _proposed(step, wav, baselines, probe, now)
        finding = next((f for f in told if f.failure is Failure.PROMPT_CHANGED and f.at == step.at), None)
        if finding is not None:
            told[finding] = _judged(finding, proposal, known=known)
    return list(told.values())


async def _proposed(
    step: StepReport, wav: bytes, baselines: Baselines, probe: str, now: float
) -> tuple[bool, Proposal]:
    """Return whether an earlier call proposed something for this step, and what is proposed now."""
    key = proposal_key(probe, step.step.title)
    before = baselines.proposal(key)
    same = before is not None and await in_worker(same_sound, before[1], wav)
    calls = before[0].calls + 1 if before and same else 1
    proposal = Proposal(key, probe, step.step.title, _text(step), step.words, now, calls)
    baselines.propose(proposal, before[1] if before and same else wav)
    return before is not None, proposal


def _text(step: StepReport) -> str:
    """Return which of the texts that the step expects the new sound stands for; where that one is open, what was heard."""
    if not step.words:
        return step.step.expect[0]
    said = normalise(step.words)
    nearest = max(step.step.expect, key=lambda text: token_set_ratio(normalise(text), said))
    return step.words if WILDCARD in nearest else nearest


def _judged(finding: Finding, proposal: Proposal, *, known: bool) -> Finding:
    if known and not proposal.stable:
        message = f"{finding.message}; it differs from what the call before heard"
        return replace(finding, failure=Failure.WRONG_PROMPT, effect=Effect.NUISANCE, message=message)
    if proposal.stable:
        command = f"earwitness baseline accept --probe {proposal.probe}"
        return replace(
            finding,
            message=f"{finding.message}; heard the same in {proposal.calls} calls; if it is meant, run: {command}",
        )
    return replace(finding, message=f"{finding.message}; the next call will tell whether it stays so")


def settled(report: CallReport, baselines: Baselines, probe: str) -> None:
    """Forget proposals for prompts that are said as they were recorded."""
    for step in report.steps:
        known = step.result is Result.OK and step.step.hears and not step.unchecked
        if known and (proposed := baselines.proposal(proposal_key(probe, step.step.title))):
            baselines.discard(proposed[0])
