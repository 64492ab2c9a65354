"""The facts of each journey's failures, and the severity by the table of `model/severity_rules.py`.

The table is data, the default as much as the user's rules: the first rule that fits a journey decides, critical periods then count it as
more or less, and the worst journey is the incident's severity.
"""

from dataclasses import dataclass, replace

from earwitness.judge.correlation import Group
from earwitness.judge.layers import Located, locate
from earwitness.judge.matching import means_probe
from earwitness.judge.state import ProbeState, State
from earwitness.model import (
    Channel,
    Effect,
    Facts,
    Harm,
    Rules,
    Scope,
    Severity,
    SeverityRule,
    Workaround,
    worse,
)

_EFFECTS = tuple(Effect)  # the worst first


@dataclass(frozen=True, slots=True)
class Judged:
    """One journey: what was found, the rule that fits, and what it comes to."""

    harm: Harm
    facts: Facts
    rule: SeverityRule
    severity: Severity
    periods: tuple[str, ...] = ()  # critical periods that changed it


def judged_journeys(
    group: Group, state: State, rules: Rules, now: float, began_at: float | None = None
) -> list[Judged]:
    """Return the judgement on each journey that fails, in the order of the configuration.

    Of an incident, `began_at` says since when it is open: a workaround that worked in this time is not called broken unseen.
    """
    failing: dict[str, list[ProbeState]] = {}
    for name in group.members:
        probe = state.probes[name]
        if not probe.recovered(rules.resolve_after):
            failing.setdefault(rules.probes[name].journey, []).append(probe)
    scope = scope_of(group, state, rules)
    judged = []
    for journey, probes in failing.items():
        harm = _harm(journey, probes, state, rules, now, began_at)
        judged.append(judged_by_table(harm, _facts(harm, probes, group, scope, rules, now), rules, now))
    return judged


def worst_of(judged: list[Judged]) -> Judged:
    worst = judged[0]
    for journey in judged[1:]:
        worst = journey if worse(journey.severity, worst.severity) else worst
    return worst


def judged_by_table(harm: Harm, facts: Facts, rules: Rules, now: float) -> Judged:
    rule = next(rule for rule in rules.severity_rules if rule.match.fits(facts))
    severity, periods = counted(rule.severity, harm, rules, now)
    return Judged(harm, facts, rule, severity, periods)


def counted(severity: Severity, harm: Harm, rules: Rules, now: float) -> tuple[Severity, tuple[str, ...]]:
    """Return what the severity counts as at this moment, and the critical periods that make it so."""
    periods: list[str] = []
    for name, period in rules.critical_periods.items():
        other = dict(period.counts_as).get(severity)
        if other is None or period.times.ends(now) is None:
            continue
        if any(means_probe(period.match, probe, rules) for probe in harm.failing):
            severity = other
            periods.append(name)
    return severity, tuple(periods)


def calendars_at(rules: Rules, now: float) -> frozenset[str]:
    return frozenset(name for name, times in rules.calendars.items() if times.ends(now) is not None)


def times_at(rules: Rules, now: float) -> tuple[str, ...]:
    """Return the calendars, critical periods and test windows that hold at this moment: while they do not change, no severity does for them."""
    planned = {name: period.times for name, period in rules.critical_periods.items()}
    planned |= {name: window.times for name, window in rules.test_windows.items()}
    holding = (name for name, times in planned.items() if times.ends(now) is not None)
    return (*(name for name in rules.calendars if name in calendars_at(rules, now)), *holding)


def tested_by(probe: str, rules: Rules, *moments: float) -> str:
    """Return the test window that means the probe and holds at all these moments, without an end between; empty if there is none."""
    for name, window in rules.test_windows.items():
        ends = {window.times.ends(moment) for moment in moments}
        if len(ends) == 1 and None not in ends and means_probe(window.match, probe, rules):
            return name
    return ""


def workaround_probes(journey: str, environment: str, rules: Rules) -> tuple[str, ...]:
    """Return the probes that try the journey's workarounds in this environment; another one's pass helps nobody here."""
    return tuple(n for n in rules.workarounds.get(journey, ()) if rules.probes[n].environment == environment)


def scope_of(group: Group, state: State, rules: Rules) -> Scope:
    """Return whether all that fails fails only through one carrier, from one number of ours, or from some of our locations."""
    widest = Scope.LOCATION if all(places_of(group, state)) else Scope.EVERYWHERE
    if not all(state.probes[name].tries for name in group.members):
        return widest  # a probe that does not telephone fails too
    calls = located_calls(group, state, rules)
    scopes = {located.scope if located else Scope.EVERYWHERE for located in calls.values()}
    found = scopes.pop() if len(scopes) == 1 else Scope.EVERYWHERE
    return widest if found is Scope.EVERYWHERE else found


def places_of(group: Group, state: State) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the locations from which any of the group was last seen to fail, and those from which all was seen to pass."""
    seen = {(p.location, p.failing) for name in group.members for p in state.probes[name].places}
    failing = sorted(location for location, fails in seen if fails)
    return tuple(failing), tuple(sorted(location for location, fails in seen if not fails and location not in failing))


def located_calls(group: Group, state: State, rules: Rules) -> dict[str, Located | None]:
    """Return which layer the calls of each telephone probe point to; None where none failed."""
    members = (probe for name in group.members if (probe := state.probes[name]).tries)
    return {m.probe: locate(m.tries, _since(m, group, rules)) for m in members}


def _since(probe: ProbeState, group: Group, rules: Rules) -> float:
    """Return from when on the probe's calls speak of its failure: of what comes and goes, those in between too."""
    if not probe.failing:
        return group.since
    comes_and_goes = probe.streak < rules.open_after and probe.comes_and_goes(rules.open_after)
    return min(probe.since, probe.serious_of_late[0]) if comes_and_goes else probe.since


def _facts(harm: Harm, failing: list[ProbeState], group: Group, scope: Scope, rules: Rules, now: float) -> Facts:
    environment = rules.probes[harm.failing[0]].environment
    windows = [tested_by(p.probe, rules, group.since, now) for p in failing]  # a pass in between begins nothing anew
    cause = group.cause.dependency
    return Facts(
        journey=harm.journey,
        owner=rules.journeys[harm.journey].owner,
        environment=environment,
        production=environment in rules.production and not all(windows),
        effect=harm.effect,
        workaround=harm.workaround,
        dependency=frozenset({cause, *rules.dependencies[cause].depends_on} if cause else ()),
        channel=frozenset[Channel](rules.probes[name].channel for name in harm.failing),
        failure=frozenset(p.failed.failure for p in failing if p.failed and p.failed.failure),
        scope=scope,
        calendar=calendars_at(rules, now),
        test_window=windows[0] if all(windows) else "",
    )


def _harm(name: str, failing: list[ProbeState], state: State, rules: Rules, now: float, began_at: float | None) -> Harm:
    effects = {p.effect for p in failing}
    harm = Harm(name, next(e for e in _EFFECTS if e in effects), Workaround.NONE, tuple(p.probe for p in failing))
    if harm.effect is not Effect.BLOCKED:
        return harm
    workarounds = workaround_probes(name, rules.probes[failing[0].probe].environment, rules)
    seen = {w: state.probes.get(w) for w in workarounds}
    passing = tuple(w for w in workarounds if _worked(seen[w], rules, now))
    others = [w for w in workarounds if w not in passing]
    held = tuple(w for w in others if began_at is not None and _worked(seen[w], rules, began_at))
    broken = tuple(w for w in others if w not in held and _blocks(seen[w], rules, now))
    untested = tuple(w for w in others if w not in broken)
    return replace(
        harm,
        workaround=_fares(passing, broken, untested, held),
        passing=passing,
        broken=broken,
        untested=untested,
        held=held,
    )


def _fares(
    passing: tuple[str, ...], broken: tuple[str, ...], untested: tuple[str, ...], held: tuple[str, ...]
) -> Workaround:
    """What nobody could tell changes nothing: a workaround that passed goes on passing until it is seen to fail."""
    if passing or held:
        return Workaround.PASSES
    if untested:
        return Workaround.UNTESTED
    return Workaround.FAILS if broken else Workaround.NONE


def _worked(probe: ProbeState | None, rules: Rules, moment: float) -> bool:
    """Whether customers got through by it when it was last due before this moment, or later, and it is not known to be broken.

    Slow or annoying is good enough for a workaround; an old success proves nothing.
    """
    if probe is None or probe.usable_at is None or probe.broken:
        return False
    return probe.usable_at >= moment - _patience(probe, rules)


def _blocks(probe: ProbeState | None, rules: Rules, now: float) -> bool:
    """Whether customers were blocked by it twice in a row, or when it was last due and nothing else is known of it."""
    if probe is None:
        return False
    lately = probe.started_at >= now - _patience(probe, rules)
    return probe.broken or (probe.failing and probe.latest_effect is Effect.BLOCKED and lately)


def _patience(probe: ProbeState, rules: Rules) -> float:
    """Return for how many seconds a result of the probe counts: two of its intervals."""
    rule = rules.probes[probe.probe]
    return 2 * (rule.interval + rule.budget)
