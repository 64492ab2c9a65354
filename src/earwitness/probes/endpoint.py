"""What the probes of single endpoints (tls, dns, tcp) have in common, and whom to blame for what cannot be reached."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self

import httpx
from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Duration, IpAddress, Limits, NameServer, Spec, problem
from earwitness.model import Attribution, Effect, Failure, Finding
from earwitness.probes.http_fields import whole_number
from earwitness.transport.base import ascii_host
from earwitness.transport.connection import Endpoint
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Exchange
from earwitness.transport.resolver import literal
from earwitness.transport.uplink import UNREACHED, Uplink, uplink_down

THEIRS = (Attribution.TARGET, Attribution.THIRD_PARTY)


def host_name(value: Any) -> str:
    """Return a host as it is looked up: lower case, without the brackets of IPv6, an international name in ASCII."""
    text = str(value).strip().strip("[]").rstrip(".").lower()
    if literal(text) is not None:
        return text
    try:
        ascii_name = ascii_host(httpx.URL(scheme="https", host=text))  # as an HTTP probe and a browser would ask for it
        ascii_name.encode("idna")  # looks at the lengths
    except (httpx.InvalidURL, UnicodeError):
        ascii_name = ""
    if not ascii_name or any(c.isspace() or c in "/:@?#%" for c in text):
        raise problem(f"{value!r} is not a host; write a name such as mail.shop.example, or an address")
    return ascii_name


def _port(value: Any) -> int:
    return whole_number(value, range(1, 65536), "is not a port; write a number from 1 to 65535")


Host = Annotated[str, BeforeValidator(host_name, json_schema_input_type=str)]
Port = Annotated[int, BeforeValidator(_port, json_schema_input_type=int)]


class EndpointSpec(Spec):
    """A host and a port. `timeout` (seconds) is for all of it: lookup, connection and everything that is said."""

    host: Host
    port: Port
    timeout: Duration = Field(default=10.0, gt=0)
    ip: Literal["any", "4", "6"] = "any"
    resolve: IpAddress | None = None
    resolver: NameServer | None = None
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    effect: Effect = Effect.BLOCKED

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.resolve is not None and self.ip not in ("any", str(self.resolve.version)):
            raise problem(f"{self.resolve} is no IPv{self.ip} address; leave out ip", "ip")
        return self

    @property
    def endpoint(self) -> Endpoint:
        family = None if self.ip == "any" else int(self.ip)
        return Endpoint(self.host, self.port, self.allow, family, self.resolve, self.resolver)


def failed(error: ExchangeError, effect: Effect, step: str | None = None) -> Finding:
    """Return the error as a finding; what is our own trouble blocks nobody."""
    ours = error.attribution not in THEIRS
    return Finding(error.failure, str(error), Effect.NONE if ours else effect, error.attribution, step)


def slow(limits: Limits, took: float, effect: Effect, what: str = "the answer") -> list[Finding]:
    """Return what is wrong with the seconds that something took."""
    if limits.major is not None and took > limits.major:
        return [Finding(Failure.SLOW, f"expected {what} within {limits.major:g} s, it took {took:.2f} s", effect)]
    if limits.minor is not None and took > limits.minor:
        message = f"expected {what} within {limits.minor:g} s, it took {took:.2f} s"
        return [Finding(Failure.SLOW, message, Effect.NUISANCE)]
    return []


def phases(record: Exchange) -> dict[str, float]:
    """Return the measures of a connection's phases, in seconds."""
    return {f"phase_{stage}": seconds for stage, seconds in record.phases.items()}


async def excused(findings: Sequence[Finding], uplink: Uplink) -> list[Finding]:
    """Return the findings, or that our own uplink is down where they can come from that: it is looked at first."""
    if any(f.failure in UNREACHED for f in findings) and not await uplink.works():
        return [uplink_down(findings[0])]
    return list(findings)
