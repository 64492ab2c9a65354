"""Maintenance and silences: who is not to be told of what, and until when.

Nothing here opens or resolves anything. An incident is muted while one maintenance or silence means it and every probe of it; what is
still open when that ends, and is not as people know it, is told then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from earwitness.judge import incidents
from earwitness.judge.judgement import Judgement
from earwitness.judge.matching import means_incident, means_probe
from earwitness.judge.state import MANY, State
from earwitness.model import (
    Incident,
    Match,
    Mode,
    Mute,
    QuietBegun,
    QuietEnded,
    QuietPeriod,
    Rules,
    Transition,
    TransitionKind,
)

_TELLS = (TransitionKind.OPEN, TransitionKind.REOPEN)


def stopped_by(probe: str, periods: Iterable[QuietPeriod], rules: Rules, now: float) -> str | None:
    """Return the maintenance that lets the probe not run at this moment, if one does."""
    if probe not in rules.probes:
        return None
    for match, mode, mute in _quiet_now(periods, rules, now):
        if mode is Mode.STOP and means_probe(match, probe, rules):
            return mute.by
    return None


def muted_by(incident: Incident, periods: Iterable[QuietPeriod], rules: Rules, now: float) -> Mute | None:
    """Return what mutes the incident at this moment: of several the one that lasts longest."""
    found = [mute for match, _, mute in _quiet_now(periods, rules, now) if means_incident(match, incident, rules)]
    return max(found, key=lambda mute: mute.until, default=None)


def _quiet_now(periods: Iterable[QuietPeriod], rules: Rules, now: float) -> Iterator[tuple[Match, Mode, Mute]]:
    for name, rule in rules.maintenance.items():
        until = rule.times.ends(now)
        if until is not None:
            yield rule.match, rule.mode, Mute(f"maintenance {name}", rule.why, until)
    for period in periods:
        if period.begins <= now < period.ends:
            why = f"{period.why} ({period.who})" if period.why else period.who
            yield period.match, period.mode, Mute(f"{period.kind} {period.id}", why, period.ends)


def changed(state: State, event: QuietBegun | QuietEnded) -> State:
    if isinstance(event, QuietBegun):
        return replace(state, quiet=state.quiet.set(event.period.id, event.period))
    return replace(state, quiet=state.quiet.delete(event.period)) if event.period in state.quiet else state


def without_what_is_over(state: State, now: float) -> State:
    for key in [key for key, period in state.quiet.items() if period.ends <= now]:
        state = replace(state, quiet=state.quiet.delete(key))
    return state


def quietened(judged: Judgement, rules: Rules, now: float, *, everywhere: bool) -> Judgement:
    """Mute and unmute what has to be: the incidents that changed, or all that are open."""
    state, transitions = judged.state, list(judged.transitions)
    named = [t.incident.id for t in transitions]
    for key in [i.id for i in state.open_incidents()] if everywhere else dict.fromkeys(named):
        incident = state.incidents.get(key)
        if incident is None:
            continue
        kinds = {t.kind for t in transitions if t.incident.id == key}
        if kinds == {TransitionKind.ATTACH} and _goes_on(incident, state, rules, now):
            continue
        wanted = muted_by(incident, state.quiet.values(), rules, now)
        if wanted is None and incident.muted is None:
            continue
        fresh = not kinds.isdisjoint(_TELLS)
        changed, told = _with(incident, wanted, now, fresh=fresh)
        if fresh:
            transitions = [_muted(t, changed) if t.incident.id == key else t for t in transitions]
        if any(transition.kind is TransitionKind.UNMUTE for transition in told):
            state = state.with_told_only(changed.probes, changed.reason)
        state, transitions = state.with_incident(changed), [*transitions, *told]
    return Judgement(state, transitions, judged.requests)


def _goes_on(incident: Incident, state: State, rules: Rules, now: float) -> bool:
    """Whether what mutes the incident means the probe too that joined last: of thousands not each has to be looked at for each."""
    if incident.muted is None or len(incident.probes) <= MANY:
        return False
    return any(
        mute.by == incident.muted.by and not match.severity and means_probe(match, incident.probes[-1], rules)
        for match, _, mute in _quiet_now(state.quiet.values(), rules, now)
    )


def _muted(transition: Transition, incident: Incident) -> Transition:
    return replace(transition, incident=replace(transition.incident, muted=incident.muted))


def _with(incident: Incident, wanted: Mute | None, now: float, *, fresh: bool) -> tuple[Incident, list[Transition]]:
    before = incident.muted
    if wanted is None:
        assert before is not None
        return _unmuted(incident, before, now)
    known = before.known if before else (None if fresh else incident.severity)
    changed = replace(incident, muted=replace(wanted, known=known))
    if before is not None and not fresh:
        return changed, []
    why = f": {wanted.why}" if wanted.why else ""
    changed, told = incidents.noted(changed, now, TransitionKind.MUTE, f"muted by {wanted.by}{why}")
    return changed, [told]


def _unmuted(incident: Incident, before: Mute, now: float) -> tuple[Incident, list[Transition]]:
    told = replace(incident, muted=None)
    if before.known is incident.severity:
        text = f"no longer muted by {before.by}; nothing is new since people were told"
        changed, transition = incidents.noted(told, now, TransitionKind.NOTE, text)
    else:
        text = f"no longer muted by {before.by}, and still open. {incident.reason}"
        changed, transition = incidents.noted(told, now, TransitionKind.UNMUTE, text)
    return changed, [transition]
