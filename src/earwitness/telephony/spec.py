"""The `call` section of a probe: whom to call, and what to hear, press and say, step by step.

This module loads neither numpy nor the carrier's SDK: a configuration without calls pays for neither.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from earwitness.config.fields import Duration, Limits, Secret, Spec, Texts, problem
from earwitness.model import Effect
from earwitness.telephony.dial_guard import DialRefusedError, check_number

Verb = Literal["expect", "press", "say", "listen", "pause"]
VERBS: tuple[Verb, ...] = ("expect", "press", "say", "listen", "pause")

QUEUE_ALLOWANCE = 15.0  # seconds of a run for what comes before the call rings: our requests, the carrier's queue
CLOSING_ALLOWANCE = 15.0  # seconds of a run for a last look at its call and for hanging it up
_KEYS = re.compile(r"[0-9A-D*#wW]{1,64}")
_CARD_DIGITS = 12  # the shortest card numbers; only of those the last four are ever shown
_MENU_DIGITS = 2
ERROR_PROMPTS = (
    "please try again later",
    "technical difficulties",
    "could not be taken",
    "not available at the moment",
    "an error has occurred",
)


def mask_keys(keys: str) -> str:
    """Return `keys` as they may be shown: a menu choice as it is, of a card number the last four digits, of others none."""
    digits = re.sub(r"\D", "", keys)
    if len(digits) <= _MENU_DIGITS:
        return keys
    shown = 4 if len(digits) >= _CARD_DIGITS else 0
    hidden = len(digits) - shown
    masked = []
    for key in keys:
        masked.append("*" if key.isdigit() and hidden > 0 else key)
        hidden -= key.isdigit()
    return "".join(masked)


def _keys(value: Any) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _KEYS.fullmatch(text):
        raise problem("press takes 1 to 64 of 0-9 A-D * # and w (a pause of 0.5 s) or W (1 s); quote it, as in '2#'")
    if not text.strip("wW"):
        raise problem("press names no key, only pauses; use pause: 1s for those")
    return Secret(text)


def _phone_number(value: Any) -> str:
    number = str(value)
    try:
        check_number(number)
    except DialRefusedError as error:
        raise problem(str(error)) from error
    return number


Keys = Annotated[Secret, BeforeValidator(_keys, json_schema_input_type=str)]
PhoneNumber = Annotated[str, BeforeValidator(_phone_number, json_schema_input_type=str)]
Prompt = Annotated[str, Field(min_length=1, max_length=500)]


class StepSpec(Spec):
    """One step: exactly one of the five verbs.

    `within` holds the seconds to the start of the prompt, from the end of what was before it: our key or word, the prompt that
    was expected before, or the answer. `misroute` are prompts which, heard instead, mean that the call was put through to the wrong place.
    """

    expect: Annotated[tuple[Prompt, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] | None = None
    press: Keys | None = None
    say: Prompt | None = None
    listen: Duration | None = None  # somebody must speak in these seconds
    pause: Duration | None = None  # wait, whatever is heard
    within: Limits | None = None
    misroute: Texts = ()
    effect: Effect | None = None  # instead of the probe's, when this step fails

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        verbs = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(verbs) != 1:
            said = f"this step has {' and '.join(verbs)}" if verbs else "this step has no verb"
            raise problem(f"{said}; write exactly one of {', '.join(VERBS)}", verbs[1] if verbs else None)
        for key in ("within", "misroute"):
            if key in self.model_fields_set and verbs != ["expect"]:
                raise problem(f"{key} belongs to an expect step; this one is a {verbs[0]} step", key)
        if self.expect == ():
            raise problem("expect is empty; write the words of the prompt", "expect")
        self._check_waits()
        return self

    def _check_waits(self) -> None:
        for key, value in (("listen", self.listen), ("pause", self.pause)):
            if value is not None and not 1 <= value <= 600:
                raise problem(f"{key} takes 1s to 600s", key)
        if self.within is not None and self.within.major is not None and not 1 <= self.within.major <= 120:
            raise problem("within.major takes 1s to 120s", "within")

    @property
    def verb(self) -> Verb:
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @property
    def limits(self) -> tuple[float | None, float]:
        """The minor limit, if there is one, and the major limit: by default 10 s. Seconds."""
        minor = self.within.minor if self.within else None
        major = self.within.major if self.within else None
        return minor, max(10.0, minor or 0.0) if major is None else major

    @property
    def title(self) -> str:
        """What the step is called in observations; keys are masked."""
        if self.press is not None:
            return f"press {mask_keys(self.press.reveal())}"
        if self.expect is not None:
            return f"expect {' | '.join(self.expect)}"
        return f"say {self.say}" if self.say is not None else f"{self.verb} {getattr(self, self.verb):g}s"


class QualityLimits(Spec):
    """Limits on the quality index, 1 (unusable) to 5 (as the reference): below `minor` a nuisance, below `major` blocked."""

    minor: float | None = Field(default=2.6, ge=1, le=5)
    major: float | None = Field(default=None, ge=1, le=5)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minor is not None and self.major is not None and self.major > self.minor:
            raise problem(
                "quality.major is above quality.minor; the minor limit is passed first on the way down", "major"
            )
        return self


class CallSpec(Spec):
    """A call to one number, as a customer would make it."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an input may be a card number

    to: PhoneNumber
    from_: PhoneNumber | None = Field(default=None, alias="from")  # one of the carrier's; by default its first
    carrier: str | None = None
    steps: tuple[StepSpec, ...] = Field(min_length=1, max_length=60)
    ring_timeout: Duration = 30.0
    length_limit: Duration = 180.0
    quality: QualityLimits = QualityLimits()
    must_not_hear: Texts = ERROR_PROMPTS  # words of prompts that mean failure wherever another was expected
    effect: Effect = Effect.BLOCKED  # of a failed step

    @property
    def deadline(self) -> float:
        """Return the seconds into a run after which its call is hung up, wherever it is: the carrier may queue it for a day."""
        return QUEUE_ALLOWANCE + self.ring_timeout + self.length_limit

    @field_validator("ring_timeout")
    @classmethod
    def _ring(cls, value: float) -> float:
        if not 5 <= value <= 600:
            raise problem("ring_timeout takes 5s to 600s, the carrier's range")
        return value

    @field_validator("length_limit")
    @classmethod
    def _length(cls, value: float) -> float:
        if not 5 <= value <= 900:
            raise problem("length_limit takes 5s to 15m")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from earwitness.telephony.twiml import PlanTooLongError, compile_plan  # noqa: PLC0415 - it needs StepSpec

        try:
            plan = compile_plan(self.steps)
        except PlanTooLongError as error:
            raise problem(str(error), "steps") from error
        if plan.seconds > self.length_limit:
            raise problem(
                f"the steps need up to {plan.seconds:.0f}s, above length_limit ({self.length_limit:g}s); raise it or "
                "lower within.major, which says how long each prompt is waited for",
                "length_limit",
            )
        return self
