"""What people do to an incident: acknowledge, resolve, note, merge and split. What cannot be done changes nothing."""

from dataclasses import replace

from earwitness.judge import incidents
from earwitness.judge.argument import assess
from earwitness.judge.correlation import correlate
from earwitness.judge.judgement import Judgement
from earwitness.judge.members import absorb, reassess, resolve
from earwitness.judge.state import State
from earwitness.model import Commanded, Incident, Rules, TransitionKind


def commanded(state: State, command: Commanded, rules: Rules) -> Judgement:
    incident = state.incidents.get(command.incident)
    if incident is None:
        return _written_afterwards(state, command)
    match command.action:
        case "resolve":
            return resolve(state, incident, command.at, incidents.by(command))
        case "acknowledge" | "note":
            return _said(state, incident, command)
        case "merge":
            return _merge(state, incident, command, rules)
        case "split":
            return _split(state, incident, command, rules)
    return Judgement(state)


def _written_afterwards(state: State, command: Commanded) -> Judgement:
    """Write a note into an incident that is over, as of a post-mortem; nothing else is done to it any more."""
    ended = state.ended.get(command.incident, command.ended)
    if ended is None or command.action != "note" or not command.note:
        return Judgement(state)
    noted, transition = incidents.noted(ended, command.at, TransitionKind.NOTE, f"{command.who}: {command.note}")
    return Judgement(replace(state, ended=state.ended.set(noted.id, noted)), [transition])


def _said(state: State, incident: Incident, command: Commanded) -> Judgement:
    if command.action == "acknowledge" and incident.takes_acknowledgement(command.at):
        changed, transition = incidents.acknowledged(incident, command)
    elif command.action == "note" and command.note:
        text = f"{command.who}: {command.note}"
        changed, transition = incidents.noted(incident, command.at, TransitionKind.NOTE, text)
    else:
        return Judgement(state)
    return Judgement(state.with_incident(changed), [transition])


def _merge(state: State, incident: Incident, command: Commanded, rules: Rules) -> Judgement:
    survivor = state.incidents.get(command.into or "")
    if survivor is None or survivor.id == incident.id or survivor.environment != incident.environment:
        return Judgement(state)
    return absorb(state, incident, survivor, incidents.by(command), rules, command.at)


def _split(state: State, incident: Incident, command: Commanded, rules: Rules) -> Judgement:
    """Give some probes of the incident one of their own; both go on, each with its own cause and severity."""
    parted = tuple(name for name in incident.probes if name in command.probes)
    left = tuple(name for name in incident.probes if name not in command.probes)
    unknown = set(command.probes) - set(incident.probes)
    watched = [name for name in parted if name in state.probes and state.probes[name].failed]
    if not left or not watched or unknown:
        return Judgement(state)
    shrunk = replace(
        incident,
        probes=left,
        journeys=tuple(dict.fromkeys(rules.probes[n].journey for n in left if n in rules.probes)),
        parted=tuple(dict.fromkeys((*incident.parted, *parted))),
    )
    shrunk, noted = incidents.noted(
        shrunk, command.at, TransitionKind.NOTE, f"{', '.join(parted)} split off {incidents.by(command)}"
    )
    first = reassess(state.with_incident(shrunk), shrunk, rules, command.at, "split")
    opened = _opened_of(first.state, incident, parted, command, rules)
    return Judgement(opened.state, [noted, *first.transitions, *opened.transitions])


def _opened_of(state: State, whole: Incident, probes: tuple[str, ...], command: Commanded, rules: Rules) -> Judgement:
    since = min(state.probes[name].since for name in probes)
    group = replace(correlate(state, rules, probes, since, command.at), members=probes)
    if all(state.probes[name].recovered(rules.resolve_after) for name in probes):
        return Judgement(state.begun_anew(probes))  # what passes needs no incident
    trigger = next(state.probes[name] for name in probes if state.probes[name].failed)
    verdict = assess(group, state, rules, command.at, whole.began_at)
    opened, told = incidents.opened(group, trigger, state, verdict, rules, command.at)
    identity = incidents.identity(f"{whole.id} {len(whole.timeline)}")
    apart = tuple(name for name in (*whole.parted, *whole.probes) if name not in probes)
    opened = replace(opened, id=identity, split_from=whole.id, parted=apart)
    return Judgement(state.with_incident(opened).with_all_told(probes), [replace(told, incident=opened)])
