"""What the judge says: incidents, what changes them, and the runs that it wants."""

from dataclasses import dataclass

from earwitness.model.quiet import Mute
from earwitness.model.words import Effect, Evidence, Scope, Severity, Status, TransitionKind, Why, Workaround


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: float
    kind: TransitionKind
    text: str
    severity: Severity | None = None  # of the incident from then on; entries of an earlier version do not say
    muted: bool = False  # whether nobody was told of the incident from then on


@dataclass(frozen=True, slots=True)
class Cause:
    """What explains the failures. `supporting` and `contradicting` are names of probes."""

    dependency: str | None
    confidence: float  # 0..1, defined in docs/judgement.md
    supporting: tuple[str, ...]
    contradicting: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()  # dependencies that explain the failures just as well


@dataclass(frozen=True, slots=True)
class Harm:
    """What one journey's failing probes mean for its customers."""

    journey: str
    effect: Effect
    workaround: Workaround
    failing: tuple[str, ...]  # probes
    passing: tuple[str, ...] = ()  # workarounds that pass
    untested: tuple[str, ...] = ()  # workarounds that block too, or were not seen to work lately


@dataclass(frozen=True, slots=True)
class WouldBe:
    """What would change the verdict: the severity, if this were so."""

    severity: Severity
    condition: str


@dataclass(frozen=True, slots=True)
class Argument:
    """The argument as structure: the facts used, the rule, and what would change the verdict."""

    harms: tuple[Harm, ...]
    production: bool
    rule: str
    why: str
    scope: Scope = Scope.EVERYWHERE
    periods: tuple[str, ...] = ()  # critical periods that made it count as more, or less
    would_be: tuple[WouldBe, ...] = ()


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
    argument: Argument | None = None  # of incidents that an earlier version judged there is none
    times: tuple[str, ...] = ()  # calendars and critical periods that held when it was last judged
    muted: Mute | None = None
    reopened: int = 0  # how often it came back after its end
    flapping: bool = False  # whether its probes come and go
    merged_into: str | None = None  # the incident in which its probes went on
    split_from: str | None = None  # the incident that people split it from: they are not merged again


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
