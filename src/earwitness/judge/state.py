"""What the judge remembers: each probe's standing, and the open incidents."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from immutables import Map

from earwitness.model import Effect, Evidence, Incident, Observation, Outcome, worst_effect


@dataclass(frozen=True, slots=True)
class Failed:
    """A probe's latest failure."""

    run: str
    effect: Effect
    message: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class ProbeState:
    """A probe's standing. Runs in which the monitor could not tell change nothing here."""

    probe: str
    outcome: Outcome  # OK or FINDING
    streak: int  # how many runs in a row ended so
    since: float  # when the first of them started
    started_at: float  # when the latest of them started
    run: str
    failed: Failed | None = None  # kept until a later failure replaces it

    @property
    def failing(self) -> bool:
        return self.outcome is Outcome.FINDING

    @property
    def effect(self) -> Effect:
        """The effect of the latest failure."""
        return self.failed.effect if self.failed else Effect.NONE

    def recovered(self, needed: int) -> bool:
        """Whether the probe passed often enough in a row to be believed."""
        return not self.failing and self.streak >= needed


def after(previous: ProbeState | None, seen: Observation) -> ProbeState:
    """Return the probe's standing after one more decided run."""
    same = previous is not None and previous.outcome is seen.outcome
    failed = previous.failed if previous else None
    if seen.outcome is Outcome.FINDING:
        effect = worst_effect(seen.findings)
        headline = next(f.message for f in seen.findings if f.effect is effect)
        failed = Failed(seen.run.id, effect, headline, seen.evidence)
    return ProbeState(
        probe=seen.run.probe,
        outcome=seen.outcome,
        streak=previous.streak + 1 if previous and same else 1,
        since=previous.since if previous and same else seen.started_at,
        started_at=seen.started_at,
        run=seen.run.id,
        failed=failed,
    )


@dataclass(frozen=True, slots=True)
class State:
    """Immutable and shared: a change makes a new one in logarithmic time."""

    probes: Map[str, ProbeState] = field(default_factory=Map)
    incidents: Map[str, Incident] = field(default_factory=Map)  # the open ones

    @classmethod
    def of(cls, probes: Iterable[ProbeState], incidents: Iterable[Incident]) -> Self:
        return cls(Map({p.probe: p for p in probes}), Map({i.id: i for i in incidents}))

    def with_probe(self, probe: ProbeState) -> "State":
        return replace(self, probes=self.probes.set(probe.probe, probe))

    def with_incident(self, incident: Incident) -> "State":
        return replace(self, incidents=self.incidents.set(incident.id, incident))

    def without_incident(self, incident_id: str) -> "State":
        return replace(self, incidents=self.incidents.delete(incident_id))

    def incident_of(self, probe: str) -> Incident | None:
        return next((i for i in self.open_incidents() if probe in i.probes), None)

    def open_incidents(self) -> list[Incident]:
        """Oldest first, in an order that does not depend on names."""
        return sorted(self.incidents.values(), key=lambda i: (i.opened_at, i.failing_since))
