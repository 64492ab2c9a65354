"""Five-field cron expressions, with Sunday as 0 and 7 as cron has it (APScheduler counts from Monday)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from apscheduler.triggers.cron import CronTrigger
from pydantic_core import PydanticCustomError

from earwitness.config.fields import problem

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_LOOK_AHEAD = 60  # firings; enough to meet the shortest gap of what people write


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression that was checked."""

    text: str

    @property
    def every_hour(self) -> bool:
        """Whether it fires at hours that follow from each other rather than at fixed ones."""
        return self.text.split()[1].startswith("*")

    def trigger(self, zone: tzinfo) -> CronTrigger:
        return CronTrigger(**dict(zip(_FIELDS, _translated(self.text), strict=True)), timezone=zone)

    def shortest_gap(self, zone: tzinfo, now: datetime) -> float:
        """Return the shortest time between two of the next firings, in seconds."""
        return _shortest_gap(self, zone, now.replace(minute=0, second=0, microsecond=0))


@lru_cache(maxsize=1024)
def _shortest_gap(cron: Cron, zone: tzinfo, now: datetime) -> float:
    trigger, gaps = cron.trigger(zone), []
    fired = trigger.get_next_fire_time(None, now)
    for _ in range(_LOOK_AHEAD):
        following = trigger.get_next_fire_time(None, fired.astimezone(UTC) + timedelta(seconds=1)) if fired else None
        if fired is None or following is None:
            break
        gaps.append((following - fired).total_seconds())
        fired = following
    return min(gaps, default=366 * 86400.0)


def _translated(text: str) -> list[str]:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise problem(f"{text!r} is not a cron expression; write five fields: minute hour day month weekday")
    if fields[2] != "*" and fields[4] != "*":
        raise problem(f"{text!r} names both a day of the month and a weekday, which crons read differently; name one")
    fields[4] = _weekdays(fields[4])
    return fields


def _weekdays(field: str) -> str:
    """Write numbers as names; a range over the weekend becomes a list, since APScheduler's week begins on Monday."""
    if re.fullmatch(r"\d-\d", field):
        first, last = int(field[0]), int(field[2])
        if first <= last <= 7:
            return ",".join(dict.fromkeys(_DAYS[first : last + 1]))
    return re.sub(r"(?<![/\d])([0-7])(?!\d)", lambda found: _DAYS[int(found[1])], field)


def parse_cron(value: Any) -> Cron:
    cron = Cron(str(value).strip())
    try:
        cron.trigger(UTC)
    except PydanticCustomError:
        raise  # it says already what is wrong
    except ValueError as error:
        raise problem(f"{cron.text!r} is not a cron expression: {error}") from error
    return cron
