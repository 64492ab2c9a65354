"""What a whole call was like: silence, talking over each other, hold time, keys sent, heard and accepted, our own echo."""

from collections.abc import Sequence

from earwitness.audio.channels import Sides
from earwitness.audio.line import Line
from earwitness.audio.listener import Listener
from earwitness.audio.script import CallMeasures, Result, StepReport
from earwitness.audio.speech import speech

_ANSWERED = (Result.OK, Result.SLOW, Result.TOO_SLOW, Result.PARTLY, Result.TRUNCATED, Result.CHANGED)

Interval = tuple[float, float]


def measure_call(sides: Sides, listener: Listener, line: Line, reports: Sequence[StepReport]) -> CallMeasures:
    """Return the measures of the call that `reports` tell of."""
    keys: list[Interval] = [(key.start, key.end) for key in sides.keys]
    ours = [(s.start, s.end) for s in speech(sides.ours) if not _touches(s.start, s.end, keys)]
    theirs = [(s.start, s.end) for s in listener.segments]
    accepted = _accepted(reports)
    return CallMeasures(
        dead_air=_dead_air(
            [*theirs, *((span.start, span.end) for span in line.music)], [*keys, *ours], listener.duration
        ),
        talk_over=sum(max(0.0, min(b, d) - max(a, c)) for a, b in ours for c, d in theirs),
        hold=sum(span.end - span.start for span in line.music),
        keys_sent=sum(len(step.step.keys.replace("w", "").replace("W", "")) for step in reports),
        keys_heard=len(sides.keys),
        keys_accepted=len(accepted),
        key_delay=max(accepted, default=None),
    )


def _touches(start: float, end: float, intervals: Sequence[Interval]) -> bool:
    return any(a < end and b > start for a, b in intervals)


def _accepted(reports: Sequence[StepReport]) -> list[float]:
    """Return the delays of the prompts that answered our keys."""
    delays: list[float] = []
    pressed = False
    for report in reports:
        if report.step.verb == "press":
            pressed = report.result is Result.OK
        elif report.step.hears and report.result is not Result.LEFT_OUT:
            if pressed and report.result in _ANSWERED and report.delay is not None:
                delays.append(report.delay)
            pressed = False
    return delays


def _dead_air(sounding: Sequence[Interval], acting: Sequence[Interval], duration: float) -> float:
    """Return the longest stretch in which neither side sounded, up to the last sound of either."""
    sounds = sorted([*sounding, *acting])
    longest, reached = 0.0, 0.0
    for start, end in sounds:
        longest = max(longest, start - reached)
        reached = max(reached, end)
    return longest if sounds else duration
