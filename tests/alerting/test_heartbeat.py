"""The heart beats at a real receiver, and each thing that should silence it does."""

import asyncio
import sqlite3

import pytest
from outbox_world import OutboxWorld
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from earwitness.alerting.heartbeat import Heartbeat, Vitals
from earwitness.alerting.routing import Router
from earwitness.commit import CommitLoop
from earwitness.config.alerting import HeartbeatSpec
from earwitness.config.network import NetworkSpec
from earwitness.impairments import Impairments
from earwitness.model import Rules
from earwitness.schedule import Schedule
from earwitness.serving import listen, served
from earwitness.store import heartbeats
from earwitness.transport.client import WebClient

PATH = "/ping/5f0c86fa-secret"


class Watcher:
    """What stands outside, and hears the beats."""

    def __init__(self):
        self.beats = []
        self.answer = 200

    async def beat(self, request):
        self.beats.append(request.method)
        return Response(status_code=self.answer)


class Patient:
    """A heartbeat over the real schedule, judge, store and web client."""

    def __init__(self, world, url, **section):
        self.world, self.clock = world, world.clock
        self.schedule = Schedule(self.clock, self._on_due)
        rules = Rules(frozenset({"production"}), {}, {}, {})
        self.commit = CommitLoop(world.store, self.clock, rules, Router([]), lambda _committed: None)
        self.judging = asyncio.create_task(self.commit.run())
        self.web = WebClient(NetworkSpec(allow=("127.0.0.0/8",)))
        self.impairments = Impairments(lambda _part, _bad: None)
        self.spec = HeartbeatSpec.model_validate({"url": url, **section})
        vitals = Vitals(self._alive, self.commit, world.store, self.clock, patience=2.0)
        self.heart = Heartbeat(vitals, lambda: self.spec, lambda s: self.web.client(timeout=s), self.impairments)

    def _on_due(self, _due):
        raise AssertionError("no probe is scheduled")

    def _alive(self):
        return self.clock.monotonic() - self.schedule.ticked_at < 15

    async def minute(self):
        """A minute passes, in which the scheduler ticks; then the heart is looked at."""
        self.clock.moment += 60
        self.schedule._wake()
        await self.heart.look()

    @property
    def trouble(self):
        return self.impairments.details().get("heartbeat", [])

    async def close(self):
        self.judging.cancel()
        await asyncio.gather(self.judging, return_exceptions=True)
        await self.web.aclose()


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
async def patient(tmp_path, watcher):
    world = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["pager"]}, {"to": ["mail"], "quiet": {"hours": NIGHT}}])
    listener = listen("127.0.0.1", 0)
    app = Starlette(routes=[Route(PATH, watcher.beat, methods=["GET", "POST"])])
    async with served(app, listener, grace=1):
        made = Patient(world, f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}")
        yield made
        await made.close()
    world.close()


NIGHT = "22:00-21:00"  # nearly always


async def test_it_beats_once_in_each_interval_while_all_is_well(patient, watcher):
    await patient.heart.look()
    await patient.heart.look()
    assert watcher.beats == ["GET"]
    await patient.minute()
    assert watcher.beats == ["GET", "GET"]
    assert patient.trouble == []
    assert await patient.world.store.read(heartbeats.newest) == patient.clock.now()


async def test_another_configuration_beats_at_once_in_its_own_way(patient, watcher):
    await patient.heart.look()
    patient.spec = patient.spec.model_copy(update={"method": "POST"})
    await patient.heart.look()
    assert watcher.beats == ["GET", "POST"]
    patient.spec = None
    await patient.minute()
    assert watcher.beats == ["GET", "POST"]


async def test_a_scheduler_that_stands_still_silences_it(patient, watcher):
    patient.clock.moment += 60
    await patient.heart.look()
    assert watcher.beats == []
    assert patient.trouble == ["the scheduler does not tick"]
    await patient.minute()
    assert (watcher.beats, patient.trouble) == (["GET"], [])


async def test_a_judge_that_digests_nothing_silences_it(patient, watcher):
    patient.commit.confused_at = patient.clock.now()
    await patient.heart.look()
    assert watcher.beats == []
    assert patient.trouble == ["the judge could not digest an event; the log has judge_failed"]
    patient.clock.moment += 3600
    await patient.minute()
    assert watcher.beats == ["GET"]


async def test_a_judge_that_does_not_run_silences_it(patient, watcher):
    patient.judging.cancel()
    await patient.heart.look()
    assert watcher.beats == []
    assert patient.trouble == ["the judge does not run"]


async def test_a_store_that_does_not_write_silences_it(patient, watcher, tmp_path):
    held = sqlite3.connect(tmp_path / "earwitness.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    await patient.heart.look()
    assert watcher.beats == []
    assert patient.trouble == ["the store does not write"]
    held.execute("ROLLBACK")
    held.close()
    await patient.minute()
    assert (watcher.beats, patient.trouble) == (["GET"], [])


async def test_an_alert_that_is_owed_for_too_long_silences_it(patient, watcher):
    await patient.world.opens("a")
    for _ in range(15):
        await patient.minute()
    assert len(watcher.beats) == 15
    await patient.minute()
    assert len(watcher.beats) == 15
    assert patient.trouble == ["pager has been owed an alert for 16 min"], "what quiet hours hold back is not late"
    await patient.world.deliver("pager")
    await patient.minute()
    assert (len(watcher.beats), patient.trouble) == (16, [])


async def test_what_withholds_it_is_logged_once_and_shown_as_long_as_it_lasts(patient):
    await patient.world.opens("a")
    with capture_logs() as logged:
        for _ in range(20):
            await patient.minute()
        await patient.world.deliver("pager")
        await patient.minute()
        await patient.world.opens("b")
        for _ in range(20):
            await patient.minute()
    assert [line["event"] for line in logged].count("heartbeat_withheld") == 2
    assert "pager has been owed" in patient.trouble[0]


async def test_a_receiver_that_does_not_take_it_is_shown_and_its_address_is_not(patient, watcher):
    watcher.answer = 500
    with capture_logs() as logged:
        await patient.heart.look()
    assert patient.trouble == ["the heartbeat's receiver answered 500"]
    patient.spec = patient.spec.model_copy(update={"url": type(patient.spec.url)("http://127.0.0.1:9" + PATH)})
    with capture_logs() as more:
        await patient.heart.look()
    assert "did not answer" in patient.trouble[0]
    assert [line["event"] for line in logged + more] == ["heartbeat_failed", "heartbeat_failed"]
    assert "secret" not in str([logged, more, patient.spec, patient.trouble]).replace("<secret>", "")
