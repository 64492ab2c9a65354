import asyncio

import pytest
from judge_world import World, rules_of
from virtual import VirtualClock, until

from earwitness.alerting.routing import Router, route
from earwitness.commit import CommitLoop
from earwitness.config.alerting import MatchSpec
from earwitness.impairments import Impairments
from earwitness.model import Commanded
from earwitness.store import history, outbox, owed, verdicts
from earwitness.store.store import Store

ROUTER = Router([route(MatchSpec(), ("on-call",))])


class FailingStore:
    """The real store, which refuses so many writes first."""

    def __init__(self, store, times):
        self._store = store
        self.left = times

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def write(self, work):
        if self.left:
            self.left -= 1
            raise OSError("No space left on device")
        return await self._store.write(work)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


@pytest.fixture
async def loop_of(store):
    tasks = []

    def start(rules, on=store, router=ROUTER):
        published = []
        commit = CommitLoop(on, VirtualClock(), rules, router, published.append)
        tasks.append(asyncio.create_task(commit.run()))
        return commit, published

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def story(world):
    """The events that a world is told, in order."""
    events = []
    judge_one = world.tell
    world.tell = lambda event: (events.append(event), judge_one(event))[1]
    return events


RULES = rules_of({"web": ("pay", ["card"]), "phone": ("pay", ["card"])})


def outage():
    world = World(RULES)
    events = story(world)
    world.fails("web")
    world.fails("phone")
    return world, events


async def test_one_commit_holds_observation_incident_request_and_alert(store, loop_of):
    commit, published = loop_of(RULES)
    world, events = outage()
    await asyncio.gather(*(commit.submit(e) for e in events))
    assert commit.state == world.state
    (committed,) = published
    assert len(committed.observations) == 2
    assert len(await store.read(lambda c: history.recent_observations(c, probe=None, limit=9))) == 2
    (incident,) = await store.read(verdicts.open_incidents)
    assert await store.read(lambda c: owed.told(c, incident.id)) == ["on-call"]
    assert [r.key for r in await store.read(verdicts.pending_requests)] == [r.key for r in world.requests]


async def test_a_new_process_goes_on_where_the_commit_left_it(loop_of):
    commit, _ = loop_of(RULES)
    world, events = outage()
    for event in events:
        await commit.submit(event)
    again, _ = loop_of(RULES)
    await again.load()
    assert again.state == world.state


async def test_nothing_is_dropped_while_the_disk_is_full(store, loop_of):
    failing = FailingStore(store, times=3)
    commit, published = loop_of(RULES, failing)
    _, events = outage()
    waiting = [asyncio.create_task(commit.submit(e)) for e in events]
    await until(lambda: failing.left == 0)
    await asyncio.gather(*waiting)
    assert not commit.failing
    assert len(published) == 1
    assert len(await store.read(verdicts.open_incidents)) == 1


async def test_the_state_moves_only_after_the_commit(store, loop_of):
    failing = FailingStore(store, times=1_000_000)
    commit, published = loop_of(RULES, failing)
    world, events = outage()
    waiting = [asyncio.create_task(commit.submit(e)) for e in events]
    await until(lambda: commit.failing)
    assert len(commit.state.probes) == 0
    assert published == []
    failing.left = 0
    await asyncio.gather(*waiting)
    assert commit.state == world.state


async def test_an_observation_told_twice_is_stored_once(store, loop_of):
    commit, _ = loop_of(RULES)
    _, events = outage()
    for event in [*events, *events]:
        await commit.submit(event)
    assert len(await store.read(lambda c: history.recent_observations(c, probe=None, limit=9))) == 2
    assert len(await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=9))) == 1


async def test_a_persons_resolve_is_told_to_whoever_was_told(store, loop_of):
    commit, _ = loop_of(RULES)
    world, events = outage()
    for event in events:
        await commit.submit(event)
    await commit.submit(Commanded(world.now, world.open[0].id, "resolve", "ana"))
    rows = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=9))
    assert [row["kind"] for row in rows] == ["resolve", "open"]
    assert await store.read(verdicts.open_incidents) == []


async def test_who_knew_an_incident_that_went_on_in_another_is_told_of_that_one_and_of_its_end(store, loop_of):
    rules = rules_of({"web": ("pay", []), "phone": ("call", [])})
    router = Router([route(MatchSpec(journey=["pay"]), ("payers",)), route(MatchSpec(journey=["call"]), ("callers",))])
    commit, _ = loop_of(rules, router=router)
    world = World(rules)
    events = story(world)
    world.fails("web", times=2)
    world.fails("phone", times=2)
    survivor, absorbed = (i.id for i in world.open)
    world.tell(Commanded(world.now, absorbed, "merge", "ana", into=survivor))
    world.passes("web", "phone", "web", "phone")
    for event in events:
        await commit.submit(event)
    rows = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=20))
    told = [(row["hook"], row["kind"]) for row in reversed(rows) if row["incident"] == survivor]
    assert told == [("payers", "open"), ("callers", "attach"), ("callers", "resolve"), ("payers", "resolve")]
    assert [row["kind"] for row in rows if row["incident"] == absorbed] == ["resolve", "open"]


def test_the_monitors_own_faults_are_shown_by_component_until_a_run_can_tell():
    shown = {}
    impairments = Impairments(shown.__setitem__)
    world = World(RULES)
    events = story(world)
    world.cannot_tell("phone")
    world.cannot_tell("web")
    world.passes("phone", "web")
    for event in events[:2]:
        impairments.observed(event.observation)
    assert shown["carrier"] is True
    assert impairments.current() == ["carrier"]
    impairments.observed(events[2].observation)
    assert shown["carrier"] is True, "the other probe still cannot tell"
    impairments.observed(events[3].observation)
    assert shown["carrier"] is False
    impairments.set("store", True)
    assert impairments.current() == ["store"]
