"""What the judge remembers: each probe's standing, and the open incidents."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Self

from immutables import Map

from earwitness.judge.layers import Try, with_try
from earwitness.judge.page_changes import (
    Change,
    believed,
    now_and_then,
    patience,
    remembered,
    seen_again,
)
from earwitness.model import (
    WATCH_FAILURES,
    Attribution,
    Effect,
    Evidence,
    Failure,
    Incident,
    Observation,
    Outcome,
    QuietPeriod,
    Rules,
    worst_effect,
)


@dataclass(frozen=True, slots=True)
class Failed:
    """A probe's latest failure."""

    run: str
    effect: Effect
    message: str
    evidence: tuple[Evidence, ...]
    failure: Failure | None = None  # an earlier version did not keep it
    dependency: str | None = None  # whose host it was that failed
    attribution: Attribution = Attribution.TARGET
    differences: tuple[str, ...] = ()  # of its payment page, where that is what failed


@dataclass(frozen=True, slots=True)
class Place:
    """What a probe's latest decided run from one location saw."""

    location: str
    failing: bool
    at: float  # when that run began


@dataclass(frozen=True, slots=True)
class ProbeState:
    """A probe's standing. Runs in which the monitor could not tell change nothing here."""

    probe: str
    outcome: Outcome  # OK or FINDING
    streak: int  # how many runs in a row ended so
    since: float  # when the first of them started
    started_at: float  # when the latest of them started
    run: str
    effect: Effect = Effect.NONE  # of its failures; a change of it has to repeat itself before it counts
    failed: Failed | None = None  # the latest failure, kept until a later one replaces it
    usable_at: float | None = None  # when a run last began that let a customer through, however annoyed
    broken: bool = False  # customers were blocked by it often enough to believe it, and it has not recovered since
    serious_of_late: tuple[float, ...] = ()  # when customers were blocked or diverted, by the starts of the latest runs
    serious_streak: int = 0  # how many runs in a row blocked or diverted customers
    changes: tuple[Change, ...] = ()  # of its payment page of late, told yet or not, those met last at the end
    tries: tuple[Try, ...] = ()  # the latest calls of a telephone probe, control calls among them
    control_asked_at: float | None = None  # when a control call was last asked for
    told: tuple[str, ...] = ()  # the latest runs that were judged, so that none counts twice
    places: tuple[Place, ...] = ()  # the locations that it was run from of late
    well_at: float | None = None  # when the run began by whose pass its recovery is believed; None while it is not

    @property
    def failing(self) -> bool:
        return self.outcome is Outcome.FINDING

    @property
    def latest_effect(self) -> Effect:
        """The effect of the latest failure, believed or not."""
        return self.failed.effect if self.failed else Effect.NONE

    @property
    def shown(self) -> tuple[str, ...]:
        """In what its payment page differs, as the latest run found it."""
        return self.failed.differences if self.failing and self.failed and is_watched(self) else ()

    def shown_in(self, text: str) -> tuple[str, ...]:
        """The same, if the text is of that run's failure."""
        return self.shown if self.failed and self.failed.message in text else ()

    @property
    def untold(self) -> tuple[Change, ...]:
        """What of it no incident told that the probe is in, or was in just before."""
        return tuple(change for change in self.changes if change.what in self.shown and not change.told)

    def stays_changed(self, rules: Rules) -> bool:
        """Whether its payment page is believed to have changed, and the probe was not well since, or not for long enough."""
        return believed(self.changes, rules.open_after, rules.nuisance_open_after) or self.is_changed_now_and_then(
            rules
        )

    def is_changed_now_and_then(self, rules: Rules) -> bool:
        """Whether its incident told of a change that comes and goes: however well it looks, who visits it next may meet that."""
        return now_and_then(self.changes, self.started_at - patience(rules.probes[self.probe].interval))

    def comes_and_goes(self, open_after: int) -> bool:
        """Whether it failed more often of late than a confirmed failure has to."""
        return len(self.serious_of_late) > open_after

    def recovered(self, needed: int) -> bool:
        """Whether the probe passed often enough in a row to be believed, and from every location."""
        return not self.failing and self.streak >= needed and not any(p.failing for p in self.places)

    @property
    def latest_moment(self) -> float:
        """The latest that is remembered, by the clock of then: of a run, a control call, or the asking for one."""
        return max(self.started_at, self.control_asked_at or 0.0, *(t.at for t in self.tries))

    def no_later_than(self, at: float) -> "ProbeState":
        """Return the same standing with nothing in it later than `at`, as if what was had been just now."""
        return replace(
            self,
            since=min(self.since, at),
            started_at=min(self.started_at, at),
            usable_at=_by(self.usable_at, at),
            well_at=_by(self.well_at, at),
            control_asked_at=_by(self.control_asked_at, at),
            serious_of_late=tuple(min(moment, at) for moment in self.serious_of_late),
            tries=tuple(replace(t, at=min(t.at, at)) for t in self.tries),
            places=tuple(replace(p, at=min(p.at, at)) for p in self.places),
            changes=tuple(replace(c, at=min(c.at, at)) for c in self.changes),
        )


def _by(moment: float | None, at: float) -> float | None:
    return None if moment is None else min(moment, at)


SERIOUS = (Effect.BLOCKED, Effect.DIVERTED)
_LATE = 5  # intervals for which a failure that came and went is remembered
_TOLD = 16  # runs that are told apart by their ids


def after(previous: ProbeState | None, seen: Observation, rules: Rules) -> ProbeState:
    """Return the probe's standing after one more decided run."""
    same = previous is not None and previous.outcome is seen.outcome
    failing = seen.outcome is Outcome.FINDING
    latest = worst_effect(seen.findings) if failing else Effect.NONE
    probe = ProbeState(
        probe=seen.run.probe,
        outcome=seen.outcome,
        streak=previous.streak + 1 if previous and same else 1,
        since=previous.since if previous and same else seen.started_at,
        started_at=seen.started_at,
        run=seen.run.id,
        effect=_settled(previous, latest) if failing else (previous.effect if previous else Effect.NONE),
        failed=_failed(seen, latest) if failing else (previous.failed if previous else None),
        usable_at=seen.started_at if latest is not Effect.BLOCKED else (previous.usable_at if previous else None),
        serious_of_late=_of_late(previous, seen, rules, serious=latest in SERIOUS),
        serious_streak=(previous.serious_streak if previous else 0) + 1 if latest in SERIOUS else 0,
        tries=with_try(previous.tries if previous else (), seen),
        control_asked_at=previous.control_asked_at if previous else None,
        told=told_of(previous, seen),
        places=_places(previous, seen, rules, failing=failing),
    )
    return replace(
        probe,
        broken=_broken(previous, probe, rules),
        well_at=_well_at(previous, probe, rules),
        changes=_changes(previous, probe, rules),
    )


def told_of(previous: ProbeState | None, seen: Observation) -> tuple[str, ...]:
    """Return the runs that were judged, with this one."""
    return (*(previous.told if previous else ()), seen.run.id)[-_TOLD:]


def _places(previous: ProbeState | None, seen: Observation, rules: Rules, *, failing: bool) -> tuple[Place, ...]:
    """Return what was seen last from each location; one from which the probe is run no more is forgotten."""
    here, oldest = seen.run.location, seen.started_at - _LATE * rules.probes[seen.run.probe].interval
    others = [p for p in (previous.places if previous else ()) if p.location != here and p.at >= oldest]
    latest = Place(here, failing, seen.started_at)
    return tuple(sorted((*others, latest), key=lambda p: p.location)) if others else (latest,)


def _of_late(previous: ProbeState | None, seen: Observation, rules: Rules, *, serious: bool) -> tuple[float, ...]:
    oldest = seen.started_at - _LATE * rules.probes[seen.run.probe].interval
    kept = tuple(at for at in (previous.serious_of_late if previous else ()) if at >= oldest)
    return (*kept, seen.started_at)[-_LATE:] if serious else kept


def _broken(previous: ProbeState | None, probe: ProbeState, rules: Rules) -> bool:
    if probe.failing and probe.effect is Effect.BLOCKED and probe.streak >= rules.open_after:
        return True
    usable = (
        probe.failing and probe.effect is not Effect.BLOCKED
    )  # seen twice in a row: annoyed, customers get through again
    return previous is not None and previous.broken and not usable and not probe.recovered(rules.resolve_after)


def _well_at(previous: ProbeState | None, probe: ProbeState, rules: Rules) -> float | None:
    if not probe.recovered(rules.resolve_after):
        return None
    known = previous.well_at if previous else None
    return probe.started_at if known is None else known


def _changes(previous: ProbeState | None, probe: ProbeState, rules: Rules) -> tuple[Change, ...]:
    """Return them with this run's."""
    known = previous.changes if previous else ()
    oldest = probe.started_at - patience(rules.probes[probe.probe].interval)
    known = remembered(known, oldest, well=probe.recovered(rules.resolve_after))
    if not probe.failing or probe.failed is None or not is_watched(probe):
        return known
    return seen_again(known, probe.failed.differences, probe.started_at)


def is_watched(probe: ProbeState) -> bool:
    """Whether it fails by nothing worse than what the payment page watch tells: no dependency that is down explains that."""
    return probe.failed is not None and probe.failed.failure in WATCH_FAILURES


def _settled(previous: ProbeState | None, latest: Effect) -> Effect:
    """In the middle of failing, another effect counts when it is seen twice in a row."""
    if previous is None or not previous.failing or previous.latest_effect is latest:
        return latest
    return previous.effect


def _failed(seen: Observation, effect: Effect) -> Failed:
    """Return the first of the worst findings; of nuisances, a page that changed before a slow one: what changed it may slow it, too.

    What changed goes before what could not be looked over, which it may have seen to.
    """
    found = [f for f in seen.findings if f.effect is effect]
    watched = [f for f in found if f.failure in WATCH_FAILURES and effect not in SERIOUS]
    changed = (f for f in watched if f.failure is not Failure.PAGE_NOT_WATCHED)
    worst = next(changed, (watched or found)[0])
    differences = (worst.differences or (worst.message,)) if worst.failure in WATCH_FAILURES else ()
    told = Failed(seen.run.id, effect, worst.message, seen.evidence, worst.failure, worst.dependency, worst.attribution)
    return replace(told, differences=differences)


MANY = 50  # probes: an incident of more is not judged in full by each run


@dataclass(frozen=True, slots=True)
class Pace:
    """When an incident of many probes was judged in full, and what happened since."""

    judged_at: float
    size: int  # how many probes it had then
    behind: bool = False  # whether something happened since that it was not judged by
    grown: bool = False  # whether probes joined since that its argument does not name
    failing: int = 0  # the place among its probes of one that had not recovered


@dataclass(frozen=True, slots=True)
class State:
    """Immutable and shared: a change makes a new one in logarithmic time."""

    probes: Map[str, ProbeState] = field(default_factory=Map)
    incidents: Map[str, Incident] = field(default_factory=Map)  # the open ones
    holders: Map[str, str] = field(default_factory=Map)  # probe -> the open incident that holds it
    quiet: Map[str, QuietPeriod] = field(default_factory=Map)  # maintenance and silences that people set
    ended: Map[str, Incident] = field(default_factory=Map)  # that resolved of late, and may open again
    pace: Map[str, Pace] = field(default_factory=Map)  # of open incidents of many probes

    @classmethod
    def of(
        cls,
        probes: Iterable[ProbeState],
        incidents: Iterable[Incident],
        quiet: Iterable[QuietPeriod] = (),
        ended: Iterable[Incident] = (),
    ) -> Self:
        incidents = list(incidents)
        holders = {probe: incident.id for incident in incidents for probe in incident.probes}
        return cls(
            Map({p.probe: p for p in probes}),
            Map({i.id: i for i in incidents}),
            Map(holders),
            Map({q.id: q for q in quiet}),
            Map({i.id: i for i in ended}),
            Map({i.id: Pace(-inf, 0, behind=True, grown=True) for i in incidents if len(i.probes) > MANY}),
        )

    def with_probe(self, probe: ProbeState) -> "State":
        return replace(self, probes=self.probes.set(probe.probe, probe))

    def with_incident(self, incident: Incident) -> "State":
        before = self.incidents.get(incident.id)
        holders = self.holders
        if before is None or before.probes != incident.probes:
            was, is_ = set(before.probes if before else ()), set(incident.probes)
            changed = holders.mutate()
            for probe in was - is_:
                changed.pop(probe, None)
            for probe in is_ - was:
                changed[probe] = incident.id
            holders = changed.finish()
        return replace(self, incidents=self.incidents.set(incident.id, incident), holders=holders)

    def with_member(self, incident: Incident, probe: str) -> "State":
        """One more probe is of the incident."""
        holders = self.holders.set(probe, incident.id)
        return replace(self, incidents=self.incidents.set(incident.id, incident), holders=holders)

    def with_pace(self, incident_id: str, pace: Pace) -> "State":
        return replace(self, pace=self.pace.set(incident_id, pace))

    def _without_pace(self, incident_id: str) -> Map[str, Pace]:
        return self.pace.delete(incident_id) if incident_id in self.pace else self.pace

    def with_ended(self, incident: Incident) -> "State":
        """The incident is over, and is remembered as long as it may open again."""
        state = self.without_incident(incident.id)
        return replace(state, ended=state.ended.set(incident.id, incident))

    def without_ended(self, before: float) -> "State":
        """Forget what ended before this moment."""
        gone = [key for key, incident in self.ended.items() if (incident.resolved_at or 0.0) < before]
        ended = self.ended
        for key in gone:
            ended = ended.delete(key)
        return replace(self, ended=ended) if gone else self

    def dissolved(self, incident_id: str) -> "State":
        """Its probes go on as they are, in another incident."""
        incident = self.incidents[incident_id]
        return replace(
            self,
            incidents=self.incidents.delete(incident_id),
            holders=self._without_holders(incident),
            pace=self._without_pace(incident_id),
        )

    def without_incident(self, incident_id: str) -> "State":
        """The incident is over: what its probes did before says nothing about what they do from here on."""
        incident = self.incidents[incident_id]
        return replace(
            self.begun_anew(incident.probes),
            incidents=self.incidents.delete(incident_id),
            holders=self._without_holders(incident),
            pace=self._without_pace(incident_id),
        )

    def begun_anew(self, names: Iterable[str]) -> "State":
        """These probes are of no incident any more. What their payment pages show from here on is to be told, again too."""
        probes = self.probes.mutate()
        for name in names:
            if (probe := probes.get(name)) is not None:
                streak = 0 if probe.failing else probe.streak
                known = tuple(replace(change, of_late=0, told=False) for change in probe.changes)
                probes[name] = replace(probe, streak=streak, serious_streak=0, serious_of_late=(), changes=known)
        return replace(self, probes=probes.finish())

    def with_all_told(self, names: Iterable[str]) -> "State":
        """An incident tells of all that the payment pages of these probes show."""
        return self._telling(names, lambda change, probe: change.told or change.what in probe.shown)

    def with_told_only(self, names: Iterable[str], text: str) -> "State":
        """People heard of these payment pages no more than this text says: what an incident told before reached nobody."""
        return self._telling(names, lambda change, probe: change.told and change.what in probe.shown_in(text))

    def _telling(self, names: Iterable[str], told: Callable[[Change, ProbeState], bool]) -> "State":
        probes = self.probes.mutate()
        for name in names:
            if (probe := probes.get(name)) is not None and probe.changes:
                changes = tuple(replace(change, told=told(change, probe)) for change in probe.changes)
                probes[name] = replace(probe, changes=changes)
        return replace(self, probes=probes.finish())

    def _without_holders(self, incident: Incident | None) -> Map[str, str]:
        if incident is None:
            return self.holders
        holders = self.holders.mutate()
        for probe in incident.probes:
            holders.pop(probe, None)
        return holders.finish()

    def suspected(self) -> list[ProbeState]:
        """Return the probes that fail without an incident, the longest first."""
        failing = (p for p in self.probes.values() if p.failing and p.probe not in self.holders)
        return sorted(failing, key=lambda p: (p.since, p.probe))

    def incident_of(self, probe: str) -> Incident | None:
        held_by = self.holders.get(probe)
        return self.incidents[held_by] if held_by is not None else None

    def open_incidents(self) -> list[Incident]:
        """Oldest first, in an order that does not depend on names."""
        return sorted(self.incidents.values(), key=lambda i: (i.opened_at, i.failing_since))
