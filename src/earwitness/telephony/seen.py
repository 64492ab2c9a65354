"""What a run of a call has seen so far, and what it has left to do at the carrier."""

from dataclasses import dataclass, field

from earwitness.model import Attribution, Evidence, Failure, Finding, Observation, Scalar, Step
from earwitness.probes.context import Leftover, RunContext
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.spec import CallSpec


@dataclass(slots=True)
class Seen:
    """`left`: recordings at the carrier, from when the call exists until they are deleted; `unpriced`: the call's price, until the carrier has told it."""

    spec: CallSpec
    ctx: RunContext
    facts: dict[str, Scalar]
    findings: list[Finding] = field(default_factory=list)
    steps: tuple[Step, ...] = ()
    evidence: list[Evidence] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    left: Leftover | None = None
    unpriced: Leftover | None = None

    async def keep(self, data: bytes, kind: str, media_type: str, name: str) -> bool:
        """Keep evidence. Return whether it was kept."""
        kept = await self.ctx.keep(data, kind=kind, media_type=media_type, name=name)
        self.evidence += kept
        return bool(kept)

    def blame(self, failure: Failure, message: str, attribution: Attribution = Attribution.TARGET) -> None:
        self.findings.append(Finding(failure, message, self.spec.effect, attribution))

    def unknown(self, failure: Failure, message: str, attribution: Attribution = Attribution.UNKNOWN) -> Observation:
        """Return the observation of a run that tells nothing of the target, and why."""
        self.blame(failure, message, attribution)
        return self.observation()

    def carrier_failed(self, error: CarrierError) -> Observation:
        return self.unknown(error.failure, str(error), error.attribution)

    def observation(self) -> Observation:
        return self.ctx.observe(
            findings=self.findings, steps=self.steps, evidence=self.evidence, facts=self.facts, measures=self.measures
        )
