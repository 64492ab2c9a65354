"""Incidents that are open: what joins them, what their probes say, and how they end."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

from earwitness.judge import incidents
from earwitness.judge.argument import LABEL, Verdict, assess
from earwitness.judge.control import request_of
from earwitness.judge.correlation import Group, correlate, home_of, in_common, kind_of, passed_since, serious
from earwitness.judge.judgement import Judgement
from earwitness.judge.pace import all_recovered, judged_in_full, makes_worse, put_off, waits
from earwitness.judge.page_changes import anew, restless, ways
from earwitness.judge.severity import Judged, judged_journeys, places_of, workaround_probes, worst_of
from earwitness.judge.state import ProbeState, State
from earwitness.model import Awaited, Harm, Incident, Request, Rules, Severity, TransitionKind, Why, worse

CONFIRMATIONS_PER_CAUSE = 3  # however many probes fail, a candidate cause is worth three extra runs
_FLAPS = 2  # times that an incident comes back until it has to stay well as long as it may come back


def attach_at_once(state: State, home: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Let the probe's failure join a large incident whose cause explains it; the argument names it when it is judged in full again."""
    group = Group(home.cause, (*home.probes, probe.probe), probe.since)
    attached, told = incidents.attached(home, probe, group, rules, now)
    requests = []
    if len(attached.journeys) > len(home.journeys):
        requests = workaround_runs(attached, rules, now, (rules.probes[probe.probe].journey,))
    return Judgement(put_off(state.with_member(attached, probe.probe), attached, grown=True), [told], requests)


def attach(state: State, home: Incident, probe: ProbeState, group: Group, rules: Rules, now: float) -> Judgement:
    """Let the probe's failure join the incident; `group` holds all its members then, with their common cause."""
    attached, told = incidents.attached(home, probe, group, rules, now)
    attached, verdict = held_at_the_worse(attached, assess(group, state, rules, now, home.began_at), rules, now)
    judged, changes = incidents.reassessed(attached, group.cause, verdict, now)
    judged = incidents.argued(judged, group.cause, verdict)
    requests = workaround_runs(judged, rules, now, judged.journeys) if judged.journeys != home.journeys else []
    if group.cause.dependency != home.cause.dependency:
        requests += second_opinions(state, judged, rules, now)
    return Judgement(judged_in_full(state.with_incident(judged), judged.id, now), [told, *changes], requests)


def member_seen(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """A probe of the incident was seen again."""
    moved = _moved(state, incident, probe, rules, now)
    if moved:
        return moved
    flapping = _flapping(state, incident, probe, rules, now)
    incident = flapping.state.incidents[incident.id]
    reassessed = flapping.then(_reassess_in_time(flapping.state, incident, probe, rules, now))
    still = reassessed.state.incidents.get(incident.id)
    if still is None:
        return reassessed
    return reassessed.then(_looked_at_again(reassessed.state, still, probe, rules, now))


def _reassess_in_time(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Judge the incident anew; one of many probes only if this one decides something, or a while after it was judged last."""
    if waits(state, incident, now):
        state, over = all_recovered(state, incident, rules)
        if not over and not (probe.failing and makes_worse(state, incident, probe, rules, now)):
            return Judgement(put_off(state, incident))
    return reassess(state, incident, rules, now)


def _looked_at_again(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Ask at once for the runs that decide something, a few at a time: as long as so many have not answered, for no more."""
    awaited = [a for a in incident.awaited if _is_awaited(a, state, rules, now)]
    if len(awaited) >= CONFIRMATIONS_PER_CAUSE:
        return Judgement(state)
    wanted = _undecided(state, incident, probe, rules)
    if not wanted:
        return Judgement(state)
    known = {a.probe for a in awaited}
    asked = [name for name in wanted if name not in known][: CONFIRMATIONS_PER_CAUSE - len(awaited)]
    changed = replace(incident, awaited=(*awaited, *(Awaited(name, now) for name in asked)))
    requests = [request_of(Why.CONFIRM, probe.run, name, rules, now, incident.id) for name in asked]
    return Judgement(state.with_incident(changed) if changed != incident else state, requests=requests)


def _undecided(state: State, incident: Incident, probe: ProbeState, rules: Rules) -> list[str]:
    """Return the probes to look at again: one that passes or fails otherwise for the first time; then those that still count as failing."""
    if probe.failing:
        odd = probe.untold and ways(probe.changes, probe.started_at) <= CONFIRMATIONS_PER_CAUSE
        return [probe.probe] if odd or probe.latest_effect is not probe.effect else []
    unsure = [probe.probe] if probe.streak < rules.resolve_after else []
    if probe.streak != 1:
        return unsure
    others = (n for n in incident.probes if n != probe.probe and n in state.probes and state.probes[n].failing)
    return [*unsure, *islice(others, CONFIRMATIONS_PER_CAUSE)]


def _is_awaited(run: Awaited, state: State, rules: Rules, now: float) -> bool:
    """Whether the run has neither been seen nor come too late: requests are good for so long."""
    probe, rule = state.probes.get(run.probe), rules.probes.get(run.probe)
    if probe is None or rule is None:
        return False
    return probe.started_at < run.asked_at and now <= run.asked_at + rule.interval + rule.budget


def _flapping(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement:
    """Say once that the incident flaps, when a probe of it fails again that had passed in between."""
    came_back = probe.failing and probe.streak == 1 and probe.comes_and_goes(rules.open_after)
    odd_place = any(p.failing for p in probe.places) and not all(p.failing for p in probe.places)
    if incident.flapping or not came_back or odd_place:
        return Judgement(state)
    changed = incidents.flaps(incident)
    changed, noted = incidents.noted(changed, now, TransitionKind.NOTE, f"flapping: {probe.probe} comes and goes")
    return Judgement(state.with_incident(changed), [noted])


def _moved(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> Judgement | None:
    """A nuisance that became an outage, with the cause of an open outage, belongs to that one and is not told beside it."""
    if not probe.failing or not serious(probe) or incident.severity is not Severity.SEV3:
        return None
    group = correlate(state, rules, [probe.probe], probe.since, now)
    home, joined = home_of(state.without_incident(incident.id), group, rules, probe, now)
    if home is None or joined is None:
        return None
    shrunk = _without(probe, state, incident, home.id, f"{probe.probe} belongs to {home.id} now", rules, now)
    attached = attach(shrunk.state, home, probe, joined, rules, now)
    return Judgement(attached.state, [*shrunk.transitions, *attached.transitions], attached.requests)


def strangers(state: State, incident: Incident, rules: Rules) -> list[str]:
    """Return the failing probes that joined only for a host or number, which another probe there has ruled out since.

    More than a few stay: that so many fail beside each other within moments is no chance, though something there works.
    """
    few = 0 < len(incident.joined) <= CONFIRMATIONS_PER_CAUSE
    if not few or incident.cause.dependency is not None:
        return []
    members = [state.probes[n] for n in incident.probes if n in rules.probes and n in state.probes]
    joined = [m.probe for m in members if m.probe in incident.joined and m.failing]
    if not joined or len(joined) == len(members):
        return []
    places = set.intersection(*(set(rules.probes[m.probe].reaches) for m in members))
    within = frozenset(incident.probes)
    others = dict.fromkeys(n for place in places for n in rules.dependents[place] if n not in within)
    here = (state.probes[n] for n in others if n in state.probes)
    same = (p for p in here if rules.probes[p.probe].environment == incident.environment)
    return joined if any(passed_since(p, incident.failing_since) for p in same) else []


def left_by(state: State, incident: Incident, probes: Sequence[str], rules: Rules, now: float) -> Judgement:
    """Let probes go that have nothing to do with the incident, none of which is left that joined so.

    What it told of their payment pages is no word of the incidents that they may be in from here on.
    """
    why = f"{', '.join(probes)} failed beside it only: what they all reach works for others"
    state = state.with_told_only(probes, "")
    return _let_go(state, replace(incident, joined=()), probes, why, rules, now)


def _let_go(state: State, incident: Incident, probes: Sequence[str], why: str, rules: Rules, now: float) -> Judgement:
    """Go on without these probes, and judge the incident anew."""
    left = tuple(name for name in incident.probes if name not in probes)
    journeys = tuple(dict.fromkeys(rules.probes[n].journey for n in left if n in rules.probes))
    joined = tuple(name for name in incident.joined if name not in probes)
    rest = replace(incident, probes=left, journeys=journeys, joined=joined)
    rest, noted = incidents.noted(rest, now, TransitionKind.NOTE, why)
    parted = Judgement(state.with_incident(rest), [noted])
    return parted.then(reassess(parted.state, rest, rules, now))


def tells_of_another_change(probe: ProbeState, rules: Rules) -> bool:
    """Whether the probe is of a page that is seen to have changed since: its incident, told of something else, would hide that."""
    unsettled = probe.latest_effect is not probe.effect  # it may yet be what the incident is of
    if unsettled or not probe.untold or restless(probe.changes, probe.started_at):
        return False
    believed = any(change.weight >= rules.open_after for change in probe.untold)
    return believed or anew(probe.changes) == rules.nuisance_open_after


def left_as_changed(
    state: State, incident: Incident, probe: ProbeState, own: str, rules: Rules, now: float
) -> Judgement:
    """Take a page that changed out of its incident, for `own`. What it was seen to do counts there."""
    why = f"{probe.probe} tells of a payment page that changed, which is {own}"
    left = _without(probe, state, incident, own, why, rules, now)
    return replace(left, state=left.state.with_probe(probe))


def _without(
    probe: ProbeState, state: State, incident: Incident, home: str, why: str, rules: Rules, now: float
) -> Judgement:
    """Let the probe leave the incident for another; it ends when it has no others."""
    if incident.probes == (probe.probe,):
        return Judgement(state.without_incident(incident.id), [incidents.resolved(incident, now, why, home)])
    return _let_go(state, incident, [probe.probe], why, rules, now)


def reassess(state: State, incident: Incident, rules: Rules, now: float, why: str = "") -> Judgement:
    """Judge the incident anew; `why` says what happened, where no run of a probe did."""
    judged = _reassessed(state, incident, rules, now, why)
    return replace(judged, state=judged_in_full(judged.state, incident.id, now))


def _reassessed(state: State, incident: Incident, rules: Rules, now: float, why: str) -> Judgement:
    members = [name for name in incident.probes if name in rules.probes and name in state.probes]
    state, over = all_recovered(state, incident, rules)
    if over:
        if _has_to_stay_well(state, incident, members, rules, now):
            return Judgement(state)
        return resolve(state, incident, now, "every probe of the incident passes again")
    group = replace(correlate(state, rules, members, incident.failing_since, now), members=tuple(members))
    journeys = judged_journeys(group, state, rules, now, incident.began_at)
    severity = worst_of(journeys).severity
    same = severity is incident.severity and group.cause.dependency == incident.cause.dependency
    grown = incident.id in state.pace and state.pace[incident.id].grown
    stale = _is_stale(incident, journeys, places_of(group, state)[0]) or _names_others(incident)
    if same and incident.better_since is None and not grown and not stale:
        return Judgement(state)
    if worse(incident.severity, severity) and not any(state.probes[name].failing for name in members):
        return Judgement(state)  # it is about to end, and was as bad as it was told
    verdict = assess(group, state, rules, now, incident.began_at)
    patient, verdict = held_at_the_worse(incident, verdict, rules, now, planned=bool(why))
    if not why and worse(verdict.severity, incident.severity):
        patient = incidents.with_what_raised_it(patient, [state.probes[name] for name in members])
    changed, transitions = incidents.reassessed(patient, group.cause, verdict, now, why)
    if not transitions and (grown or stale or patient.better_since != incident.better_since):
        changed = incidents.argued(patient, group.cause, verdict)  # it names all, or says why it stays as it is
    if changed.severity is not incident.severity and changed.muted is None:
        state = state.with_all_told(members)
    return Judgement(state.with_incident(changed), transitions)


def _is_stale(incident: Incident, journeys: Sequence[Judged], failing_from: tuple[str, ...]) -> bool:
    """Whether the argument says something of a workaround, an effect or a place that is so no more, though the verdict stays."""
    told = incident.argument
    if told is None:
        return False
    before = {harm.journey: harm for harm in told.harms}
    changed = (_ways(j.harm) != _ways(before[j.harm.journey]) for j in journeys if j.harm.journey in before)
    return failing_from != told.failing_from or any(changed)


def _names_others(incident: Incident) -> bool:
    """Whether the argument names a journey whose probes have left the incident."""
    harms = incident.argument.harms if incident.argument else ()
    return not {harm.journey for harm in harms}.issubset(incident.journeys)


def _ways(harm: Harm) -> tuple[object, ...]:
    return harm.effect, harm.workaround, harm.passing, harm.broken, harm.untested, harm.held


def held_at_the_worse(
    incident: Incident, verdict: Verdict, rules: Rules, now: float, *, planned: bool = False
) -> tuple[Incident, Verdict]:
    """Once the severity has fallen and risen again, let it fall only after it was better for as long as what ends may reopen.

    What is planned, such as the end of a critical period, lowers at once.
    """
    if not worse(incident.severity, verdict.severity):
        return replace(incident, better_since=None), verdict
    if not incident.unsteady or (planned and incident.better_since is None):
        return incident, verdict
    since = now if incident.better_since is None else incident.better_since
    if now - since >= rules.reopen_within:
        return replace(incident, better_since=None), verdict
    stays = f"It stays {LABEL[incident.severity]} until it has been better for {rules.reopen_within / 60:g} min"
    reason = f"{stays}; by itself it would be {verdict.reason}"
    held = replace(verdict, severity=incident.severity, reason=reason)
    return replace(incident, better_since=since), held


def _has_to_stay_well(state: State, incident: Incident, members: list[str], rules: Rules, now: float) -> bool:
    """What came back twice is not told as resolved again until it has passed for as long as it may come back."""
    if not kind_of(incident, state) and any(state.probes[name].is_changed_now_and_then(rules) for name in members):
        return True
    if incident.relapses < _FLAPS:
        return False
    return any(now - state.probes[name].since < rules.reopen_within for name in members)


def resolve(state: State, incident: Incident, now: float, why: str) -> Judgement:
    resolved = incidents.resolved(incident, now, why)
    return Judgement(state.with_ended(resolved.incident), [resolved])


# --- one incident for one cause --------------------------------------------------------------------------------------


def absorb(state: State, absorbed: Incident, survivor: Incident, why: str, rules: Rules, now: float) -> Judgement:
    """Let the probes of one incident go on in another of the same environment; its end names the survivor."""
    ended = incidents.resolved(absorbed, now, f"merged into {survivor.id}: {why}", survivor.id)
    grown, told = incidents.merged(survivor, absorbed, why, now)
    merged = Judgement(state.dissolved(absorbed.id).with_incident(grown), [ended, told])
    return merged.then(reassess(merged.state, grown, rules, now, "merged"))


def joined_by_cause(judged: Judgement, turned: Sequence[str], rules: Rules, now: float) -> Judgement:
    """Let the older of two incidents that turned out to have one cause absorb the younger, unless people parted them.

    Looked at are the incidents that something is told of, and those that `turned`, which may be of another kind of failure now.
    Where the cause that both were told with cannot explain both, they are judged anew: one may have another, or each the same at its time.
    """
    wanted = deque(dict.fromkeys([*(t.incident.id for t in judged.transitions), *turned]))
    apart: set[frozenset[str]] = set()
    while wanted:
        incident = judged.state.incidents.get(wanted[0])
        twin = _twin(judged.state, incident, apart) if incident else None
        if incident is None or twin is None:
            wanted.popleft()
            continue
        older, younger = sorted((incident, twin), key=lambda i: (i.opened_at, i.failing_since, i.id))
        wanted.append(twin.id)  # it lives on, or has another cause now: each may have a third for its twin
        apart.add(frozenset((older.id, younger.id)))
        judged = judged.then(_joined(judged.state, older, younger, rules, now))
    return judged


def _joined(state: State, older: Incident, younger: Incident, rules: Rules, now: float) -> Judgement:
    """Make one incident of two of one cause, or judge both anew."""
    since = min(older.failing_since, younger.failing_since)
    if in_common(state, rules, (*older.probes, *younger.probes), since, now):
        title = rules.dependencies[older.cause.dependency or ""].title
        state = state.with_told_only(younger.probes, "")
        return absorb(state, younger, older, f"both are caused by {title}", rules, now)
    first = reassess(state, older, rules, now)
    return first.then(reassess(first.state, younger, rules, now))


def _twin(state: State, incident: Incident, apart: Collection[frozenset[str]]) -> Incident | None:
    """Return an incident with the same cause, for which that was not tried yet."""
    if incident.cause.dependency is None:
        return None
    for other in state.open_incidents():
        same = (other.environment, other.cause.dependency) == (incident.environment, incident.cause.dependency)
        if not same or other.id == incident.id or _parted(incident, other):
            continue
        if frozenset((other.id, incident.id)) not in apart and kind_of(other, state) is kind_of(incident, state):
            return other
    return None


def _parted(a: Incident, b: Incident) -> bool:
    """Whether people want the two apart: they split one off another, or split probes of the one off the other."""
    split = a.split_from is not None or b.split_from is not None
    return split or not {*a.parted}.isdisjoint(b.probes) or not {*b.parted}.isdisjoint(a.probes)


# --- runs that an open incident wants --------------------------------------------------------------------------------


def second_opinions(state: State, incident: Incident, rules: Rules, now: float) -> list[Request]:
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
        request_of(Why.CONFIRM, incident.id, name, rules, now, incident.id) for name in others[:CONFIRMATIONS_PER_CAUSE]
    ]


def _looked_since(probe: ProbeState | None, moment: float) -> bool:
    return probe is not None and probe.started_at > moment


def workaround_runs(incident: Incident, rules: Rules, now: float, journeys: tuple[str, ...]) -> list[Request]:
    """Ask the workarounds of these journeys of the incident whether they work."""
    names = dict.fromkeys(n for journey in journeys for n in workaround_probes(journey, incident.environment, rules))
    return [
        request_of(Why.WORKAROUND, incident.id, name, rules, now, incident.id)
        for name in names
        if name not in incident.probes
    ]
