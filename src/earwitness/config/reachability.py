"""What is configured and can never have an effect: severity rules that contradict themselves or are shadowed, and sections that no probe meets.

Every situation that the rules tell apart is tried against the judge's own table: each kind of probe, with each effect, workaround, class of
failure, scope and calendar that a rule names, and one that none names.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain, combinations, product
from typing import TypeVar

from earwitness.config.schema import Config
from earwitness.config.yaml import Problem, Section, locate
from earwitness.judge.matching import means_probe
from earwitness.model import (
    BROWSER_FAILURES,
    CALL_FAILURES,
    Channel,
    Effect,
    Facts,
    Failure,
    ProbeRule,
    Rules,
    Scope,
    SeverityRule,
    Workaround,
)

T = TypeVar("T")
_WEB = (Channel.HTTP, Channel.BROWSER)
_FEW = 6  # calendars of which every set is tried


def rules_that_never_match(tree: Section, config: Config, rules: Rules) -> Iterator[Problem]:
    """Yield a problem for each severity rule that no failure could be judged by."""
    if not config.severity_rules:
        return
    own = rules.severity_rules[: len(config.severity_rules)]
    many = (
        len(_calendars(own)) > _FEW
    )  # then what rules say of calendars is not looked into: there are too many sets of them
    decided_by: list[set[int]] = [set() for _ in own]  # for each rule, the rules that decide where it fits
    hosted = [name for name, dependency in config.dependencies.items() if dependency.hosts]
    for facts in _situations(rules, own, hosted):
        fitting = [n for n, rule in enumerate(own) if not (many and _by_calendar(rule)) and rule.match.fits(facts)]
        for index in fitting:
            decided_by[index].add(fitting[0])
    for index, deciding in enumerate(decided_by):
        if index not in deciding and not (many and _by_calendar(own[index])):
            yield _problem(tree, index, sorted(deciding))


def _calendars(own: Sequence[SeverityRule]) -> list[str]:
    return _named(chain(rule.match.calendar, rule.match.outside) for rule in own)


def _by_calendar(rule: SeverityRule) -> bool:
    return bool(rule.match.calendar or rule.match.outside)


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


def _situations(rules: Rules, own: Sequence[SeverityRule], hosted: Sequence[str]) -> Iterator[Facts]:
    failures = [frozenset({failure}) for failure in _named(rule.match.failure for rule in own)]
    calendars = _calendars(own) if len(_calendars(own)) <= _FEW else []
    moments = [frozenset(c) for size in range(len(calendars) + 1) for c in combinations(calendars, size)]
    kinds = (kind for name in rules.probes for kind in _kinds(name, rules, own, hosted))
    for facts in dict.fromkeys(kinds):
        scopes = Scope if facts.channel == {Channel.CALL} else [Scope.EVERYWHERE, Scope.LOCATION]
        met = [failure for failure in failures if _can_meet(facts.channel, *failure)]
        for failure, scope, moment in product([*met, frozenset[Failure]()], scopes, moments):
            situation = replace(facts, failure=failure, scope=scope, calendar=moment)
            yield situation
            if rules.test_windows:
                yield replace(situation, production=False, test_window="any")


def _can_meet(channels: AbstractSet[Channel], failure: Failure) -> bool:
    """Whether a probe of one of the channels can fail so."""
    if failure in CALL_FAILURES:
        return Channel.CALL in channels
    if failure in BROWSER_FAILURES:
        return Channel.BROWSER in channels
    return failure is Failure.SLOW or channels != {Channel.CALL}


def _kinds(name: str, rules: Rules, own: Sequence[SeverityRule], hosted: Sequence[str]) -> Iterator[Facts]:
    """Yield what can befall the probe, alone or with the others of its journey, as far as the rules tell it apart."""
    probe = rules.probes[name]
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
    beside = [rules.probes[other] for other in rules.tried_by[probe.journey]]
    together = frozenset(other.channel for other in beside if other.environment == probe.environment)
    for cause, channels in product(_causes(probe, rules, hosted), dict.fromkeys((plain.channel, together))):
        blamed = replace(plain, dependency=cause, channel=channels)
        yield from (replace(blamed, workaround=fare) for fare in fares)
        yield from (replace(blamed, effect=effect) for effect in (Effect.DIVERTED, Effect.NUISANCE))


def _causes(probe: ProbeRule, rules: Rules, hosted: Sequence[str]) -> list[frozenset[str]]:
    """Return what may be blamed for the probe's failure: nothing, what it needs, and on the web whoever has hosts."""
    named = dict.fromkeys((*probe.depends_on, *(hosted if probe.channel in _WEB else ())))
    return [frozenset(), *(frozenset({name, *rules.dependencies[name].depends_on}) for name in named)]


def _named(lists: Iterable[Iterable[T]]) -> list[T]:
    return list(dict.fromkeys(name for names in lists for name in names))


# --- sections that mean nothing --------------------------------------------------------------------------------------


def sections_that_mean_nothing(tree: Section, rules: Rules) -> Iterator[Problem]:
    """Yield a problem for each maintenance or critical period that no probe meets, and each workaround that can help nobody."""
    for key in ("maintenance", "critical_periods", "test_windows"):
        for name, section in getattr(rules, key).items():
            if not any(means_probe(section.match, probe, rules) for probe in rules.probes):
                message = "no probe that is configured meets all of match; correct it, or remove it"
                yield Problem(locate(tree, (key, name)), f"{key}.{name}.match", message)
    for name in rules.journeys:
        message = _vain_workaround(name, rules)
        if message:
            yield Problem(locate(tree, ("journeys", name, "workaround")), f"journeys.{name}.workaround", message)


def _vain_workaround(journey: str, rules: Rules) -> str:
    """Return why the journey's workarounds can help nobody; empty if one can, or if it names none."""
    tried, ways = rules.tried_by[journey], rules.workarounds[journey]
    there, elsewhere = ({rules.probes[probe].environment for probe in names} for names in (tried, ways))
    if not tried or not ways:
        return ""
    if there.isdisjoint(elsewhere):
        where = f"{' and '.join(sorted(elsewhere))}, the journey in {' and '.join(sorted(there))}"
        return f"these workarounds are tried in {where}; name one of the same environment"
    pairs = [(t, w) for t in tried for w in ways if rules.probes[t].environment == rules.probes[w].environment]
    if all(t == w for t, w in pairs):
        return f"{' and '.join(ways)} would be the way round itself; name another probe or journey"
    return ""
