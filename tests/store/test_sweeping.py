"""What is too old goes, without anybody having to wait for it."""

import pytest
from sqlalchemy import func, select
from virtual import VirtualClock

from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Channel, Observation, Run, Why
from earwitness.store import history
from earwitness.store.history import Missed
from earwitness.store.store import Store
from earwitness.store.tables import observations, runs
from earwitness.sweeping import Sweeper

DAY = 86_400.0
NOW = 100 * DAY


class PausingClock(VirtualClock):
    """Tells what is left at each pause, in which others have their turn."""

    def __init__(self, store):
        super().__init__(NOW)
        self._store = store
        self.left = []

    async def sleep(self, seconds):
        self.left.append(await self._store.read(lambda c: c.scalar(select(func.count()).select_from(runs))))
        await super().sleep(seconds)


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


def a_run(number, at):
    slot = round(at * 1000)
    return Run(f"run-{number}", f"web-{number}", "shop", Channel.HTTP, "local", "production", Why.SCHEDULED, at, slot)


async def ran(store, numbers, at):
    made = [a_run(number, at) for number in numbers]
    await store.write(lambda c: history.begin_runs(c, made, at))
    await store.write(lambda c: history.add_observations(c, [Observation(run, at, 0.5) for run in made]))


async def test_a_long_history_goes_in_small_lots_between_which_runs_are_entered(store, tmp_path):
    await ran(store, range(1200), at=NOW - 31 * DAY)
    await ran(store, range(1200, 1210), at=NOW - DAY)
    clock = PausingClock(store)
    await Sweeper(store, EvidenceStorage(tmp_path / "evidence"), clock, lambda: 30 * DAY).sweep()
    assert clock.left == [710, 210, 10], "each lot leaves the writer to whoever waits"
    assert await store.read(lambda c: c.scalar(select(func.count()).select_from(observations))) == 10


async def test_slots_that_nobody_ran_go_too(store, tmp_path):
    for number, age in enumerate((40, 31, 29)):
        missed = Missed(a_run(number, NOW - age * DAY), "missed", "not_running", 7)
        await store.write(lambda c, missed=missed: history.record_missed(c, missed))
    await ran(store, [3], at=NOW - 35 * DAY)
    await Sweeper(store, EvidenceStorage(tmp_path / "evidence"), VirtualClock(NOW), lambda: 30 * DAY).sweep()
    assert await store.read(lambda c: c.scalars(select(runs.c.id)).all()) == ["run-2"]
