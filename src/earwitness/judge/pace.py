"""How often an incident of many probes is judged in full: about once a second, however many of its probes are seen.

To judge thousands of probes takes milliseconds, and when thousands fail at once each of them is a reason to. What has to be decided at
once is: a probe that makes the incident worse, and its end. Everything else waits until the incident has grown to twice its size, a
second has passed, or the next tick.
"""

from dataclasses import replace

from earwitness.judge.correlation import Group, explains, kind_of, serious
from earwitness.judge.severity import judged_journeys
from earwitness.judge.state import MANY, Pace, ProbeState, State
from earwitness.model import Incident, Rules, worse

_PAUSE = 1.0  # seconds


def waits(state: State, incident: Incident, now: float) -> bool:
    """Whether the incident has many probes, and was judged in full a moment ago."""
    pace = state.pace.get(incident.id)
    if pace is None or len(incident.probes) <= MANY:
        return False
    return abs(now - pace.judged_at) < _PAUSE and len(incident.probes) < 2 * pace.size


def makes_worse(state: State, incident: Incident, probe: ProbeState, rules: Rules, now: float) -> bool:
    """Whether the probe's failure by itself is worse than the incident was told to be."""
    alone = Group(incident.cause, (probe.probe,), probe.since)
    return any(
        worse(j.severity, incident.severity) for j in judged_journeys(alone, state, rules, now, incident.began_at)
    )


def evident_home(state: State, probe: ProbeState, rules: Rules, now: float) -> Incident | None:
    """Return the large incident that was judged a moment ago, and whose cause explains this failure as well."""
    if not state.pace:
        return None
    for incident in state.open_incidents():
        if (
            waits(state, incident, now)
            and incident.environment == rules.probes[probe.probe].environment
            and probe.since >= incident.failing_since
            and probe.probe not in incident.parted
            and explains(incident.cause.dependency, probe.probe, state, rules)
            and serious(probe) is kind_of(incident, state)
            and not makes_worse(state, incident, probe, rules, now)
        ):
            return incident
    return None


def all_recovered(state: State, incident: Incident, rules: Rules) -> tuple[State, bool]:
    """Return whether every probe of the incident has recovered; of many, remember one that has not, to look there first."""
    names, pace = incident.probes, state.pace.get(incident.id)
    first = pace.failing % len(names) if pace else 0
    for step in range(len(names)):
        place = (first + step) % len(names)
        probe = state.probes.get(names[place])
        if probe is not None and probe.probe in rules.probes and not probe.recovered(rules.resolve_after):
            return (state.with_pace(incident.id, replace(pace, failing=place)) if pace and step else state), False
    return state, True


def put_off(state: State, incident: Incident, *, grown: bool = False) -> State:
    """Remember that something happened that the incident was not judged by yet."""
    pace = state.pace[incident.id]
    changed = Pace(pace.judged_at, pace.size, behind=True, grown=pace.grown or grown, failing=pace.failing)
    return state if changed == pace else state.with_pace(incident.id, changed)


def judged_in_full(state: State, incident_id: str, now: float) -> State:
    """Remember when; of an incident of few probes there is nothing to remember."""
    incident = state.incidents.get(incident_id)
    if incident is None or len(incident.probes) <= MANY:
        return state
    pace = state.pace.get(incident_id)
    return state.with_pace(incident_id, Pace(now, len(incident.probes), failing=pace.failing if pace else 0))
