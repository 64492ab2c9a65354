"""Hours of the week, also in nights in which clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from earwitness.config.hours import HoursSpec

LONDON = "Europe/London"


def hours(**section):
    return HoursSpec.model_validate(section)


def at(text, zone="UTC", fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def test_office_hours():
    office = hours(days="mon-fri", hours="08:00-18:00", timezone=LONDON)
    assert office.contains(at("2026-07-15T08:00", LONDON))
    assert office.contains(at("2026-07-15T17:59", LONDON))
    assert not office.contains(at("2026-07-15T18:00", LONDON))
    assert not office.contains(at("2026-07-18T12:00", LONDON)), "a Saturday"


def test_a_night_belongs_to_the_day_on_which_it_begins():
    night = hours(days=["fri"], hours="22:00-07:00")
    assert night.contains(at("2026-07-18T06:59")), "Saturday morning"
    assert not night.contains(at("2026-07-17T06:59")), "Friday morning is Thursday's night"
    assert night.end_after(at("2026-07-17T23:00")) == at("2026-07-18T07:00")


def test_windows_that_touch_are_one():
    nights = hours(days="mon-fri", hours="18:00-08:00")
    weekend = hours(days="sat,sun", hours="00:00-24:00")
    assert nights.end_after(at("2026-07-17T20:00")) == at("2026-07-18T08:00")
    assert weekend.end_after(at("2026-07-18T09:00")) == at("2026-07-20T00:00")
    both = hours(hours=["00:00-08:00", "20:00-24:00"])
    assert both.end_after(at("2026-07-17T21:00")) == at("2026-07-18T08:00")
    assert both.end_after(at("2026-07-17T12:00")) == at("2026-07-17T12:00"), "they are not on"


def test_hours_that_never_end():
    assert hours().end_after(at("2026-07-17T12:00")) is None


@pytest.mark.parametrize(
    ("begins", "ends", "hour_count"),
    [("2026-03-28T22:00", "2026-03-29T07:00", 8), ("2026-10-24T22:00", "2026-10-25T07:00", 10)],
)
def test_a_night_in_which_clocks_change_is_shorter_or_longer(begins, ends, hour_count):
    night = hours(hours="22:00-07:00", timezone=LONDON)
    start, end = at(begins, LONDON), at(ends, LONDON)
    assert (end - start) / 3600 == hour_count
    assert night.end_after(start) == end
    assert all(night.contains(start + s) for s in range(0, int(end - start), 600))
    assert not night.contains(end)


def test_a_window_in_the_hour_that_comes_twice_and_in_the_one_that_never_comes():
    early = hours(hours="01:30-03:00", timezone=LONDON)
    first, second = (at("2026-10-25T01:30", LONDON, fold) for fold in (0, 1))
    assert second - first == 3600
    assert early.end_after(first) == at("2026-10-25T03:00", LONDON)
    skipped = at("2026-03-29T02:10", LONDON)  # 01:30 did not come: it began an hour later by the clock
    assert early.contains(skipped + 1800)


@given(st.integers(1_760_000_000, 1_800_000_000), st.sampled_from([LONDON, "America/New_York", "Australia/Lord_Howe"]))
def test_what_has_ended_has_ended(moment, zone):
    spec = hours(days="mon-sat", hours=["22:00-07:00", "12:00-13:00"], timezone=zone)
    end = spec.end_after(float(moment))
    assert end is not None
    assert end >= moment
    assert not spec.contains(end)
    assert (end > moment) is spec.contains(float(moment))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"days": "mon-funday"}, "is no day"),
        ({"hours": "8-18"}, "are no hours"),
        ({"hours": "08:00-08:00"}, "are no hours"),
        ({"hours": "08:00-24:30"}, "are no hours"),
        ({"timezone": "Europe/Lundun"}, "is not a time zone"),
        ({"hours": []}, "never come"),
    ],
)
def test_what_are_no_hours_is_told(section, said):
    with pytest.raises(ValidationError, match=said):
        hours(**section)
