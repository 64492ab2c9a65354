"""One step of a flow as it went, and what a failed exchange says of its target."""

from dataclasses import dataclass, field

import httpx

from earwitness.model import Attribution, Effect, Failure, Finding, Step, worst_effect
from earwitness.probes.http_checks import Answer, next_to_end
from earwitness.probes.http_spec import StepSpec
from earwitness.transport.base import ascii_host
from earwitness.transport.errors import ExchangeError
from earwitness.transport.redirects import Trail


@dataclass(slots=True)
class Visit:
    """One step as it went: what was asked, what came, and what is wrong with it."""

    step: StepSpec
    name: str
    started: float  # seconds into the run
    request: httpx.Request | None = None  # None: the step was skipped
    trail: Trail = field(default_factory=Trail)
    answer: Answer | None = None
    findings: list[Finding] = field(default_factory=list)
    duration: float = 0.0
    note: str = ""  # why it was skipped
    signs_in: bool = False  # whether it is no step of the flow, but fetches the token for it
    lacks: bool = False  # whether it gave less than the steps after it need

    @property
    def stops(self) -> bool:
        """Whether a customer could not go on: blocked, or without what the next step needs, or we cannot tell."""
        unsure = any(f.attribution in (Attribution.MONITOR, Attribution.UNKNOWN) for f in self.findings)
        return self.lacks or unsure or worst_effect(tuple(self.findings)) is Effect.BLOCKED

    @property
    def step_seen(self) -> Step:
        note = self.note or (self.findings[0].message if self.findings else "")
        note = note or (self.answer.redaction.text(self.answer.status_line) if self.answer else "")
        return Step(self.name, not self.findings and not self.note, self.started, self.duration, note)


def host_of(visit: Visit, failure: Failure, now: float) -> str:
    """Return the host that a finding is about: the one that took longest if it is slowness, the one whose certificate ends next, else the last one asked."""
    exchanges = visit.trail.exchanges
    if failure is Failure.SLOW and exchanges:
        return max(exchanges, key=lambda exchange: sum(exchange.phases.values())).host
    if failure is Failure.CERTIFICATE_EXPIRING and visit.answer is not None:
        ends = next_to_end(visit.answer.certificates, now)
        return next((exchange.host for exchange in exchanges if ends in exchange.certificates), exchanges[-1].host)
    if exchanges:
        return exchanges[-1].host
    return ascii_host(visit.request.url) if visit.request is not None else ""


def finding_of(error: httpx.TransportError, step: StepSpec) -> Finding:
    """Return what a failed exchange says. Where it is no ExchangeError, the request was one that cannot be sent."""
    if not isinstance(error, ExchangeError):
        error = ExchangeError(str(error) or type(error).__name__, Failure.MONITOR_ERROR)
    ours = error.attribution is not Attribution.TARGET
    return Finding(error.failure, str(error), Effect.NONE if ours else step.harm, error.attribution)
