"""What the judge says: incidents, what changes them, and the runs that it wants."""

from dataclasses import dataclass, replace

from earwitness.model.quiet import Mute
from earwitness.model.words import (
    Attribution,
    Effect,
    Evidence,
    Scope,
    Severity,
    Status,
    TransitionKind,
    Why,
    Workaround,
    worse,
)

RENEWED_AFTER = 300.0  # seconds from which on an acknowledgement may be renewed


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
    confidence: float  # 0..1, defined in docs/judgement.md; 0 where no cause is named
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
    broken: tuple[str, ...] = ()  # workarounds that were seen to block too
    untested: tuple[str, ...] = ()  # workarounds of which nobody could tell lately
    held: tuple[
        str, ...
    ] = ()  # those of the untested that passed in this incident, which holds until they are seen again


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
    attribution: Attribution = Attribution.UNKNOWN  # whose fault it is taken to be
    failing_from: tuple[str, ...] = ()  # locations from which it was last seen to fail
    passing_from: tuple[str, ...] = ()  # locations from which all of it was last seen to pass


@dataclass(frozen=True, slots=True)
class Awaited:
    """A run of a probe of the incident that was asked for and has not answered."""

    probe: str
    asked_at: float


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
    weighed: tuple[
        str, ...
    ] = ()  # run ids of workarounds, control calls and other probes that decided severity and cause
    argument: Argument | None = None  # of incidents that an earlier version judged there is none
    times: tuple[str, ...] = ()  # calendars and critical periods that held when it was last judged
    muted: Mute | None = None
    reopened: int = 0  # how often it came back after its end
    relapses: int = 0  # how often of these its probes had passed in between
    reopened_at: float | None = None  # when it came back for the last time
    flapping: bool = False  # whether its probes, or its severity, come and go
    eased: bool = False  # whether it was lowered by what probes saw
    unsteady: bool = False  # whether it rose again after that: from then on the worse severity stays for a while
    better_since: float | None = None  # while it stays, since when the probes alone would have lowered it
    awaited: tuple[Awaited, ...] = ()  # confirmations of its probes
    merged_into: str | None = None  # the incident in which its probes went on
    split_from: str | None = None  # the incident that people split it from
    joined: tuple[str, ...] = ()  # probes that joined it for nothing but a host or number that all of it reach
    parted: tuple[str, ...] = ()  # probes that people split off it, or it off them: they are not joined to it again

    @property
    def began_at(self) -> float:
        """When it opened, or opened again: what was seen from then on is of this incident."""
        return self.opened_at if self.reopened_at is None else self.reopened_at

    @property
    def latest_moment(self) -> float:
        """The latest that it remembers, by the clock of then."""
        known = (self.opened_at, self.failing_since, self.resolved_at, self.reopened_at, self.better_since)
        return max(*(moment or 0.0 for moment in known), *(entry.at for entry in self.timeline))

    def no_later_than(self, at: float) -> "Incident":
        """Return the same incident with nothing in it later than `at`, as if what was had been just now."""

        def by(moment: float | None) -> float | None:
            return None if moment is None else min(moment, at)

        return replace(
            self,
            opened_at=min(self.opened_at, at),
            failing_since=min(self.failing_since, at),
            resolved_at=by(self.resolved_at),
            reopened_at=by(self.reopened_at),
            better_since=by(self.better_since),
            timeline=tuple(replace(entry, at=min(entry.at, at)) for entry in self.timeline),
            awaited=(),
        )

    @property
    def outgrown_at(self) -> float | None:
        """Since when it is worse than it was when it was last acknowledged, which nobody has answered. None: it is not."""
        if self.status is not Status.ACKNOWLEDGED:
            return None
        answered, since = None, None
        for entry in self.timeline:
            if entry.kind is TransitionKind.ACKNOWLEDGE:
                answered, since = entry.severity, None
            elif answered is not None and entry.severity is not None:
                since = (since or entry.at) if worse(entry.severity, answered) else None
        return since

    @property
    def unanswered(self) -> bool:
        """Whether nobody has acknowledged it as it is now."""
        return self.status is Status.OPEN or self.outgrown_at is not None

    def takes_acknowledgement(self, now: float) -> bool:
        """Whether one would say more than the last: what grew old may be renewed, a second click says nothing."""
        last = max((e.at for e in self.timeline if e.kind is TransitionKind.ACKNOWLEDGE), default=now)
        renewed = self.status is Status.ACKNOWLEDGED and now - last >= RENEWED_AFTER
        return self.unanswered or renewed

    @property
    def of_monitor(self) -> bool:
        """Whether it stands for what the monitor itself cannot do, which is no incident of any customer's."""
        return is_impairment(self.id)


def is_impairment(incident_id: str) -> bool:
    """Return whether the id is that of a notice that the monitor is impaired."""
    return incident_id.startswith("impairment-")


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
