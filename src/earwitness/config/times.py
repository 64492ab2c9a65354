"""When something holds: once, again and again, or at a calendar's hours; in a time zone, through both of its changes of the clock.

A local time that the clocks skip stands for the moment at which they go forward; one that comes twice begins with the first and ends with
the second. Hours of a calendar are what the clock on the wall shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from earwitness.config.cron import Cron

_LOOK_AHEAD = 400  # days in which a calendar changes, if it ever does: holidays are days of a year
_MINUTES = 24 * 60  # of a day


def instant(local: datetime, zone: ZoneInfo, *, last: bool = False) -> float:
    """Return the epoch seconds of a local time without zone; `last` chooses the second of two."""
    first, second = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if datetime.fromtimestamp(first, zone).replace(tzinfo=None) == local:
        return second if last else first
    return _forward(min(first, second), max(first, second), zone)


def _forward(before: float, after: float, zone: ZoneInfo) -> float:
    """Return the moment between the two, to the second, at which the clocks go forward."""
    offset = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


@dataclass(frozen=True, slots=True)
class Once:
    """From one moment until before another, in epoch seconds."""

    begins: float
    until: float

    def ends(self, at: float) -> float | None:
        return self.until if self.begins <= at < self.until else None


@dataclass(frozen=True, slots=True)
class Recurring:
    """So many seconds from each firing of a cron expression.

    What is at a fixed hour is in the first of two such hours only, and comes later by what the clocks skip.
    """

    cron: Cron
    duration: float
    zone: str

    def ends(self, at: float) -> float | None:
        found = [fired for fired in self._firings(at - self.duration, at) if fired + self.duration > at]
        return found[-1] + self.duration if found else None

    def _firings(self, after: float, until: float) -> Iterator[float]:
        trigger, every_hour = self.cron.trigger(ZoneInfo(self.zone)), self.cron.text.split()[1].startswith("*")
        moment = datetime.fromtimestamp(after, UTC)
        while (fired := trigger.get_next_fire_time(None, moment)) is not None and fired.timestamp() <= until:
            if every_hour or not fired.fold:
                yield fired.timestamp()
            moment = fired.astimezone(UTC) + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Hours of some weekdays (0 is Monday), but not on holidays. Hours past midnight belong to the day on which they begin."""

    days: frozenset[int]
    begins: int  # minutes since midnight
    until: int
    zone: str
    holidays: frozenset[date] = frozenset()

    def ends(self, at: float) -> float | None:
        return self._change(at) if self.holds(at) else None

    def begins_again(self, at: float) -> float | None:
        """Return when it holds again; None while it holds."""
        return None if self.holds(at) else self._change(at)

    def holds(self, at: float) -> bool:
        local = datetime.fromtimestamp(at, ZoneInfo(self.zone))
        today, minute = local.date(), local.hour * 60 + local.minute
        if self.begins < self.until:
            return self._open_on(today) and self.begins <= minute < self.until
        yesterday = today - timedelta(days=1)
        return (self._open_on(today) and minute >= self.begins) or (self._open_on(yesterday) and minute < self.until)

    def _open_on(self, day: date) -> bool:
        return day.weekday() in self.days and day not in self.holidays

    def _change(self, at: float) -> float:
        never = at + _LOOK_AHEAD * 86400
        if not self.days or (len(self.days), self.begins, self.until, self.holidays) == (7, 0, _MINUTES, frozenset()):
            return never
        holds, zone = self.holds(at), ZoneInfo(self.zone)
        today = datetime.fromtimestamp(at, zone).date()
        moments = (m for day in range(_LOOK_AHEAD) for m in self._boundaries(today + timedelta(days=day), zone))
        return next((m for m in moments if m > at and self.holds(m) is not holds), never)

    def _boundaries(self, day: date, zone: ZoneInfo) -> list[float]:
        """Return the moments of a day at which it may change, in order."""
        minutes = (minute % _MINUTES for minute in (0, self.begins, self.until))
        local = [datetime.combine(day, time()) + timedelta(minutes=minute) for minute in minutes]
        return sorted(instant(moment, zone, last=last) for moment in local for last in (False, True))


@dataclass(frozen=True, slots=True)
class Outside:
    """Whenever a calendar does not hold."""

    calendar: Calendar

    def ends(self, at: float) -> float | None:
        return self.calendar.begins_again(at)
