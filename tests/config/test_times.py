"""Maintenance, critical periods and calendars in time zones, on the two days a year on which the clocks change."""

import sys
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from earwitness.config.judging import CalendarSpec, MaintenanceSpec
from earwitness.config.times import Calendar, Outside, instant

LONDON, NEW_YORK = "Europe/London", "America/New_York"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def planned(calendars=None, **when):
    known = {name: CalendarSpec.model_validate(spec) for name, spec in (calendars or {}).items()}
    return MaintenanceSpec.model_validate(when).times(known)


def holds(times, text):
    return times.ends(utc(text)) is not None


# --- once ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "until", "zone", "first", "end"),
    [
        ("2026-07-01 08:00", "2026-07-01 10:00", LONDON, "2026-07-01 07:00", "2026-07-01 09:00"),
        ("2026-01-01 08:00", "2026-01-01 10:00", LONDON, "2026-01-01 08:00", "2026-01-01 10:00"),
        ("2026-11-27", "2026-11-30", NEW_YORK, "2026-11-27 05:00", "2026-11-30 05:00"),
        ("2026-07-01T08:00+02:00", "2026-07-01T10:00+02:00", LONDON, "2026-07-01 06:00", "2026-07-01 08:00"),
        # 01:30 does not exist on this night: the clocks go from 01:00 to 02:00 at 01:00 UTC
        ("2026-03-29 01:30", "2026-03-29 03:00", LONDON, "2026-03-29 01:00", "2026-03-29 02:00"),
        ("2026-03-29 00:30", "2026-03-29 01:30", LONDON, "2026-03-29 00:30", "2026-03-29 01:00"),
        # 01:30 comes twice on this night: a window holds from the first to the second
        ("2026-10-25 01:30", "2026-10-25 03:00", LONDON, "2026-10-25 00:30", "2026-10-25 03:00"),
        ("2026-10-25 00:30", "2026-10-25 01:30", LONDON, "2026-10-24 23:30", "2026-10-25 01:30"),
        ("2026-10-25 01:10", "2026-10-25 01:20", LONDON, "2026-10-25 00:10", "2026-10-25 01:20"),
        # the same in New York: 02:30 is skipped on 8 March, 01:30 comes twice on 1 November
        ("2026-03-08 02:30", "2026-03-08 04:00", NEW_YORK, "2026-03-08 07:00", "2026-03-08 08:00"),
        ("2026-11-01 01:30", "2026-11-01 01:45", NEW_YORK, "2026-11-01 05:30", "2026-11-01 06:45"),
    ],
)
def test_a_window_begins_and_ends_by_the_clock_on_the_wall(begins, until, zone, first, end):
    times = planned(**{"from": begins, "until": until, "timezone": zone})
    assert times.ends(utc(first)) == utc(end)
    assert times.ends(utc(first) - 1) is None
    assert times.ends(utc(end)) is None
    assert times.ends(utc(end) - 1) == utc(end)


def test_a_time_that_the_clocks_skip_is_the_moment_at_which_they_do():
    zone = ZoneInfo(LONDON)
    skipped = [instant(datetime(2026, 3, 29, 1, minute), zone) for minute in (0, 1, 30, 59)]  # noqa: DTZ001  Local on purpose.
    assert skipped == [utc("2026-03-29 01:00")] * 4


# --- again and again -------------------------------------------------------------------------------------------------


def test_a_weekly_window_holds_for_its_duration_and_no_longer():
    times = planned(cron="0 2 * * 0", duration="2h", timezone=LONDON)  # Sundays at two
    assert not holds(times, "2026-07-05 00:59")
    assert times.ends(utc("2026-07-05 01:00")) == utc("2026-07-05 03:00")
    assert holds(times, "2026-07-05 02:59")
    assert not holds(times, "2026-07-05 03:00")
    assert not holds(times, "2026-07-06 01:30")


def test_a_window_longer_than_the_time_between_two_never_ends():
    times = planned(cron="0 * * * *", duration="90m")
    assert times.ends(utc("2026-07-05 01:59")) == utc("2026-07-05 02:30")
    assert times.ends(utc("2026-07-05 02:00")) == utc("2026-07-05 03:30")


def test_a_nightly_window_in_the_hour_that_is_skipped_holds_after_it_for_as_long():
    times = planned(cron="30 1 * * *", duration="1h", timezone=LONDON)
    assert not holds(times, "2026-03-29 01:29")
    assert times.ends(utc("2026-03-29 01:30")) == utc("2026-03-29 02:30")  # from 02:30 on the wall, an hour late
    assert times.ends(utc("2026-03-30 00:30")) == utc("2026-03-30 01:30")


def test_a_nightly_window_in_the_hour_that_comes_twice_holds_once():
    times = planned(cron="30 1 * * *", duration="20m", timezone=LONDON)
    assert holds(times, "2026-10-25 00:30")
    assert not holds(times, "2026-10-25 01:30")
    assert holds(times, "2026-10-26 01:30")


# --- calendars -------------------------------------------------------------------------------------------------------

OFFICE = {"timezone": LONDON, "days": ["mon-fri"], "hours": "08:00-18:00", "holidays": ["2026-12-25"]}


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-07-01 06:59", False),
        ("2026-07-01 07:00", True),
        ("2026-07-01 16:59", True),
        ("2026-07-01 17:00", False),
        ("2026-07-04 10:00", False),  # a Saturday
        ("2026-12-24 10:00", True),
        ("2026-12-25 10:00", False),  # a holiday
        ("2026-12-28 08:00", True),
    ],
)
def test_business_hours(moment, inside):
    assert holds(planned({"office": OFFICE}, calendar="office"), moment) is inside
    assert holds(planned({"office": OFFICE}, outside="office"), moment) is not inside


def test_a_calendar_says_when_it_changes():
    inside, outside = planned({"office": OFFICE}, calendar="office"), planned({"office": OFFICE}, outside="office")
    assert inside.ends(utc("2026-07-01 12:00")) == utc("2026-07-01 17:00")
    assert outside.ends(utc("2026-07-03 20:00")) == utc("2026-07-06 07:00")  # from Friday to Monday
    assert outside.ends(utc("2026-12-24 20:00")) == utc("2026-12-28 08:00")  # over the holiday


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin():
    times = planned({"night": {"days": ["fri"], "hours": "22:00-06:00"}}, calendar="night")
    assert not holds(times, "2026-07-03 05:00")
    assert holds(times, "2026-07-03 22:00")
    assert holds(times, "2026-07-04 05:59")
    assert not holds(times, "2026-07-04 06:00")
    assert not holds(times, "2026-07-04 23:00")
    assert times.ends(utc("2026-07-03 23:00")) == utc("2026-07-04 06:00")


def test_a_calendar_on_the_night_of_the_skipped_hour():
    times = planned({"night": {"timezone": LONDON, "hours": "01:30-03:00"}}, calendar="night")
    assert not holds(times, "2026-03-29 00:59")
    assert holds(times, "2026-03-29 01:00")  # 02:00 on the wall
    assert times.ends(utc("2026-03-29 01:00")) == utc("2026-03-29 02:00")


def test_a_calendar_on_the_night_of_the_doubled_hour():
    times = planned({"night": {"timezone": LONDON, "hours": "01:15-01:30"}}, calendar="night")
    assert times.ends(utc("2026-10-25 00:15")) == utc("2026-10-25 00:30")
    assert not holds(times, "2026-10-25 00:45")
    assert times.ends(utc("2026-10-25 01:15")) == utc("2026-10-25 01:30")


def test_a_calendar_of_all_hours_never_ends_for_long():
    times = planned({"always": {}}, calendar="always")
    now = utc("2026-07-01 12:00")
    assert times.ends(now) > now + 7 * 86400


def test_days_may_go_over_the_weekend():
    assert CalendarSpec.model_validate({"days": ["fri-mon"]}).days == {4, 5, 6, 0}


def test_a_long_closure_ends_when_it_does():
    """A calendar of one weekday, with a month of holidays, is closed until the weekday after them."""
    closed = frozenset(date(2026, 12, day) for day in range(1, 32))
    mondays = Calendar(frozenset({0}), 8 * 60, 18 * 60, "UTC", closed)
    at = datetime(2026, 12, 7, 12, tzinfo=UTC).timestamp()
    assert Outside(mondays).ends(at) == datetime(2027, 1, 4, 8, tzinfo=UTC).timestamp()
    assert mondays.ends(at) is None


def test_what_always_holds_does_not_end_within_a_year():
    assert Calendar(frozenset(range(7)), 0, 24 * 60, "UTC").ends(0.0) > 366 * 86400


def test_public_holidays_are_known_by_country():
    office = CalendarSpec.model_validate({"holidays_of": ["GB-SCT", "DE"], "holidays": ["2026-07-01"]}).times
    closed = {"2026-07-01": "ours", "2026-01-02": "Scotland's", "2026-10-03": "Germany's", "2026-12-25": "both's"}
    assert not any(office.holds(utc(f"{day}T12:00")) for day in closed)
    assert office.holds(utc("2026-07-02T12:00"))


@pytest.mark.parametrize("place", ["XX", "GB-XX", "Nowhere", ""])
def test_a_place_whose_holidays_nobody_knows_is_refused(place):
    with pytest.raises(ValidationError, match="is no place whose holidays are known"):
        CalendarSpec.model_validate({"holidays_of": place})


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ValidationError, match=r"pip install 'earwitness\[holidays\]'"):
        CalendarSpec.model_validate({"holidays_of": "FR-IDF"})
