import asyncio

import pytest
from virtual import until

from earwitness.clock import SystemClock
from earwitness.config.schema import ProbeSpec
from earwitness.schedule import EverySlots, Schedule


def probe(every="1s", **more):
    return ProbeSpec.model_validate(
        {"journey": "shop", "every": every, "http": {"url": "http://shop.example/", "timeout": "500ms"}} | more
    )


@pytest.fixture
async def fired():
    seen, schedules = [], []

    async def on_due(found):
        seen.append(found)

    async def start(probes, last=None):
        schedule = Schedule(SystemClock(), on_due)
        schedules.append(schedule)
        await schedule.start(probes, last or {})
        return schedule

    yield start, seen
    for schedule in schedules:
        schedule.stop()


async def test_a_probe_fires_at_each_of_its_slots(fired):
    start, seen = fired
    await start({"web": probe()})
    await until(lambda: len(seen) >= 2)
    slots = EverySlots.of("web", 1)
    assert [d.slot for d in seen[:2]] == [seen[0].slot, slots.following(seen[0].slot)]
    assert all(slots.latest(d.slot) == d.slot for d in seen)


async def test_what_was_missed_since_the_last_slot_on_record_is_told_at_start(fired):
    start, seen = fired
    slots = EverySlots.of("web", 60)
    now = round(SystemClock().now() * 1000)
    last = slots.latest(now) - 5 * 60_000
    await start({"web": probe("1m", catch_up="60s")}, {"web": last})
    (found,) = seen
    assert found.slot == slots.latest(now)
    assert found.missed == 4


async def test_a_new_probe_has_missed_nothing(fired):
    start, seen = fired
    await start({"web": probe("1h")})
    assert seen == []


async def test_a_reload_touches_only_what_changed(fired):
    start, seen = fired
    schedule = await start({"kept": probe("1h"), "changed": probe("1h"), "gone": probe("1h")})
    jobs = {job.id: job for job in schedule._timer.get_jobs()}
    await schedule.apply({"kept": probe("1h"), "changed": probe("2h"), "new": probe("1h")})
    after = {job.id: job for job in schedule._timer.get_jobs()}
    assert after.keys() == {"-tick", "kept", "changed", "new"}
    assert after["kept"].trigger is jobs["kept"].trigger
    assert after["changed"].trigger is not jobs["changed"].trigger
    assert seen == []


async def test_a_slow_consumer_delays_no_other_probe(fired):
    _, seen = fired
    stuck = asyncio.Event()

    async def on_due(found):
        seen.append(found.probe)
        if found.probe == "slow":
            await stuck.wait()

    schedule = Schedule(SystemClock(), on_due)
    await schedule.start({"slow": probe(), "quick": probe()}, {})
    try:
        await until(lambda: "slow" in seen and seen.count("quick") >= 2)
    finally:
        stuck.set()
        schedule.stop()


async def test_a_clock_that_was_set_back_stops_no_probe(fired):
    start, seen = fired
    tomorrow = round(SystemClock().now() * 1000) + 86_400_000
    await start({"web": probe()}, {"web": tomorrow})
    await until(lambda: seen)
    assert seen[0].slot < tomorrow
