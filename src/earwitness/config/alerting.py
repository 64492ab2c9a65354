"""Who is told of what, and when: routes, their times, and what follows when nobody answers."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from earwitness.config.fields import (
    Duration,
    Flag,
    OneOrMore,
    SecretValue,
    Spec,
    Texts,
    WithSecret,
    parse_count,
    problem,
)
from earwitness.config.hours import HoursSpec
from earwitness.hooks.base import check_address
from earwitness.model import Channel, Severity

_SHORTEST_REMINDER = 60.0  # seconds
_LARGEST_CAP = 10_000  # messages a minute


def parse_storm_cap(value: Any) -> int:
    """Return messages a minute from `30/m`."""
    found = parse_count(str(value), ("m",))
    if found is None or found[0] > _LARGEST_CAP:
        raise problem(f"{value!r} is no limit; write messages a minute, such as 30/m")
    return found[0]


StormCap = Annotated[int, BeforeValidator(parse_storm_cap, json_schema_input_type=str)]


class MatchSpec(Spec):
    """Which incidents a route is for; what is not named matches all."""

    severity: Annotated[tuple[Severity, ...], OneOrMore()] = ()
    journey: Texts = ()
    owner: Texts = ()
    environment: Texts = ()
    channel: Annotated[tuple[Channel, ...], OneOrMore()] = ()  # of one of its probes
    location: Texts = ()  # where the daemon runs that saw it
    time: HoursSpec | None = None  # when it happened


class RouteSpec(Spec):
    """Whom to tell of what matches; who takes over when one of them refuses for good; and when not at once."""

    match: MatchSpec = MatchSpec()
    to: Texts = Field(min_length=1)
    failover: Texts = ()
    group_for: Annotated[Duration, Field(ge=0, le=3600)] = 0.0  # news within it becomes one message; never a Sev1 ...
    group_sev1: Flag = False  # ... unless it is told to
    remind_every: Duration | None = None  # while it is open and nobody acknowledged it
    quiet: HoursSpec | None = None  # all but Sev1 waits until they end

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.remind_every is not None and self.remind_every < _SHORTEST_REMINDER:
            raise problem("a minute is the shortest time between reminders", "remind_every")
        if self.quiet is not None and self.quiet.end_after(0.0) is None:
            raise problem("these hours never end, so nothing would ever be told; leave some out", "quiet")
        for name in self.failover:
            if name in self.to:
                raise problem(f"{name} is told in any case; name another hook to take over", "failover")
        return self


class RungSpec(Spec):
    """Whom to tell when nobody acknowledged the incident for so long."""

    after: Annotated[Duration, Field(ge=0)]
    to: Texts = Field(min_length=1)
    failover: Texts = ()  # who takes over when one of them refuses for good, besides those of the routes


class EscalationSpec(Spec):
    """A ladder: its rungs are climbed until somebody acknowledges, and again when that grows old and it is still not over."""

    match: MatchSpec = MatchSpec()
    steps: tuple[RungSpec, ...] = Field(min_length=1)
    re_escalate_after: Annotated[Duration, Field(ge=60)] | None = None

    @model_validator(mode="after")
    def _upwards(self) -> Self:
        for number, (lower, upper) in enumerate(pairwise(self.steps), 2):
            if upper.after <= lower.after:
                raise problem(f"step {number} comes no later than the one before; put them in order", "steps")
        return self


class MonitorAlertsSpec(Spec):
    """Whom to tell when the monitor itself is impaired, and after how long."""

    to: Texts | None = None  # hooks; by default all that are told of a Sev1
    after: Annotated[Duration, Field(ge=0, le=86400)] = 120.0  # what passes sooner is not told


class HeartbeatSpec(WithSecret):
    """An address outside that is asked while everything works; whoever watches it tells when that stops."""

    url: Annotated[SecretValue, AfterValidator(check_address)]
    url_file: Path | None = None
    every: Annotated[Duration, Field(ge=1, le=86400)] = 60.0
    outbox_limit: Annotated[Duration, Field(ge=1)] = 900.0  # no alert may be owed for longer
    method: Literal["GET", "POST"] = "GET"
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 10.0
