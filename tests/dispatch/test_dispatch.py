import asyncio
import errno
import time
from dataclasses import replace

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs
from virtual import VirtualClock, until

from earwitness.clock import SystemClock
from earwitness.config.fields import parse_money
from earwitness.config.judging import Effects
from earwitness.config.schema import BudgetSpec, Config, ProbeSpec
from earwitness.dispatch import local
from earwitness.dispatch.effects import with_effects
from earwitness.dispatch.ledger import Ledger
from earwitness.dispatch.local import Dispatcher
from earwitness.dispatch.pace import Pace
from earwitness.metrics import Metrics
from earwitness.model import (
    Attribution,
    Channel,
    Effect,
    Failure,
    Finding,
    Observation,
    Outcome,
    Request,
    Run,
    Why,
)
from earwitness.probes.context import Kind, OverBudgetError, RunContext
from earwitness.probes.http_spec import HttpSpec
from earwitness.schedule import Due
from earwitness.store import history, spend, verdicts
from earwitness.store.store import Store


class Stage:
    """A dispatcher whose probes do what the test says."""

    location = "local"

    def __init__(self, store, monkeypatch, **probes):
        self.work = {}
        self.seen = []
        self.started = []
        self.metrics = Metrics()
        config = Config.model_validate(
            {
                "environment": "production",
                "journeys": {"shop": {}},
                "probes": {
                    name: {"journey": "shop", "every": "1m", "http": {"url": f"http://{name}.example/"}} | more
                    for name, more in (probes or {"web": {}}).items()
                },
            }
        )
        kind = Kind(Channel.HTTP, HttpSpec, self._run, lambda _spec: 5.0)
        monkeypatch.setattr(ProbeSpec, "kind", property(lambda _probe: kind))
        self.store = store
        self.dispatcher = Dispatcher(config, store, SystemClock(), self.metrics, self, self._observed)

    def context(self, run, release, ledger):
        return RunContext(run=run, clock=SystemClock(), evidence=None, calls=ledger, on_released=release)

    async def _run(self, _spec, ctx):
        self.started.append(ctx.run)
        work = self.work.get(ctx.run.probe)
        return await work(ctx) if work else ctx.observe()

    async def _observed(self, seen):
        self.seen.append(seen)
        await self.store.write(lambda c: history.add_observations(c, [seen]))

    async def outcomes(self, count):
        """Return the outcomes once there are so many and nothing runs any more."""
        await until(lambda: len(self.seen) >= count and self.dispatcher.running == 0)
        return [o.outcome for o in self.seen]

    def missed(self, reason):
        return self.metrics.registry.get_sample_value(
            "earwitness_schedule_missed_total", {"channel": "http", "reason": reason}
        )


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


@pytest.fixture
def stage(store, monkeypatch):
    return lambda **probes: Stage(store, monkeypatch, **probes)


async def test_a_due_slot_is_on_record_before_it_runs(stage, store):
    s = stage()

    async def look(ctx):
        assert await store.read(history.unfinished_runs) == [ctx.run]
        return ctx.observe()

    s.work["web"] = look
    s.dispatcher.on_due(Due("web", 60_000))
    assert await s.outcomes(1) == [Outcome.OK]
    assert await store.read(history.unfinished_runs) == []


async def test_a_slot_that_was_taken_is_not_run_again(stage):
    s = stage()
    s.dispatcher.on_due(Due("web", 60_000))
    await s.outcomes(1)
    s.dispatcher.on_due(Due("web", 60_000))
    await s.outcomes(1)
    s.dispatcher.on_due(Due("web", 120_000))
    await s.outcomes(2)
    assert [run.slot for run in s.started] == [60_000, 120_000]


async def test_a_probe_that_is_still_running_skips_its_slot_and_says_so(stage):
    s, go = stage(), asyncio.Event()

    async def wait(ctx):
        await go.wait()
        return ctx.observe()

    s.work["web"] = wait
    s.dispatcher.on_due(Due("web", 60_000))
    await until(lambda: s.started)
    s.dispatcher.on_due(Due("web", 120_000))
    await until(lambda: s.missed("overlap") == 1)
    go.set()
    await s.outcomes(1)
    s.dispatcher.on_due(Due("web", 180_000))
    assert len(await s.outcomes(2)) == 2


async def test_waiting_for_a_recording_is_not_running(stage):
    s, recording = stage(), asyncio.Event()

    async def call(ctx):
        ctx.release()
        await recording.wait()
        return ctx.observe()

    s.work["web"] = call
    s.dispatcher.on_due(Due("web", 60_000))
    await until(lambda: s.started)
    s.dispatcher.on_due(Due("web", 120_000))
    await until(lambda: len(s.started) == 2)
    assert s.missed("overlap") is None
    recording.set()
    assert len(await s.outcomes(2)) == 2


async def test_slots_that_nobody_ran_are_counted(stage, store):
    s = stage()
    s.dispatcher.on_due(Due("web", 600_000, 9, 540_000))
    await s.outcomes(1)
    await until(lambda: s.missed("not_running") == 9)
    assert await store.read(history.last_slots) == {"web": 600_000}


async def test_a_probe_that_breaks_is_our_fault_and_stops_nothing(stage):
    s = stage()

    async def break_(_ctx):
        raise RuntimeError("boom")

    s.work["web"] = break_
    s.dispatcher.on_due(Due("web", 60_000))
    assert await s.outcomes(1) == [Outcome.UNKNOWN]
    assert s.seen[0].findings[0].failure is Failure.MONITOR_ERROR
    del s.work["web"]
    s.dispatcher.on_due(Due("web", 120_000))
    assert await s.outcomes(2) == [Outcome.UNKNOWN, Outcome.OK]


async def test_a_probe_that_hangs_is_ended_and_is_our_fault(stage, monkeypatch):
    monkeypatch.setattr(local, "_GRACE", -4.9)
    s = stage()

    async def hang(_ctx):
        await asyncio.Event().wait()

    s.work["web"] = hang
    s.dispatcher.on_due(Due("web", 60_000))
    assert await s.outcomes(1) == [Outcome.UNKNOWN]
    assert "did not end in its own time" in s.seen[0].findings[0].message


async def test_only_so_many_run_at_once(stage):
    s, go, most = stage(**{f"p{n}": {} for n in range(6)}), asyncio.Event(), 0
    running = 0

    async def wait(ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        return ctx.observe()

    s.work = {f"p{n}": wait for n in range(6)}
    limits = s.dispatcher._config.limits.model_copy(update={"concurrent_http": 2})
    s.dispatcher.reconfigure(s.dispatcher._config.model_copy(update={"limits": limits}), s)
    for n in range(6):
        s.dispatcher.on_due(Due(f"p{n}", 60_000))
    await until(lambda: running == 2)
    go.set()
    assert len(await s.outcomes(6)) == 6
    assert most == 2


async def wanted(store, **more):
    request = Request("confirm:run-0:web", "web", Why.CONFIRM, SystemClock().now() + 60)
    request = replace(request, **more)
    await store.write(lambda c: verdicts.add_requests(c, [request]))
    return request


async def test_a_request_runs_once_the_probe_is_free(stage, store):
    s, go = stage(), asyncio.Event()

    async def wait(ctx):
        await go.wait()
        return ctx.observe()

    s.work["web"] = wait
    s.dispatcher.on_due(Due("web", 60_000))
    await until(lambda: s.started)
    request = await wanted(store)
    s.dispatcher.request(request)
    await asyncio.sleep(0)
    assert len(s.started) == 1
    go.set()
    await s.outcomes(2)
    assert (s.started[1].why, s.started[1].request) == (Why.CONFIRM, request.key)
    assert await store.read(verdicts.pending_requests) == []


async def test_a_request_told_twice_runs_once(stage, store):
    s = stage()
    request = await wanted(store)
    s.dispatcher.request(request)
    s.dispatcher.request(request)
    await until(lambda: s.dispatcher.running == 0)
    assert len(s.started) == 1


async def test_a_request_that_came_too_late_expires(stage, store):
    s = stage()
    s.dispatcher.request(await wanted(store, not_after=1.0))
    await until(lambda: s.dispatcher.running == 0)
    assert s.started == []
    assert await store.read(verdicts.pending_requests) == []


async def test_a_run_that_a_stop_interrupted_is_unknown_after_the_restart(stage, store):
    s = stage()

    async def hang(_ctx):
        await asyncio.Event().wait()

    s.work["web"] = hang
    s.dispatcher.on_due(Due("web", 60_000))
    await until(lambda: s.started)
    await s.dispatcher.drain(0.01)
    assert s.seen == []
    (left,) = await store.read(history.unfinished_runs)
    s.dispatcher.resume(left)
    assert await s.outcomes(1) == [Outcome.UNKNOWN]
    assert s.seen[0].findings[0].failure is Failure.INTERRUPTED
    assert s.seen[0].run == left


async def test_what_is_kept_for_confirmation_is_open_to_confirmations_alone(stage, store):
    s = stage()
    s.dispatcher.run_now("web")
    await s.outcomes(1)
    run = s.started[0]
    budget = BudgetSpec(per_day=parse_money("1 USD"), keep_for_confirmation=0.2)

    def ledger(name, why):
        return Ledger(store, SystemClock(), budget, replace(run, id=name, why=why), s.metrics)

    await ledger("run-1", Why.SCHEDULED).reserve(parse_money("0.75 USD"))
    with pytest.raises(OverBudgetError, match="budget of 1 USD"):
        await ledger("run-2", Why.SCHEDULED).reserve(parse_money("0.10 USD"))
    confirming = ledger("run-3", Why.CONFIRM)
    await confirming.reserve(parse_money("0.10 USD"))
    with pytest.raises(OverBudgetError):
        await ledger("run-4", Why.CONFIRM).reserve(parse_money("0.20 USD"))
    with pytest.raises(OverBudgetError, match="in EUR"):
        await ledger("run-5", Why.SCHEDULED).reserve(parse_money("0.01 EUR"))
    await confirming.settle(parse_money("0.05 USD"))
    today = spend.day_of(SystemClock().now())
    assert await store.read(lambda c: spend.spent(c, today, "USD")) == 800_000
    assert s.metrics.registry.get_sample_value("earwitness_call_spend_total", {"currency": "USD"}) == 0.05


async def test_a_journey_never_spends_more_than_its_own_budget_not_even_to_confirm(stage, store):
    s = stage()
    s.dispatcher.run_now("web")
    await s.outcomes(1)
    budget = BudgetSpec(per_day=parse_money("10 USD"), keep_for_confirmation=0.5)

    def reserve(name, why, amount, journey="pay"):
        run = replace(s.started[0], id=name, why=why, journey=journey)
        ledger = Ledger(store, SystemClock(), budget, run, s.metrics, parse_money("1 USD"))
        return ledger.reserve(parse_money(amount))

    await reserve("run-1", Why.SCHEDULED, "0.50 USD")
    with pytest.raises(OverBudgetError, match="budget of 1 USD for pay"):
        await reserve("run-2", Why.SCHEDULED, "0.10 USD")
    await reserve("run-3", Why.CONFIRM, "0.40 USD")
    await reserve("run-4", Why.SCHEDULED, "0.50 USD", journey="another")
    with pytest.raises(OverBudgetError, match="for pay"):
        await reserve("run-5", Why.CONTROL, "0.20 USD")


async def test_a_control_run_goes_beside_its_probe(stage):
    s, go = stage(), asyncio.Event()

    async def wait(ctx):
        if ctx.run.why is not Why.CONTROL:
            await go.wait()
        return ctx.observe()

    s.work["web"] = wait
    s.dispatcher.run_now("web")
    await until(lambda: s.started)
    s.dispatcher.request(Request("control:run-0:web", "web", Why.CONTROL, SystemClock().now() + 60))
    await until(lambda: s.seen)
    assert (s.seen[0].run.why, s.seen[0].outcome) == (Why.CONTROL, Outcome.OK)
    go.set()
    assert len(await s.outcomes(2)) == 2


async def test_a_control_run_that_comes_too_late_is_told_since_a_failure_waits_for_its_word(stage):
    s = stage()
    s.dispatcher.request(Request("control:run-0:web", "web", Why.CONTROL, SystemClock().now() - 1))
    assert await s.outcomes(1) == [Outcome.SKIPPED]
    assert (s.seen[0].run.why, s.seen[0].skipped) == (Why.CONTROL, "expired")
    assert s.started == []


async def test_calls_are_spaced_as_the_carrier_wants():
    clock = VirtualClock()
    pace, turns = Pace(2.0, clock), []
    for _ in range(3):
        await pace.turn()
        turns.append(clock.moment)
    assert [t - turns[0] for t in turns] == [0.0, 0.5, 1.0]


async def test_money_that_the_store_will_not_give_back_hides_nothing_that_was_seen(store, monkeypatch):
    s = Stage(store, monkeypatch)
    monkeypatch.setattr(
        ProbeSpec, "kind", property(lambda _probe: Kind(Channel.CALL, HttpSpec, s._run, lambda _spec: 5.0))
    )

    def refuse(_connection, _run):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(spend, "release_unused", refuse)
    with capture_logs() as logs:
        s.dispatcher.run_now("web")
        await until(lambda: s.seen)
    assert s.seen[0].outcome is Outcome.OK
    assert [line["probe"] for line in logs if line["event"] == "reservation_not_released"] == ["web"]


# --- maintenance and effects -----------------------------------------------------------------------------------------


async def test_a_probe_that_maintenance_stops_is_not_run_and_the_record_says_why(stage, store):
    s = stage(web={}, other={})
    s.dispatcher.heed(lambda probe: "maintenance deploy" if probe == "web" else None)
    s.dispatcher.on_due(Due("web", 60_000))
    s.dispatcher.on_due(Due("other", 60_000))
    await s.outcomes(2)
    assert [run.probe for run in s.started] == ["other"]
    (skipped,) = [seen for seen in s.seen if seen.run.probe == "web"]
    assert (skipped.outcome, skipped.skipped) == (Outcome.SKIPPED, "maintenance")
    assert s.missed("maintenance") is None, "it is on record as skipped, not as missed"
    assert await store.read(history.unfinished_runs) == []


def test_a_request_of_a_flow_keeps_its_own_effect():
    steps = [
        {"name": "page", "url": "https://a.example", "effect": "nuisance"},
        {"name": "pay", "url": "https://a.example"},
    ]
    text = {"environment": "production", "journeys": {"pay": {}}, "effects": {"wrong_status": "diverted"}}
    probe = {"journey": "pay", "every": "1m", "http": {"steps": steps}}
    config = Config.model_validate({**text, "probes": {"web": probe}})
    run = Run("r", "web", "pay", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
    found = tuple(Finding(Failure.WRONG_STATUS, "503", Effect.NUISANCE, step=step) for step in ("page", "pay"))
    seen = with_effects(Observation(run, 0.0, 1.0, found), config, config.probes["web"])
    assert [f.effect for f in seen.findings] == [Effect.NUISANCE, Effect.DIVERTED]


async def test_runs_that_begin_in_a_test_window_are_tagged_with_it(stage):
    s = stage(web={}, other={})
    s.dispatcher.heed(lambda _probe: None, lambda probe, at: "drill" if probe == "web" and at else "")
    s.dispatcher.on_due(Due("web", 60_000))
    s.dispatcher.on_due(Due("other", 60_000))
    await s.outcomes(2)
    assert {seen.run.probe: seen.facts.get("test_window") for seen in s.seen} == {"web": "drill", "other": None}


async def test_maintenance_does_not_keep_a_person_from_looking(stage):
    s = stage()
    s.dispatcher.heed(lambda _probe: "maintenance deploy")
    s.dispatcher.run_now("web")
    assert await s.outcomes(1) == [Outcome.OK]


async def test_a_request_is_not_run_in_maintenance_either_and_frees_the_probe(stage):
    s = stage()
    s.dispatcher.heed(lambda _probe: "maintenance deploy")
    s.dispatcher.request(Request("confirm:run-1:web", "web", Why.CONFIRM, time.time() + 60))
    assert await s.outcomes(1) == [Outcome.SKIPPED]
    s.dispatcher.heed(lambda _probe: None)
    s.dispatcher.on_due(Due("web", 60_000))
    assert await s.outcomes(2) == [Outcome.SKIPPED, Outcome.OK]


FOUND = {
    "late": Finding(Failure.SLOW, "it took 9 s"),
    "ours": Finding(Failure.UPLINK_DOWN, "no way out", Effect.NONE, Attribution.MONITOR),
    "wrong": Finding(Failure.WRONG_BODY, "it broke"),
}


@pytest.mark.parametrize(
    ("general", "own", "section", "found", "effect"),
    [
        ({}, {}, {}, "late", Effect.BLOCKED),
        ({"slow": "nuisance"}, {}, {}, "late", Effect.NUISANCE),
        ({"slow": "nuisance"}, {}, {}, "wrong", Effect.BLOCKED),
        ({"slow": "nuisance"}, {"slow": "diverted"}, {}, "late", Effect.DIVERTED),
        ({"slow": "nuisance"}, {}, {"effect": "blocked"}, "late", Effect.BLOCKED),
        ({"slow": "nuisance"}, {"slow": "none"}, {"effect": "blocked"}, "late", Effect.NONE),
        ({}, {"slow": "blocked"}, {}, "ours", Effect.NONE),
    ],
)
async def test_the_more_special_word_says_what_a_failure_does_to_customers(stage, general, own, section, found, effect):
    s = stage(web={"effects": own, "http": {"url": "http://web.example/", **section}})
    s.dispatcher.reconfigure(
        s.dispatcher._config.model_copy(update={"effects": TypeAdapter(Effects).validate_python(general)}), s
    )

    async def find(ctx):
        return ctx.observe(findings=[FOUND[found]])

    s.work["web"] = find
    s.dispatcher.on_due(Due("web", 60_000))
    await s.outcomes(1)
    assert [f.effect for f in s.seen[0].findings] == [effect]


def test_a_steps_own_effect_comes_before_the_effects_of_its_class():
    call = {
        "to": "+12025550199",
        "steps": [{"expect": "Welcome", "effect": "nuisance"}, {"press": "1"}, {"expect": "Your balance"}],
    }
    config = Config.model_validate(
        {
            "environment": "production",
            "dial": {"allow": ["+12025550199"]},
            "effects": {"prompt_missing": "diverted"},
            "journeys": {"pay": {}},
            "probes": {"ivr": {"journey": "pay", "every": "10m", "call": call}},
        }
    )
    probe = config.probes["ivr"]
    first, _, last = (step.title for step in probe.call.steps)
    found = [Finding(Failure.PROMPT_MISSING, "not heard", step=step) for step in (first, last)]
    run = Run("run-1", "ivr", "pay", Channel.CALL, "here", "production", Why.SCHEDULED, 0.0)
    seen = with_effects(Observation(run, 0.0, 1.0, tuple(found)), config, probe)
    assert [f.effect for f in seen.findings] == [Effect.BLOCKED, Effect.DIVERTED]
