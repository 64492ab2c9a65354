"""The telephone carriers that test calls go through."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from earwitness.config.fields import Money, OneOrMore, Price, SecretValue, Spec, WebAddress, WithSecret
from earwitness.telephony.spec import CallSpec, PhoneNumber
from earwitness.telephony.steps import Prompts


class TwilioSpec(WithSecret):
    """One Twilio account."""

    account_sid: str
    auth_token: SecretValue
    auth_token_file: Path | None = None
    from_: Annotated[tuple[PhoneNumber, ...], OneOrMore()] = Field(alias="from", min_length=1)
    api_url: WebAddress = "https://api.twilio.com"
    public_url: WebAddress | None = None  # where Twilio reaches this daemon: for status callbacks and the live driver


class ControlSpec(Spec):
    """A number that is known to be good: called through the same account when a call fails, before anybody is blamed."""

    to: PhoneNumber
    expect: Prompts | None = None  # what it says; by default anything will do

    @model_validator(mode="after")
    def _makes_a_call(self) -> Self:
        _ = self.call  # raises what is wrong with it
        return self

    @property
    def call(self) -> CallSpec:
        """The control call."""
        steps: list[dict[str, object]] = [{"expect": list(self.expect)}] if self.expect else [{"listen": "10s"}]
        return CallSpec.model_validate({"to": self.to, "steps": steps, "length_limit": 60.0})


class CarrierSpec(Spec):
    """A carrier, what a minute costs there, and how fast it may be asked to dial."""

    twilio: TwilioSpec
    control: ControlSpec | None = None
    price_per_minute: Price = Money(Decimal("0.014"), "USD")
    extras_per_minute: Decimal = Field(
        default=Decimal("0.0025"), ge=0
    )  # recording, streams, transcription; same currency
    calls_per_second: float = Field(default=1.0, gt=0, le=30)
    concurrent_calls: int = Field(default=5, ge=1)
