"""Hours of the week in a time zone, such as nights and weekends: `{days: mon-fri, hours: "22:00-07:00", timezone: Europe/London}`.

A window belongs to the day on which it begins. Its ends are wall-clock times, so a night in which clocks change is an hour longer
or shorter; an end that the clocks skip comes as much later as they skipped.
"""

import re
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, model_validator

from earwitness.config.fields import Spec, problem

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = frozenset(range(7))
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_MOST_WINDOWS = 20  # that follow each other without a gap; more than a week has


class Window(NamedTuple):
    """From a minute of the day to another, which may be of the next day (up to 1440 later)."""

    start: int
    end: int


def parse_days(value: Any) -> frozenset[int]:
    """Return weekdays, Monday as 0, from `mon-fri`, `sat` or a list of such."""
    parts = [part.strip().lower() for part in (value.split(",") if isinstance(value, str) else map(str, value))]
    return frozenset(day for part in parts for day in _range_of_days(part))


def _range_of_days(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if first not in _DAYS or (last or first) not in _DAYS:
        raise problem(f"{text!r} is no day; write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri")
    start, end = _DAYS.index(first), _DAYS.index(last or first)
    return [(start + n) % 7 for n in range((end - start) % 7 + 1)]


def parse_windows(value: Any) -> tuple[Window, ...]:
    """Return the windows of `08:00-18:00`, or of a list of such; one that ends before it begins ends the next day."""
    return tuple(_window(str(text).strip()) for text in ([value] if isinstance(value, str) else value))


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    start, end = (int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])) if found else (0, 0)
    if found is None or start == end or end > 1440:
        raise problem(f"{text!r} are no hours; write when they begin and end, such as 08:00-18:00 or 22:00-07:00")
    return Window(start, end if end > start else end + 1440)


def parse_zone(value: Any) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise problem(f"{value!r} is not a time zone; write one such as Europe/London or UTC") from error


class HoursSpec(Spec):
    """Windows of the week. Without days every day, without hours the whole day."""

    days: Annotated[frozenset[int], BeforeValidator(parse_days, json_schema_input_type=str | list[str])] = _EVERY_DAY
    hours: Annotated[tuple[Window, ...], BeforeValidator(parse_windows, json_schema_input_type=str | list[str])] = (
        Window(0, 1440),
    )
    timezone: Annotated[str, BeforeValidator(parse_zone, json_schema_input_type=str)] = "UTC"

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.days or not self.hours:
            raise problem("these hours never come; name a day and hours", "days" if not self.days else "hours")
        return self

    def contains(self, moment: float) -> bool:
        """Whether the moment (seconds since the epoch) lies in one of the windows."""
        return self._end(moment) is not None

    def end_after(self, moment: float) -> float | None:
        """Return when the windows that the moment lies in end, joined where one begins as another ends. None: never."""
        end: float = moment
        for _ in range(_MOST_WINDOWS):
            following = self._end(end)
            if following is None:
                return end
            end = following
        return None

    def _end(self, moment: float) -> float | None:
        """Return the last end of the windows that hold the moment."""
        zone = ZoneInfo(self.timezone)
        today = datetime.fromtimestamp(moment, zone).date()
        ends = [
            _at(day, window.end, zone)
            for day in (today - timedelta(days=1), today)
            if day.weekday() in self.days
            for window in self.hours
            if _at(day, window.start, zone) <= moment < _at(day, window.end, zone)
        ]
        return max(ends, default=None)


def _at(day: date, minute: int, zone: ZoneInfo) -> float:
    """Return the moment of a minute of this day; from 1440 on, of the next day."""
    days, rest = divmod(minute, 1440)
    return datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone).timestamp()
