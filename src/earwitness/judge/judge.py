"""The pure judge: it is told what happened and says what changed and which runs it wants. It reads no clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from earwitness.judge import incidents
from earwitness.judge.control import control_call, request_of
from earwitness.judge.correlation import Group, correlate, serious
from earwitness.judge.layers import with_control
from earwitness.judge.severity import assess, workaround_probes
from earwitness.judge.state import SERIOUS, ProbeState, State, after
from earwitness.model import (
    ClockSetBack,
    Commanded,
    Event,
    Incident,
    Observation,
    Observed,
    Outcome,
    Reconfigured,
    Request,
    Rules,
    Severity,
    Transition,
    TransitionKind,
    Why,
    worse,
)

_CONFIRMATIONS_PER_CAUSE = 3  # however many probes fail, a candidate cause is worth three extra runs


@dataclass(frozen=True, slots=True)
class Judgement:
    state: State
    transitions: Sequence[Transition] = field(default=())
    requests: Sequence[Request] = field(default=())


def judge(state: State, event: Event, rules: Rules) -> Judgement:
    """Return the new state, what changed for people, and the runs that are wanted."""
    match event:
        case Observed(observation):
            return _observed(state, observation, rules)
        case Commanded():
            return _commanded(state, event)
        case Reconfigured(at):
            return _reconfigured(state, at, rules)
        case ClockSetBack(at):
            return _set_back(state, at)


def _observed(state: State, seen: Observation, rules: Rules) -> Judgement:
    if seen.run.why is Why.CONTROL:
        return _control_seen(state, seen, rules)
    name = seen.run.probe
    previous = state.probes.get(name)
    if name not in rules.probes or seen.outcome not in (Outcome.OK, Outcome.FINDING):
        return Judgement(state)
    if previous and (previous.run == seen.run.id or previous.started_at > seen.started_at):
        return Judgement(state)  # told twice, or overtaken by a later run
    probe = after(previous, seen, rules)
    judged = _judged(state.with_probe(probe), probe, rules, seen.ended_at)
    return _reassess_where_it_is_a_workaround(judged, name, rules, seen.ended_at)


def _judged(state: State, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    incident = state.incident_of(probe.probe)
    if incident:
        return _member_seen(state, incident, probe, rules, now)
    if probe.failing:
        return _new_failure(state, probe, rules, now)
    return Judgement(state)


# --- failures of probes that no open incident holds ------------------------------------------------------------------


def _new_failure(state: State, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    group = correlate(state, rules, [probe.probe], probe.since, now)
    home, joined = _home(state, group, rules, probe, now)
    if home and joined:
        return _attach(state, home, probe, joined, rules, now)
    fresh = _without_members_of_others(state, group)
    asked, control = control_call(state, fresh, probe, rules, now)
    if not _believed(state, fresh, rules):
        wanted = _confirmation(state, group, probe, rules, now)
        return Judgement(asked if wanted else state, requests=[*wanted, *(control.wanted if wanted else ())])
    if control.holds_back:
        return Judgement(asked, requests=control.wanted)
    incident, opened = incidents.opened(fresh, probe, state, assess(fresh, state, rules, now), rules, now)
    wanted = [*_workaround_runs(incident, rules, now), *_second_opinions(state, incident, rules, now)]
    return Judgement(state.with_incident(incident), [opened], wanted)


def _home(
    state: State, group: Group, rules: Rules, probe: ProbeState, now: float
) -> tuple[Incident | None, Group | None]:
    """Return the oldest open incident that this failure belongs to, and their common group: one cause has to explain both."""
    for incident in state.open_incidents():
        if incident.environment != rules.probes[probe.probe].environment or group.cause.dependency is None:
            continue
        if serious(probe) is not any(serious(state.probes[m]) for m in incident.probes if m in state.probes):
            continue
        if incident.cause.dependency == group.cause.dependency or set(group.members) & set(incident.probes):
            members = (*incident.probes, probe.probe)
            joined = correlate(state, rules, members, min(incident.failing_since, group.since), now)
            if joined.cause.dependency is not None:
                return incident, replace(joined, members=members)
    return None, None


def _without_members_of_others(state: State, group: Group) -> Group:
    taken = {name for incident in state.open_incidents() for name in incident.probes}
    return replace(group, members=tuple(name for name in group.members if name not in taken))


def _believed(state: State, group: Group, rules: Rules) -> bool:
    """Whether the failures confirm each other, one of them repeated itself, or one comes and goes."""
    members = [state.probes[name] for name in group.members]
    if not any(serious(m) for m in members):
        return any(m.streak >= rules.nuisance_open_after for m in members)
    together = group.cause.dependency is not None and len(members) >= rules.open_after
    repeated = any(m.serious_streak >= rules.open_after for m in members)
    return together or repeated or any(len(m.serious_of_late) > rules.open_after for m in members)


def _confirmation(state: State, group: Group, probe: ProbeState, rules: Rules, now: float) -> list[Request]:
    """Ask for a second run at once. A nuisance waits for its schedule."""
    suspects = [name for name in group.members if state.probes[name].streak < rules.open_after]
    if probe.latest_effect not in SERIOUS or (suspects and probe.probe not in suspects[:_CONFIRMATIONS_PER_CAUSE]):
        return []
    return [request_of(Why.CONFIRM, probe.run, probe.probe, rules, now)]


def _second_opinions(state: State, incident: Incident, rules: Rules, now: float) -> list[Request]:
    """Ask the other probes that need the suspected dependency, and that have not looked since it began to fail.

    They confirm the cause or rule it out; those that reach it by another channel say most, and come first.
    """
    if incident.cause.dependency is None:
        return []
    channels = {rules.probes[name].channel for name in incident.probes}
    others = [
        name
        for name in rules.dependents[incident.cause.dependency]
        if name not in incident.probes
        and rules.probes[name].environment == incident.environment
        and not _looked_since(state.probes.get(name), incident.failing_since)
    ]
    others.sort(key=lambda name: rules.probes[name].channel in channels)
    return [
        request_of(Why.CONFIRM, incident.id, name, rules, now, incident.id)
        for name in others[:_CONFIRMATIONS_PER_CAUSE]
    ]


def _looked_since(probe: ProbeState | None, moment: float) -> bool:
    return probe is not None and probe.started_at > moment


def _control_seen(state: State, seen: Observation, rules: Rules) -> Judgement:
    """Take the word of a control call on the failure that it was asked for."""
    probe = state.probes.get(seen.run.probe)
    if probe is None or seen.run.probe not in rules.probes or any(t.run == seen.run.id for t in probe.tries):
        return Judgement(state)
    probe = replace(probe, tries=with_control(probe.tries, seen))
    state = state.with_probe(probe)
    asked_for = probe.failing and seen.started_at >= probe.since
    if not asked_for or state.incident_of(probe.probe):
        return Judgement(state)
    return _new_failure(state, probe, rules, seen.ended_at)


def _workaround_runs(incident: Incident, rules: Rules, now: float) -> list[Request]:
    names = dict.fromkeys(
        n for journey in incident.journeys for n in workaround_probes(journey, incident.environment, rules)
    )
    return [
        request_of(Why.WORKAROUND, incident.id, name, rules, now, incident.id)
        for name in names
        if name not in incident.probes
    ]


# --- members of open incidents ---------------------------------------------------------------------------------------


def _attach(state: State, home: Incident, probe: ProbeState, group: Group, rules: Rules, now: float) -> Judgement:
    attached, told = incidents.attached(home, probe, group, rules, now)
    verdict = assess(group, state, rules, now)
    judged, changes = incidents.reassessed(attached, group.cause, verdict, now)
    judged = incidents.argued(judged, group.cause, verdict)
    requests = _workaround_runs(judged, rules, now) if judged.journeys != home.journeys else []
    return Judgement(state.with_incident(judged), [told, *changes], requests)


def _member_seen(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    moved = _moved(state, incident, probe, rules, now)
    if moved:
        return moved
    reassessed = _reassess(state, incident, rules, now)
    requests: list[Request] = []
    if incident.id in reassessed.state.incidents and not probe.failing:
        requests = _is_it_over(state, incident, probe, rules, now)
    elif probe.failing and probe.latest_effect is not probe.effect:  # another effect: look again before it counts
        requests = [request_of(Why.CONFIRM, probe.run, probe.probe, rules, now, incident.id)]
    return Judgement(reassessed.state, reassessed.transitions, requests)


def _moved(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement | None:
    """A nuisance that became an outage, with the cause of an open outage, belongs to that one and is not told beside it."""
    if not probe.failing or not serious(probe) or incident.severity is not Severity.SEV3:
        return None
    group = correlate(state, rules, [probe.probe], probe.since, now)
    home, joined = _home(state.without_incident(incident.id), group, rules, probe, now)
    if home is None or joined is None:
        return None
    left = tuple(name for name in incident.probes if name != probe.probe)
    shrunk = _shrunk(state, incident, left, f"{probe.probe} belongs to {home.id} now", now)
    attached = _attach(shrunk.state, home, probe, joined, rules, now)
    return Judgement(attached.state, [*shrunk.transitions, *attached.transitions], attached.requests)


def _shrunk(state: State, incident: Incident, left: tuple[str, ...], why: str, now: float) -> Judgement:
    if not left:
        return _resolve(state, incident, now, why)
    changed, noted = incidents.noted(replace(incident, probes=left), now, TransitionKind.NOTE, why)
    return Judgement(state.with_incident(changed), [noted])


def _is_it_over(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> list[Request]:
    """A member passes again: look twice, and ask the others that still count as failing."""
    unsure = [probe.probe] if probe.streak < rules.resolve_after else []
    others = [n for n in incident.probes if n in state.probes and state.probes[n].failing and n != probe.probe]
    asked = [*unsure, *others][:_CONFIRMATIONS_PER_CAUSE] if probe.streak == 1 else unsure
    return [request_of(Why.CONFIRM, probe.run, name, rules, now, incident.id) for name in asked]


def _reassess(state: State, incident: Incident, rules: Rules, now: float) -> Judgement:
    members = [name for name in incident.probes if name in rules.probes and name in state.probes]
    if all(state.probes[name].recovered(rules.resolve_after) for name in members):
        return _resolve(state, incident, now, "every probe of the incident passes again")
    group = replace(correlate(state, rules, members, incident.failing_since, now), members=tuple(members))
    verdict = assess(group, state, rules, now)
    if worse(incident.severity, verdict.severity) and not any(state.probes[name].failing for name in members):
        return Judgement(state)  # it is about to end, and was as bad as it was told
    changed, transitions = incidents.reassessed(incident, group.cause, verdict, now)
    return Judgement(state.with_incident(changed), transitions)


def _reassess_where_it_is_a_workaround(judged: Judgement, name: str, rules: Rules, now: float) -> Judgement:
    helped = set(rules.helps.get(name, ()))
    if not helped:
        return judged
    state, transitions = judged.state, list(judged.transitions)
    for incident in state.open_incidents():
        if helped & set(incident.journeys) and name not in incident.probes:
            reassessed = _reassess(state, incident, rules, now)
            state, transitions = reassessed.state, [*transitions, *reassessed.transitions]
    return Judgement(state, transitions, judged.requests)


def _resolve(state: State, incident: Incident, now: float, why: str) -> Judgement:
    return Judgement(state.without_incident(incident.id), [incidents.resolved(incident, now, why)])


# --- people and configuration ----------------------------------------------------------------------------------------


def _commanded(state: State, command: Commanded) -> Judgement:
    incident = state.incidents.get(command.incident)
    if incident is None:
        return Judgement(state)
    if command.action == "resolve":
        return _resolve(state, incident, command.at, incidents.by(command))
    if command.action == "acknowledge" and incidents.is_new_acknowledgement(incident, command):
        changed, transition = incidents.acknowledged(incident, command)
        return Judgement(state.with_incident(changed), [transition])
    return Judgement(state)


def _reconfigured(state: State, at: float, rules: Rules) -> Judgement:
    """Forget the probes that are gone, resolve what nothing watches any more, and see the rest with the new names."""
    for name in [name for name in state.probes if name not in rules.probes]:
        state = replace(state, probes=state.probes.delete(name))
    judged = Judgement(state)
    for incident in state.open_incidents():
        done = _refitted(judged.state, incident, rules, at)
        judged = Judgement(done.state, [*judged.transitions, *done.transitions])
    return judged


def _refitted(state: State, incident: Incident, rules: Rules, at: float) -> Judgement:
    left = tuple(name for name in incident.probes if name in rules.probes and name in state.probes)
    if not left:
        return _resolve(state, incident, at, "its probes were removed from the configuration")
    if all(state.probes[name].recovered(rules.resolve_after) for name in left):
        return _resolve(state, incident, at, "its last failing probe was removed from the configuration")
    fitted = replace(
        incident,
        probes=left,
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in left)),
        environment=rules.probes[left[0]].environment,
    )
    if fitted == incident and incident.cause.dependency in (None, *rules.dependencies):
        return Judgement(state)
    group = replace(correlate(state, rules, left, incident.failing_since, at), members=left)
    verdict = assess(group, state, rules, at)
    changed, transitions = incidents.reassessed(fitted, group.cause, verdict, at)
    if not transitions:
        changed, noted = incidents.noted(changed, at, TransitionKind.NOTE, "the configuration of its probes changed")
        transitions = [noted]
    changed = incidents.argued(changed, group.cause, verdict)
    return Judgement(state.with_incident(changed), transitions)


def _set_back(state: State, at: float) -> Judgement:
    """Let no run lie in the future, or every later one would seem to be overtaken by it."""
    for probe in [p for p in state.probes.values() if p.started_at > at]:
        usable_at = min(probe.usable_at, at) if probe.usable_at is not None else None
        state = state.with_probe(replace(probe, started_at=at, since=min(probe.since, at), usable_at=usable_at))
    return Judgement(state)
