import asyncio
import sqlite3

import pytest
from judge_world import World, rules_of
from sqlalchemy import event, insert, select, text

from earwitness.judge import State, judge
from earwitness.model import (
    Channel,
    Evidence,
    Failure,
    Finding,
    Observation,
    Observed,
    Request,
    Run,
    Status,
    Step,
    Why,
)
from earwitness.store import history, outbox, owed, spend, verdicts
from earwitness.store.history import Missed
from earwitness.store.owed import Recipient
from earwitness.store.store import Store
from earwitness.store.tables import held, runs


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


def a_run(name="run-1", *, slot=60_000, probe="web", why=Why.SCHEDULED, request=None):
    return Run(name, probe, "shop", Channel.HTTP, "local", "production", why, 60.0, slot, request)


def an_observation(run=None, *findings, evidence=()):
    return Observation(run or a_run(), 60.0, 0.5, findings, (Step("GET /", True, 0.0, 0.5),), evidence, {"status": 200})


async def test_it_asks_the_disk_for_durability(store):
    pragmas = await store.write(lambda c: [c.scalar(text(f"PRAGMA {p}")) for p in ("journal_mode", "synchronous")])
    assert pragmas == ["wal", 2]


async def test_opening_it_again_keeps_everything(store, tmp_path):
    await store.write(lambda c: history.begin_runs(c, [a_run()], 60.0))
    again = Store.open(tmp_path / "earwitness.db")
    assert await again.read(history.last_slots) == {"web": 60_000}
    again.close()


async def test_the_last_slots_are_found_without_reading_the_history(store):
    told = [("web", 1), ("web", 3), ("web", 2), ("card", 7), ("never-scheduled", None)]
    made = [a_run(f"run-{n}", probe=probe, slot=slot) for n, (probe, slot) in enumerate(told)]
    await store.write(lambda c: history.begin_runs(c, made, 60.0))
    steps = []

    def look(connection):
        event.listen(connection, "before_cursor_execute", lambda _c, _u, said, *_: steps.append(said))
        found = history.last_slots(connection)
        return found, [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {steps[0]}")]

    found, plan = await store.read(look)
    assert found == {"web": 3, "card": 7}
    assert [step for step in plan if "SCAN runs" in step] == [], "a start would take longer by the day"


async def test_a_slot_is_taken_once(store):
    assert await store.write(lambda c: history.begin_runs(c, [a_run("run-1")], 60.0))
    assert not await store.write(lambda c: history.begin_runs(c, [a_run("run-2")], 60.0))
    assert await store.write(lambda c: history.begin_runs(c, [a_run("run-3", slot=120_000)], 120.0))


async def test_slots_that_come_again_because_the_clock_was_set_back_are_free(store):
    made = [a_run("run-1"), a_run("run-2", slot=120_000), a_run("run-3", slot=120_000, probe="card")]
    skipped = Missed(a_run("run-4", slot=180_000), "skipped", "overlap")
    await store.write(lambda c: history.begin_runs(c, made, 180.0))
    await store.write(lambda c: history.record_missed(c, skipped))
    await store.write(lambda c: history.let_go_of_slots_after(c, 100_000))
    assert await store.read(history.last_slots) == {"web": 60_000}
    again = [a_run(f"run-{slot}", slot=slot) for slot in (60_000, 120_000, 180_000)]
    assert await store.write(lambda c: history.begin_runs(c, again, 180.0)) == {"run-120000", "run-180000"}
    assert len(await store.read(history.unfinished_runs)) == 5, "what was run before is on record all the same"


async def test_a_request_is_taken_once(store):
    wanted = Request("confirm:run-0:web", "web", Why.CONFIRM, 100.0)
    await store.write(lambda c: verdicts.add_requests(c, [wanted, wanted]))
    assert await store.read(verdicts.pending_requests) == [wanted]
    first = a_run("run-1", slot=None, why=Why.CONFIRM, request=wanted.key)
    second = a_run("run-2", slot=None, why=Why.CONFIRM, request=wanted.key)
    assert await store.write(lambda c: history.begin_runs(c, [first], 60.0))
    assert not await store.write(lambda c: history.begin_runs(c, [second], 60.0))


async def test_missed_slots_are_on_record_and_count_as_the_newest(store):
    missed = Missed(a_run("run-9", slot=540_000), "missed", "not_running", 9)
    assert await store.write(lambda c: history.record_missed(c, missed))
    assert await store.read(history.last_slots) == {"web": 540_000}
    assert await store.read(history.unfinished_runs) == []


async def test_an_observation_comes_back_as_it_went(store):
    file = Evidence("response", "text/plain", "a" * 64, 12, "response.txt")
    seen = an_observation(a_run(), Finding(Failure.WRONG_STATUS, "got 502"), evidence=(file,))
    await store.write(lambda c: history.begin_runs(c, [seen.run], 60.0))
    await store.write(lambda c: history.add_observations(c, [seen]))
    await store.write(lambda c: history.add_observations(c, [seen]))
    assert await store.read(lambda c: history.recent_observations(c, probe="web", limit=10)) == [seen]
    assert await store.read(history.unfinished_runs) == []
    assert await store.read(history.named_evidence) == {"a" * 64}
    assert await store.read(lambda c: history.evidence_type(c, "a" * 64)) == ("text/plain", "response.txt")


async def test_the_judges_state_comes_back_as_it_went(store):
    world = World(rules_of({"a": ("shop", ["card"]), "b": ("shop", ["card"])}))
    world.fails("a")
    world.fails("b")
    world.passes("b")

    def save(c):
        history.save_probe_states(c, world.state.probes.values())
        verdicts.save_incidents(c, list(world.state.incidents.values()))

    await store.write(save)
    await store.write(save)
    loaded = await store.read(lambda c: State.of(history.load_probe_states(c), verdicts.open_incidents(c)))
    assert loaded == world.state
    event = Observed(an_observation(a_run("run-77", probe="a")))
    assert judge(loaded, event, world.rules) == judge(world.state, event, world.rules)


async def test_a_resolved_incident_is_no_longer_open(store):
    world = World(rules_of({"a": ("shop", [])}))
    world.fails("a", times=2)
    await store.write(lambda c: verdicts.save_incidents(c, [t.incident for t in world.transitions]))
    world.passes("a", "a")
    await store.write(lambda c: verdicts.save_incidents(c, [t.incident for t in world.transitions]))
    assert await store.read(verdicts.open_incidents) == []
    (incident,) = await store.read(lambda c: verdicts.recent_incidents(c, limit=5))
    assert incident.status is Status.RESOLVED


async def test_one_broken_operation_does_not_take_its_neighbours_along(store):
    def broken(_connection):
        raise RuntimeError("this one")

    results = await asyncio.gather(
        store.write(lambda c: history.begin_runs(c, [a_run("run-1")], 60.0)),
        store.write(broken),
        store.write(lambda c: history.begin_runs(c, [a_run("run-2", slot=120_000)], 60.0)),
        return_exceptions=True,
    )
    assert results[0] == {"run-1"}
    assert isinstance(results[1], RuntimeError)
    assert results[2] == {"run-2"}
    assert len(await store.read(history.unfinished_runs)) == 2


async def test_what_fails_half_way_leaves_nothing(store):
    def half(connection):
        history.begin_runs(connection, [a_run()], 60.0)
        connection.execute(insert(runs).values(id="broken"))

    with pytest.raises(Exception, match="NOT NULL"):
        await store.write(half)
    assert await store.read(history.unfinished_runs) == []


async def test_a_database_that_is_locked_is_waited_for(store, tmp_path):
    other = sqlite3.connect(tmp_path / "earwitness.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.write(lambda c: history.begin_runs(c, [a_run()], 60.0)))
    await asyncio.sleep(0)
    other.execute("COMMIT")
    assert await writing
    other.close()


async def test_what_is_old_is_forgotten_but_not_what_incidents_rest_on(store):
    old, kept_run, fresh = (a_run(f"run-{n}", slot=n) for n in (1, 2, 3))
    seen = [an_observation(old), an_observation(kept_run)]
    seen.append(Observation(fresh, 5000.0, 1.0))
    for o in seen:
        await store.write(lambda c, o=o: history.begin_runs(c, [o.run], 60.0))
    await store.write(lambda c: history.add_observations(c, seen))
    await store.write(lambda c: c.execute(insert(held).values(run="run-2", incident="inc-1")))
    old_ones = await store.read(lambda c: history.old_runs(c, 1000.0, 10))
    assert old_ones == ["run-1"]
    assert await store.write(lambda c: history.forget_runs(c, ["run-1", "run-2"])) == 1
    kept = await store.read(lambda c: history.recent_observations(c, probe=None, limit=10))
    assert [o.run.id for o in kept] == ["run-3", "run-2"]


async def test_money_is_set_aside_up_to_the_days_limit(store):
    def reserve(run, amount, now=0.0):
        return store.write(lambda c: spend.reserve(c, run, "pay", amount, "USD", now, [day]))

    day = spend.Cap(100)
    assert await reserve("run-1", 60) is None
    assert await reserve("run-2", 50) == day
    assert await reserve("run-3", 40) is None
    await store.write(lambda c: spend.settle(c, "run-1", 10))
    assert await reserve("run-4", 50) is None
    assert await reserve("run-5", 100, now=86_400.0) is None, "the next day has its own"
    assert await store.read(lambda c: spend.spent(c, "1970-01-01", "USD")) == 100
    assert await store.read(lambda c: spend.spent(c, "1970-01-01", "EUR")) == 0


async def test_a_call_is_remembered_step_by_step(store):
    await store.write(lambda c: spend.reserve(c, "run-1", "pay", 10, "USD", 0.0, []))
    assert (await store.read(lambda c: spend.call_of(c, "run-1"))).state == "reserved"
    await store.write(lambda c: spend.intend(c, "run-1", "+12025550199", "+12025550143", "{}", 5.0))
    assert (await store.read(lambda c: spend.call_of(c, "run-1"))).intended_at == 5.0
    await store.write(lambda c: spend.release_unused(c, "run-1"))
    await store.write(lambda c: spend.dialled(c, "run-1", "CA1"))
    call = await store.read(lambda c: spend.call_of(c, "run-1"))
    assert (call.state, call.sid) == ("dialled", "CA1")
    assert await store.read(lambda c: spend.spent(c, "1970-01-01", "USD")) == 10


async def test_reading_goes_on_while_something_is_written(store):
    reading = asyncio.Event()

    def slow(connection):
        connection.execute(text("PRAGMA user_version"))
        assert connection.scalar(select(runs.c.id)) is None
        return True

    results = await asyncio.gather(*(store.read(slow) for _ in range(20)), store.write(lambda _c: reading.set()))
    assert all(results[:-1])


async def test_deliveries_of_one_incident_go_one_after_the_other(store):
    world = World(rules_of({"a": ("shop", [])}))
    world.fails("a", times=2)
    world.passes("a", "a")
    opened, resolved = world.transitions
    for transition in (opened, resolved):
        await store.write(lambda c, t=transition: owed.add_deliveries(c, t, [Recipient("on-call")], 10.0))
        await store.write(lambda c, t=transition: owed.add_deliveries(c, t, [Recipient("on-call")], 10.0))
    assert await store.read(lambda c: owed.told(c, opened.incident.id)) == ["on-call"]
    first = await store.write(lambda c: outbox.lease(c, "on-call", "t1", 10.0, 30.0))
    assert first.kind.value == "open"
    assert await store.write(lambda c: outbox.lease(c, "on-call", "t2", 10.0, 30.0)) is None
    retry = outbox.Attempt("retry", "timeout", "", 50.0)
    assert await store.write(lambda c: outbox.settle(c, first.seq, "t1", retry, 11.0))
    assert await store.write(lambda c: outbox.lease(c, "on-call", "t2", 12.0, 30.0)) is None
    again = await store.write(lambda c: outbox.lease(c, "on-call", "t2", 51.0, 30.0))
    assert (again.seq, again.attempts, again.key) == (first.seq, 2, first.key)
    done = outbox.Attempt("delivered", "ok", "HTTP 200")
    assert not await store.write(lambda c: outbox.settle(c, first.seq, "t1", done, 52.0)), "t1 lost its lease"
    assert await store.write(lambda c: outbox.settle(c, first.seq, "t2", done, 52.0))
    assert (await store.write(lambda c: outbox.lease(c, "on-call", "t3", 53.0, 30.0))).kind.value == "resolve"


async def test_a_lease_that_ran_out_is_taken_over(store):
    world = World(rules_of({"a": ("shop", [])}))
    world.fails("a", times=2)
    await store.write(lambda c: owed.add_deliveries(c, world.transitions[0], [Recipient("on-call")], 0.0))
    held = await store.write(lambda c: outbox.lease(c, "on-call", "dead", 0.0, 30.0))
    assert await store.write(lambda c: outbox.lease(c, "on-call", "next", 29.0, 30.0)) is None
    taken = await store.write(lambda c: outbox.lease(c, "on-call", "next", 30.0, 30.0))
    assert taken.seq == held.seq
    assert not await store.write(lambda c: outbox.freeze(c, held.seq, "dead", b"late"))
    assert await store.write(lambda c: outbox.freeze(c, held.seq, "next", b"body"))
    assert [b.depth for b in await store.read(outbox.backlog)] == [1]


async def test_what_is_settled_is_forgotten_in_time_but_not_who_was_told_of_what_goes_on(store):
    world = World(rules_of({"a": ("shop", []), "b": ("shop", [])}))
    world.fails("a", times=2)
    world.passes("a", "a")
    world.fails("b", times=2)
    await store.write(lambda c: verdicts.save_incidents(c, [t.incident for t in world.transitions]))
    await store.write(lambda c: verdicts.add_requests(c, world.requests))
    for transition in world.transitions:
        await store.write(lambda c, t=transition: owed.add_deliveries(c, t, [Recipient("on-call")], 0.0))
    done = outbox.Attempt("delivered", "ok", "")
    while leased := await store.write(lambda c: outbox.lease(c, "on-call", "t", 1.0, 30.0)):
        await store.write(lambda c, seq=leased.seq: outbox.settle(c, seq, "t", done, 2.0))
    later = world.now + 10_000
    await store.write(lambda c: verdicts.forget_before(c, later))
    await store.write(lambda c: outbox.forget_before(c, later))
    assert [i.probes for i in await store.read(lambda c: verdicts.recent_incidents(c, limit=9))] == [("b",)]
    left = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=9))
    assert [(row["incident"], row["kind"]) for row in left] == [(world.open[0].id, "open")], (
        "its resolve is still to come"
    )
    assert await store.read(lambda c: owed.told(c, world.open[0].id)) == ["on-call"]
    assert await store.read(verdicts.pending_requests) != []
