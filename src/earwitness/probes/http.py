"""The HTTP probe: one request, or a flow of them, as a customer's browser or program would make it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from earwitness.model import Channel, Effect, Failure, Finding, Observation, Scalar, without_doubt, worst_effect
from earwitness.probes.context import Kind, RunContext
from earwitness.probes.endpoint import THEIRS, excused
from earwitness.probes.http_evidence import keep_visits
from earwitness.probes.http_spec import HttpSpec
from earwitness.probes.http_step import Visit
from earwitness.probes.http_terms import FAMILIES
from earwitness.probes.http_visit import Visitor
from earwitness.transport.exchange import Stage
from earwitness.transport.redaction import Redaction

_PHASES = {stage: f"phase_{stage}" for stage in Stage}


@dataclass(slots=True)
class _Try:
    """One try: the steps that were taken, and what is wrong with them."""

    started: float  # seconds into the run
    visits: list[Visit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    duration: float = 0.0

    @property
    def badness(self) -> tuple[bool, int]:
        """Order by what a customer who tried again would have met; what we cannot tell comes last."""
        unsure = any(f.attribution not in THEIRS for f in self.findings)
        return unsure, -list(Effect).index(worst_effect(tuple(self.findings)))

    @property
    def reached(self) -> Visit:
        """The last step of the flow itself that was asked for: neither the token nor what cleaned up afterwards."""
        asked = [visit for visit in self.visits if visit.request is not None] or self.visits
        main = [visit for visit in asked if not visit.step.always and not visit.signs_in]
        return (main or asked)[-1]


async def run(spec: HttpSpec, ctx: RunContext) -> Observation:
    """Make the requests, as often as `tries` allows until one try passes, and say what was wrong with the best of them.

    Facts: url (of the first step, query values masked); of the last step that was reached final_url, redirects, status,
    address, http_version, certificate_subject, certificate_not_after (seconds since the epoch). Measures: duration and
    phase_resolve, phase_connect, phase_tls, phase_processing, phase_transfer in seconds (summed over steps and redirects;
    without TLS there is no phase_tls), step_NAME in seconds for each step of a flow, status_code, size in bytes after
    decompression, cert_expiry (earliest in the chains, seconds since the epoch).
    """
    if ctx.web is None:
        raise RuntimeError("an HTTP probe needs a web client")
    web, redaction = ctx.web, Redaction(ctx.memo.once(spec, "secrets", lambda: tuple(spec.secrets())))
    tries: list[_Try] = []
    bests: list[_Try] = []
    for family in FAMILIES[spec.ip]:
        made = await _tries(spec, ctx, redaction, family)
        tries += made
        bests.append(min(reversed(made), key=lambda one: one.badness))
    best = _over_both(*bests) if len(bests) > 1 else bests[0]
    best.findings = await excused(best.findings, web.uplink)
    seen = any(f.attribution in THEIRS for f in best.findings)
    return ctx.observe(
        findings=list(_worded(best, tries)),
        steps=[visit.step_seen for one in tries for visit in one.visits],
        evidence=await keep_visits(best.visits, redaction, ctx) if seen else [],
        facts=_facts(spec, best, redaction),
        measures=_measures(best),
    )


KIND = Kind(channel=Channel.HTTP, spec=HttpSpec, run=run, budget=lambda spec: spec.longest)


async def _tries(spec: HttpSpec, ctx: RunContext, redaction: Redaction, family: int | None) -> list[_Try]:
    assert ctx.web is not None
    tries: list[_Try] = []
    while len(tries) < spec.tries and (not tries or tries[-1].findings):
        tries.append(await _attempt(Visitor(spec, ctx, ctx.web, redaction, family), ctx))
    return tries


def _over_both(four: _Try, six: _Try) -> _Try:
    """Return the try that speaks for both: the one that failed, with findings that say over which IP they are true."""
    if not (four.findings and six.findings):
        failed, version = (four, 4) if four.findings else (six, 6)
        failed.findings = [replace(f, message=f"only over IPv{version}: {f.message}") for f in failed.findings]
        return failed if failed.findings else four
    common = {_what(f) for f in four.findings} & {_what(f) for f in six.findings}
    told = [f for f in four.findings if _what(f) in common]
    told += [replace(f, message=f"over IPv4: {f.message}") for f in four.findings if _what(f) not in common]
    told += [replace(f, message=f"over IPv6: {f.message}") for f in six.findings if _what(f) not in common]
    worse = max((four, six), key=lambda one: (not one.badness[0], one.badness[1]))
    worse.findings = without_doubt(told)
    return worse


def _what(finding: Finding) -> tuple[Failure, str]:
    return finding.failure, (finding.step or "").rpartition(" over IPv")[0]


async def _attempt(visitor: Visitor, ctx: RunContext) -> _Try:
    this = _Try(started=ctx.elapsed)
    this.visits = await visitor.walk()
    this.findings = _told(this.visits)
    this.duration = ctx.elapsed - this.started
    return this


def _told(visits: Sequence[Visit]) -> list[Finding]:
    return without_doubt([finding for visit in visits for finding in visit.findings])


def _worded(best: _Try, tries: Sequence[_Try]) -> Iterator[Finding]:
    """Yield the findings; those of a named step say which, since alerts show the message alone."""
    if not best.findings:
        return
    named = {visit.name: visit.step.name for one in tries for visit in one.visits if visit.step.name}
    for finding in best.findings:
        step = named.get(finding.step or "")
        yield finding if step is None else replace(finding, message=f"{step}: {finding.message}")


def _facts(spec: HttpSpec, best: _Try, redaction: Redaction) -> dict[str, Scalar]:
    first = next((v for v in best.visits if not v.signs_in), best.visits[0])
    reached = best.reached
    facts: dict[str, Scalar] = {"url": redaction.url(first.step.url), "redirects": len(reached.trail.hops)}
    if reached.answer is not None:
        facts |= {"final_url": redaction.url(reached.answer.url), "status": reached.answer.status}
    if reached.trail.exchanges:
        last = reached.trail.exchanges[-1]
        facts["http_version"] = last.http_version
        facts |= {"address": last.address} if spec.proxy is None else {"proxy": redaction.url(spec.proxy.url)}
        if last.certificates:
            leaf = last.certificates[0]
            facts |= {"certificate_subject": leaf.subject, "certificate_not_after": leaf.not_after}
    return {name: value for name, value in facts.items() if value is not None}


def _measures(best: _Try) -> dict[str, float]:
    measures: dict[str, float] = {"duration": best.duration}
    for visit in best.visits:
        for exchange in visit.trail.exchanges:
            for stage, seconds in exchange.phases.items():
                measures[_PHASES[stage]] = measures.get(_PHASES[stage], 0.0) + seconds
    measures |= {f"step_{v.step.name}": v.duration for v in best.visits if v.step.name and v.request is not None}
    answer = best.reached.answer
    if answer is not None:
        measures |= {"status_code": float(answer.status), "size": float(len(answer.body))}
    expiries = list(_expiries(best.visits))
    return {**measures, "cert_expiry": min(expiries)} if expiries else measures


def _expiries(visits: Sequence[Visit]) -> Iterator[float]:
    for visit in visits:
        for exchange in visit.trail.exchanges:
            yield from (certificate.not_after for certificate in exchange.certificates)
