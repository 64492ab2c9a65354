from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness import schedule
from earwitness.config.cron import Cron
from earwitness.schedule import CronSlots, EverySlots, _fires_after, due

MINUTE = 60_000
LONDON = ZoneInfo("Europe/London")


def at(text, zone=LONDON):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def cron(text, zone=LONDON):
    return CronSlots.of(Cron(text), zone)


@given(st.text(min_size=1), st.integers(1, 10**6), st.integers(10**12, 2 * 10**12))
def test_slots_lie_a_whole_interval_apart_and_do_not_depend_on_when_one_looks(name, seconds, now):
    slots = EverySlots.of(name, seconds)
    latest, following = slots.latest(now), slots.following(now)
    assert latest <= now < following
    assert following - latest == slots.every
    assert slots.latest(following - 1) == latest
    assert slots.count(latest, following + slots.every) == 2


def test_starts_are_spread_over_the_interval():
    offsets = [EverySlots.of(f"probe-{n}", 60).offset for n in range(1000)]
    per_second = [sum(s * 1000 <= o < (s + 1) * 1000 for o in offsets) for s in range(60)]
    assert max(per_second) < 40, "1,000 probes, 17 a second on average"
    assert min(per_second) > 2


def test_a_slot_that_is_on_record_is_not_due_again():
    slots = EverySlots(MINUTE, 0)
    assert due("p", slots, last=10 * MINUTE, now=10 * MINUTE + 500, catch_up=MINUTE).slot is None


def test_the_next_slot_is_due():
    found = due("p", EverySlots(MINUTE, 0), last=10 * MINUTE, now=11 * MINUTE + 5, catch_up=MINUTE)
    assert (found.slot, found.missed) == (11 * MINUTE, 0)


def test_after_a_stop_the_newest_slot_runs_and_the_older_ones_are_missed():
    found = due("p", EverySlots(MINUTE, 0), last=10 * MINUTE, now=15 * MINUTE + 5_000, catch_up=30_000)
    assert (found.slot, found.missed, found.missed_until) == (15 * MINUTE, 4, 14 * MINUTE)


def test_a_newest_slot_that_is_too_old_is_missed_too():
    found = due("p", EverySlots(MINUTE, 0), last=10 * MINUTE, now=15 * MINUTE + 40_000, catch_up=30_000)
    assert (found.slot, found.missed, found.missed_until) == (None, 5, 15 * MINUTE)


def test_a_month_of_absence_is_counted_at_once():
    found = due("p", EverySlots(1000, 0), last=0, now=30 * 86_400_000, catch_up=0)
    assert found.missed + (found.slot is not None) == 30 * 86_400


def test_a_clock_set_back_runs_nothing_twice():
    assert due("p", EverySlots(MINUTE, 0), last=10 * MINUTE, now=5 * MINUTE, catch_up=MINUTE).slot is None


@given(st.lists(st.integers(0, 7200_000), min_size=1, max_size=30))
def test_no_slot_is_skipped_or_doubled_whenever_one_looks(pauses):
    slots, now, last, accounted = EverySlots(MINUTE, 1234), 10**12, slots_start(), 0
    first = last
    for pause in pauses:
        now += pause
        found = due("p", slots, last, now, catch_up=MINUTE)
        newest = found.slot if found.slot is not None else found.missed_until
        if newest is not None:
            accounted += found.missed + (found.slot is not None)
            last = newest
    assert accounted == slots.count(first, now)


def slots_start():
    return EverySlots(MINUTE, 1234).latest(10**12)


def test_cron_keeps_to_local_time_in_summer_and_winter():
    eight = cron("0 8 * * *")
    assert eight.latest(at("2026-03-28T12:00")) == at("2026-03-28T08:00")
    assert eight.following(at("2026-03-28T12:00")) == at("2026-03-29T08:00")
    assert at("2026-03-29T08:00") - at("2026-03-28T08:00") == 23 * 3_600_000


def test_cron_in_the_hour_that_does_not_exist_runs_once_that_day():
    half_past_one = cron("30 1 * * *")
    slots = [at("2026-03-28T12:00")]
    for _ in range(3):
        slots.append(half_past_one.following(slots[-1]))
    days = [datetime.fromtimestamp(s / 1000, LONDON).date().isoformat() for s in slots[1:]]
    assert len(set(days)) == 3
    assert days[-1] <= "2026-03-31"


def test_cron_in_the_hour_that_comes_twice_counts_no_slot_twice():
    half_past_one = cron("30 1 * * *")
    before, after = at("2026-10-24T12:00"), at("2026-10-26T12:00")
    assert half_past_one.count(before, after) == 2
    assert cron("30 * * * *").count(before, after) == 49, "what runs every hour runs in both"


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
@pytest.mark.parametrize("text", ["0 0 * * *", "15 0 * * *", "59 23 * * *", "0 8 * * *", "30 2 * * *", "0 0 1 * *"])
def test_cron_at_a_fixed_time_runs_once_on_each_day_of_a_year(text, zone):
    slots, day = cron(text, ZoneInfo(zone)), text.split()[2]
    slot, until, days = at("2025-01-01T00:30", ZoneInfo(zone)), at("2026-01-02T00:29", ZoneInfo(zone)), []
    while (slot := slots.following(slot)) <= until:
        days.append(datetime.fromtimestamp(slot / 1000, ZoneInfo(zone)).date())
    every_day = {date(2025, 1, 1) + timedelta(days=n) for n in range(-1, 368)}
    wanted = {d for d in every_day if day == "*" or d.day == int(day)}
    assert len(set(days)) == len(days)
    assert set(days) == {d for d in wanted if days[0] <= d <= days[-1]}
    assert (days[0] - date(2025, 1, 1)).days <= 31
    assert (date(2026, 1, 2) - days[-1]).days <= 1


@pytest.mark.parametrize("text", ["* * * * *", "*/5 9-17 * * 1-5", "0 0 29 2 *", "0 9 * * 1"])
def test_the_latest_cron_slot_is_found_in_a_few_looks(text, monkeypatch):
    """An event loop waits for each: a day's firings of one probe, gone through one by one, took 17 ms."""
    slots, looks = cron(text), []

    def look(*asked):
        looks.append(asked)
        return _fires_after(*asked)

    monkeypatch.setattr(schedule, "_remembered", look)
    assert slots.latest(at("2026-11-23T08:59")) is not None
    assert len(looks) < 60


@pytest.mark.parametrize(
    "text", ["* * * * *", "*/7 * * * *", "*/5 * * * *", "0 9-17 * * 1-5", "15 3 1 * *", "0 0 29 2 *"]
)
def test_the_latest_cron_slot_is_the_one_before_the_following(text):
    slots, now = cron(text), at("2026-11-23T16:07")
    latest = slots.latest(now)
    assert latest <= now < slots.following(now)
    assert slots.following(latest - 1) == latest
    assert slots.following(latest) == slots.following(now)
