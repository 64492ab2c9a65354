"""The telephone carriers that test calls go through."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from earwitness.config.fields import Money, Price, SecretValue, Spec, WithSecret, as_list
from earwitness.telephony.spec import PhoneNumber


class TwilioSpec(WithSecret):
    """One Twilio account."""

    account_sid: str
    auth_token: SecretValue
    auth_token_file: Path | None = None
    from_: Annotated[tuple[PhoneNumber, ...], BeforeValidator(as_list)] = Field(alias="from", min_length=1)
    api_url: str = "https://api.twilio.com"


class CarrierSpec(Spec):
    """A carrier, what a minute costs there, and how fast it may be asked to dial."""

    twilio: TwilioSpec
    price_per_minute: Price = Money(Decimal("0.014"), "USD")
    calls_per_second: float = Field(default=1.0, gt=0, le=30)
    concurrent_calls: int = Field(default=5, ge=1)
