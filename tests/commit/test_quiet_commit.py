"""Time that passes, and what people silence, through the commit loop and a restart."""

import asyncio
from dataclasses import replace

import pytest
from judge_world import ROUTER, World, rules_of
from virtual import VirtualClock, until

from earwitness.commit import CommitLoop
from earwitness.config.times import Once
from earwitness.model import (
    Commanded,
    MaintenanceRule,
    Match,
    QuietBegun,
    QuietEnded,
    QuietKind,
    QuietPeriod,
    Ticked,
)
from earwitness.replay import replay
from earwitness.store import history, outbox, quiet, verdicts
from earwitness.store.store import Store
from earwitness.ticking import Ticker, next_moment

RULES = rules_of({"web": ("pay", ["card"]), "phone": ("pay", ["card"])})


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


@pytest.fixture
async def loop_of(store):
    tasks = []

    def start(rules=RULES, now=1_000_000.0):
        commit = CommitLoop(store, VirtualClock(now), rules, ROUTER, lambda _committed: None)
        tasks.append(asyncio.create_task(commit.run()))
        return commit

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def silence(world, lasts=3600.0):
    now = world.now
    match = Match(journey=("pay",))
    return QuietBegun(now, QuietPeriod("silence-1", QuietKind.SILENCE, match, now, now + lasts, now, "Kim", "known"))


def told_events(world):
    """The events that a world is told, in order."""
    events, judge_one = [], world.tell
    world.tell = lambda event: (events.append(event), judge_one(event))[1]
    return events


async def told(store):
    rows = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=9))
    return [row["kind"] for row in reversed(rows)]


async def test_a_silence_survives_a_restart_and_is_told_at_its_end(store, loop_of):
    world = World(RULES)
    events = told_events(world)
    world.tell(silence(world))
    world.fails("web", times=2)
    commit = loop_of()
    for event in events:
        await commit.submit(event)
    assert await told(store) == []
    again = loop_of(now=world.now)
    await again.load()
    assert again.state == world.state
    assert again.state.open_incidents()[0].muted.by == "silence silence-1"
    await again.submit(Ticked(world.now + 3700))
    assert await told(store) == ["unmute"]
    assert await store.read(quiet.current) == []


async def test_a_silence_that_a_person_ends_is_over_after_a_restart(store, loop_of):
    world = World(RULES)
    begun = silence(world)
    commit = loop_of()
    await commit.submit(begun)
    assert await store.read(quiet.current) == [begun.period]
    await commit.submit(QuietEnded(world.now + 60, "silence-1"))
    again = loop_of()
    await again.load()
    assert list(again.state.quiet) == []
    assert [type(e) for e in await store.read(lambda c: quiet.events_since(c, 0.0))] == [QuietBegun, QuietEnded]


async def test_what_ended_a_moment_ago_opens_again_after_a_restart(store, loop_of):
    world = World(RULES)
    events = told_events(world)
    world.fails("web", times=2)
    world.passes("web", "web")
    commit = loop_of()
    for event in events:
        await commit.submit(event)
    again = loop_of(now=world.now)
    await again.load()
    assert again.state == world.state
    fresh = len(events)
    world.fails("web", times=2)
    for event in events[fresh:]:
        await again.submit(event)
    assert await told(store) == ["open", "resolve", "reopen"]
    (incident,) = await store.read(verdicts.open_incidents)
    assert (incident.resolved_at, incident.reopened) == (None, 1)


async def test_what_was_merged_into_another_does_not_open_again_after_a_restart(store, loop_of):
    rules = rules_of({"web": ("pay", []), "phone": ("call", [])})
    world = World(rules)
    events = told_events(world)
    world.fails("web", times=2)
    world.fails("phone", times=2)
    absorbed, survivor = (i.id for i in world.open)
    world.tell(Commanded(world.now, absorbed, "merge", "Kim", into=survivor))
    commit = loop_of(rules)
    for event in events:
        await commit.submit(event)
    again = loop_of(rules, world.now)
    await again.load()
    assert again.state == world.state
    assert list(again.state.ended) == []
    assert (await store.read(lambda c: verdicts.incident(c, absorbed))).merged_into == survivor


async def test_time_that_changes_nothing_writes_nothing(store, loop_of):
    commit, written = loop_of(), []
    write = store.write
    store.write = lambda work: (written.append(work), write(work))[1]
    for minute in range(5):
        await commit.submit(Ticked(1_000_000.0 + 60 * minute))
    assert written == []
    await commit.submit(silence(World(RULES)))
    assert len(written) == 1


async def test_the_ticker_tells_each_full_minute_and_each_end(loop_of):
    clock, ticks = VirtualClock(1_000_000.0), []
    commit = loop_of()

    async def submit(event):
        ticks.append(event.at)
        await asyncio.sleep(0)
        if len(ticks) == 1:
            period = silence(World(RULES, now=clock.now()), lasts=95.0)
            await CommitLoop.submit(commit, period)

    commit.submit = submit
    ticker = asyncio.create_task(Ticker(clock, commit, lambda: RULES).run())
    await until(lambda: len(ticks) >= 5)
    ticker.cancel()
    assert ticks[:5] == [1_000_000.0, 1_000_020.0, 1_000_080.0, 1_000_095.0, 1_000_140.0]


def test_planned_maintenance_is_looked_at_when_it_ends():
    plan = MaintenanceRule(Match(), Once(0.0, 90.5))
    rules = replace(RULES, maintenance={"deploy": plan})
    state = World(rules).state
    assert [next_moment(now, state, rules) for now in (0.0, 60.0, 90.5)] == [60.0, 90.5, 120.0]


async def test_a_replay_passes_time_and_silences_what_was_silenced(store, loop_of):
    world = World(RULES)
    events = told_events(world)
    world.tell(silence(world, lasts=600.0))
    world.fails("web", times=2)
    world.now += 1200
    world.tell(Ticked(world.now))
    world.passes("web", "web")
    commit = loop_of(now=world.now)
    for event in events:
        await commit.submit(event)
    seen = await store.read(lambda c: history.recent_observations(c, probe=None, limit=99))
    silenced = await store.read(lambda c: quiet.events_since(c, 0.0))
    done = replay(sorted(seen, key=lambda o: o.ended_at), RULES, ROUTER, silenced)
    (course,) = done.courses.values()
    assert [entry.kind.value for entry in course.incident.timeline] == ["open", "mute", "unmute", "resolve"]
    assert course.told == {"on-call": 2}
    bare = replay(sorted(seen, key=lambda o: o.ended_at), RULES, ROUTER)
    assert [e.kind.value for c in bare.courses.values() for e in c.incident.timeline] == ["open", "resolve"]
