"""What changes around the probes: the configuration, the clock, and time that passes."""

from dataclasses import replace

from earwitness.judge import incidents
from earwitness.judge.argument import assess
from earwitness.judge.correlation import correlate
from earwitness.judge.judgement import Judgement
from earwitness.judge.members import reassess, resolve
from earwitness.judge.quiet import without_what_is_over
from earwitness.judge.severity import times_at
from earwitness.judge.state import State
from earwitness.model import Incident, Rules, TransitionKind

_CHANGED = "the configuration changed"
_PASSES = "the configuration of its probes changed, which pass again"


def ticked(state: State, at: float, rules: Rules) -> Judgement:
    """Forget what is over, and judge anew where a calendar or a critical period began or ended, or where a judgement is due."""
    judged = Judgement(without_what_is_over(state, at).without_ended(at - rules.reopen_within))
    times = times_at(rules, at)
    for incident in judged.state.open_incidents():
        pace = judged.state.pace.get(incident.id)
        if incident.times != times:
            judged = judged.then(_at_other_times(judged.state, incident, times, rules, at))
        elif pace is not None and pace.behind:
            judged = judged.then(reassess(judged.state, incident, rules, at))
    return judged


def _at_other_times(state: State, incident: Incident, times: tuple[str, ...], rules: Rules, at: float) -> Judgement:
    begun = [f"{name} began" for name in times if name not in incident.times]
    over = [f"{name} ended" for name in incident.times if name not in times]
    reassessed = reassess(state, incident, rules, at, " and ".join([*begun, *over]))
    changed = reassessed.state.incidents.get(incident.id)
    if changed is None:
        return reassessed
    return replace(reassessed, state=reassessed.state.with_incident(replace(changed, times=times)))


def reconfigured(state: State, at: float, rules: Rules) -> Judgement:
    """Forget the probes that are gone, resolve what nothing watches any more, and judge the rest by the new names and rules."""
    for name in [name for name in state.probes if name not in rules.probes]:
        state = replace(state, probes=state.probes.delete(name))
    judged = Judgement(state)
    for incident in state.open_incidents():
        judged = judged.then(_refitted(judged.state, incident, rules, at))
    return judged


def _refitted(state: State, incident: Incident, rules: Rules, at: float) -> Judgement:
    left = tuple(name for name in incident.probes if name in rules.probes and name in state.probes)
    if not left:
        return resolve(state, incident, at, "its probes were removed from the configuration")
    fitted = replace(
        incident,
        probes=left,
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in left)),
        environment=rules.probes[left[0]].environment,
    )
    if fitted == incident and incident.cause.dependency in (None, *rules.dependencies):
        return reassess(state, incident, rules, at, _CHANGED)
    if all(state.probes[name].recovered(rules.resolve_after) for name in left):
        gone = "its last failing probe was removed from the configuration"
        return resolve(state, incident, at, _PASSES if left == incident.probes else gone)
    group = replace(correlate(state, rules, left, incident.failing_since, at), members=left)
    verdict = assess(group, state, rules, at, incident.began_at)
    changed, transitions = incidents.reassessed(fitted, group.cause, verdict, at, _CHANGED)
    if not transitions:
        changed, noted = incidents.noted(changed, at, TransitionKind.NOTE, "the configuration of its probes changed")
        transitions = [noted]
    changed = incidents.argued(changed, group.cause, verdict)
    return Judgement(state.with_incident(changed), transitions)


def set_back(state: State, at: float) -> Judgement:
    """Let no run lie in the future, or every later one would seem to be overtaken by it; nor what incidents count from."""
    for probe in [p for p in state.probes.values() if p.latest_moment > at]:
        state = state.with_probe(probe.no_later_than(at))
    for incident in [i for i in state.open_incidents() if i.latest_moment > at]:
        state = state.with_incident(incident.no_later_than(at))
    ended = {key: incident.no_later_than(at) for key, incident in state.ended.items() if incident.latest_moment > at}
    return Judgement(replace(state, ended=state.ended.update(ended)) if ended else state)
