"""The `call` section of a probe: whom to call, how, and the steps of the call.

This module loads neither numpy nor the carrier's SDK: a configuration without calls pays for neither.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from earwitness.audio.phrases import Phrases
from earwitness.config.fields import Duration, Spec, Texts, problem
from earwitness.model import Effect
from earwitness.telephony.dial_guard import DialRefusedError, check_number
from earwitness.telephony.steps import Prompt, StepSpec, keeping_secrets

QUEUE_ALLOWANCE = 15.0  # seconds of a run for what comes before the call rings: our requests, the carrier's queue
CLOSING_ALLOWANCE = 15.0  # seconds of a run for a last look at its call and for hanging it up
ERROR_PROMPTS = (
    "please try again later",
    "technical difficulties",
    "could not be taken",
    "not available at the moment",
    "an error has occurred",
)
NO_KEY_PROMPTS = (
    "did not hear your choice",
    "did not hear a choice",
    "did not receive your selection",
    "did not receive a selection",
    "did not receive your response",
    "have not made a selection",
    "no selection was made",
    "did not hear anything",
    "did not get that",
    "didn't hear your choice",
    "didn't receive your selection",
    "didn't hear anything",
    "didn't get that",
)
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"  # BCP 47
_VOICE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
STATEMENT = "This is an automated test call. Nobody needs to do anything. Goodbye."


def _phone_number(value: Any) -> str:
    number = str(value)
    try:
        check_number(number)
    except DialRefusedError as error:
        raise problem(str(error)) from error
    return number


PhoneNumber = Annotated[str, BeforeValidator(_phone_number, json_schema_input_type=str)]


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
    confirm_carrier: str | None = (
        None  # through which a failure is confirmed; by default the same, from another of its numbers
    )
    driver: Literal["recorded", "live"] = "recorded"
    steps: tuple[StepSpec, ...] = Field(min_length=1, max_length=60)
    ring_timeout: Duration = 30.0
    length_limit: Duration = 180.0
    quality: QualityLimits = QualityLimits()
    must_not_hear: Texts = ERROR_PROMPTS  # words of prompts that mean failure wherever another was expected
    no_key_heard: Texts = NO_KEY_PROMPTS  # words of prompts that mean that no key of ours arrived
    language: Annotated[str, Field(pattern=_LANGUAGE)] | None = (
        None  # of what we say; by default the carrier's, English
    )
    voice: Annotated[str, Field(pattern=_VOICE)] | None = None  # one of the carrier's, such as Polly.Vicki
    statement: Prompt = STATEMENT  # what a person who answers is told
    announce: Literal["auto", "always", "never"] = (
        "auto"  # whether it is said before we hang up; auto: where people may answer
    )
    effect: Effect = Effect.BLOCKED  # of a failed step

    @property
    def phrases(self) -> Phrases:
        return Phrases(self.must_not_hear, self.no_key_heard)

    @property
    def manner(self) -> str:
        """Return how the carrier is to say our words, as attributes of its Say."""
        named = {"language": self.language, "voice": self.voice}
        return "".join(f' {key}="{value}"' for key, value in named.items() if value is not None)

    @property
    def deadline(self) -> float:
        """Return the seconds into a run after which its call is hung up, wherever it is: the carrier may queue it for a day."""
        return QUEUE_ALLOWANCE + self.ring_timeout + self.length_limit

    @property
    def may_reach_people(self) -> bool:
        """Whether the steps lead to where a person may answer, who is then told what this is."""
        if self.announce == "never" or self.steps[-1].hang_up:
            return False
        return self.announce == "always" or any(step.hold or step.misroute for step in self.steps)

    @field_validator("steps")
    @classmethod
    def _secrets(cls, value: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
        return keeping_secrets(value)

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
        from earwitness.telephony.twiml import PlanTooLongError, compile_plan  # noqa: PLC0415 - it needs CallSpec

        if any(step.hang_up for step in self.steps[:-1]):
            raise problem("hang_up ends the call; it can only be the last step", "steps")
        if not any(step.must_hear for step in self.steps):
            raise problem(
                "no step of this call must hear anything, so it would always pass; add an expect or listen", "steps"
            )
        try:
            plan = compile_plan(self)
        except PlanTooLongError as error:
            raise problem(str(error), "steps") from error
        if plan.seconds > self.length_limit:
            raise problem(
                f"the steps need up to {plan.seconds:.0f}s, above length_limit ({self.length_limit:g}s); raise it or "
                "lower within.major, which says how long each prompt is waited for",
                "length_limit",
            )
        return self
