"""The pure judge: it is told what happened and says what changed and which runs it wants. It reads no clock."""

from dataclasses import replace

from earwitness.judge import circumstances, incidents, quiet
from earwitness.judge.argument import assess
from earwitness.judge.control import control_call, request_of
from earwitness.judge.correlation import Group, correlate, home_of, serious
from earwitness.judge.judgement import Judgement
from earwitness.judge.layers import with_control
from earwitness.judge.members import (
    CONFIRMATIONS_PER_CAUSE,
    attach,
    attach_at_once,
    joined_by_cause,
    left_as_changed,
    left_by,
    member_seen,
    reassess,
    second_opinions,
    strangers,
    tells_of_another_change,
    workaround_runs,
)
from earwitness.judge.pace import evident_home
from earwitness.judge.people import commanded
from earwitness.judge.state import SERIOUS, ProbeState, State, after, is_watched, told_of
from earwitness.model import (
    Cause,
    ClockSetBack,
    Commanded,
    Event,
    Incident,
    Observation,
    Observed,
    Outcome,
    QuietBegun,
    QuietEnded,
    Reconfigured,
    Request,
    Rules,
    Ticked,
    Why,
)


def judge(state: State, event: Event, rules: Rules) -> Judgement:
    """Return the new state, what changed for people, and the runs that are wanted."""
    judged = _judge(state, event, rules)
    turned = _turned(state, judged.state, event)
    observed = isinstance(event, Observed)
    if observed and not judged.transitions and not turned:
        return judged
    joined = joined_by_cause(judged, turned, rules, event.at)
    return quiet.quietened(joined, rules, event.at, everywhere=not observed)


def _turned(before: State, after_it: State, event: Event) -> tuple[str, ...]:
    """Return the incident, if any, of which this run turned a probe from a nuisance into an outage, or back.

    Nothing is told of that where the severity stays, as one does that is held at the worse; but it may have a twin now.
    """
    if not isinstance(event, Observed):
        return ()
    name = event.observation.run.probe
    was, is_, home = before.probes.get(name), after_it.probes.get(name), after_it.holders.get(name)
    if home is None or was is None or is_ is None or serious(was) is serious(is_):
        return ()
    return (home,)


def _judge(state: State, event: Event, rules: Rules) -> Judgement:
    match event:
        case Observed(observation):
            return _observed(state, observation, rules)
        case Commanded():
            return commanded(state, event, rules)
        case Reconfigured(at):
            return circumstances.reconfigured(state, at, rules)
        case ClockSetBack(at):
            return circumstances.set_back(state, at)
        case Ticked(at):
            return circumstances.ticked(state, at, rules)
        case QuietBegun() | QuietEnded():
            return Judgement(quiet.changed(state, event))


def _observed(state: State, seen: Observation, rules: Rules) -> Judgement:
    if seen.run.why is Why.CONTROL:
        return _control_seen(state, seen, rules)
    name = seen.run.probe
    previous = state.probes.get(name)
    if name not in rules.probes or seen.outcome not in (Outcome.OK, Outcome.FINDING):
        return Judgement(state)
    if previous and (seen.run.id in previous.told or previous.started_at > seen.started_at):
        return Judgement(state)  # told twice, or overtaken by a later run
    probe = after(previous, seen, rules)
    judged = _judged(state.with_probe(probe), probe, rules, seen.ended_at)
    judged = _reassess_where_it_is_a_workaround(judged, name, rules, seen.ended_at)
    return _without_strangers(judged, rules, seen.ended_at)


def _judged(state: State, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    incident = state.incident_of(probe.probe)
    if incident:
        if tells_of_another_change(probe, rules):
            return _told_apart(state, incident, probe, rules, now)
        return member_seen(state, incident, probe, rules, now)
    if probe.failing:
        return _new_failure(state, probe, rules, now)
    return Judgement(state)


# --- failures of probes that no open incident holds ------------------------------------------------------------------


def _new_failure(state: State, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    evident = evident_home(state, probe, rules, now)
    if evident is not None:
        return attach_at_once(state, evident, probe, rules, now)
    group = correlate(state, rules, [probe.probe], probe.since, now)
    home, joined = home_of(state, group, rules, probe, now)
    if home and joined:
        return attach(state, home, probe, joined, rules, now)
    fresh = _without_members_of_others(state, group)
    asked, control = control_call(state, fresh, probe, rules, now)
    if not _believed(state, fresh, rules):
        wanted = _confirmation(state, group, probe, rules, now)
        return Judgement(asked if wanted else state, requests=[*wanted, *(control.wanted if wanted else ())])
    if control.holds_back:
        return Judgement(asked, requests=control.wanted)
    return _opened(state, fresh, probe, rules, now)


def _told_apart(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Let the page that changed leave the incident for one of its own: a new one, or that which ended a moment ago."""
    group = Group(Cause(None, 0.0, (probe.probe,)), (probe.probe,), probe.started_at)
    again = _ended_lately(state, group, probe, rules, now)
    own = again.id if again else incidents.identity(probe.run)
    left = left_as_changed(state, incident, probe, own, rules, now)
    return left.then(_opened(left.state, group, probe, rules, now))


def _opened(state: State, group: Group, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Open an incident, or again the one that ended a moment ago."""
    again = _ended_lately(state, group, probe, rules, now)
    if again is not None:
        left = tuple(name for name in group.members if name not in again.parted)
        group = replace(group, members=left, since=min(group.since, again.failing_since))
    verdict = assess(group, state, rules, now)
    if again is None:
        incident, told = incidents.opened(group, probe, state, verdict, rules, now)
    else:
        incident, told = incidents.reopened(again, group, state, verdict, rules, now)
        state = replace(state, ended=state.ended.delete(again.id))
    wanted = [*workaround_runs(incident, rules, now, incident.journeys), *second_opinions(state, incident, rules, now)]
    return Judgement(state.with_incident(incident).with_all_told(incident.probes), [told], wanted)


def _ended_lately(state: State, group: Group, probe: ProbeState, rules: Rules, now: float) -> Incident | None:
    """Return the latest of the incidents that ended within the window: of the probe itself, else of its company or the same cause."""
    environment = rules.probes[probe.probe].environment
    found = [
        incident
        for incident in state.ended.values()
        if incident.resolved_at is not None
        and incident.merged_into is None
        and now - incident.resolved_at < rules.reopen_within
        and incident.environment == environment
        and probe.probe not in incident.parted
        and (
            set(incident.probes) & set(group.members) or group.cause.dependency in {incident.cause.dependency} - {None}
        )
    ]
    return max(found, key=lambda i: (probe.probe in i.probes, i.resolved_at, i.id), default=None)


def _without_members_of_others(state: State, group: Group) -> Group:
    taken = {name for incident in state.open_incidents() for name in incident.probes}
    return replace(group, members=tuple(name for name in group.members if name not in taken))


def _believed(state: State, group: Group, rules: Rules) -> bool:
    """Whether the failures confirm each other, one of them repeated itself, or one comes and goes."""
    members = [state.probes[name] for name in group.members]
    if not any(serious(m) for m in members):
        enough = rules.nuisance_open_after
        return any(m.stays_changed(rules) if is_watched(m) else m.streak >= enough for m in members)
    together = group.cause.dependency is not None and len(members) >= rules.open_after
    repeated = any(m.serious_streak >= rules.open_after for m in members)
    return together or repeated or any(m.comes_and_goes(rules.open_after) for m in members)


def _confirmation(state: State, group: Group, probe: ProbeState, rules: Rules, now: float) -> list[Request]:
    """Ask for a second run at once. A nuisance waits for its schedule, but for a payment page that changed: it may be looked at weekly."""
    suspects = [name for name in group.members if state.probes[name].streak < rules.open_after]
    waits = probe.latest_effect not in SERIOUS and not is_watched(probe)
    if waits or (suspects and probe.probe not in suspects[:CONFIRMATIONS_PER_CAUSE]):
        return []
    return [request_of(Why.CONFIRM, probe.run, probe.probe, rules, now)]


def _control_seen(state: State, seen: Observation, rules: Rules) -> Judgement:
    """Take the word of a control call on the failure that it was asked for."""
    probe = state.probes.get(seen.run.probe)
    if probe is None or seen.run.probe not in rules.probes or seen.run.id in probe.told:
        return Judgement(state)
    probe = replace(probe, tries=with_control(probe.tries, seen), told=told_of(probe, seen))
    state = state.with_probe(probe)
    asked_for = probe.failing and seen.started_at >= probe.since
    if not asked_for or state.incident_of(probe.probe):
        return Judgement(state)
    return _new_failure(state, probe, rules, seen.ended_at)


def _without_strangers(judged: Judgement, rules: Rules, now: float) -> Judgement:
    """Judge by itself what joined an incident for a host or number that turned out to work: it was not told."""
    for key in dict.fromkeys(t.incident.id for t in judged.transitions):
        incident = judged.state.incidents.get(key)
        beside = strangers(judged.state, incident, rules) if incident else []
        if incident is None or not beside:
            continue
        judged = judged.then(left_by(judged.state, incident, beside, rules, now))
        for name in beside:
            if judged.state.incident_of(name) is None:
                judged = judged.then(_new_failure(judged.state, judged.state.probes[name], rules, now))
    return judged


def _reassess_where_it_is_a_workaround(judged: Judgement, name: str, rules: Rules, now: float) -> Judgement:
    helped = set(rules.helps.get(name, ()))
    if not helped:
        return judged
    for incident in judged.state.open_incidents():
        if helped & set(incident.journeys) and name not in incident.probes:
            judged = judged.then(reassess(judged.state, incident, rules, now))
    return judged
