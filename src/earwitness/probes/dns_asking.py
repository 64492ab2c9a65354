"""A run of the DNS probe: the question to each server, and what its answer is worth."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from earwitness.model import Attribution, Effect, Failure, Finding, Observation, Scalar, Step
from earwitness.probes.context import RunContext
from earwitness.probes.dns import DnsSpec
from earwitness.probes.dns_records import canonical
from earwitness.probes.endpoint import THEIRS, excused, failed, slow
from earwitness.transport.errors import ExchangeError
from earwitness.transport.name_servers import ask, system_servers

_SERVER_TROUBLE = ("SERVFAIL", "REFUSED", "NOTIMP")


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
            text for found in sets for rdata in found if (text := canonical(kind, rdata.to_text())) is not None
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


async def observe(spec: DnsSpec, ctx: RunContext) -> Observation:
    """Ask every server at once and judge each answer."""
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


def _query(spec: DnsSpec) -> dns.message.QueryMessage:
    flags = dns.flags.RD if spec.recursion else 0
    if spec.expect.authenticated:
        flags |= dns.flags.AD
    return dns.message.make_query(spec.name, spec.type, flags=flags, want_dnssec=spec.expect.authenticated)


async def _ask(server: str, spec: DnsSpec, ctx: RunContext, *, guarded: bool) -> _Reply:
    assert ctx.web is not None
    began = ctx.elapsed
    try:
        allow = spec.allow if guarded else None
        message = await ask(
            ctx.web.connector, server, _query(spec), spec.timeout, tcp=spec.protocol == "tcp", allow=allow
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
        [canonical(spec.type, text) or text for text in texts] for texts in (wanted.any_, wanted.all_, wanted.exactly)
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
