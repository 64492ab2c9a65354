"""The argument for a severity, in writing and as structure: the facts used, the rule, and what would change it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from earwitness.judge.attribution import attributed, said
from earwitness.judge.correlation import Group, shown_by
from earwitness.judge.layers import control_of
from earwitness.judge.severity import (
    Judged,
    counted,
    judged_by_table,
    judged_journeys,
    located_calls,
    places_of,
    times_at,
    worst_of,
)
from earwitness.judge.state import Failed, ProbeState, State, is_watched
from earwitness.model import WATCH_FAILURES, Argument, Cause, Effect, Failure, Rules, Severity, Workaround, WouldBe

LABEL = {
    Severity.SEV1: "Sev1",
    Severity.SEV2: "Sev2",
    Severity.SEV3: "Sev3",
    Severity.NONPROD: "Non-production defect",
}
_MOST_NAMED = 10  # probes in a sentence, or changes of a payment page
_CHANGED = "the payment page of “{}” is not as it was accepted"
_NOT_WATCHED = "the payment page of “{}” could not be looked over"
_HARM = {
    Effect.BLOCKED: "{}s cannot finish “{}”",
    Effect.DIVERTED: "{}s finish “{}” only by a detour",
    Effect.NUISANCE: "{}s finish “{}”, but are annoyed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    severity: Severity
    title: str
    reason: str
    argument: Argument
    times: tuple[str, ...]  # calendars and critical periods that held
    weighed: tuple[str, ...] = ()  # the runs of others that decided it


def assess(group: Group, state: State, rules: Rules, now: float, began_at: float | None = None) -> Verdict:
    """Return how bad the group's failures are, and why; `began_at` says since when their incident is open."""
    journeys = judged_journeys(group, state, rules, now, began_at)
    worst = worst_of(journeys)
    calls = located_calls(group, state, rules)
    failing_from, passing_from = places_of(group, state)
    argument = Argument(
        harms=tuple(j.harm for j in journeys),
        production=worst.facts.production,
        rule=worst.rule.name,
        why=worst.rule.why,
        scope=worst.facts.scope,
        periods=worst.periods,
        would_be=tuple(_would_be(worst, journeys, rules, now)),
        attribution=attributed(group, calls, state, rules),
        failing_from=failing_from,
        passing_from=passing_from,
    )
    elsewhere = None if worst.facts.production else worst.facts.test_window or worst.facts.environment
    where = [located.sentence for located in calls.values() if located is not None]
    return Verdict(
        severity=worst.severity,
        title=_title(worst, group, state, rules, elsewhere),
        reason=" ".join(_sentences(journeys, group, argument, where[:_MOST_NAMED], state, rules)),
        argument=argument,
        times=times_at(rules, now),
        weighed=tuple(_weighed(group, journeys, state)),
    )


def _sentences(
    journeys: list[Judged], group: Group, argument: Argument, where: list[str], state: State, rules: Rules
) -> Iterator[str]:
    """Yield the written argument: what was seen, where, what helps, who is at fault, by which rule, and what would change it."""
    worst, production = worst_of(journeys), argument.production
    failures = "; ".join(_said(journey, state, rules, production) for journey in journeys)
    yield f"{LABEL[worst.severity]}, because {failures}."
    yield _place(worst)
    yield from (_workaround(j, rules) for j in journeys if j.harm.effect is Effect.BLOCKED and production)
    yield _cause(group.cause, rules, shown=shown_by(group, state))
    yield said(argument.attribution)
    yield from where
    yield from _places(argument.failing_from, argument.passing_from)
    yield _rule(worst)
    yield from (f"It would be {LABEL[w.severity]} {w.condition}." for w in argument.would_be)


def _weighed(group: Group, journeys: list[Judged], state: State) -> Iterator[str]:
    """Yield the latest runs of the workarounds, of what speaks against a cause or for it from outside, and of the control calls."""
    workarounds = [n for j in journeys for n in (*j.harm.passing, *j.harm.broken, *j.harm.held)]
    members, cause = frozenset(group.members), group.cause
    others = [n for n in (*cause.contradicting, *cause.supporting) if n not in members]
    for name in dict.fromkeys((*workarounds[:_MOST_NAMED], *cause.contradicting[:_MOST_NAMED], *others[:_MOST_NAMED])):
        yield state.probes[name].run
    calls = (state.probes[n] for n in group.members if state.probes[n].tries)
    controls = (control_of(probe.tries, group.since) for probe in islice(calls, _MOST_NAMED))
    yield from (control.run for control in controls if control is not None)


def _title(journey: Judged, group: Group, state: State, rules: Rules, environment: str | None) -> str:
    title, harm = rules.journeys[journey.harm.journey].title, _harm(journey, state, rules)
    what = f"“{title}” fails in {environment}" if environment else harm
    cause = group.cause.dependency if shown_by(group, state) else None
    return f"{rules.dependencies[cause].title}: {what}" if cause else what[0].upper() + what[1:]


def _harm(journey: Judged, state: State, rules: Rules) -> str:
    gone = rules.journeys[journey.harm.journey]
    probes = (state.probes[name] for name in journey.harm.failing)
    failures = {p.failed.failure for p in probes if p.failed}
    if failures and failures <= WATCH_FAILURES:
        return (_NOT_WATCHED if failures == {Failure.PAGE_NOT_WATCHED} else _CHANGED).format(gone.title)
    return _HARM[journey.harm.effect].format(gone.by, gone.title)


def _said(journey: Judged, state: State, rules: Rules, production: bool) -> str:
    failing = journey.harm.failing
    probes = (state.probes[name] for name in failing[:_MOST_NAMED])
    more = [f"and {len(failing) - _MOST_NAMED} more probes"] if len(failing) > _MOST_NAMED else []
    seen = "; ".join([*(f"{p.probe}: {_found(p, p.failed)}" for p in probes if p.failed), *more])
    title = rules.journeys[journey.harm.journey].title
    harm = _harm(journey, state, rules) if production else f"“{title}” fails"
    return f"{harm} ({seen})"


def _found(probe: ProbeState, failed: Failed) -> str:
    """Return what failed; of a payment page also how other visits met it: the incident that told so may have ended before people heard of it."""
    others = [c.what for c in reversed(probe.changes) if c.what not in failed.differences and (c.told or c.of_late)]
    if not others or not is_watched(probe):
        return failed.message
    more = [f"and {len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else []
    return f"{failed.message}; other visits met: {'; '.join([*others[:_MOST_NAMED], *more])}"


def _place(worst: Judged) -> str:
    environment = worst.facts.environment
    if worst.facts.production:
        return f"The environment, {environment}, is production."
    if worst.facts.test_window:
        return f"It began in the test window {worst.facts.test_window}, while people tested on purpose, and that is not over."
    return f"The environment, {environment}, is not production: no customer is affected, however bad it is."


def _workaround(journey: Judged, rules: Rules) -> str:
    title, harm = rules.journeys[journey.harm.journey].title, journey.harm
    broken = f"; {', '.join(harm.broken)} did not pass" if harm.broken else ""
    if harm.passing:
        return f"A workaround for “{title}” passes: {', '.join(harm.passing)}."
    if harm.held:
        return f"A workaround for “{title}” passed when it was last seen: {', '.join(harm.held)} could not be tested lately."
    if harm.untested:
        return (
            f"Whether “{title}” has a workaround is not known: {', '.join(harm.untested)} could not be tested{broken}."
        )
    if harm.broken:
        return f"No workaround for “{title}” passes: {', '.join(harm.broken)} did not."
    return f"No workaround is named for “{title}”."


def _cause(cause: Cause, rules: Rules, *, shown: bool) -> str:
    if cause.dependency is None:
        ruled_out = (
            f"; what it depends on is ruled out by {_names(cause.contradicting)}, passing"
            if cause.contradicting
            else ""
        )
        return f"No shared cause explains it{ruled_out}."
    others = f"; {', '.join(cause.alternatives)} would explain it as well" if cause.alternatives else ""
    title, supporting = rules.dependencies[cause.dependency].title, _names(cause.supporting)
    need = "needs it and fails" if len(cause.supporting) == 1 else "need it and fail"
    taken = f"The cause {'is taken to be' if shown else 'may be'} {title} (confidence {cause.confidence:.2f}): {supporting} {need}"
    if cause.contradicting:
        speak = "speaks" if len(cause.contradicting) == 1 else "speak"
        against = f"{_names(cause.contradicting)}, passing, {speak} against it"
        return f"{taken}, with a request that failed at its own host; {against}."
    return f"{taken}, and no probe that needs it passes{others}."


def _places(failing: tuple[str, ...], passing: tuple[str, ...]) -> Iterator[str]:
    if failing and passing:
        yield f"It fails only from {_names(failing)}; from {_names(passing)} it passes."
    elif len(failing) > 1:
        yield f"It fails from all places that looked: {_names(failing)}."


def _names(probes: tuple[str, ...]) -> str:
    more = f" and {len(probes) - _MOST_NAMED} more" if len(probes) > _MOST_NAMED else ""
    return ", ".join(probes[:_MOST_NAMED]) + more


def _rule(worst: Judged) -> str:
    why = f" ({worst.rule.why})" if worst.rule.why else ""
    counts = (
        f"; it counts as {LABEL[worst.severity]} in {' and '.join(worst.periods)}, instead of "
        f"{LABEL[worst.rule.severity]}"
        if worst.periods
        else ""
    )
    return f"Rule: {worst.rule.name}{why}{counts}."


# --- what would change it --------------------------------------------------------------------------------------------


def _would_be(worst: Judged, journeys: list[Judged], rules: Rules, now: float) -> Iterator[WouldBe]:
    """Yield each single change of the worst journey's facts that would make the incident another severity."""
    others = [j for j in journeys if j is not worst]
    before = worst_of(journeys).severity
    told = set()
    for changed, condition in _changes(worst, rules, now):
        severity = worst_of([changed, *others]).severity
        if severity is not before and severity not in told:
            told.add(severity)
            yield WouldBe(severity, condition)


def _changes(worst: Judged, rules: Rules, now: float) -> Iterator[tuple[Judged, str]]:
    harm, facts = worst.harm, worst.facts
    if worst.periods:
        plain = replace(worst, severity=worst.rule.severity)
        yield plain, f"outside {' and '.join(worst.periods)}"
    if facts.test_window:
        yield _if(worst, rules, now, production=True, test_window=""), f"if it outlasted {facts.test_window}"
        return
    if not facts.production:
        yield _if(worst, rules, now, production=True), "if the environment were listed under production_environments"
        return
    if works := harm.passing or harm.held:
        yield _if(worst, rules, now, workaround=Workaround.FAILS), f"if {' and '.join(works)} failed"
    elif unseen := (*harm.broken, *harm.untested):
        yield _if(worst, rules, now, workaround=Workaround.PASSES), f"if {' or '.join(unseen)} passed"
    elif harm.effect is Effect.BLOCKED:
        passes = _if(worst, rules, now, workaround=Workaround.PASSES)
        yield passes, "if the journey had a workaround that passes"
    if harm.effect is not Effect.BLOCKED:
        blocked = _if(worst, rules, now, effect=Effect.BLOCKED)
        yield blocked, "if customers were blocked and had no workaround"
    without = (
        next(r for r in rules.severity_rules if r is not worst.rule and r.match.fits(facts)) if _own(worst) else None
    )
    if without:
        severity, periods = counted(without.severity, harm, rules, now)
        yield Judged(harm, facts, without, severity, periods), f"without that rule, by {without.name}"


def _own(worst: Judged) -> bool:
    """Whether a rule of the user's decided; the default is always there."""
    return not worst.rule.name.startswith("default")


def _if(judged: Judged, rules: Rules, now: float, **facts: object) -> Judged:
    return judged_by_table(judged.harm, replace(judged.facts, **facts), rules, now)  # type: ignore[arg-type]
