"""The DNS probe: puts one question to one or several name servers, and judges each answer.

dnspython is loaded where a section or a run of this kind needs it, never by importing this module.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Duration, Flag, Limits, NameServer, OneOrMore, Spec, problem
from earwitness.model import Channel, Effect, Observation
from earwitness.probes.context import Kind, RunContext

_ADDRESSES = ("A", "AAAA")

RecordType = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


def _name(value: Any) -> str:
    from earwitness.probes.dns_records import canonical_name  # noqa: PLC0415  Loads dnspython.

    text = str(value).strip()
    if not text:
        raise problem(f"{value!r} is not a name; write one such as shop.example, or . for the root")
    try:
        return canonical_name(text)
    except ValueError as error:
        raise problem(f"{value!r} is not a name: {error}") from error


def _rcode(value: Any) -> str:
    from earwitness.probes.dns_records import is_rcode  # noqa: PLC0415  Loads dnspython.

    text = str(value).strip().upper()
    if not is_rcode(text):
        raise problem(f"{value!r} is no answer's code; write one such as NOERROR or NXDOMAIN")
    return text


class DnsAnswers(Spec):
    """The records that must be there: `any` one of them, `all` of them, or `exactly` them and no other."""

    any_: Annotated[tuple[str, ...], OneOrMore()] = Field(default=(), alias="any")
    all_: Annotated[tuple[str, ...], OneOrMore()] = Field(default=(), alias="all")
    exactly: Annotated[tuple[str, ...], OneOrMore()] = ()


class DnsExpect(Spec):
    """What must be true of every server's answer. `answers` are records as in a zone file; a list means all of them."""

    rcode: Annotated[str, BeforeValidator(_rcode)] = "NOERROR"
    answers: Annotated[DnsAnswers, BeforeValidator(lambda v: v if isinstance(v, dict) else {"all": v})] = DnsAnswers()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    min_ttl: Duration | None = None
    authenticated: Flag = False  # the AD flag: the server says that it verified the answer by DNSSEC
    agree: Flag = False  # all servers say the same
    within: Limits = Limits()


class DnsSpec(Spec):
    """A question. Without `servers` the configured name servers are asked, or the system's: ours, so their silence is ours too."""

    name: Annotated[str, BeforeValidator(_name)]
    type: RecordType = "A"
    servers: Annotated[tuple[NameServer, ...], OneOrMore()] = ()
    protocol: Literal["udp", "tcp"] = "udp"
    recursion: Flag = True
    timeout: Duration = Field(default=5.0, gt=0)
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    effect: Effect = Effect.BLOCKED
    expect: DnsExpect = DnsExpect()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        import earwitness.probes.dns_asking  # noqa: F401, PLC0415  Here already, so that no run waits for it.
        from earwitness.probes.dns_records import canonical  # noqa: PLC0415

        for key, texts in (
            ("any", self.expect.answers.any_),
            ("all", self.expect.answers.all_),
            ("exactly", self.expect.answers.exactly),
        ):
            for text in texts:
                if canonical(self.type, text) is None:
                    raise problem(
                        f"{text!r} is no {self.type} record; write it as in a zone file", f"expect.answers.{key}"
                    )
        if self.expect.networks and self.type not in _ADDRESSES:
            raise problem(f"{self.type} records hold no address; networks are for A and AAAA", "expect.networks")
        return self


async def run(spec: DnsSpec, ctx: RunContext) -> Observation:
    """Ask every server at once and judge each answer. Never raises for what a server did.

    Facts: name, type, servers, and of the first server rcode, answer, ttl. Measures: duration and question (the slowest server) in
    seconds, answers (records of the first server).
    """
    from earwitness.probes.dns_asking import observe  # noqa: PLC0415  Loads dnspython.

    return await observe(spec, ctx)


KIND = Kind(channel=Channel.DNS, spec=DnsSpec, run=run, budget=lambda spec: spec.timeout)
