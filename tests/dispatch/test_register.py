import asyncio
from dataclasses import replace

import pytest
from virtual import VirtualClock, until

from earwitness.clock import SystemClock
from earwitness.dispatch.register import Register
from earwitness.model import Channel, Run, Why
from earwitness.store import history
from earwitness.store.store import Store

RUN = Run("run-0", "web-0", "shop", Channel.HTTP, "local", "production", Why.SCHEDULED, 60.0, 60_000)
RUNS = [replace(RUN, id=f"run-{n}", probe=f"web-{n}") for n in range(20)]


class Desk:
    """A register over a real store that counts what is written, and may refuse it."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.writes, self.refuses, self.tasks = 0, False, set()
        self.register = Register(self, clock, self.spawn)

    async def write(self, work):
        self.writes += 1
        if self.refuses:
            raise OSError(28, "the disk is full")
        return await self.store.write(work)

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


async def test_what_begins_together_is_written_together(store):
    desk = Desk(store, SystemClock())
    assert await asyncio.gather(*map(desk.register.begin, RUNS)) == [True] * len(RUNS)
    assert desk.writes == 1
    assert {run.id for run in await store.read(history.unfinished_runs)} == {run.id for run in RUNS}


async def test_of_two_for_one_slot_that_come_together_one_begins(store):
    desk = Desk(store, SystemClock())
    assert await asyncio.gather(desk.register.begin(RUN), desk.register.begin(replace(RUN, id="twin"))) == [True, False]
    assert not await desk.register.begin(replace(RUN, id="third"))


async def test_runs_wait_until_the_store_takes_them(store):
    desk = Desk(store, VirtualClock())
    desk.refuses = True
    waiting = asyncio.gather(*map(desk.register.begin, RUNS))
    await until(lambda: desk.register.failing)
    assert not waiting.done()
    desk.refuses = False
    assert await waiting == [True] * len(RUNS)
    assert not desk.register.failing


async def test_who_is_cancelled_while_it_waits_keeps_nobody_else_from_beginning(store):
    desk = Desk(store, VirtualClock())
    desk.refuses = True
    first, second = (asyncio.create_task(desk.register.begin(run)) for run in RUNS[:2])
    await until(lambda: desk.register.failing)
    first.cancel()
    desk.refuses = False
    assert await second
    assert first.cancelled()
