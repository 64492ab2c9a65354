"""What a run leaves to do at the carrier is done later, whatever went wrong: recordings deleted, prices read. Store and list are real."""

from decimal import Decimal

import pytest
from calling import CARD, PAY, SID, TOKEN, spec

from earwitness.config.fields import Money
from earwitness.config.schema import BudgetSpec
from earwitness.dispatch.errands import Errands
from earwitness.dispatch.ledger import Ledger
from earwitness.metrics import Metrics
from earwitness.model import Channel, Outcome, Run, Why
from earwitness.probes.call import run
from earwitness.store import errands, spend
from earwitness.store.store import Store

DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


class Left:
    """What is left: on the list, and at the carrier."""

    def __init__(self, worker, store, sim, http):
        self.worker, self.store, self.sim, self.http = worker, store, sim, http

    async def errands(self):
        return await self.store.read(errands.left)

    async def recordings(self):
        listed = await self.http.get(f"{self.sim.url}/2010-04-01/Accounts/{SID}/Recordings.json", auth=(SID, TOKEN))
        return len(listed.json()["recordings"])


@pytest.fixture
def left(store, caller, clock, sim, http):
    """The list, and a caller whose runs write to it."""
    a_run = Run("run-1", "pay-by-phone", "pay", Channel.CALL, "local", "production", Why.SCHEDULED, 0.0)
    caller.ledger = Ledger(store, clock, BudgetSpec(), a_run, Metrics())
    caller.carrier.name = "main"
    return Left(Errands(store, clock, Metrics(), {"main": caller.carrier}.__getitem__), store, sim, http)


@pytest.mark.parametrize(
    ("fault", "parameters", "until"),
    [("recording-late", {"seconds": 900}, 3600.0), ("recording-never", {}, 2 * DAY)],
)
async def test_a_recording_that_comes_late_or_never_is_deleted(caller, sim, clock, left, fault, parameters, until):
    sim.faults.turn_on(fault, parameters)
    observation = await run(spec(), caller.context())
    assert observation.outcome is Outcome.UNKNOWN
    assert (await left.recordings(), await left.errands()) == (1, 1)
    await left.worker.work_off()
    assert await left.errands() == 1  # it is not there yet
    waited = 0.0
    while await left.errands() and waited < until:
        clock.passed, waited = clock.passed + 300, waited + 300
        await left.worker.work_off()
    assert (await left.recordings(), await left.errands()) == (0, 0)


async def test_a_refused_deletion_is_tried_again(caller, sim, clock, left, monkeypatch):
    delete = caller.carrier.delete_recording

    async def with_the_api_down(sid):
        sim.faults.turn_on("twilio-500")
        await delete(sid)

    monkeypatch.setattr(caller.carrier, "delete_recording", with_the_api_down)
    observation = await run(spec(), caller.context())
    assert (observation.outcome, observation.facts["recording_deleted"]) == (Outcome.OK, False)
    monkeypatch.undo()
    await left.worker.work_off()  # the API is still down
    assert await left.errands() == 1
    sim.faults.turn_off("twilio-500")
    await left.worker.work_off()  # not due yet
    assert await left.recordings() == 1
    clock.passed += 61
    await left.worker.work_off()
    assert (await left.recordings(), await left.errands()) == (0, 0)


async def test_a_price_that_comes_late_is_booked_in_place_of_the_estimate(caller, sim, clock, left):
    caller.carrier.spec = caller.carrier.spec.model_copy(update={"price_per_minute": Money(Decimal("0.05"), "USD")})
    sim.faults.turn_on("price-late", {"seconds": 600})
    observation = await run(spec(), caller.context())
    day = spend.day_of(clock.now())

    async def spent():
        return await left.store.read(lambda c: spend.spent(c, day, "USD"))

    assert (observation.facts["cost"], await spent(), await left.errands()) == ("0.05 USD", 50_000, 1)
    while await left.errands() and clock.passed < 3600:
        clock.passed += 60
        await left.worker.work_off()
    assert (await spent(), await left.errands()) == (14_000, 0)


async def test_a_price_that_never_comes_is_asked_for_a_day_and_the_estimate_stays(caller, sim, clock, left):
    sim.faults.turn_on("price-late", {"seconds": 86400})
    call_at = clock.passed
    await run(spec(), caller.context())
    while await left.errands() and clock.passed < call_at + 2 * DAY:
        sim.faults.turn_on("price-late", {"seconds": 86400})
        await left.worker.work_off()
        clock.passed += 1800
    assert await left.errands() == 0
    assert clock.passed - call_at < DAY + 3 * 3600


async def test_what_a_good_run_deleted_is_on_no_list(caller, left):
    observation = await run(spec(), caller.context())
    assert (observation.outcome, await left.recordings()) == (Outcome.OK, 0)
    assert await left.errands() == 0


async def test_calls_of_others_keep_their_recordings(caller, sim, clock, left):
    script = f'<Response><Play digits="{CARD}"/><Pause length="3"/></Response>'
    other = await caller.carrier.create_call("+12025550199", "+12025550143", script, ring_timeout=30, length_limit=60)
    sim.faults.turn_on("recording-late", {"seconds": 900})
    await run(spec(PAY), caller.context())
    clock.passed += 2 * DAY
    await left.worker.work_off()
    listed = await caller.carrier.recordings(other.sid)
    assert (await left.recordings(), len(listed)) == (1, 1)


async def test_a_run_that_broke_off_leaves_its_call_on_the_list(caller, clock, left):
    script = '<Response><Play digits="2"/><Pause length="5"/></Response>'
    await caller.ledger.reserve(Money(Decimal(1), "USD"))
    await caller.ledger.abandon("main")  # it had made no call yet
    assert await left.errands() == 0
    await caller.ledger.intent("+12025550199", "+12025550143", "{}")
    call = await caller.carrier.create_call("+12025550199", "+12025550143", script, ring_timeout=30, length_limit=60)
    await caller.ledger.dialled(call.sid)
    await caller.ledger.abandon("main")
    clock.passed += 300
    assert (await left.recordings(), await left.errands()) == (1, 2)
    await left.worker.work_off()
    assert (await left.recordings(), await left.errands()) == (0, 0)
    day = spend.day_of(clock.now())
    assert await left.store.read(lambda c: spend.spent(c, day, "USD")) == 14_000


async def test_the_list_outlives_a_carrier_that_left_the_configuration(caller, sim, clock, left):
    sim.faults.turn_on("recording-late", {"seconds": 900})
    await run(spec(), caller.context())
    await Errands(left.store, clock, Metrics(), {}.__getitem__).work_off()
    assert await left.errands() == 1
