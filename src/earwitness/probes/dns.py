"""The DNS probe: puts one question to one or several name servers, and judges each answer."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Any, Literal, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Duration, Flag, Limits, NameServer, OneOrMore, Spec, problem
from earwitness.model import Attribution, Channel, Effect, Failure, Finding, Observation, Scalar, Step
from earwitness.probes.context import Kind, RunContext
from earwitness.probes.endpoint import THEIRS, excused, failed, slow
from earwitness.transport.errors import ExchangeError
from earwitness.transport.name_servers import ask, system_servers

_ADDRESSES = ("A", "AAAA")
_SERVER_TROUBLE = ("SERVFAIL", "REFUSED", "NOTIMP")

RecordType = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


def _name(value: Any) -> str:
    text = str(value).strip()
    if not text:
        raise problem(f"{value!r} is not a name; write one such as shop.example, or . for the root")
    try:
        return dns.name.from_text(text).to_text()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise problem(f"{value!r} is not a name: {error}") from error


def _rcode(value: Any) -> str:
    text = str(value).strip().upper()
    try:
        dns.rcode.from_text(text)
    except dns.exception.DNSException as error:
        raise problem(f"{value!r} is no answer's code; write one such as NOERROR or NXDOMAIN") from error
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
        for key, texts in (
            ("any", self.expect.answers.any_),
            ("all", self.expect.answers.all_),
            ("exactly", self.expect.answers.exactly),
        ):
            for text in texts:
                if _canonical(self.type, text) is None:
                    raise problem(
                        f"{text!r} is no {self.type} record; write it as in a zone file", f"expect.answers.{key}"
                    )
        if self.expect.networks and self.type not in _ADDRESSES:
            raise problem(f"{self.type} records hold no address; networks are for A and AAAA", "expect.networks")
        return self

    @property
    def query(self) -> dns.message.QueryMessage:
        flags = dns.flags.RD if self.recursion else 0
        if self.expect.authenticated:
            flags |= dns.flags.AD
        return dns.message.make_query(self.name, self.type, flags=flags, want_dnssec=self.expect.authenticated)


def _canonical(kind: str, text: str) -> str | None:
    """Return a record's text as every server would write it, or None if it is none."""
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root)
    except (dns.exception.DNSException, ValueError):
        return None
    return rdata.to_text().lower() if kind != "TXT" else rdata.to_text()


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one server said, or why it said nothing."""

    server: str
    seconds: float
    message: dns.message.Message | None = None
    error: ExchangeError | None = None

    def records(self, kind: str) -> list[str]:
        """The answer's records of this type, sorted."""
        if self.message is None:
            return []
        sets = [found for found in self.message.answer if found.rdtype == dns.rdatatype.from_text(kind)]
        return sorted(
            text for found in sets for rdata in found if (text := _canonical(kind, rdata.to_text())) is not None
        )

    @property
    def rcode(self) -> str:
        return "" if self.message is None else dns.rcode.to_text(self.message.rcode())

    @property
    def ttl(self) -> int | None:
        """The shortest time to live in the answer, in seconds."""
        return min((found.ttl for found in self.message.answer), default=None) if self.message is not None else None

    def said(self, kind: str) -> str:
        if self.message is None:
            return "nothing"
        return ", ".join(self.records(kind)) or (f"no {kind} record" if self.rcode == "NOERROR" else self.rcode)


async def run(spec: DnsSpec, ctx: RunContext) -> Observation:
    """Ask every server at once and judge each answer. Never raises for what a server did.

    Facts: name, type, servers, and of the first server rcode, answer, ttl. Measures: duration and question (the slowest server) in
    seconds, answers (records of the first server).
    """
    if ctx.web is None:
        raise RuntimeError("a DNS probe needs a web client")
    ours = not spec.servers
    try:
        servers = spec.servers or ctx.web.connector.resolver.nameservers or system_servers()
    except ExchangeError as error:
        return ctx.observe(findings=[failed(error, spec.effect)], facts={"name": spec.name, "type": spec.type})
    replies = await asyncio.gather(*(_ask(server, spec, ctx, guarded=not ours) for server in servers))
    judged = {reply.server: list(_judged(spec, reply, ours=ours)) for reply in replies}
    findings = _told(judged, ours=ours)
    findings = await excused([*findings, *_disagreement(spec, replies)], ctx.web.uplink)
    told = [ctx.hosts.attributed(finding, spec.name.rstrip(".")) for finding in findings]
    return ctx.observe(
        findings=told,
        steps=[_step(spec, reply, [*judged[reply.server], *findings]) for reply in replies],
        evidence=await _keep(replies, ctx) if any(f.attribution in THEIRS for f in told) else (),
        facts=_facts(spec, replies),
        measures=_measures(spec, replies, ctx.elapsed),
    )


KIND = Kind(channel=Channel.DNS, spec=DnsSpec, run=run, budget=lambda spec: spec.timeout)


async def _ask(server: str, spec: DnsSpec, ctx: RunContext, *, guarded: bool) -> _Reply:
    assert ctx.web is not None
    began = ctx.elapsed
    try:
        allow = spec.allow if guarded else None
        message = await ask(
            ctx.web.connector, server, spec.query, spec.timeout, tcp=spec.protocol == "tcp", allow=allow
        )
    except ExchangeError as error:
        return _Reply(server, ctx.elapsed - began, error=error)
    return _Reply(server, ctx.elapsed - began, message)


def _judged(spec: DnsSpec, reply: _Reply, *, ours: bool) -> Iterator[Finding]:
    """Yield what is wrong with one server's answer. That our own name servers fail is no target's outage."""
    if reply.error is not None:
        finding = failed(reply.error, spec.effect, reply.server)
        silent = Finding(Failure.RESOLVER_FAILED, finding.message, Effect.NONE, Attribution.MONITOR, reply.server)
        yield silent if ours else finding
        return
    found = list(_wrong(spec, reply))
    if ours and reply.rcode in _SERVER_TROUBLE and found:
        message = f"our name server {reply.server} failed to look up {spec.name}: {reply.rcode}"
        yield Finding(Failure.RESOLVER_FAILED, message, Effect.NONE, Attribution.UNKNOWN, reply.server)
        return
    for failure, message in found:
        yield Finding(failure, f"{reply.server}: {message}", spec.effect, step=reply.server)
    yield from slow(spec.expect.within, reply.seconds, spec.effect, f"the answer of {reply.server}")


def _told(judged: dict[str, list[Finding]], *, ours: bool) -> list[Finding]:
    """Return what is told: of our own name servers those count that answered, and only where none did that none does."""
    answered = [of for of in judged.values() if all(f.failure is not Failure.RESOLVER_FAILED for f in of)]
    counted = answered if ours and answered else list(judged.values())
    return [finding for of in counted for finding in of]


def _wrong(spec: DnsSpec, reply: _Reply) -> Iterator[tuple[Failure, str]]:
    expect, kind = spec.expect, spec.type
    asked = f"{spec.name} {kind}"
    if reply.rcode != expect.rcode:
        missing = reply.rcode == "NXDOMAIN" and expect.rcode == "NOERROR"
        failure = Failure.NAME_NOT_FOUND if missing else Failure.WRONG_RCODE
        yield failure, f"expected {expect.rcode} for {asked}, got {reply.rcode}"
        return
    records = reply.records(kind)
    if expect.rcode == "NOERROR" and not records:
        yield Failure.WRONG_ANSWER, f"expected an answer for {asked}, there is no such record"
        return
    yield from _wrong_records(spec, records, reply.said(kind))
    if expect.min_ttl is not None and reply.ttl is not None and reply.ttl < expect.min_ttl:
        yield Failure.WRONG_ANSWER, f"expected {asked} to live {expect.min_ttl:g} s, it lives {reply.ttl} s"
    if expect.authenticated and reply.message is not None and not reply.message.flags & dns.flags.AD:
        yield Failure.NOT_AUTHENTICATED, f"expected {asked} to be authenticated by DNSSEC, the server does not say so"


def _wrong_records(spec: DnsSpec, records: Sequence[str], said: str) -> Iterator[tuple[Failure, str]]:
    wanted, there = spec.expect.answers, set(records)
    some, every, exact = (
        [_canonical(spec.type, text) or text for text in texts] for texts in (wanted.any_, wanted.all_, wanted.exactly)
    )
    asked = f"{spec.name} {spec.type}"
    if some and not there.intersection(some):
        yield Failure.WRONG_ANSWER, f"expected {asked} to hold any of {', '.join(some)}, got {said}"
    if every and not there.issuperset(every):
        yield Failure.WRONG_ANSWER, f"expected {asked} to hold {', '.join(every)}, got {said}"
    if exact and there != set(exact):
        yield Failure.WRONG_ANSWER, f"expected {asked} to be exactly {', '.join(exact)}, got {said}"
    outside = [text for text in records if spec.expect.networks and not _inside(text, spec.expect.networks)]
    if outside:
        listed = ", ".join(str(network) for network in spec.expect.networks)
        yield Failure.WRONG_ANSWER, f"expected {asked} to be in {listed}, got {', '.join(outside)}"


def _inside(text: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    address = ip_address(text)
    return any(address in network for network in networks if network.version == address.version)


def _disagreement(spec: DnsSpec, replies: Sequence[_Reply]) -> list[Finding]:
    """Return that the servers say different things, and what each says."""
    heard = [reply for reply in replies if reply.message is not None]
    if not spec.expect.agree or len({(reply.rcode, *reply.records(spec.type)) for reply in heard}) < 2:
        return []
    each = "; ".join(f"{reply.server} says {reply.said(spec.type)}" for reply in heard)
    return [Finding(Failure.WRONG_ANSWER, f"the servers disagree on {spec.name} {spec.type}: {each}", spec.effect)]


def _step(spec: DnsSpec, reply: _Reply, findings: Sequence[Finding]) -> Step:
    wrong = next((finding for finding in findings if finding.step == reply.server), None)
    note = wrong.message if wrong else reply.said(spec.type)
    return Step(reply.server, wrong is None, 0.0, reply.seconds, note)


def _facts(spec: DnsSpec, replies: Sequence[_Reply]) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {"name": spec.name, "type": spec.type, "servers": ", ".join(r.server for r in replies)}
    first = next((reply for reply in replies if reply.message is not None), None)
    if first is not None:
        facts |= {"rcode": first.rcode, "answer": first.said(spec.type)}
        facts |= {"ttl": first.ttl} if first.ttl is not None else {}
    return facts


def _measures(spec: DnsSpec, replies: Sequence[_Reply], duration: float) -> dict[str, float]:
    measures = {"duration": duration}
    heard = [reply for reply in replies if reply.message is not None]
    if heard:
        measures |= {"question": max(r.seconds for r in heard), "answers": float(len(heard[0].records(spec.type)))}
    return measures


async def _keep(replies: Sequence[_Reply], ctx: RunContext) -> tuple[Any, ...]:
    """Keep every server's answer as text."""
    texts = [f";; {r.server}\n{r.message.to_text() if r.message is not None else f';; {r.error}'}\n" for r in replies]
    media_type = "text/plain; charset=utf-8"
    return await ctx.keep("\n".join(texts).encode(), kind="dns_answer", media_type=media_type, name="answer.txt")
