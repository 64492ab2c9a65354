"""Severity rules that can never decide anything: contradictory by themselves, or shadowed by the rules before them.

Every situation that the rules tell apart is tried against the judge's own table: each kind of probe, with each effect, workaround, class of
failure, scope and calendar that a rule names, and one that none names.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations, product
from typing import TypeVar

from earwitness.config.rules import rules_of
from earwitness.config.schema import Config
from earwitness.config.yaml import Problem, Section, locate
from earwitness.model import Effect, Facts, Failure, ProbeRule, Rules, Scope, SeverityRule, Workaround

T = TypeVar("T")


def rules_that_never_match(tree: Section, config: Config) -> Iterator[Problem]:
    """Yield a problem for each severity rule that no failure could be judged by."""
    if not config.severity_rules:
        return
    rules = rules_of(config)
    own = rules.severity_rules[: len(config.severity_rules)]
    decided_by: list[set[int]] = [set() for _ in own]  # for each rule, the rules that decide where it fits
    for facts in _situations(rules, own):
        fitting = [index for index, rule in enumerate(own) if rule.match.fits(facts)]
        for index in fitting:
            decided_by[index].add(fitting[0])
    for index, deciding in enumerate(decided_by):
        if index not in deciding:
            yield _problem(tree, index, sorted(deciding))


def _problem(tree: Section, index: int, before: list[int]) -> Problem:
    if before:
        earlier = " and ".join(f"severity_rules[{i}]" for i in before)
        message = f"this rule can never match: {earlier} before it decides all that it is for; move it up, or remove it"
    else:
        message = (
            "this rule can never match: nothing that is configured meets all of it (one that names no environment is for "
            "production); correct it, or remove it"
        )
    return Problem(locate(tree, ("severity_rules", index)), f"severity_rules[{index}]", message)


def _situations(rules: Rules, own: Sequence[SeverityRule]) -> Iterator[Facts]:
    failures = [frozenset({failure}) for failure in _named(rule.match.failure for rule in own)]
    calendars = _named(chain(rule.match.calendar, rule.match.outside) for rule in own)
    moments = [frozenset(c) for size in range(len(calendars) + 1) for c in combinations(calendars, size)]
    for facts in dict.fromkeys(kind for probe in rules.probes.values() for kind in _kinds(probe, rules, own)):
        for failure, scope, moment in product([*failures, frozenset[Failure]()], Scope, moments):
            yield replace(facts, failure=failure, scope=scope, calendar=moment)


def _kinds(probe: ProbeRule, rules: Rules, own: Sequence[SeverityRule]) -> Iterator[Facts]:
    """Yield what can befall the probe, as far as the rules tell it apart."""
    owner = rules.journeys[probe.journey].owner
    plain = Facts(
        journey=probe.journey if any(probe.journey in rule.match.journey for rule in own) else "",
        owner=owner if any(owner in rule.match.owner for rule in own) else None,
        environment=probe.environment,
        production=probe.environment in rules.production,
        effect=Effect.BLOCKED,
        workaround=Workaround.NONE,
        dependency=frozenset(),
        channel=frozenset({probe.channel}),
        failure=frozenset(),
        scope=Scope.EVERYWHERE,
        calendar=frozenset(),
    )
    fares = list(Workaround) if rules.workarounds.get(probe.journey) else [Workaround.NONE]
    causes = [frozenset[str](), *(frozenset({d, *rules.dependencies[d].depends_on}) for d in probe.depends_on)]
    for cause in causes:
        yield from (replace(plain, dependency=cause, workaround=fare) for fare in fares)
        yield from (replace(plain, dependency=cause, effect=effect) for effect in (Effect.DIVERTED, Effect.NUISANCE))


def _named(lists: Iterable[Iterable[T]]) -> list[T]:
    return list(dict.fromkeys(name for names in lists for name in names))
