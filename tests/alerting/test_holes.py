"""Twenty ways in which other systems lost or doubled an alert. The table in docs/alerts.md names the test that holds each.

Here are those that stand nowhere else, and the proof that what the table names exists.
"""

import asyncio
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest
from judge_world import World, rules_of
from outbox_world import OutboxWorld
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from virtual import until

from earwitness.alerting.couriers import LEASE, Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.routing import Matcher
from earwitness.alerting.senders import Senders
from earwitness.commit import CommitLoop
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.model import Match, QuietBegun, QuietKind, QuietPeriod
from earwitness.serving import listen, served
from earwitness.store import outbox
from earwitness.store.dialect import insert_if_new
from earwitness.store.store import Store
from earwitness.store.tables import deliveries, incidents

ROOT = Path(__file__).parents[2]
SPEC = WebhookSpec(url="https://pager.example/hook", secret="a secret of the hook")


@pytest.fixture
def world(tmp_path):
    made = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["pager"]}])
    yield made
    made.close()


def courier_of(world, answer, store=None):
    senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(answer)), Path)
    hook = Hook("pager", KIND, SPEC, 15.0)
    return Courier(hook, store or world.store, world.clock, senders, Links("http://127.0.0.1:8420"))


def test_the_table_names_all_twenty_and_every_test_that_it_names_exists():
    page = (ROOT / "docs/alerts.md").read_text()
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 21))
    for number, held_by in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", held_by)
        assert named, f"nothing holds hole {number}"
        for file, test in named:
            text = (ROOT / file).read_text()
            assert not test or re.search(rf"def {test}\(", text), f"{file} has no {test}"


async def test_5_a_hook_that_hangs_keeps_no_result_from_being_stored(world):
    asked, answered = asyncio.Event(), asyncio.Event()

    async def hang(_request):
        asked.set()
        await answered.wait()
        return httpx.Response(200)

    told = World(rules_of({"a": ("shop", []), "b": ("shop", [])}))
    commit = CommitLoop(world.store, world.clock, told.rules, world.router, lambda _committed: None)
    judging = asyncio.create_task(commit.run())
    await world.opens("x")
    delivering = asyncio.create_task(courier_of(world, hang).deliver_next())
    await asked.wait()
    seen, events = World(told.rules), []
    seen.tell = events.append
    seen.fails("a", times=2)
    for event in events:
        async with asyncio.timeout(10):
            await commit.submit(event)
    assert len(commit.state.open_incidents()) == 1
    assert not delivering.done()
    answered.set()
    assert await delivering
    judging.cancel()
    await asyncio.gather(judging, return_exceptions=True)


@pytest.mark.parametrize("processes", [2, 3])
async def test_10_several_couriers_on_one_store_tell_each_alert_once(world, tmp_path, processes):
    got = Counter()

    def take(request):
        got[request.headers["webhook-id"]] += 1
        return httpx.Response(204)

    ids = await world.opens(*(f"p{n}" for n in range(40)))
    stores = [Store.open(tmp_path / "earwitness.db") for _ in range(processes)]
    tasks = [asyncio.create_task(courier_of(world, take, store).run()) for store in stores]

    async def all_told():
        return not await world.store.read(outbox.backlog)

    await until(all_told, 30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for store in stores:
        store.close()
    assert sum(got.values()) == len(got) == len(ids)


async def test_8_what_was_told_and_then_silenced_is_ended_all_the_same(world):
    judged = World(rules_of({"a": ("shop", [])}))
    commit = CommitLoop(world.store, world.clock, judged.rules, world.router, lambda _committed: None)
    judging = asyncio.create_task(commit.run())
    events = []
    judged.tell = events.append

    async def happens():
        while events:
            await commit.submit(events.pop(0))
        await world.deliver()

    judged.fails("a", times=2)
    await happens()
    assert world.kinds("pager") == ["open"]
    now = judged.now
    silence = QuietPeriod("x", QuietKind.SILENCE, Match(), now, now + 86400, now, "Ann", "known")
    await commit.submit(QuietBegun(now, silence))
    (muted,) = commit.state.open_incidents()
    assert muted.muted is not None
    judged.passes("a", "a", "a")
    await happens()
    assert commit.state.open_incidents() == []
    assert world.kinds("pager") == ["open", "resolve"]
    judging.cancel()
    await asyncio.gather(judging, return_exceptions=True)


async def test_16_what_one_of_several_probes_sees_for_ever_is_told_though_no_other_agrees(tmp_path):
    here = Matcher({"shop": "payments"}, location="lisbon")
    world = OutboxWorld(tmp_path / "e.db", [{"match": {"location": "lisbon"}, "to": ["pager"]}])
    world.router.matcher = here
    judged = World(rules_of({"odd": ("shop", ["line"]), "even": ("shop", ["line"]), "third": ("shop", ["line"])}))
    for _ in range(50):
        judged.passes("even", "third")
        judged.fails("odd")
    await world.commit(judged.transitions)
    await world.deliver()
    assert [kind for kind in world.kinds("pager") if kind in ("open", "resolve")] == ["open"]
    assert world.bodies("pager", "open")[0]["incident"]["probes"] == ["odd"]
    world.close()


class Receiver:
    """Takes alerts of several processes; those of process `a` are held until they are let go, and then refused for good."""

    def __init__(self):
        self.got = []  # process, key, body
        self.let_go = asyncio.Event()

    async def take(self, request):
        process = request.query_params["process"]
        self.got.append((process, request.headers["webhook-id"], await request.body()))
        if process == "a":
            await self.let_go.wait()
            return Response(status_code=410)
        return Response(status_code=204)

    def keys(self, process):
        return [key for who, key, _ in self.got if who == process]


@pytest.fixture
async def receiver():
    made, listener = Receiver(), listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/", made.take, methods=["POST"])]), listener, grace=1):
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        yield made
        made.let_go.set()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_10_a_process_that_dies_or_sleeps_past_its_lease_neither_loses_nor_undoes_anything(
    world, tmp_path, receiver, end
):
    """Real processes on one store. The sleeper wakes to a refusal, which must not touch what the other has delivered."""
    world.clock.moment = epoch = time.time()
    ids = await world.opens(*(f"p{n}" for n in range(20)))
    processes = []

    async def start(name):
        words = (str(tmp_path / "earwitness.db"), f"{receiver.url}?process={name}", str(epoch), "20")
        script = str(Path(__file__).with_name("courier_process.py"))
        processes.append(await asyncio.create_subprocess_exec(sys.executable, script, *words, stdout=-3, stderr=-3))
        return processes[-1]

    async def all_delivered():
        return {state for _, state in await world.states("pager")} == {"delivered"}

    first = await start("a")
    await until(lambda: len(receiver.keys("a")) == 4, 30)
    first.send_signal(end)
    await start("b")
    await until(all_delivered, 30)
    held = receiver.keys("a")
    receiver.let_go.set()
    if end is signal.SIGSTOP:
        first.send_signal(signal.SIGCONT)
        await until(partial(_refusals, world, len(held)), 30)
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert await all_delivered(), "who lost the lease changes nothing"
    assert sorted(receiver.keys("b")) == sorted(f"{i}.1.pager" for i in ids)
    assert set(held) <= set(receiver.keys("b"))
    assert all(len({body for _, key, body in receiver.got if key == one}) == 1 for one in held), "one body"


async def _refusals(world, number):
    """Whether so many attempts that came to nothing are on record."""
    return sum(a["outcome"] == "refused" for row in await world.rows() for a in row["trail"]) == number


@pytest.mark.parametrize("fault", ["the incident is gone", "the lease fails"])
async def test_6_what_is_the_matter_with_one_delivery_unsettles_no_other(world, monkeypatch, fault):
    first, second, third = await world.opens("a", "b", "c")
    if fault == "the incident is gone":
        await world.store.write(lambda c: c.execute(delete(incidents).where(incidents.c.id == second)))
    else:
        lease, calls = outbox.lease, []

        def fail_once(*args):
            calls.append(args)
            if len(calls) == 5:  # four begin, and this is the first that goes with a record
                raise RuntimeError("nobody foresaw this")
            return lease(*args)

        monkeypatch.setattr(outbox, "lease", fail_once)
    task = asyncio.create_task(world.couriers["pager"].run())
    wanted = {first, third} if fault == "the incident is gone" else {first, second, third}

    async def told():
        return {r["incident"] for r in await world.rows() if r["state"] == "delivered"} == wanted

    await until(told)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(world.keys) == len(set(world.keys)) == len(wanted), "each is told once"


async def test_6_a_delivery_whose_holder_died_is_taken_over_and_the_trail_says_so(world):
    await world.opens("a")
    await world.store.write(lambda c: outbox.lease(c, "pager", "dead", world.clock.now(), LEASE))
    world.clock.moment += LEASE + 5
    await world.deliver()
    (row,) = await world.rows()
    assert row["state"] == "delivered"
    assert [attempt["reason"] for attempt in row["trail"]] == ["interrupted", "ok"]


async def test_20_a_database_that_fails_at_the_claim_is_no_delivery(world, tmp_path):
    await world.opens("a")
    held = sqlite3.connect(tmp_path / "earwitness.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError):
        await world.couriers["pager"].deliver_next()
    held.execute("ROLLBACK")
    held.close()
    assert await world.states("pager") == [("open", "pending")]
    await world.deliver()
    assert world.kinds("pager") == ["open"]


async def test_20_only_a_key_that_is_there_counts_as_a_repetition(world):
    (incident,) = await world.opens("a")
    known = {"key": f"{incident}.1.pager", "incident": incident, "kind": "open", "at": 0.0, "text": "", "hook": "pager"}
    row = {**known, "state": "pending", "attempts": 0, "next_at": 0.0}
    assert not await world.store.write(lambda c: insert_if_new(c, deliveries, row))
    with pytest.raises(IntegrityError):
        await world.store.write(lambda c: insert_if_new(c, deliveries, {**row, "key": "another", "hook": None}))
