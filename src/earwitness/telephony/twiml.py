"""The steps of a call compiled to inline TwiML, the carrier's call script.

The script runs open loop: keys go out on a clock, not when a prompt has been heard. Before a key, an expected prompt gets the delay
that earlier calls measured and a margin, else its minor limit, else 3 s, and then its own length: waiting for the major limit would
let many an IVR give up on the caller first. Where nothing follows, it gets its major limit plus its length. What was heard when is
judged from the recording afterwards.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from xml.sax.saxutils import escape, quoteattr

from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.words import spoken_letters
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.steps import StepSpec

MAX_CHARACTERS = 4000  # Twilio's limit on the Twiml parameter; beyond it error 32018
TRAILING_PAUSE = 2  # seconds, so that the last prompt's end is on the recording
_SECONDS_PER_LETTER = 0.08  # unhurried speech, 150 words a minute
_SECONDS_PER_KEY = 0.35  # tone and gap, at their longest
_USUAL_DELAY = 3.0  # seconds that a prompt gets to begin when no minor limit says otherwise
_MEASURED_MARGIN = 1.0  # seconds added to what was measured: lengths, and delays
_SPREAD = 1.25  # of a measured delay, since the next one may be longer
_HEARD_ENOUGH = 1.0  # seconds of a prompt that is barged into
_STAY = '<Pause length="900"/>'  # the carrier's time limit ends the call before


class PlanTooLongError(ValueError):
    """The script would be longer than the carrier takes; it is never cut."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What earlier calls measured of a step: seconds until the prompt began, and how long it lasted, at most."""

    delay: float
    length: float


PromptLength = Callable[[str], float | None]
Timings = Mapping[int, Timing]  # by the step's place
_NOTHING_MEASURED: Timings = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled call. `seconds` is how long it lasts from the answer, at most; `masked` is the script as it may be shown.

    `waits` are the whole seconds (TwiML knows no fractions) that each step waits; 0 for a key or a word.
    """

    twiml: str
    masked: str
    seconds: float
    waits: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Plan({self.masked!r}, {self.seconds:g} s)"


def compile_plan(
    spec: CallSpec,
    prompt_length: PromptLength = lambda _: None,
    timings: Timings = _NOTHING_MEASURED,
    opening: str = "",
) -> Plan:
    """Return the script of the call; `prompt_length` gives the seconds of a prompt's reference recording, if there is one.

    `opening` is TwiML that comes before the first step.
    Raises PlanTooLongError beyond 4000 characters.
    """
    waits = tuple(_wait(spec, place, prompt_length, timings) for place in range(len(spec.steps)))
    script = _Script([(opening, opening)] if opening else [])
    for step, wait in zip(spec.steps, waits, strict=True):
        _write(step, wait, script, spec.manner)
    if spec.steps[-1].hang_up is None:
        script.pause(TRAILING_PAUSE)
    if spec.may_reach_people:
        script.say(spec.statement, mask_numbers(spec.statement), spec.manner)
    return script.plan(waits)


@dataclass(slots=True)
class _Script:
    """TwiML as it is written. Pauses that follow each other are one, which leaves room for long paths."""

    parts: list[tuple[str, str]] = field(default_factory=list)  # as it is sent, as it may be shown
    seconds: float = 0.0
    pausing: int = 0

    def pause(self, seconds: int) -> None:
        self.pausing += seconds
        self.seconds += seconds

    def press(self, keys: str, shown: str) -> None:
        waits = 0.5 * keys.count("w") + keys.count("W")
        self._add(_play(keys), _play(shown))
        self.seconds += waits + _SECONDS_PER_KEY * (len(keys) - keys.count("w") - keys.count("W"))

    def say(self, words: str, shown: str, manner: str) -> None:
        self._add(_say(words, manner), _say(shown, manner))
        self.seconds += spoken_length(words)

    def plan(self, waits: tuple[int, ...]) -> Plan:
        self._add("<Hangup/>", "<Hangup/>")
        twiml, masked = (f"<Response>{''.join(parts)}</Response>" for parts in zip(*self.parts, strict=True))
        if len(twiml) > MAX_CHARACTERS:
            raise PlanTooLongError(
                f"the steps make {len(twiml)} characters of TwiML; Twilio takes {MAX_CHARACTERS}; use fewer steps or shorter words"
            )
        return Plan(twiml, masked, self.seconds, waits)

    def _add(self, sent: str, shown: str) -> None:
        if self.pausing:
            pause = f'<Pause length="{self.pausing}"/>'
            self.parts.append((pause, pause))
            self.pausing = 0
        self.parts.append((sent, shown))


def _write(step: StepSpec, wait: int, script: _Script, manner: str) -> None:
    if step.press is not None:
        script.press(step.press.reveal(), step.shown_keys)
    elif step.say is not None:
        script.say(step.say, step.shown_words, manner)
    else:
        script.pause(wait)


def _say(words: str, manner: str) -> str:
    return f"<Say{manner}>{escape(words)}</Say>"


def _play(keys: str) -> str:
    return f"<Play digits={quoteattr(keys)}/>"


def press_twiml(keys: str) -> str:
    """Return the script that presses `keys` and then stays on the line."""
    return f"<Response>{_play(keys)}{_STAY}</Response>"


def say_twiml(words: str, manner: str = "", *, then_hang_up: bool = False) -> str:
    """Return the script that says `words` in this manner, and then hangs up or stays on the line."""
    return f"<Response>{_say(words, manner)}{'<Hangup/>' if then_hang_up else _STAY}</Response>"


def _wait(spec: CallSpec, place: int, prompt_length: PromptLength, timings: Timings) -> int:
    step, later = spec.steps[place], spec.steps[place + 1 :]
    measured = timings.get(place)
    if step.acts or step.hang_up:
        return 0
    if step.verb in ("listen", "pause"):
        return math.ceil(step.listen or step.pause or 0.0)
    length = _length(step, prompt_length, measured)
    if step.optional:
        return math.ceil(length)  # the prompt after it has its own time to begin
    if any(s.acts for s in later):
        return math.ceil(_delay(step, measured) + length)
    return math.ceil(step.limits[1] + length)


def _delay(step: StepSpec, measured: Timing | None) -> float:
    minor, major = step.limits
    if measured is not None:
        return min(major, _SPREAD * measured.delay + _MEASURED_MARGIN)
    return major if step.hold else min(major, _USUAL_DELAY if minor is None else minor)


def _length(step: StepSpec, prompt_length: PromptLength, measured: Timing | None) -> float:
    if step.silence is not None:
        return step.silence
    if step.barge_in:
        return _HEARD_ENOUGH
    if measured is not None:
        return measured.length + _MEASURED_MARGIN
    return max(_text_length(text, prompt_length) for text in step.texts)


def _text_length(text: str, prompt_length: PromptLength) -> float:
    known = prompt_length(text)
    return spoken_length(text) if known is None else known + _MEASURED_MARGIN


def spoken_length(text: str) -> float:
    """Return how long `text` takes to say, at most, in seconds."""
    return 1.0 + _SECONDS_PER_LETTER * spoken_letters(text)
