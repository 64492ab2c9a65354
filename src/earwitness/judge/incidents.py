"""The life of an incident: each change returns the incident as it is after it, and the transition that tells of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from earwitness.judge.argument import Verdict
from earwitness.judge.correlation import Group
from earwitness.judge.state import ProbeState, State
from earwitness.model import (
    Cause,
    Commanded,
    Effect,
    Evidence,
    Incident,
    Rules,
    Scope,
    Status,
    TimelineEntry,
    Transition,
    TransitionKind,
    Workaround,
    worse,
)

_LOOKED_AT = 100  # files, or runs
_MOST_ADDED = 20  # failures that are added to an incident which becomes worse
_FLAPPING = "It is flapping: it fails, passes and fails again."
_UNSTEADY = "It is flapping: its severity fell and rose again."


def opened(
    group: Group, trigger: ProbeState, state: State, verdict: Verdict, rules: Rules, now: float
) -> tuple[Incident, Transition]:
    """The id comes from the run that opened it, so that judging the same history again gives the same incident."""
    members = [state.probes[name] for name in group.members]
    flapping = _only_comes_and_goes(members, rules) and verdict.argument.scope is not Scope.LOCATION
    incident = Incident(
        id=identity(trigger.run),
        severity=verdict.severity,
        status=Status.OPEN,
        title=verdict.title,
        reason=f"{verdict.reason} {_FLAPPING}" if flapping else verdict.reason,
        environment=rules.probes[trigger.probe].environment,
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in group.members)),
        probes=group.members,
        cause=group.cause,
        opened_at=now,
        failing_since=group.since,
        evidence=_evidence(members),
        observations=tuple(m.failed.run for m in members if m.failed),
        argument=verdict.argument,
        weighed=verdict.weighed,
        times=verdict.times,
        flapping=flapping,
    )
    return noted(incident, now, TransitionKind.OPEN, f"{incident.title}. {incident.reason}")


def identity(origin: str) -> str:
    return "inc-" + hashlib.sha256(origin.encode()).hexdigest()[:12]


def reopened(
    ended: Incident, group: Group, state: State, verdict: Verdict, rules: Rules, now: float
) -> tuple[Incident, Transition]:
    """The incident that ended a moment ago is open again, with what fails now, and nobody looks after it yet."""
    members = [state.probes[name] for name in group.members]
    over_at = ended.opened_at if ended.resolved_at is None else ended.resolved_at
    relapses = ended.relapses + all(m.since > over_at for m in members)
    again = replace(
        argued(replace(ended, flapping=ended.flapping or relapses > 1), group.cause, verdict),
        status=Status.OPEN,
        resolved_at=None,
        acknowledged_by=None,
        probes=group.members,
        joined=(),
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in group.members)),
        evidence=tuple(dict.fromkeys((*ended.evidence, *_evidence(members)))),
        observations=tuple(dict.fromkeys((*ended.observations, *(m.failed.run for m in members if m.failed)))),
        muted=None,
        reopened=ended.reopened + 1,
        relapses=relapses,
        reopened_at=now,
        better_since=None,
    )
    flaps = ", flapping" if again.flapping else ""
    return noted(again, now, TransitionKind.REOPEN, f"reopened{flaps}: {again.title}. {again.reason}")


def merged(survivor: Incident, absorbed: Incident, why: str, now: float) -> tuple[Incident, Transition]:
    """Take over what the absorbed incident has."""
    members = {*survivor.probes, *absorbed.probes}
    grown = replace(
        survivor,
        probes=(*survivor.probes, *absorbed.probes),
        journeys=tuple(dict.fromkeys((*survivor.journeys, *absorbed.journeys))),
        failing_since=min(survivor.failing_since, absorbed.failing_since),
        evidence=tuple(dict.fromkeys((*survivor.evidence, *absorbed.evidence))),
        observations=tuple(dict.fromkeys((*survivor.observations, *absorbed.observations))),
        joined=(*survivor.joined, *absorbed.joined),
        weighed=_weighed(survivor.weighed, absorbed.weighed),
        parted=tuple(n for n in dict.fromkeys((*survivor.parted, *absorbed.parted)) if n not in members),
    )
    return noted(grown, now, TransitionKind.ATTACH, f"{absorbed.id} was merged into this: {why}")


def flaps(incident: Incident) -> Incident:
    return replace(incident, flapping=True, reason=f"{incident.reason} {_FLAPPING}")


def _only_comes_and_goes(members: list[ProbeState], rules: Rules) -> bool:
    """Whether no member failed twice in a row, and one is believed because it, or a change of its page, is met again and again."""
    repeated = any(m.streak >= rules.open_after for m in members)
    return not repeated and any(m.comes_and_goes(rules.open_after) or any(c.gone for c in m.untold) for m in members)


def _reason(verdict: Verdict, incident: Incident) -> str:
    if incident.unsteady:
        return f"{verdict.reason} {_UNSTEADY}"
    return f"{verdict.reason} {_FLAPPING}" if incident.flapping else verdict.reason


def attached(
    incident: Incident, probe: ProbeState, group: Group, rules: Rules, now: float
) -> tuple[Incident, Transition]:
    """Add one more failing probe, with what it saw."""
    assert probe.failed
    rule = rules.probes[probe.probe]
    journey, by_place = rule.journey, group.cause.dependency in rule.reaches
    grown = replace(
        incident,
        probes=group.members,
        joined=(*incident.joined, probe.probe) if by_place else incident.joined,
        journeys=incident.journeys if journey in incident.journeys else (*incident.journeys, journey),
        failing_since=min(incident.failing_since, group.since),
        evidence=_with(incident.evidence, probe.failed.evidence),
        observations=(*incident.observations, probe.failed.run),
    )
    return noted(grown, now, TransitionKind.ATTACH, f"{probe.probe} fails too: {probe.failed.message}")


def with_what_raised_it(incident: Incident, members: Sequence[ProbeState]) -> Incident:
    """Add the latest failures of the worst members: the incident has only what they looked like when it was less bad."""
    known = frozenset(incident.observations)
    failing = [m.failed for m in members if m.failing and m.failed and m.failed.run not in known]
    worst = min((failed.effect for failed in failing), key=tuple(Effect).index, default=Effect.NONE)
    added = [failed for failed in failing if failed.effect is worst][:_MOST_ADDED]
    files = tuple(file for failed in added for file in failed.evidence)
    runs = (*incident.observations, *(failed.run for failed in added))
    return replace(incident, evidence=_with(incident.evidence, files), observations=runs)


def reassessed(
    incident: Incident, cause: Cause, verdict: Verdict, now: float, why: str = ""
) -> tuple[Incident, list[Transition]]:
    """Take over a new verdict where people would act differently; say so, and `why` where no probe's run was the reason.

    While nothing of that changes, the argument stays as it was told: an incident whose probes recover one by one keeps saying
    what it was about.
    """
    kind = TransitionKind.RAISE if worse(verdict.severity, incident.severity) else TransitionKind.LOWER
    if not why and verdict.severity is not incident.severity:
        incident = _swung(incident, kind)
    changed = argued(incident, cause, verdict)
    if verdict.severity is not incident.severity:
        happened = f"{why}: " if why else "flapping, " if changed.unsteady else ""
        text = f"{happened}{incident.severity} -> {verdict.severity}. {changed.reason}"
    elif cause.dependency != incident.cause.dependency:
        kind, text = TransitionKind.NOTE, f"the cause is now taken to be {cause.dependency or 'unknown'}"
    else:
        return incident, []
    after, transition = noted(changed, now, kind, text)
    return after, [transition]


def _swung(incident: Incident, kind: TransitionKind) -> Incident:
    """Remember that probes moved its severity; what calendars and people do to it is no flapping, nor what is seen for the first time."""
    if kind is TransitionKind.LOWER:
        harms = incident.argument.harms if incident.argument else ()
        return incident if any(h.workaround is Workaround.UNTESTED for h in harms) else replace(incident, eased=True)
    unsteady = incident.eased
    return replace(incident, unsteady=incident.unsteady or unsteady, flapping=incident.flapping or unsteady)


def argued(incident: Incident, cause: Cause, verdict: Verdict) -> Incident:
    """Return the incident with a new argument."""
    return replace(
        incident,
        severity=verdict.severity,
        title=verdict.title,
        reason=_reason(verdict, incident),
        cause=cause,
        argument=verdict.argument,
        weighed=_weighed(incident.weighed, verdict.weighed),
        times=verdict.times,
    )


def _weighed(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    """Remember what decided earlier verdicts too, the latest of very many."""
    return tuple(dict.fromkeys((*before, *now)))[-_LOOKED_AT:]


def acknowledged(incident: Incident, command: Commanded) -> tuple[Incident, Transition]:
    changed = replace(incident, status=Status.ACKNOWLEDGED, acknowledged_by=command.who)
    return noted(changed, command.at, TransitionKind.ACKNOWLEDGE, f"acknowledged {by(command)}")


def resolved(incident: Incident, now: float, why: str, merged_into: str | None = None) -> Transition:
    closed = replace(incident, status=Status.RESOLVED, resolved_at=now, merged_into=merged_into)
    return noted(closed, now, TransitionKind.RESOLVE, why)[1]


def by(command: Commanded) -> str:
    return f"by {command.who}" + (f": {command.note}" if command.note else "")


def noted(incident: Incident, now: float, kind: TransitionKind, text: str) -> tuple[Incident, Transition]:
    entry = TimelineEntry(now, kind, text, incident.severity, incident.muted is not None)
    after = replace(incident, timeline=(*incident.timeline, entry))
    return after, Transition(after, kind, now, text)


def _with(known: tuple[Evidence, ...], files: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Add the files that are new; among very many only the latest are looked at, so that thousands of probes may join."""
    latest = {(file.sha256, file.kind, file.name) for file in known[-_LOOKED_AT:]}
    return (*known, *(f for f in dict.fromkeys(files) if (f.sha256, f.kind, f.name) not in latest))


def _evidence(members: list[ProbeState]) -> tuple[Evidence, ...]:
    found = (e for m in members if m.failed for e in m.failed.evidence)
    return tuple(dict.fromkeys(found))
