"""SIGKILL at the worst moments: nothing is lost, nothing is doubled, no number is dialled twice."""

import asyncio
import time
from functools import partial

import pytest
from daemon import PATIENCE
from shop_config import call_config, call_probe, interval_due_in, web_config
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from virtual import until

from earwitness.serving import listen, served
from earwitness.simulator.server import Simulator

CALL_SPEED = 10  # at which a call takes some seconds, so that one is surely under way


def card_only(simulator, receiver, **more):
    return web_config(simulator.url, pages=("card",), hooks={"on-call": receiver.hook(timeout="5s")}, **more)


async def calls(simulator, http):
    return (await http.get(f"{simulator.url}/calls")).json()


# --- incidents and alerts --------------------------------------------------------------------------------------------


async def test_an_alert_under_way_when_the_daemon_is_killed_is_told_under_the_same_id(daemon, simulator, receiver):
    daemon.configure(card_only(simulator, receiver))
    await daemon.start()
    await daemon.passes("card-web")
    receiver.answer = 500
    simulator.faults.turn_on("card-processor-down")
    incident = await daemon.incident("card-web", "open")
    await until(lambda: receiver.tried(incident["id"], "open"), PATIENCE)
    receiver.answer = None  # from now on it hangs
    tried = len(receiver.tried(incident["id"], "open"))
    await until(lambda: len(receiver.tried(incident["id"], "open")) > tried, PATIENCE)
    await daemon.kill()
    assert receiver.accepted == []

    receiver.answer = 204
    await daemon.start()
    await receiver.hears(incident["id"], "open")
    assert len(set(receiver.tried(incident["id"], "open"))) == 1
    assert [i["id"] for i in await daemon.get("incidents")] == [incident["id"]]
    await daemon.shows(1, "earwitness_incidents_open", severity="sev1")

    simulator.faults.turn_off("card-processor-down")
    await daemon.incident("card-web", "resolved")
    await receiver.hears(incident["id"], "resolve")
    assert len(await daemon.get("incidents")) == 1
    assert len(receiver.accepted) == len({key for key, _ in receiver.accepted})
    assert receiver.forged == 0


async def test_killed_again_and_again_while_it_fails_it_is_one_incident_told_once(daemon, simulator, receiver):
    daemon.configure(card_only(simulator, receiver))
    await daemon.start()
    await daemon.passes("card-web")
    simulator.faults.turn_on("card-processor-down")
    seen = {row for (row,) in daemon.rows("SELECT run FROM observations")}
    moments = {
        "a failing run has begun": "SELECT id FROM runs WHERE state = 'running'",
        "the first failure is on record": "SELECT run FROM observations WHERE outcome = 'finding'",
        "the incident is open": "SELECT id FROM incidents",
    }
    for query in moments.values():
        await until(lambda: {row for (row,) in daemon.rows(query)} - seen, PATIENCE)  # noqa: B023  Awaited at once.
        await daemon.kill()
        await daemon.start()
    incident = await daemon.incident("card-web", "open")
    await receiver.hears(incident["id"], "open")
    assert len(await daemon.get("incidents")) == 1
    assert len(set(receiver.tried(incident["id"], "open"))) == 1
    simulator.faults.turn_off("card-processor-down")
    await daemon.incident("card-web", "resolved")
    await receiver.hears(incident["id"], "resolve")
    started = {run for (run,) in daemon.rows("SELECT id FROM runs WHERE state = 'running'")}
    await until(lambda: not started & {r for (r,) in daemon.rows("SELECT id FROM runs WHERE state = 'running'")})
    outcomes = dict(daemon.rows("SELECT outcome, count(*) FROM observations GROUP BY outcome"))
    assert outcomes.get("unknown", 0) <= len(moments)  # at most the one run that each kill cut off


async def test_a_run_that_the_judge_asked_for_and_that_waits_is_made_once_after_the_kill(daemon):
    bank = asyncio.Event()  # until it is set, the bank's page does not answer

    async def pay(_request):
        return PlainTextResponse("", 503)

    async def by_bank(_request):
        await bank.wait()
        return PlainTextResponse("")

    listener = listen("127.0.0.1", 0)
    shop = f"http://127.0.0.1:{listener.getsockname()[1]}"
    daemon.configure(
        {
            "environment": "production",
            "network": {"allow": ["127.0.0.0/8"]},
            "journeys": {"pay": {"title": "Pay", "workaround": ["bank"]}, "bank": {"title": "Pay by bank"}},
            "probes": {
                "web": {"journey": "pay", "every": "1s", "http": {"url": f"{shop}/pay", "timeout": "900ms"}},
                "by-bank": {"journey": "bank", "every": "7d", "http": {"url": f"{shop}/bank", "timeout": "1m"}},
            },
        }
    )
    wanted = "SELECT key FROM requests WHERE why = 'workaround' AND state = ?"
    async with served(Starlette(routes=[Route("/pay", pay), Route("/bank", by_bank)]), listener, grace=0.1):
        await daemon.start()
        looked = await daemon.look("by-bank")  # the judge's run has to wait for it
        await until(lambda: daemon.is_running(looked), PATIENCE)
        incident = await daemon.incident("web", "open")
        ((key,),) = await until(lambda: daemon.rows(wanted, "pending"), PATIENCE)
        await daemon.kill()
        bank.set()
        await daemon.start()
        await until(lambda: daemon.rows(wanted, "taken"), PATIENCE)
        ((run,),) = await until(lambda: daemon.rows("SELECT id FROM runs WHERE request = ?", key), PATIENCE)
        assert (await daemon.observation(run))["outcome"] == "ok"

        async def has_a_way_round():
            return (await daemon.get(f"incidents/{incident['id']}"))["severity"] == "sev2"

        await until(has_a_way_round, PATIENCE)
        assert daemon.rows("SELECT count(*) FROM runs WHERE probe = 'by-bank' AND state = 'done'") == [(2,)]


# --- calls -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def slow_simulator():
    async with Simulator(speed=CALL_SPEED) as running:
        yield running


def phone_only(simulator, receiver, every="7d", **more):
    config = call_config(
        simulator.url, hooks={"on-call": receiver.hook()}, probes={"card-phone": call_probe(every)}, **more
    )
    return {**config, "incidents": {"open_after": 1, "resolve_after": 1}}


async def test_a_call_in_flight_is_adopted_and_its_slot_is_never_dialled_again(daemon, slow_simulator, receiver, http):
    slow_simulator.faults.turn_on("card-processor-down")
    daemon.configure(phone_only(slow_simulator, receiver, every=interval_due_in("card-phone", 8, 10)))
    await daemon.start()

    async def talking():
        return [c for c in await calls(slow_simulator, http) if c["status"] == "in-progress"]

    await until(talking, PATIENCE)
    await until(lambda: daemon.rows("SELECT 1 FROM calls WHERE state = 'dialled'"), PATIENCE)
    ((run, slot),) = daemon.rows("SELECT id, slot FROM runs")
    assert slot is not None
    await daemon.kill()
    slow_simulator.faults.turn_off("card-processor-down")  # the call in flight keeps it

    await daemon.start()
    assert daemon.is_running(run)
    again = await daemon.look("card-phone")  # has to wait until the adopted call is over
    adopted = await daemon.observation(run)
    assert (adopted["outcome"], adopted["findings"][0]["failure"]) == ("finding", "wrong_prompt")
    assert {"recording", "transcript"} <= {e["kind"] for e in adopted["evidence"]}
    (incident,) = await daemon.get("incidents")
    assert (await daemon.observation(again))["outcome"] == "ok"
    await receiver.hears(incident["id"], "open")
    await receiver.hears(incident["id"], "resolve")
    first, second = await calls(slow_simulator, http)
    assert adopted["facts"]["call_sid"] == first["sid"]
    assert second["placed_at"] >= first["placed_at"] + first["seconds"] / CALL_SPEED
    assert daemon.rows("SELECT count(*) FROM runs WHERE slot = ?", slot) == [(1,)]


async def test_a_create_whose_answer_never_came_is_reconciled_after_the_kill(daemon, simulator, receiver, http):
    simulator.faults.turn_on("create-lost", {"answer": "never"})
    daemon.configure(phone_only(simulator, receiver))
    await daemon.start()
    run = await daemon.look("card-phone")
    (placed,) = await until(lambda: calls(simulator, http), PATIENCE)
    assert daemon.rows("SELECT state, sid FROM calls") == [("intended", None)]
    await daemon.kill()
    simulator.faults.turn_off("create-lost")

    await daemon.start()
    seen = await daemon.observation(run)
    assert (seen["outcome"], seen["facts"]["call_sid"]) == ("ok", placed["sid"])
    assert [c["sid"] for c in await calls(simulator, http)] == [placed["sid"]]
    assert daemon.rows("SELECT state FROM calls") == [("settled",)]


async def test_a_call_that_was_never_made_is_not_made_up_for_after_the_kill(daemon, simulator, receiver, http):
    simulator.faults.turn_on("twilio-down")
    daemon.configure(phone_only(simulator, receiver))
    await daemon.start()
    run = await daemon.look("card-phone")
    await until(lambda: daemon.rows("SELECT 1 FROM calls WHERE state = 'intended'"), PATIENCE)
    await daemon.kill()
    simulator.faults.turn_off("twilio-down")

    await daemon.start()
    seen = await daemon.observation(run)
    assert (seen["outcome"], [f["failure"] for f in seen["findings"]]) == ("unknown", ["interrupted"])
    assert await calls(simulator, http) == []
    assert await daemon.get("incidents") == []


# --- slots -----------------------------------------------------------------------------------------------------------


async def test_slots_of_the_time_when_it_was_down_are_on_record_and_none_is_run_twice(daemon, simulator, receiver):
    daemon.configure(card_only(simulator, receiver))
    await daemon.start()
    await daemon.passes("card-web")
    await daemon.kill()
    killed = time.monotonic()
    await until(lambda: time.monotonic() > killed + 3.2, PATIENCE)  # three slots at least
    await daemon.start()
    missed = await until(partial(missed_slots, daemon), PATIENCE)
    assert missed >= 2
    assert daemon.rows("SELECT sum(slots) FROM runs WHERE state = 'missed'") == [(missed,)]
    await until(lambda: daemon.rows("SELECT 1 FROM runs WHERE state = 'done' AND slot > ?", newest_missed(daemon)))
    assert await daemon.stop() == 0
    ((first, last, accounted, recorded, distinct),) = daemon.rows(
        "SELECT min(slot), max(slot), sum(slots), count(slot), count(DISTINCT slot) FROM runs WHERE slot IS NOT NULL"
    )
    assert accounted == (last - first) / 1000 + 1
    assert recorded == distinct


async def missed_slots(daemon):
    return (await daemon.metrics()).value("earwitness_schedule_missed_total", channel="http", reason="not_running")


def newest_missed(daemon):
    return daemon.rows("SELECT max(slot) FROM runs WHERE state = 'missed'")[0][0]
