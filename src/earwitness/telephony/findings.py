"""What was heard on a call, said as findings, steps, measures and a transcript."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from earwitness.audio.match import NEEDED_COVERAGE
from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.quality import Quality
from earwitness.audio.recognition import WORDS_NEEDED
from earwitness.audio.script import CallReport, PlannedStep, Result, StepReport
from earwitness.audio.silencing import Silenced
from earwitness.model import Attribution, Effect, Failure, Finding, Layer, Scalar, Step
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.steps import StepSpec
from earwitness.telephony.twiml import Timing

_FAILURES: Mapping[Result, Failure] = {
    Result.SLOW: Failure.SLOW,
    Result.TOO_SLOW: Failure.SLOW,
    Result.HELD_LONG: Failure.HOLD_TOO_LONG,
    Result.HELD_TOO_LONG: Failure.HOLD_TOO_LONG,
    Result.STILL_HOLDING: Failure.HOLD_TOO_LONG,
    Result.PARTLY: Failure.WRONG_PROMPT,
    Result.CHANGED: Failure.PROMPT_CHANGED,
    Result.TRUNCATED: Failure.PROMPT_TRUNCATED,
    Result.SKIPPED: Failure.PROMPT_MISSING,
    Result.MISSING: Failure.PROMPT_MISSING,
    Result.SILENT: Failure.DEAD_AIR,
    Result.NO_MEDIA: Failure.ONE_WAY,
    Result.WRONG: Failure.WRONG_PROMPT,
    Result.MISROUTED: Failure.MISROUTED,
    Result.KEY_IGNORED: Failure.DTMF_IGNORED,
    Result.UNINTELLIGIBLE: Failure.POOR_AUDIO,
    Result.HUNG_UP: Failure.EARLY_HANGUP,
    Result.BUSY: Failure.BUSY,
    Result.CONGESTED: Failure.NEVER_CONNECTED,
    Result.UNOBTAINABLE: Failure.UNOBTAINABLE,
    Result.STILL_RINGING: Failure.NO_ANSWER,
    Result.FAX: Failure.WRONG_PROMPT,
    Result.NOISY_LINE: Failure.NOT_SILENT,
}
_SOUND = (
    "level",
    "noise",
    "snr",
    "clipping",
    "loss",
    "hum",
    "dc",
    "muffled",
    "echo",
    "gaps",
    "jitter",
    "dropouts",
    "distortion",
)  # of the quality, published as measures
_PUNCTUAL = 1.0  # s by which the end of a script may come early
_LINE_RESULTS = (Result.BUSY, Result.CONGESTED, Result.UNOBTAINABLE, Result.STILL_RINGING, Result.NO_MEDIA)
_NOBODY_SPOKE = (  # what was heard is no measure of how speech would sound
    Failure.BUSY,
    Failure.NEVER_CONNECTED,
    Failure.UNOBTAINABLE,
    Failure.NO_ANSWER,
    Failure.ONE_WAY,
    Failure.DEAD_AIR,
)
_FINE = (Result.OK, Result.LEFT_OUT, Result.NOT_JUDGED)
_ANNOYING = (Result.SLOW, Result.HELD_LONG, Result.PARTLY)  # past a minor limit: the caller got there all the same
_GOT_OVER = (Result.TRUNCATED, Result.SKIPPED, Result.NOISY_LINE)  # harmless where the later steps succeed


def planned(steps: Sequence[StepSpec], waits: Sequence[int]) -> tuple[PlannedStep, ...]:
    """Return the script as the analysis takes it."""
    return tuple(
        PlannedStep(
            title=step.title,
            verb=step.verb,
            wait=float(wait),
            keys=step.press.reveal() if step.press else "",
            secret=step.hides,
            expect=step.texts,
            misroute=step.misroute_texts,
            places={text: place for place, texts in step.misroute.items() for text in texts},
            minor=step.limits[0],
            major=step.limits[1],
            match_minor=step.match.minor if step.match else None,
            match_major=step.match.major if step.match else None,
            silence=step.silence or 0.0,
            optional=step.optional,
        )
        for step, wait in zip(steps, waits, strict=True)
    )


def findings(spec: CallSpec, report: CallReport) -> tuple[Finding, ...]:
    """Return what was wrong with the call, in the order of its steps, the sound last."""
    found = [_finding(spec, place, report.steps) for place, step in enumerate(report.steps) if step.result not in _FINE]
    poor = _poor_audio(spec, report.quality)
    silent = any(finding.failure in (Failure.POOR_AUDIO, *_NOBODY_SPOKE) for finding in found)
    if poor is not None and not silent:
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
    return [Finding(Failure.WORDS_NOT_CHECKED, mask_numbers(message), Effect.NONE, Attribution.MONITOR)]


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
        _FAILURES[step.result],
        mask_numbers(_sentence(step)),
        _effect(spec, place, steps),
        step=step.step.title,
        at=step.at,
    )


def _effect(spec: CallSpec, place: int, steps: Sequence[StepReport]) -> Effect:
    result, own = steps[place].result, spec.steps[place].effect
    if result is Result.CHANGED:
        return Effect.NONE  # a notice: the call reached its goal
    later = [step for step in steps[place + 1 :] if step.step.hears]
    went_on = bool(later) and not any(step.result.fatal for step in later)
    if result in _ANNOYING or (result in _GOT_OVER and went_on):
        return Effect.NONE if own is Effect.NONE else Effect.NUISANCE
    if own is not None:
        return own
    return Effect.DIVERTED if result is Result.MISROUTED else spec.effect


def _sentence(step: StepReport) -> str:
    """Return what was expected and what was there, in one sentence."""
    wanted = " or ".join(f'"{text}"' for text in step.step.expect)
    if step.result in (Result.SLOW, Result.TOO_SLOW, Result.HELD_LONG, Result.HELD_TOO_LONG):
        limit = step.step.major if step.result in (Result.TOO_SLOW, Result.HELD_TOO_LONG) else step.step.minor
        what = wanted or "silence"
        return f"expected {what} within {limit:g}s, it came after {step.delay:.1f}s"
    if step.result is Result.CHANGED:
        return f"{wanted} is said in other words now: {step.note}; the call reached its goal all the same"
    if step.step.hears:
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
    parts = [mask_numbers(step.note), "" if step.at is None else f"{step.at:.2f}s into the recording"]
    if step.delay is not None:
        parts.append(f"after {step.delay:.2f}s")
    if step.score is not None:
        parts.append(f"{step.method} {step.score:.2f}{_limits(step)}")
    return "; ".join(part for part in parts if part)


def _limits(step: StepReport) -> str:
    """Return the share that was recognised and the limits that it was held against, as the note shows them beside the score."""
    if step.share is None:
        return ""
    minor, major = step.step.match_minor, step.step.match_major
    if major is None:
        major = WORDS_NEEDED if step.method == "words" else NEEDED_COVERAGE
    also = "" if minor is None else f", {minor:.0%} to be whole"
    return f", {step.share:.0%} of it (at least {major:.0%}{also})"


def measures(report: CallReport) -> dict[str, float]:
    """Return what metrics publish and the console shows: seconds, dBFS, dB, shares and counts."""
    delays = [step.delay for step in report.steps if step.delay is not None and step.step.verb == "expect"]
    found: dict[str, float | None] = {
        "prompt_delay": max(delays, default=None),
        "duration": report.duration,
        **asdict(report.measures),
        "mos_lqo": report.mos,
    }
    if report.quality:
        index = {"audio_quality": report.quality.index}
        found |= index | {name: getattr(report.quality, name) for name in _SOUND}
    return {name: float(value) for name, value in found.items() if value is not None}


def timings(report: CallReport) -> dict[int, Timing]:
    """Return how long each prompt was waited for, and lasted, by the step's place."""
    return {
        place: Timing(step.delay, max(0.0, step.end - step.at))
        for place, step in enumerate(report.steps)
        if step.delay is not None and step.at is not None and step.end is not None
    }


def facts(spec: CallSpec, report: CallReport, call_seconds: float | None) -> dict[str, Scalar]:
    """Return what else people want to know of the call: who hung up, and how far it came."""
    reached = sum(step.result is not Result.NOT_JUDGED and not step.result.fatal for step in report.steps)
    return {
        "hung_up_by": _hung_up_by(spec, report, call_seconds),
        "steps_reached": f"{reached} of {len(report.steps)}",
        "layer": _layer(report),
    }


def _hung_up_by(spec: CallSpec, report: CallReport, call_seconds: float | None) -> str:
    """Return who ended the call: we do when the script is over, the carrier at its limit, else the far end."""
    if call_seconds is not None and call_seconds >= spec.length_limit:
        return "carrier"
    acted = [
        place for place, step in enumerate(report.steps) if step.step.verb in ("press", "say") and step.end is not None
    ]
    last = acted[-1] if acted else -1
    since = (report.steps[last].end or 0.0) if acted else 0.0
    script_ends = since + sum(step.step.wait for step in report.steps[last + 1 :])
    acts_left = any(step.step.verb in ("press", "say") for step in report.steps[last + 1 :])
    return "far end" if acts_left or report.duration < script_ends - _PUNCTUAL else "us"


def _layer(report: CallReport) -> str | None:
    """Return the layer that the call failed in, as far as one call tells: the line, the IVR, or what is behind it."""
    place = next((n for n, step in enumerate(report.steps) if step.result.fatal), None)
    if place is None:
        return None
    failed, before = report.steps[place], report.steps[:place]
    prompts = [step for step in before if step.step.hears and not step.result.fatal and step.at is not None]
    if failed.result in _LINE_RESULTS and (not prompts or failed.result is Result.NO_MEDIA):
        return Layer.NUMBER
    if failed.result in _LINE_RESULTS:
        return Layer.BACKEND  # the number answered and spoke; this is where it put the call through to
    entered = [step for step in before if step.step.verb in ("press", "say")]
    behind = failed.result in (Result.WRONG, Result.MISSING) and len(prompts) > 1 and len(entered) > 1
    return Layer.BACKEND if behind or failed.result is Result.MISROUTED else Layer.IVR


def transcript(report: CallReport, silenced: Silenced | None) -> dict[str, Any]:
    """Return what was heard, as JSON holds it. Keys and long numbers are masked. `silenced` is the recording as it is kept, if it is."""
    return {
        "duration": round(report.duration, 2),
        "channels": {"ours": report.our_channel, "theirs": 1 - report.our_channel},
        "steps": [_line(step) for step in report.steps],
        "measures": asdict(report.measures),
        "quality": asdict(report.quality) if report.quality else None,
        "recording": _kept(silenced),
    }


def _kept(silenced: Silenced | None) -> dict[str, Any] | None:
    if silenced is None:
        return None
    spans = [[round(start, 2), round(end, 2)] for start, end in silenced.spans]
    note = (
        "secret keys and words were silenced on both channels, from and to these seconds" if spans else "as it was made"
    )
    return {"note": note, "silenced": spans}


def _line(step: StepReport) -> dict[str, Any]:
    timed = step.step.hears or step.step.verb == "silence"
    limits = {"minor": step.step.minor, "major": step.step.major} if timed else None
    match = {"minor": step.step.match_minor, "major": step.step.match_major} if step.step.hears else None
    return {
        "step": step.step.title,
        "result": step.result.value,
        "note": mask_numbers(step.note),
        "at": step.at,
        "delay": step.delay,
        "limits": limits,
        "score": step.score,
        "share": step.share,
        "match_limits": match,
        "method": step.method or None,
        "words": mask_numbers(step.words) or None,
        "heard": [asdict(replace(prompt, text=mask_numbers(prompt.text))) for prompt in step.heard],
    }
