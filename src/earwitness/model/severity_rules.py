"""The table by which severity is judged, and the definitions that are its default.

A rule holds for one journey at one moment. The first rule that fits decides; the default table comes last, and always fits.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from earwitness.model.quiet import Match, Times
from earwitness.model.words import Channel, Effect, Failure, Scope, Severity, Workaround


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one journey's failures."""

    journey: str
    owner: str | None
    environment: str
    production: bool
    effect: Effect
    workaround: Workaround  # of a blocked journey; none of any other
    dependency: AbstractSet[str]  # the cause, and what it depends on itself
    channel: AbstractSet[Channel]
    failure: AbstractSet[Failure]
    scope: Scope
    calendar: AbstractSet[str]  # the calendars that this moment lies in
    test_window: str = ""  # in which all of it was found; then it is not production


@dataclass(frozen=True, slots=True)
class SeverityMatch:
    """What a rule is for; what is not named matches all. A rule that names no environment is for production."""

    production: bool | None = None
    tested: bool | None = None  # whether it was found in a test window
    environment: tuple[str, ...] = ()
    journey: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    effect: tuple[Effect, ...] = ()
    workaround: tuple[Workaround, ...] = ()
    dependency: tuple[str, ...] = ()
    channel: tuple[Channel, ...] = ()
    failure: tuple[Failure, ...] = ()
    scope: tuple[Scope, ...] = ()
    calendar: tuple[str, ...] = ()  # inside any of these
    outside: tuple[str, ...] = ()  # outside all of these

    def fits(self, facts: Facts) -> bool:
        return (
            self.production in (None, facts.production)
            and self.tested in (None, bool(facts.test_window))
            and _one_of(self.environment, facts.environment)
            and _one_of(self.journey, facts.journey)
            and _one_of(self.owner, facts.owner)
            and _one_of(self.effect, facts.effect)
            and _one_of(self.workaround, facts.workaround)
            and _one_of(self.scope, facts.scope)
            and _meets(self.dependency, facts.dependency)
            and _meets(self.channel, facts.channel)
            and _meets(self.failure, facts.failure)
            and _meets(self.calendar, facts.calendar)
            and facts.calendar.isdisjoint(self.outside)
        )


def _one_of(named: tuple[Any, ...], value: object) -> bool:
    return not named or value in named


def _meets(named: tuple[Any, ...], values: AbstractSet[Any]) -> bool:
    return not named or not values.isdisjoint(named)


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """One row of the table."""

    name: str  # "default: blocked, no workaround passes", "severity_rules[0]: ..."
    match: SeverityMatch
    severity: Severity
    why: str = ""


@dataclass(frozen=True, slots=True)
class CriticalPeriod:
    """A time in which some severities count as others."""

    match: Match
    times: Times
    counts_as: tuple[tuple[Severity, Severity], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class TestWindow:
    """A time in which people test on purpose: what begins to fail in it, and ends in it, is a defect."""

    __test__ = False  # no class of tests, whatever pytest makes of its name
    match: Match
    times: Times


DEFAULT_SEVERITY_RULES = (
    SeverityRule(
        "default: found in a test window",
        SeverityMatch(tested=True),
        Severity.NONPROD,
        "found while people tested on purpose: a defect, not an outage",
    ),
    SeverityRule(
        "default: not production",
        SeverityMatch(production=False),
        Severity.NONPROD,
        "a defect found outside production affects no customer",
    ),
    SeverityRule(
        "default: blocked, but a workaround passes",
        SeverityMatch(effect=(Effect.BLOCKED,), workaround=(Workaround.PASSES,)),
        Severity.SEV2,
        "errors in production, but a workaround exists: not a complete outage",
    ),
    SeverityRule(
        "default: blocked, and no workaround passes",
        SeverityMatch(effect=(Effect.BLOCKED,)),
        Severity.SEV1,
        "the system has ceased to do its work, and no workaround is known to work",
    ),
    SeverityRule(
        "default: diverted",
        SeverityMatch(effect=(Effect.DIVERTED,)),
        Severity.SEV2,
        "customers reach their goal by a detour, which costs them time",
    ),
    SeverityRule(
        "default: nuisance",
        SeverityMatch(),
        Severity.SEV3,
        "tasks complete in production, with nuisance",
    ),
)
