"""The steps of a call compiled to inline TwiML, the carrier's call script.

The script runs open loop: keys go out on a clock, not when a prompt has been heard. Before a key, an expected prompt gets its minor
limit (by default 3 s) plus its own length: waiting for the major limit would let many an IVR give up on the caller first. Where nothing
follows, it gets its major limit plus its length. What was heard when is judged from the recording afterwards.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from earwitness.telephony.spec import StepSpec, mask_keys

MAX_CHARACTERS = 4000  # Twilio's limit on the Twiml parameter; beyond it error 32018
TRAILING_PAUSE = 2  # seconds, so that the last prompt's end is on the recording
_SECONDS_PER_CHARACTER = 0.08  # unhurried speech, 150 words a minute
_SECONDS_PER_KEY = 0.35  # tone and gap, at their longest
_USUAL_DELAY = 3.0  # seconds that a prompt gets to begin when no minor limit says otherwise
_MEASURED_MARGIN = 1.0  # seconds added to a prompt whose length is known


class PlanTooLongError(ValueError):
    """The script would be longer than the carrier takes; it is never cut."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled call. `seconds` is how long it lasts from the answer, at most; `masked` is the script as it may be shown."""

    twiml: str
    masked: str
    seconds: float

    def __repr__(self) -> str:
        return f"Plan({self.masked!r}, {self.seconds:g} s)"


PromptLength = Callable[[str], float | None]


def compile_plan(steps: Sequence[StepSpec], prompt_length: PromptLength = lambda _: None) -> Plan:
    """Return the script for `steps`; `prompt_length` gives the seconds of a prompt's reference recording, if there is one.

    Raises PlanTooLongError beyond 4000 characters.
    """
    waits = step_waits(steps, prompt_length)
    parts = [_compile(step, wait) for step, wait in zip(steps, waits, strict=True)]
    end = f'<Pause length="{TRAILING_PAUSE}"/><Hangup/>'
    twiml, masked = (
        f"<Response>{''.join(scripts)}{end}</Response>"
        for scripts in ([part.twiml for part in parts], [part.masked for part in parts])
    )
    if len(twiml) > MAX_CHARACTERS:
        raise PlanTooLongError(
            f"the steps make {len(twiml)} characters of TwiML; Twilio takes {MAX_CHARACTERS}; use fewer steps or shorter words"
        )
    return Plan(twiml, masked, sum(part.seconds for part in parts) + TRAILING_PAUSE)


def _compile(step: StepSpec, wait: int) -> Plan:
    if step.press is not None:
        keys = step.press.reveal()
        waits = 0.5 * keys.count("w") + keys.count("W")
        seconds = waits + _SECONDS_PER_KEY * (len(keys) - keys.count("w") - keys.count("W"))
        return Plan(_play(keys), _play(mask_keys(keys)), seconds)
    if step.say is not None:
        script = f"<Say>{escape(step.say)}</Say>"
        return Plan(script, script, spoken_length(step.say))
    script = f'<Pause length="{wait}"/>'
    return Plan(script, script, wait)


def _play(keys: str) -> str:
    return f"<Play digits={quoteattr(keys)}/>"


def step_waits(steps: Sequence[StepSpec], prompt_length: PromptLength = lambda _: None) -> list[int]:
    """Return the whole seconds (TwiML knows no fractions) that each step waits; 0 for a key or a word."""
    acts = [step.press is not None or step.say is not None for step in steps]
    return [_wait(step, any(acts[place + 1 :]), prompt_length) for place, step in enumerate(steps)]


def _wait(step: StepSpec, acts_later: bool, prompt_length: PromptLength) -> int:
    if step.expect is None:
        return math.ceil(step.listen or step.pause or 0.0)
    minor, major = step.limits
    delay = min(major, _USUAL_DELAY if minor is None else minor) if acts_later else major
    return math.ceil(delay + max(_length(text, prompt_length) for text in step.expect))


def _length(text: str, prompt_length: PromptLength) -> float:
    known = prompt_length(text)
    return spoken_length(text) if known is None else known + _MEASURED_MARGIN


def spoken_length(text: str) -> float:
    """Return how long `text` takes to say, at most, in seconds."""
    return 1.0 + _SECONDS_PER_CHARACTER * len(text)
