"""What the configuration says of judging: severity rules, calendars, critical periods, maintenance and effects."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from earwitness.config.cron import Cron, parse_cron
from earwitness.config.fields import Duration, Flag, OneOrMore, Spec, Texts, problem
from earwitness.config.hours import parse_days, parse_zone
from earwitness.config.known_keys import nearest
from earwitness.config.public_holidays import public_holidays
from earwitness.config.times import Calendar, Once, Outside, Recurring, instant
from earwitness.model import (
    OUR_FAILURES,
    Channel,
    Effect,
    Failure,
    Match,
    Mode,
    Scope,
    Severity,
    SeverityMatch,
    Times,
    Workaround,
    worse,
)

_LEVELS = (Severity.SEV1, Severity.SEV2, Severity.SEV3)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"


def _failure(value: Any) -> str:
    """Return the text if it names a class of failure; there are too many to list them all in an error."""
    if value not in set(Failure):
        close = nearest(str(value), list(Failure))
        advice = f"did you mean {close}?" if close else "earwitness schema lists them"
        raise problem(f"{value} is no class of failure; {advice}")
    if value in OUR_FAILURES:
        raise problem(
            f"{value} is the monitor's own trouble: it makes no incident, and has neither effect nor severity"
        )
    return str(value)


FailureClass = Annotated[Failure, BeforeValidator(_failure)]
Zone = Annotated[str, BeforeValidator(parse_zone)]
Channels = Annotated[tuple[Channel, ...], OneOrMore()]
Severities = Annotated[tuple[Severity, ...], OneOrMore()]


# --- when ------------------------------------------------------------------------------------------------------------


def _hours(value: Any) -> tuple[int, int]:
    """Return minutes since midnight from `08:00-18:00`; past midnight as in `22:00-06:00`."""
    match = re.fullmatch(rf"({_CLOCK})-({_CLOCK}|24:00)", str(value).replace(" ", ""))
    if match is None or match[1] == match[2]:
        raise problem(f"{value!r} are no hours; write such as 08:00-18:00, or 22:00-06:00 past midnight")
    begins, until = (int(clock[:2]) * 60 + int(clock[3:]) for clock in match.groups())
    return begins, until


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise problem(f"{value!r} is not a date; write it as 2026-12-25") from error


def _place(value: str) -> str:
    public_holidays(value)  # raises what is wrong with it
    return value


Place = Annotated[str, AfterValidator(_place)]


class CalendarSpec(Spec):
    """Business hours, or any other hours of the week."""

    timezone: Zone = "UTC"
    days: Annotated[frozenset[int], BeforeValidator(parse_days, json_schema_input_type=str | list[str])] = frozenset(
        range(7)
    )
    hours: Annotated[tuple[int, int], BeforeValidator(_hours, json_schema_input_type=str)] = (0, 24 * 60)
    holidays: tuple[Annotated[date, BeforeValidator(_date)], ...] = ()
    holidays_of: Annotated[tuple[Place, ...], OneOrMore()] = ()  # countries, or parts of one

    @property
    def times(self) -> Calendar:
        return Calendar(self.days, *self.hours, self.timezone, self._closed)

    @property
    def _closed(self) -> frozenset[date]:
        return frozenset(self.holidays).union(*(public_holidays(place) for place in self.holidays_of))


class TimesSpec(Spec):
    """When something holds: from and until, or cron and duration, or a calendar, or outside one."""

    from_: str | None = Field(default=None, alias="from")
    until: str | None = None
    cron: Annotated[Cron, BeforeValidator(parse_cron, json_schema_input_type=str)] | None = None
    duration: Annotated[Duration, Field(gt=0)] | None = None
    calendar: str | None = None
    outside: str | None = None
    timezone: Zone = "UTC"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.from_ or self.until, self.cron or self.duration, self.calendar, self.outside]
        if sum(way is not None for way in ways) != 1:
            raise problem("say when in one way: from and until, or cron and duration, or calendar, or outside")
        if (self.from_ is None) is not (self.until is None):
            raise problem("from and until belong together", "until" if self.until else "from")
        if (self.cron is None) is not (self.duration is None):
            raise problem("cron and duration belong together", "duration" if self.duration else "cron")
        if self.from_ is not None and self.until is not None:
            self._span()
        return self

    def _span(self) -> Once:
        begins, until = self._moment("from", self.from_), self._moment("until", self.until)
        if until <= begins:
            raise problem("until is not after from", "until")
        return Once(begins, until)

    def _moment(self, key: str, text: str | None) -> float:
        try:
            local = datetime.fromisoformat(str(text))
        except ValueError as error:
            raise problem(f"{text!r} is not a time; write it as 2026-11-27 or 2026-11-27 08:00", key) from error
        return local.timestamp() if local.tzinfo else instant(local, ZoneInfo(self.timezone), last=key == "until")

    def times(self, calendars: Mapping[str, CalendarSpec]) -> Times:
        if self.calendar is not None:
            return calendars[self.calendar].times
        if self.outside is not None:
            return Outside(calendars[self.outside].times)
        if self.cron is not None and self.duration is not None:
            return Recurring(self.cron, self.duration, self.timezone)
        return self._span()


# --- which -----------------------------------------------------------------------------------------------------------


class CoverSpec(Spec):
    """Which probes are meant; what is not named matches all."""

    probe: Texts = ()
    journey: Texts = ()
    environment: Texts = ()
    owner: Texts = ()
    dependency: Texts = ()
    channel: Channels = ()

    @property
    def match(self) -> Match:
        return Match(self.probe, self.journey, self.environment, self.owner, self.dependency, self.channel)


class MaintenanceSpec(TimesSpec):
    """When people work on something: nobody is told news of it, or it is not probed at all."""

    match: CoverSpec = CoverSpec()
    mode: Mode = Mode.MUTE
    why: str = ""


class TestWindowSpec(TimesSpec):
    """When people test on purpose, such as a load test or a recovery drill: what fails then is a defect, no outage."""

    __test__ = False  # no class of tests, whatever pytest makes of its name
    match: CoverSpec = CoverSpec()
    why: str = ""


class CriticalPeriodSpec(TimesSpec):
    """When severities count as others, such as Black Friday."""

    match: CoverSpec = CoverSpec()
    raise_: dict[Severity, Severity] = Field(default_factory=dict, alias="raise")
    lower: dict[Severity, Severity] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_its_direction(self) -> Self:
        if not self.raise_ and not self.lower:
            raise problem("write what counts as what, such as raise: {sev2: sev1}")
        for key, mapping in (("raise", self.raise_), ("lower", self.lower)):
            for before, after in mapping.items():
                if before not in _LEVELS or after not in _LEVELS:
                    raise problem("a defect outside production stays one; name sev1, sev2 or sev3", key)
                if not (worse(after, before) if key == "raise" else worse(before, after)):
                    raise problem(f"{before} -> {after} does not {key} it", key)
        both = self.raise_.keys() & self.lower.keys()
        if both:
            raise problem(f"{min(both)} is raised and lowered; keep one", "lower")
        return self

    @property
    def counts_as(self) -> tuple[tuple[Severity, Severity], ...]:
        return (*self.raise_.items(), *self.lower.items())


class SeverityMatchSpec(Spec):
    """What a severity rule is for; what is not named matches all. One that names no environment is for production."""

    production: Flag | None = None
    environment: Texts = ()
    journey: Texts = ()
    owner: Texts = ()
    effect: Annotated[tuple[Effect, ...], OneOrMore()] = ()
    workaround: Annotated[tuple[Workaround, ...], OneOrMore()] = ()
    dependency: Texts = ()
    channel: Channels = ()
    failure: Annotated[tuple[FailureClass, ...], OneOrMore()] = ()
    scope: Annotated[tuple[Scope, ...], OneOrMore()] = ()
    calendar: Texts = ()
    outside: Texts = ()

    @property
    def match(self) -> SeverityMatch:
        named = {key: getattr(self, key) for key in type(self).model_fields}
        if self.production is None and not self.environment:
            named["production"] = True
        return SeverityMatch(**named)

    @property
    def words(self) -> str:
        """Return what the rule is for, as it was written."""
        said = {key: getattr(self, key) for key in type(self).model_fields}
        return ", ".join(f"{key} {_worded(value)}" for key, value in said.items() if value not in (None, ())) or "all"


def _worded(value: Any) -> str:
    return " or ".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


class SeverityRuleSpec(Spec):
    """One row of the table: what it is for, and how bad that is."""

    match: SeverityMatchSpec = SeverityMatchSpec()
    severity: Severity
    why: str = ""


Effects = dict[FailureClass, Effect]
