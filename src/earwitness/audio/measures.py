"""What a whole call was like: silence, talking over each other, hold time, keys sent, heard and accepted, our own echo."""

from collections.abc import Sequence

from earwitness.audio.channels import Sides
from earwitness.audio.echo import Echo, talk_over
from earwitness.audio.frames import Timed
from earwitness.audio.line import Line
from earwitness.audio.listener import Listener
from earwitness.audio.script import CallMeasures, Result, StepReport
from earwitness.audio.speech import speech

_ANSWERED = (Result.OK, Result.SLOW, Result.TOO_SLOW, Result.PARTLY, Result.TRUNCATED, Result.CHANGED)


def measure_call(
    sides: Sides, listener: Listener, line: Line, reports: Sequence[StepReport], echo: Echo | None
) -> CallMeasures:
    """Return the measures of the call that `reports` tell of; `echo` is that of our side in theirs."""
    ours = [s for s in speech(sides.ours) if not any(k.start < s.end and k.end > s.start for k in sides.keys)]
    accepted = _accepted(reports)
    return CallMeasures(
        dead_air=_dead_air([*listener.segments, *line.music, *sides.keys, *ours], listener.duration),
        talk_over=talk_over(ours, listener.segments),
        hold=sum(span.end - span.start for span in line.music),
        keys_sent=sum(len(step.step.keys.replace("w", "").replace("W", "")) for step in reports),
        keys_heard=len(sides.keys),
        keys_accepted=len(accepted),
        key_delay=max(accepted, default=None),
        own_echo=echo.gain if echo else None,
        own_echo_delay=echo.delay if echo else None,
    )


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


def _dead_air(sounds: Sequence[Timed], duration: float) -> float:
    """Return the longest stretch in which neither side sounded, up to the last sound of either."""
    longest, reached = 0.0, 0.0
    for sound in sorted(sounds, key=lambda sound: sound.start):
        longest = max(longest, sound.start - reached)
        reached = max(reached, sound.end)
    return longest if sounds else duration
