"""What the judge says: incidents, what changes them, and the runs that it wants."""

from dataclasses import dataclass

from earwitness.model.words import Evidence, Severity, Status, TransitionKind, Why


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: float
    kind: TransitionKind
    text: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What explains the failures. `supporting` and `contradicting` are names of probes."""

    dependency: str | None
    confidence: float  # 0..1, defined in docs/judgement.md
    supporting: tuple[str, ...]
    contradicting: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()  # dependencies that explain the failures just as well


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    severity: Severity
    status: Status
    title: str
    reason: str  # the written argument: facts used, rule, what would change the verdict
    environment: str
    journeys: tuple[str, ...]
    probes: tuple[str, ...]
    cause: Cause
    opened_at: float
    failing_since: float  # when the first failure was seen
    resolved_at: float | None = None
    acknowledged_by: str | None = None
    timeline: tuple[TimelineEntry, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    observations: tuple[str, ...] = ()  # run ids whose observations carried the evidence


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one incident, with the incident as it is after the change."""

    incident: Incident
    kind: TransitionKind
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A run that the judge wants. The key is unique, so a crash neither loses nor doubles it."""

    key: str
    probe: str
    why: Why
    not_after: float
    incident: str | None = None
