"""What was heard on a call, said as findings, steps, measures and a transcript."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from earwitness.audio.quality import Quality
from earwitness.audio.script import CallReport, PlannedStep, Result, StepReport
from earwitness.audio.silencing import Silenced
from earwitness.model import Attribution, Effect, Failure, Finding, Step
from earwitness.telephony.spec import CallSpec, StepSpec, mask_keys

_FAILURES: Mapping[Result, Failure] = {
    Result.SLOW: Failure.SLOW,
    Result.TOO_SLOW: Failure.SLOW,
    Result.TRUNCATED: Failure.PROMPT_TRUNCATED,
    Result.SKIPPED: Failure.PROMPT_MISSING,
    Result.MISSING: Failure.PROMPT_MISSING,
    Result.SILENT: Failure.DEAD_AIR,
    Result.WRONG: Failure.WRONG_PROMPT,
    Result.MISROUTED: Failure.MISROUTED,
    Result.KEY_IGNORED: Failure.DTMF_IGNORED,
    Result.UNINTELLIGIBLE: Failure.POOR_AUDIO,
    Result.HUNG_UP: Failure.EARLY_HANGUP,
}


def planned(steps: Sequence[StepSpec], waits: Sequence[int]) -> tuple[PlannedStep, ...]:
    """Return the script as the analysis takes it."""
    return tuple(
        PlannedStep(
            title=step.title,
            verb=step.verb,
            wait=float(wait),
            keys=step.press.reveal() if step.press else "",
            secret=step.press is not None and mask_keys(step.press.reveal()) != step.press.reveal(),
            expect=step.expect or (),
            misroute=step.misroute,
            minor=step.limits[0],
            major=step.limits[1],
        )
        for step, wait in zip(steps, waits, strict=True)
    )


def findings(spec: CallSpec, report: CallReport) -> tuple[Finding, ...]:
    """Return what was wrong with the call, in the order of its steps, the sound last."""
    found = [
        _finding(spec, place, report.steps)
        for place, step in enumerate(report.steps)
        if step.result not in (Result.OK, Result.NOT_JUDGED)
    ]
    poor = _poor_audio(spec, report.quality)
    if poor is not None and not any(finding.failure is Failure.POOR_AUDIO for finding in found):
        found.append(poor)
    if all(finding.effect is Effect.NONE and finding.attribution is Attribution.TARGET for finding in found):
        found += _not_checked(report)  # else what was found says more, and is no less true for it
    return tuple(found)


def _not_checked(report: CallReport) -> list[Finding]:
    texts = dict.fromkeys(text for step in report.steps for text in step.unchecked)
    if not texts:
        return []
    quoted = ", ".join(f'"{text}"' for text in texts)
    message = (
        f"could not tell whether these prompts were right, there is no reference recording of them: {quoted}; add NAME.wav with "
        "the words in NAME.txt to the prompts folder, or use listen: to hear only that someone speaks"
    )
    return [Finding(Failure.WORDS_NOT_CHECKED, message, Effect.NONE, Attribution.MONITOR)]


def _finding(spec: CallSpec, place: int, steps: Sequence[StepReport]) -> Finding:
    step = steps[place]
    if step.result is Result.NOT_SENT:
        return Finding(
            Failure.CARRIER_API_FAILED,
            f"our own {step.step.verb} is not on our channel of the recording, so nobody can be judged",
            attribution=Attribution.UNKNOWN,
            step=step.step.title,
        )
    return Finding(
        _FAILURES[step.result], _sentence(step), _effect(spec, place, steps), step=step.step.title, at=step.at
    )


def _effect(spec: CallSpec, place: int, steps: Sequence[StepReport]) -> Effect:
    result, own = steps[place].result, spec.steps[place].effect
    later = [step for step in steps[place + 1 :] if step.step.verb == "expect"]
    went_on = bool(later) and not any(step.result.fatal for step in later)
    if result is Result.SLOW or (result in (Result.TRUNCATED, Result.SKIPPED) and went_on):
        return Effect.NONE if own is Effect.NONE else Effect.NUISANCE  # the caller got there all the same
    if own is not None:
        return own
    return Effect.DIVERTED if result is Result.MISROUTED else spec.effect


def _sentence(step: StepReport) -> str:
    """Return what was expected and what was there, in one sentence."""
    wanted = " or ".join(f'"{text}"' for text in step.step.expect)
    if step.result in (Result.SLOW, Result.TOO_SLOW):
        limit = step.step.minor if step.result is Result.SLOW else step.step.major
        return f"expected {wanted} within {limit:g}s, it came after {step.delay:.1f}s"
    if step.step.verb == "expect":
        return (
            f"expected {wanted}: {step.note}" if step.result is not Result.WRONG else f"expected {wanted}, {step.note}"
        )
    if step.result is Result.HUNG_UP:
        return f"{step.note}, before we could {step.step.title}"
    return f"{step.step.title}: {step.note}"


def _poor_audio(spec: CallSpec, quality: Quality | None) -> Finding | None:
    limits = spec.quality
    if quality is None:
        return None
    blocked = limits.major is not None and quality.index < limits.major
    if not blocked and (limits.minor is None or quality.index >= limits.minor):
        return None
    defects = ", ".join(quality.defects) or "several small defects"
    return Finding(
        Failure.POOR_AUDIO,
        f"the line sounded poor: {defects}; quality index {quality.index:.1f} of 5, speech {quality.snr:.0f} dB above the noise, "
        f"{quality.loss:.1%} of it lost, {quality.clipping:.1%} clipped",
        Effect.BLOCKED if blocked else Effect.NUISANCE,
    )


def observed_steps(report: CallReport, answered: float) -> tuple[Step, ...]:
    """Return the steps as the run saw them; `answered` is the second of the run at which the call was answered."""
    return tuple(_step(step, answered) for step in report.steps)


def _step(step: StepReport, answered: float) -> Step:
    at = step.at or 0.0
    length = max(0.0, step.end - at) if step.end is not None else 0.0
    return Step(step.step.title, step.result is Result.OK, answered + at, length, _note(step))


def _note(step: StepReport) -> str:
    parts = [step.note]
    if step.delay is not None:
        parts.append(f"after {step.delay:.2f}s")
    if step.score is not None:
        parts.append(f"likeness {step.score:.2f}")
    return "; ".join(part for part in parts if part)


def measures(report: CallReport, answer: float | None) -> dict[str, float]:
    delays = [step.delay for step in report.steps if step.delay is not None]
    found = {"answer": answer, "prompt_delay": max(delays, default=None), "duration": report.duration}
    found["audio_quality"] = report.quality.index if report.quality else None
    return {name: value for name, value in found.items() if value is not None}


def transcript(report: CallReport, silenced: Silenced | None) -> dict[str, Any]:
    """Return what was heard, as JSON holds it. Keys are masked. `silenced` is the recording as it is kept, if it is."""
    return {
        "duration": round(report.duration, 2),
        "channels": {"ours": report.our_channel, "theirs": 1 - report.our_channel},
        "steps": [_line(step) for step in report.steps],
        "quality": asdict(report.quality) if report.quality else None,
        "recording": _kept(silenced),
    }


def _kept(silenced: Silenced | None) -> dict[str, Any] | None:
    if silenced is None:
        return None
    spans = [[round(start, 2), round(end, 2)] for start, end in silenced.spans]
    note = "secret keys were silenced on both channels, from and to these seconds" if spans else "as it was made"
    return {"note": note, "silenced": spans}


def _line(step: StepReport) -> dict[str, Any]:
    limits = {"minor": step.step.minor, "major": step.step.major} if step.step.verb == "expect" else None
    return {
        "step": step.step.title,
        "result": step.result.value,
        "note": step.note,
        "at": step.at,
        "delay": step.delay,
        "limits": limits,
        "score": step.score,
        "heard": [asdict(prompt) for prompt in step.heard],
    }
