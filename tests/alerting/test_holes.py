"""Twenty ways in which other systems lost or doubled an alert. The table in docs/alerts.md names the test that holds each.

Here are those that stand nowhere else, and the proof that what the table names exists.
"""

import asyncio
import re
import sqlite3
from collections import Counter
from pathlib import Path

import httpx
import pytest
from judge_world import World, rules_of
from outbox_world import OutboxWorld
from sqlalchemy.exc import IntegrityError, OperationalError
from virtual import until

from earwitness.alerting.couriers import LEASE, Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.senders import Senders
from earwitness.commit import CommitLoop
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.store import outbox
from earwitness.store.dialect import insert_if_new
from earwitness.store.store import Store
from earwitness.store.tables import deliveries

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
        assert named or "not yet" in held_by, f"nothing holds hole {number}"
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
async def test_10_several_processes_on_one_store_tell_each_alert_once(world, tmp_path, processes):
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
