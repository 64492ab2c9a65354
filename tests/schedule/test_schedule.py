import pytest
from virtual import VirtualClock, until

from earwitness import schedule as schedules
from earwitness.clock import SystemClock
from earwitness.config.cron import Cron
from earwitness.config.schema import ProbeSpec
from earwitness.schedule import EverySlots, Schedule, _fires_after


def probe(every="1s", **more):
    return ProbeSpec.model_validate(
        {"journey": "shop", "every": every, "http": {"url": "http://shop.example/", "timeout": "500ms"}} | more
    )


def cron_probe(cron, **more):
    http = {"url": "http://shop.example/", "timeout": "500ms"}
    return ProbeSpec.model_validate({"journey": "shop", "cron": cron, "http": http} | more)


@pytest.fixture
async def fired():
    seen, schedules = [], []

    def start(probes, last=None, on_due=seen.append):
        schedule = Schedule(SystemClock(), on_due)
        schedules.append(schedule)
        schedule.start(probes, last or {})
        return schedule

    yield start, seen
    for schedule in schedules:
        schedule.stop()


async def test_a_probe_fires_at_each_of_its_slots(fired):
    start, seen = fired
    start({"web": probe()})
    await until(lambda: len(seen) >= 2)
    slots = EverySlots.of("web", 1)
    assert [d.slot for d in seen[:2]] == [seen[0].slot, slots.following(seen[0].slot)]
    assert all(slots.latest(d.slot) == d.slot for d in seen)


async def test_what_was_missed_since_the_last_slot_on_record_is_told_at_start(fired):
    start, seen = fired
    slots = EverySlots.of("web", 60)
    now = round(SystemClock().now() * 1000)
    last = slots.latest(now) - 5 * 60_000
    start({"web": probe("1m", catch_up="60s")}, {"web": last})
    await until(lambda: seen)
    (found,) = seen
    assert found.slot == slots.latest(now)
    assert found.missed == 4


async def test_a_new_probe_has_missed_nothing(fired):
    start, seen = fired
    start({"web": probe("1h")})
    assert seen == []


async def test_a_reload_touches_only_what_changed(fired):
    start, seen = fired
    schedule = start({"kept": probe("1h"), "changed": probe("1h"), "gone": probe("1h")})
    before = {name: slot for slot, name in schedule._queue}
    schedule.apply({"kept": probe("1h"), "changed": probe("2s"), "new": probe("1h")})
    after = {name: slot for slot, name in schedule._queue}
    assert after.keys() == {"kept", "changed", "new"}
    assert after["kept"] == before["kept"]
    await until(lambda: [found.probe for found in seen] == ["changed"])


async def test_a_reload_while_it_stops_wakes_nobody(fired):
    start, seen = fired
    schedule = start({})
    schedule.stop()
    await until(lambda: not schedule._timer.running)
    schedule.apply({"web": probe()})
    schedule.rewind()
    assert (schedule._timer.get_jobs(), seen) == ([], [])


async def test_a_start_and_a_reload_work_little_out_for_cron(fired, monkeypatch):
    """The event loop waits for it: two thousand expressions took seven seconds at a start, and three at each reload."""
    start, seen = fired
    probes = {f"web-{n}": cron_probe(f"{n} 3 * * *") for n in range(50)}
    looks = []

    def look(*asked):
        looks.append(asked)
        return _fires_after(*asked)

    monkeypatch.setattr(schedules, "_remembered", look)
    monkeypatch.setattr(Cron, "shortest_gap", None)  # it was worked out when the configuration was read
    schedule = start(probes)
    schedule.apply(dict(probes))
    assert (len(schedule._queue), seen) == (50, [])
    assert len(looks) <= 2 * 50


async def test_what_is_due_while_the_configuration_is_reloaded_is_run(fired):
    start, seen = fired
    schedule = start({"web": probe()})
    slot = schedule._queue[0][0]
    while SystemClock().now() * 1000 <= slot:
        schedule.apply({"web": probe(), "another": probe("1h")})  # and the timer gets no turn
    await until(lambda: seen)
    assert (seen[0].slot, seen[0].missed) == (slot, 0)


async def test_a_consumer_that_breaks_at_one_probe_keeps_no_other_from_its_slot(fired):
    start, seen = fired
    names = ("broken", *(f"web-{n}" for n in range(100)))
    running = False

    def on_due(found):
        seen.append(found.probe)
        if found.probe == "broken" and running:
            raise RuntimeError("no")

    start(dict.fromkeys(names, probe("2s")), on_due=on_due)
    running = True
    await until(lambda: len(set(seen)) == len(names) and seen.count("broken") > 1, seconds=8)


@pytest.fixture
def woken(monkeypatch):
    """Return a schedule on a clock of ours, and a function that moves it on in steps of a grid and returns how many fired at each."""
    clock, fired = VirtualClock(1_700_000_000.0), []
    schedule = Schedule(clock, fired.append)
    monkeypatch.setattr(schedule, "_timer", NoTimer())

    def steps(number):
        counts = []
        for _ in range(number):
            before = len(fired)
            schedule._wake()
            counts.append(len(fired) - before)
            clock.moment = round(clock.moment + 0.1, 3)
        return counts

    return schedule, clock, fired, steps


class NoTimer:
    running = False

    def start(self):
        """Wake nobody: the test does."""


async def test_what_went_by_while_it_was_stopped_takes_turns(woken):
    schedule, clock, fired, steps = woken
    now = round(clock.now() * 1000)
    probes = {f"web-{n}": probe("60s") for n in range(1_000)}
    schedule.start(probes, {name: EverySlots.of(name, 60).latest(now - 30_000) for name in probes})
    counts = steps(100)
    assert max(counts) <= 20, "ten of the late ones, and those whose time it is"
    due_later = {name for name in probes if EverySlots.of(name, 60).latest(now) <= now - 30_000}
    assert {found.probe for found in fired} >= probes.keys() - due_later
    assert all(found.missed == 0 for found in fired), "each has run its slot"
    assert [count for count in steps(600) if count > 20] == []


async def test_what_is_young_enough_at_a_start_is_run_though_much_else_was_missed(woken):
    schedule, clock, fired, steps = woken
    now = round(clock.now() * 1000)
    probes = {f"web-{n}": probe("1h") for n in range(3_000)}
    schedule.start(probes, {name: EverySlots.of(name, 3600).latest(now - 8 * 3_600_000) for name in probes})
    young = {name for name in probes if EverySlots.of(name, 3600).latest(now) > now - 50_000}
    steps(20)
    assert {found.probe for found in fired if found.slot is not None} >= young
    assert {found.probe for found in fired} == probes.keys(), "what is too old is on record at once"


async def test_a_restart_runs_no_probe_twice_within_a_second(woken):
    schedule, clock, fired, steps = woken
    now = round(clock.now() * 1000)
    probes = {f"web-{n}": probe("60s") for n in range(6_000)}
    schedule.start(probes, {name: EverySlots.of(name, 60).latest(now - 300_000) for name in probes})
    at, soon = {}, 0
    for _ in range(900):
        steps(1)
        for found in fired:
            soon += clock.now() - at.get(found.probe, 0.0) < 1.0
            at[found.probe] = clock.now()
        fired.clear()
    assert soon < 100


async def test_crowds_of_cron_probes_run_every_minute_for_good(woken):
    schedule, clock, fired, steps = woken
    clock.moment = 1_700_000_000.0 // 60 * 60 - 1
    schedule.start({f"web-{n}": cron_probe("* * * * *") for n in range(5_000)}, {})
    steps(10 + 4 * 600)
    assert len(fired) >= 4 * 5_000 - 100
    assert all(found.missed == 0 for found in fired)


async def test_late_turns_outlive_a_clock_that_is_set_back(woken):
    schedule, clock, fired, steps = woken
    now = round(clock.now() * 1000)
    probes = {f"web-{n}": probe("10m") for n in range(3_000)}
    schedule.start(probes, {name: EverySlots.of(name, 600).latest(now - 40_000) for name in probes})
    late = {name for name in probes if now - 40_000 < EverySlots.of(name, 600).latest(now) <= now - 5_000}
    steps(3)
    clock.moment -= 3
    schedule.rewind()
    steps(100)
    assert {found.probe for found in fired} >= late


async def test_too_many_for_one_moment_take_turns(woken):
    schedule, clock, fired, steps = woken
    clock.moment = 1_700_000_000.0 // 60 * 60 - 1
    schedule.start({f"web-{n}": cron_probe("* * * * *") for n in range(300)}, {})
    counts = steps(600)
    assert max(counts) <= 60
    assert sum(counts) == 300
    assert all(found.missed == 0 and found.slot % 60_000 == 0 for found in fired)


@pytest.mark.parametrize("patient", [0, 2_000, 7_000])
@pytest.mark.parametrize("catch_up", ["0s", "1s", "5s"])
async def test_nobody_waits_for_its_turn_until_its_slot_is_too_old(woken, patient, catch_up):
    """The last of a crowd would never run: at each of their slots the same ones came too late."""
    schedule, clock, fired, steps = woken
    clock.moment = 1_700_000_000.0 // 3600 * 3600 - 1
    probes = {f"a-{n}": cron_probe("0 * * * *") for n in range(patient)}
    probes |= {f"b-{n}": cron_probe("0 * * * *", catch_up=catch_up) for n in range(150)}
    schedule.start(probes, {})
    steps(700)
    assert {found.probe for found in fired if found.slot is not None} == probes.keys()
    assert all(found.missed == 0 for found in fired)


async def test_a_crowd_keeps_no_frequent_probe_from_its_slots(woken):
    schedule, clock, fired, steps = woken
    clock.moment = 1_700_000_000.0 // 60 * 60 - 1
    probes = {f"a-{n}": cron_probe("* * * * *") for n in range(1_000)} | {f"b-{n}": probe("5s") for n in range(500)}
    schedule.start(probes, {})
    steps(3 * 600)
    assert [found for found in fired if found.missed] == []


async def test_a_clock_set_forward_or_a_machine_that_slept_starts_no_herd(woken):
    schedule, clock, fired, steps = woken
    schedule.start({f"web-{n}": probe("60s") for n in range(2_000)}, {})
    steps(600)
    fired.clear()
    clock.moment += 600
    assert max(steps(600)) <= 60
    assert len({found.probe for found in fired}) == 2_000
    accounted = sum(found.missed + (found.slot is not None) for found in fired)
    assert accounted == 11 * 2_000, "ten slots of each went by, and one more since"


@pytest.mark.parametrize("back", [600, 3_600, 7_200])
async def test_after_the_clock_was_set_back_each_probe_runs_at_its_next_slot(woken, back):
    schedule, clock, fired, steps = woken
    schedule.start({f"web-{n}": probe("60s") for n in range(500)}, {})
    clock.moment += 3_600  # wrong, and put right
    steps(50)
    clock.moment -= back
    assert steps(50) == [0] * 50, "nobody has noticed yet"
    fired.clear()
    schedule.rewind()
    steps(601)
    assert {found.probe for found in fired} == {f"web-{n}" for n in range(500)}
    assert [found for found in fired if found.missed] == []


async def test_starts_that_lie_near_to_each_other_share_a_moment():
    offsets = {EverySlots.of(f"web-{n}", 5).offset for n in range(2_000)}
    assert len(offsets) == 50
    assert {EverySlots.of(f"web-{n}", 0.01).offset for n in range(50)} == {0}


async def test_a_clock_that_was_set_back_stops_no_probe(fired):
    start, seen = fired
    tomorrow = round(SystemClock().now() * 1000) + 86_400_000
    start({"web": probe()}, {"web": tomorrow})
    await until(lambda: seen)
    assert seen[0].slot < tomorrow
