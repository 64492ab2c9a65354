"""A prompt that is said in other words, while the call reaches its goal: a notice with a new baseline, not an incident.

It is believed when two calls in a row hear the same; words that differ from call to call are a wrong prompt that does no great harm.
"""

from collections.abc import Mapping
from dataclasses import replace

from earwitness.audio.script import CallReport, Result, StepReport
from earwitness.audio.workers import in_worker
from earwitness.model import Effect, Failure, Finding
from earwitness.telephony.baselines import Baselines, Proposal, proposal_key
from earwitness.telephony.hearing import same_sound


async def compared(
    findings: list[Finding], report: CallReport, cuts: Mapping[int, bytes], baselines: Baselines, probe: str, now: float
) -> list[Finding]:
    """Return `findings` with those of changed prompts held against what the call before heard, which is then replaced.

    Raises OSError where the disk refuses to keep the new prompt.
    """
    told = dict.fromkeys(findings)
    for place, wav in cuts.items():
        finding = next(
            (f for f in told if f.failure is Failure.PROMPT_CHANGED and f.at == report.steps[place].at), None
        )
        if finding is not None:
            told[finding] = await _compared(finding, report.steps[place], wav, baselines, probe, now)
    return [changed or finding for finding, changed in told.items()]


async def _compared(
    finding: Finding, step: StepReport, wav: bytes, baselines: Baselines, probe: str, now: float
) -> Finding:
    key = proposal_key(probe, step.step.title)
    before = baselines.proposal(key)
    same = before is not None and await in_worker(same_sound, before[1], wav)
    calls = before[0].calls + 1 if before and same else 1
    proposal = Proposal(key, probe, step.step.title, step.step.expect[0], step.words, now, calls)
    baselines.propose(proposal, before[1] if before and same else wav)
    if before is not None and not same:
        message = f"{finding.message}; it differs from what the call before heard"
        return replace(finding, failure=Failure.WRONG_PROMPT, effect=Effect.NUISANCE, message=message)
    if proposal.stable:
        advice = f"heard the same in {calls} calls; if it is meant, run: earwitness baseline accept --probe {probe}"
    else:
        advice = "the next call will tell whether it stays so"
    return replace(finding, message=f"{finding.message}; {advice}")


def settled(report: CallReport, baselines: Baselines, probe: str) -> None:
    """Forget proposals for prompts that are said in the old words again."""
    for step in report.steps:
        if (
            step.result is Result.OK
            and step.step.hears
            and (known := baselines.proposal(proposal_key(probe, step.step.title)))
        ):
            baselines.discard(known[0])
