"""The life of an incident: each change returns the incident as it is after it, and the transition that tells of it."""

import hashlib
from dataclasses import replace

from earwitness.judge.argument import Verdict
from earwitness.judge.correlation import Group
from earwitness.judge.state import ProbeState, State
from earwitness.model import (
    Cause,
    Commanded,
    Evidence,
    Incident,
    Rules,
    Status,
    TimelineEntry,
    Transition,
    TransitionKind,
    worse,
)

_RENEWED_AFTER = 300.0  # seconds
_FLAPPING = "It is flapping: it fails, passes and fails again."


def opened(
    group: Group, trigger: ProbeState, state: State, verdict: Verdict, rules: Rules, now: float
) -> tuple[Incident, Transition]:
    """The id comes from the run that opened it, so that judging the same history again gives the same incident."""
    members = [state.probes[name] for name in group.members]
    flapping = _only_comes_and_goes(members, rules)
    incident = Incident(
        id=identity(trigger.run),
        severity=verdict.severity,
        status=Status.OPEN,
        title=verdict.title,
        reason=_reason(verdict, flapping),
        environment=rules.probes[trigger.probe].environment,
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in group.members)),
        probes=group.members,
        cause=group.cause,
        opened_at=now,
        failing_since=group.since,
        evidence=_evidence(members),
        observations=tuple(m.failed.run for m in members if m.failed),
        argument=verdict.argument,
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
    times = ended.reopened + 1
    again = replace(
        argued(replace(ended, flapping=ended.flapping or times > 1), group.cause, verdict),
        status=Status.OPEN,
        resolved_at=None,
        acknowledged_by=None,
        probes=group.members,
        journeys=tuple(dict.fromkeys(rules.probes[name].journey for name in group.members)),
        evidence=tuple(dict.fromkeys((*ended.evidence, *_evidence(members)))),
        observations=tuple(dict.fromkeys((*ended.observations, *(m.failed.run for m in members if m.failed)))),
        muted=None,
        reopened=times,
    )
    flaps = ", flapping" if again.flapping else ""
    return noted(again, now, TransitionKind.REOPEN, f"reopened{flaps}: {again.title}. {again.reason}")


def merged(survivor: Incident, absorbed: Incident, why: str, now: float) -> tuple[Incident, Transition]:
    """Take over what the absorbed incident has."""
    grown = replace(
        survivor,
        probes=(*survivor.probes, *absorbed.probes),
        journeys=tuple(dict.fromkeys((*survivor.journeys, *absorbed.journeys))),
        failing_since=min(survivor.failing_since, absorbed.failing_since),
        evidence=tuple(dict.fromkeys((*survivor.evidence, *absorbed.evidence))),
        observations=tuple(dict.fromkeys((*survivor.observations, *absorbed.observations))),
    )
    return noted(grown, now, TransitionKind.ATTACH, f"{absorbed.id} was merged into this: {why}")


def flaps(incident: Incident) -> Incident:
    return replace(incident, flapping=True, reason=f"{incident.reason} {_FLAPPING}")


def _only_comes_and_goes(members: list[ProbeState], rules: Rules) -> bool:
    """Whether no member failed twice in a row, and one is believed because it fails again and again."""
    repeated = any(m.streak >= rules.open_after for m in members)
    return not repeated and any(m.comes_and_goes(rules.open_after) for m in members)


def _reason(verdict: Verdict, flapping: bool) -> str:
    return f"{verdict.reason} {_FLAPPING}" if flapping else verdict.reason


def attached(
    incident: Incident, probe: ProbeState, group: Group, rules: Rules, now: float
) -> tuple[Incident, Transition]:
    """Add one more failing probe, with what it saw."""
    assert probe.failed
    grown = replace(
        incident,
        probes=group.members,
        journeys=tuple(dict.fromkeys((*incident.journeys, rules.probes[probe.probe].journey))),
        failing_since=min(incident.failing_since, group.since),
        evidence=tuple(dict.fromkeys((*incident.evidence, *probe.failed.evidence))),
        observations=(*incident.observations, probe.failed.run),
    )
    return noted(grown, now, TransitionKind.ATTACH, f"{probe.probe} fails too: {probe.failed.message}")


def reassessed(
    incident: Incident, cause: Cause, verdict: Verdict, now: float, why: str = ""
) -> tuple[Incident, list[Transition]]:
    """Take over a new verdict where people would act differently; say so, and `why` where no probe's run was the reason.

    While nothing of that changes, the argument stays as it was told: an incident whose probes recover one by one keeps saying
    what it was about.
    """
    changed = argued(incident, cause, verdict)
    if verdict.severity is not incident.severity:
        kind = TransitionKind.RAISE if worse(verdict.severity, incident.severity) else TransitionKind.LOWER
        happened = f"{why}: " if why else ""
        text = f"{happened}{incident.severity} -> {verdict.severity}. {verdict.reason}"
    elif cause.dependency != incident.cause.dependency:
        kind, text = TransitionKind.NOTE, f"the cause is now taken to be {cause.dependency or 'unknown'}"
    else:
        return incident, []
    after, transition = noted(changed, now, kind, text)
    return after, [transition]


def argued(incident: Incident, cause: Cause, verdict: Verdict) -> Incident:
    """Return the incident with a new argument."""
    return replace(
        incident,
        severity=verdict.severity,
        title=verdict.title,
        reason=_reason(verdict, incident.flapping),
        cause=cause,
        argument=verdict.argument,
        times=verdict.times,
    )


def is_new_acknowledgement(incident: Incident, command: Commanded) -> bool:
    """Whether it says more than the one before: one that grew old may be renewed, a second click says nothing."""
    before = max((e.at for e in incident.timeline if e.kind is TransitionKind.ACKNOWLEDGE), default=command.at)
    return incident.acknowledged_by is None or command.at - before >= _RENEWED_AFTER


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


def _evidence(members: list[ProbeState]) -> tuple[Evidence, ...]:
    found = (e for m in members if m.failed for e in m.failed.evidence)
    return tuple(dict.fromkeys(found))
