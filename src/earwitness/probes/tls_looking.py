"""A run of the TLS probe: the handshake, and what is wrong with what was shown and agreed on."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from earwitness.model import Effect, Failure, Finding, Observation, Scalar, Step
from earwitness.probes.context import RunContext
from earwitness.probes.endpoint import THEIRS, excused, failed, phases, slow
from earwitness.probes.http_checks import check_time_left
from earwitness.probes.tls import PROTOCOL_NAMES, PROTOCOLS, TlsExpect, TlsSpec
from earwitness.transport.chain import as_utc
from earwitness.transport.chain_faults import facts_of, faults_of, needed, revocation
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Certificate, Exchange, Stage
from earwitness.transport.handshake import Handshake, shake_hands
from earwitness.transport.starttls import ask_for_tls


@dataclass(slots=True)
class _Look:
    """One look at the server."""

    record: Exchange = field(default_factory=Exchange)
    hands: Handshake | None = None
    ocsp: str = "not stapled"
    findings: list[Finding] = field(default_factory=list)


async def observe(spec: TlsSpec, ctx: RunContext) -> Observation:
    """Shake hands once and judge what was shown."""
    if ctx.web is None:
        raise RuntimeError("a TLS probe needs a web client")
    look = await _look(spec, ctx)
    duration = ctx.elapsed
    findings = [ctx.hosts.attributed(finding, spec.host) for finding in await excused(look.findings, ctx.web.uplink)]
    kept = any(f.attribution in THEIRS for f in findings) and look.hands is not None and look.hands.chain
    note = findings[0].message if findings else ""
    return ctx.observe(
        findings=findings,
        steps=[Step(f"handshake with {spec.host}:{spec.port}", not findings, 0.0, duration, note)],
        evidence=await _keep(look.hands, ctx) if kept and look.hands else (),
        facts={"host": spec.host, **_facts(look)},
        measures={"duration": duration, **phases(look.record), **_measures(look.hands)},
    )


async def _look(spec: TlsSpec, ctx: RunContext) -> _Look:
    assert ctx.web is not None
    look = _Look()
    try:
        async with ctx.web.connector.open(spec.endpoint, look.record, spec.timeout) as connection:
            if spec.starttls is not None:
                look.record.enter(Stage.PROCESSING, ctx.web.connector.now())
                await ask_for_tls(spec.starttls, connection)
            look.record.enter(Stage.TLS, ctx.web.connector.now())
            look.hands = await shake_hands(connection, spec.server_name or spec.host, spec.alpn)
        look.ocsp = revocation(look.hands.chain, look.hands.ocsp, as_utc(ctx.clock.now()))
        look.findings = list(_judged(spec, look.hands, look.ocsp, ctx))
    except ExchangeError as error:
        look.findings = [failed(error, spec.effect)]
        return look
    look.findings += slow(spec.expect.within, ctx.elapsed, spec.effect, "the handshake")
    return look


def _judged(spec: TlsSpec, hands: Handshake, ocsp: str, ctx: RunContext) -> Iterator[Finding]:
    """Yield what is wrong. Raises ConnectFailedError when our own authorities cannot be read."""
    assert ctx.web is not None
    now, host = ctx.clock.now(), spec.server_name or spec.host
    for fault in faults_of(hands.chain, host, ctx.web.connector.trust, as_utc(now), ocsp_says=ocsp):
        if _wanted(fault.failure, spec.expect):
            yield Finding(fault.failure, fault.message, spec.effect)
    used = needed(hands.chain, ctx.web.connector.trust, as_utc(now))
    yield from check_time_left(spec.expect.certificate_left, [facts_of(certificate) for certificate in used], now)
    yield from _agreed(spec, hands, ocsp)


_TRUST = (Failure.CERTIFICATE_SELF_SIGNED, Failure.CERTIFICATE_CHAIN_INCOMPLETE, Failure.CERTIFICATE_UNTRUSTED)


def _wanted(failure: Failure, expect: TlsExpect) -> bool:
    if failure is Failure.CERTIFICATE_WRONG_NAME:
        return expect.name
    return expect.trusted or failure not in _TRUST


def _agreed(spec: TlsSpec, hands: Handshake, ocsp: str) -> Iterator[Finding]:
    """Yield what is wrong with protocol, cipher, ALPN and the stapled answer."""
    expect, least = spec.expect, PROTOCOL_NAMES[spec.expect.min_protocol]
    if hands.protocol not in PROTOCOLS or PROTOCOLS.index(hands.protocol) < PROTOCOLS.index(least):
        yield Finding(
            Failure.WRONG_PROTOCOL, f"expected {least} or newer, the server agrees on {hands.protocol}", spec.effect
        )
    if expect.ciphers and not any(pattern.search(hands.cipher) for pattern in expect.ciphers):
        wanted = " or ".join(repr(pattern.pattern) for pattern in expect.ciphers)
        yield Finding(
            Failure.WRONG_CIPHER, f"expected a cipher like {wanted}, the server chose {hands.cipher}", spec.effect
        )
    if expect.alpn is not None and hands.alpn != expect.alpn:
        got = hands.alpn or "nothing"
        yield Finding(
            Failure.WRONG_PROTOCOL, f"expected {expect.alpn} by ALPN, the server agrees on {got}", spec.effect
        )
    if expect.stapled and ocsp not in ("good", "revoked"):
        message = f"expected a stapled OCSP answer that can be used, it is {ocsp}"
        yield Finding(Failure.WRONG_ANSWER, message, Effect.NUISANCE)


def _certificates(hands: Handshake) -> list[Certificate]:
    return [facts_of(certificate) for certificate in hands.chain]


def _facts(look: _Look) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {"address": look.record.address} if look.record.address else {}
    hands = look.hands
    if hands is None:
        return facts
    facts |= {"tls_version": hands.protocol, "tls_cipher": hands.cipher, "alpn": hands.alpn or None}
    if hands.chain:
        shown = _certificates(hands)
        facts |= {
            "ocsp": look.ocsp,
            "chain": " < ".join(certificate.subject for certificate in shown),
            "certificate_subject": shown[0].subject,
            "certificate_issuer": shown[0].issuer,
            "certificate_not_after": shown[0].not_after,
        }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _measures(hands: Handshake | None) -> dict[str, float]:
    if hands is None:
        return {}
    measures = {"tls_version": 1.0 + PROTOCOLS.index(hands.protocol) / 10} if hands.protocol in PROTOCOLS else {}
    expiries = [certificate.not_after for certificate in _certificates(hands)]
    return {**measures, "cert_expiry": min(expiries)} if expiries else measures


async def _keep(hands: Handshake, ctx: RunContext) -> tuple[Any, ...]:
    """Keep the chain as it was sent."""
    name = "chain.pem"
    return await ctx.keep(hands.pem, kind="certificates", media_type="application/x-pem-file", name=name)
