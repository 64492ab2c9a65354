"""Effect x workaround x environment -> severity, with the argument in writing.

| what failed does this to customers          | production          | elsewhere |
|---------------------------------------------|---------------------|-----------|
| blocked, and no workaround passes           | Sev1                | nonprod   |
| blocked, but a workaround passes            | Sev2                | nonprod   |
| diverted: they reach the goal by a detour   | Sev2                | nonprod   |
| nuisance: they reach the goal, annoyed      | Sev3                | nonprod   |
"""

from dataclasses import dataclass

from earwitness.judge.correlation import Group
from earwitness.judge.layers import locate
from earwitness.judge.state import ProbeState, State
from earwitness.model import Cause, Effect, Rules, Severity, worse

_LABEL = {
    Severity.SEV1: "Sev1",
    Severity.SEV2: "Sev2",
    Severity.SEV3: "Sev3",
    Severity.NONPROD: "Non-production defect",
}
_HARM = {
    Effect.BLOCKED: "customers cannot finish “{}”",
    Effect.DIVERTED: "customers finish “{}” only by a detour",
    Effect.NUISANCE: "customers finish “{}”, but are annoyed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    severity: Severity
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Journey:
    """What one journey's failing probes mean for its customers."""

    name: str
    title: str
    failing: tuple[ProbeState, ...]
    effect: Effect
    passing: tuple[str, ...]  # workarounds that pass
    untested: tuple[str, ...]  # workarounds that block too, or were not seen to work lately

    @property
    def severity(self) -> Severity:
        if self.effect is Effect.BLOCKED:
            return Severity.SEV2 if self.passing else Severity.SEV1
        return Severity.SEV2 if self.effect is Effect.DIVERTED else Severity.SEV3


def assess(group: Group, state: State, rules: Rules, now: float) -> Verdict:
    """Return how bad the group's failures are, and why."""
    journeys = _journeys(group, state, rules, now)
    worst = journeys[0]
    for journey in journeys[1:]:
        worst = journey if worse(journey.severity, worst.severity) else worst
    environment = rules.probes[group.members[0]].environment
    production = environment in rules.production
    severity = worst.severity if production else Severity.NONPROD
    return Verdict(
        severity=severity,
        title=_title(worst, group.cause, rules, None if production else environment),
        reason=" ".join(
            [
                f"{_LABEL[severity]}, because " + "; ".join(_harm(j, production) for j in journeys) + ".",
                _place(environment, production),
                *(_workaround(j) for j in journeys if j.effect is Effect.BLOCKED and production),
                _cause(group.cause, rules),
                *_layers(group, state),
                _what_would_change(worst, severity),
            ]
        ),
    )


def workaround_probes(journey: str, environment: str, rules: Rules) -> tuple[str, ...]:
    """Return the probes that try the journey's workarounds in this environment; another one's pass helps nobody here."""
    return tuple(n for n in rules.workarounds.get(journey, ()) if rules.probes[n].environment == environment)


def _journeys(group: Group, state: State, rules: Rules, now: float) -> list[_Journey]:
    failing: dict[str, list[ProbeState]] = {}
    for name in group.members:
        probe = state.probes[name]
        if not probe.recovered(rules.resolve_after):
            failing.setdefault(rules.probes[name].journey, []).append(probe)
    return [_journey(name, tuple(probes), state, rules, now) for name, probes in failing.items()]


def _journey(name: str, failing: tuple[ProbeState, ...], state: State, rules: Rules, now: float) -> _Journey:
    effects = [p.effect for p in failing]
    effect = next(e for e in Effect if e in effects)
    environment = rules.probes[failing[0].probe].environment
    workarounds = workaround_probes(name, environment, rules) if effect is Effect.BLOCKED else ()
    passing = tuple(w for w in workarounds if _works(state.probes.get(w), rules, now))
    untested = tuple(w for w in workarounds if w not in passing)
    return _Journey(name, rules.journeys[name].title, failing, effect, passing, untested)


def _works(probe: ProbeState | None, rules: Rules, now: float) -> bool:
    """Whether customers got through by it when it was last due, and it is not known to be broken.

    Slow or annoying is good enough for a workaround; an old success proves nothing.
    """
    if probe is None or probe.usable_at is None or probe.broken:
        return False
    rule = rules.probes[probe.probe]
    return probe.usable_at >= now - 2 * (rule.interval + rule.budget)


def _title(journey: _Journey, cause: Cause, rules: Rules, environment: str | None) -> str:
    harm = _HARM[journey.effect].format(journey.title)
    what = f"“{journey.title}” fails in {environment}" if environment else harm
    return f"{rules.dependencies[cause.dependency].title}: {what}" if cause.dependency else what[0].upper() + what[1:]


def _harm(journey: _Journey, production: bool) -> str:
    seen = "; ".join(f"{p.probe}: {p.failed.message}" for p in journey.failing if p.failed)
    harm = _HARM[journey.effect].format(journey.title) if production else f"“{journey.title}” fails"
    return f"{harm} ({seen})"


def _place(environment: str, production: bool) -> str:
    if production:
        return f"The environment, {environment}, is production."
    return f"The environment, {environment}, is not production: no customer is affected, however bad it is."


def _workaround(journey: _Journey) -> str:
    if journey.passing:
        return f"A workaround for “{journey.title}” passes: {', '.join(journey.passing)}."
    if journey.untested:
        return f"No workaround for “{journey.title}” passes: {', '.join(journey.untested)} did not."
    return f"No workaround is named for “{journey.title}”."


def _cause(cause: Cause, rules: Rules) -> str:
    if cause.dependency is None:
        ruled_out = (
            f"; what it depends on is ruled out by {', '.join(cause.contradicting)}, passing"
            if cause.contradicting
            else ""
        )
        return f"No shared cause explains it{ruled_out}."
    others = f"; {', '.join(cause.alternatives)} would explain it as well" if cause.alternatives else ""
    title, supporting = rules.dependencies[cause.dependency].title, ", ".join(cause.supporting)
    need = "needs it and fails" if len(cause.supporting) == 1 else "need it and fail"
    return (
        f"The cause is taken to be {title} (confidence {cause.confidence:.2f}): "
        f"{supporting} {need}, and no probe that needs it passes{others}."
    )


def _layers(group: Group, state: State) -> list[str]:
    """Return a sentence for each failing telephone probe: which layer its calls point to."""
    found = (locate(m.tries, m.since if m.failing else group.since) for m in (state.probes[n] for n in group.members))
    return [located.sentence for located in found if located is not None]


def _what_would_change(worst: _Journey, severity: Severity) -> str:
    if severity is Severity.SEV1:
        if worst.untested:
            return f"It would be Sev2 if {' or '.join(worst.untested)} passed."
        return "It would be Sev2 if the journey had a workaround that passes."
    if severity is Severity.SEV2 and worst.passing:
        return f"It would be Sev1 if {' and '.join(worst.passing)} failed."
    if severity is Severity.NONPROD:
        return "It would count in full if the environment were listed under production_environments."
    return "It would be Sev1 if customers were blocked and had no workaround."
