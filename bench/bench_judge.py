"""Judging: observations a second, a flood of failures with one cause, and history judged again from the database."""

import asyncio
import tempfile
import time
from pathlib import Path

from earwitness.alerting.routing import Router, route
from earwitness.clock import SystemClock
from earwitness.commit import CommitLoop
from earwitness.config.alerting import MatchSpec
from earwitness.judge import State, judge
from earwitness.model import (
    Channel,
    DependencyRule,
    Failure,
    Finding,
    JourneyRule,
    Observation,
    Observed,
    ProbeRule,
    Rules,
    Run,
    Why,
)
from earwitness.replay import History, replay
from earwitness.store import outbox
from earwitness.store.history import add_observations
from earwitness.store.store import Store

PROBES, ROUNDS = 1_000, 20
FLOOD = 5_000
STORED = 40_000  # observations replayed; a minute's worth of the goal takes a minute to write first
ROUTER = Router([route(MatchSpec(), ("on-call",))])


def measure():
    yield from _judged()
    yield from _flood()
    yield from _committed()
    yield from _replayed()


def _judged():
    rules, events = _rules(), _events()
    start, state, opened = time.process_time(), State(), 0
    for event in events:
        judged = judge(state, event, rules)
        state, opened = judged.state, opened + sum(t.kind.value == "open" for t in judged.transitions)
    took = time.process_time() - start
    yield f"judged, {PROBES:,} probes, {opened} incidents", f"{len(events) / took:,.0f}/s"
    start = time.process_time()
    for event in events:
        assert event.observation.outcome
    floor = time.process_time() - start
    yield "peer: reading each observation's outcome, no judgement", f"{len(events) / floor:,.0f}/s"
    yield "ratio of CPU", f"{took / floor:.1f}"


def _flood():
    """All probes of one dependency fail at once, one look each."""
    rules = _flooded()
    start, state, told = time.process_time(), State(), 0
    for number in range(FLOOD):
        judged = judge(state, Observed(_failing(number)), rules)
        state = judged.state
        told += sum(bool(ROUTER.recipients(t, ["on-call"] if told else [], t.at)) for t in judged.transitions)
    took = time.process_time() - start
    listed = sum(len(incident.probes) for incident in state.incidents.values())
    yield f"{FLOOD:,} probes fail at once: incidents, alerts a hook", f"{len(state.incidents)}, {told}"
    yield "  probes in its list", f"{listed:,}"
    yield "  CPU in all, of which the goal is under 5 s", f"{took:.2f} s"
    yield "  CPU a failure", f"{1000 * took / FLOOD:.2f} ms"


def _committed():
    """The same through the commit loop, into a database: judged, stored and owed to the hook."""
    with tempfile.TemporaryDirectory() as folder:
        took, told = asyncio.run(_commits(Path(folder) / "earwitness.db"))
    yield "  the same judged, stored and told: alerts", f"{told}"
    yield "  CPU in all, of which the goal is under 5 s", f"{took:.2f} s"


async def _commits(path):
    store = Store.open(path)
    loop = CommitLoop(store, SystemClock(), _flooded(), ROUTER, lambda _committed: None)
    running = asyncio.create_task(loop.run())
    start = time.process_time()
    await asyncio.gather(*(loop.submit(Observed(_failing(number))) for number in range(FLOOD)))
    took = time.process_time() - start
    told = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=100))
    running.cancel()
    store.close()
    return took, len(told)


def _flooded():
    return Rules(
        production=frozenset({"production"}),
        journeys={f"j{n}": JourneyRule(f"Journey {n}") for n in range(100)},
        probes={f"p{n}": ProbeRule(f"j{n % 100}", "production", Channel.HTTP, ("crm",)) for n in range(FLOOD)},
        dependencies={"crm": DependencyRule("CRM")},
    )


def _failing(number):
    run = Run(f"f{number}", f"p{number}", f"j{number % 100}", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
    findings = (Finding(Failure.WRONG_STATUS, "expected status 200, got 502"),)
    return Observation(run, number / FLOOD, 0.01, findings)


def _replayed():
    rules = _rules()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "earwitness.db"
        asyncio.run(_stored(path))
        history = History(path)
        start = time.perf_counter()
        done = replay(history.observations(0.0), rules, ROUTER)
        took = time.perf_counter() - start
        history.close()
    yield f"replayed from the database, {done.observations:,}", f"{60 * done.observations / took:,.0f}/min"


async def _stored(path):
    store = Store.open(path)
    for begin in range(0, STORED, 1000):
        seen = [_observation(n % PROBES, n // PROBES) for n in range(begin, begin + 1000)]
        await store.write(lambda c, seen=seen: add_observations(c, seen))
    store.close()


def _rules():
    return Rules(
        production=frozenset({"production"}),
        journeys={f"j{n}": JourneyRule(f"Journey {n}") for n in range(100)},
        probes={f"p{n}": ProbeRule(f"j{n % 100}", "production", Channel.HTTP, (f"d{n % 50}",)) for n in range(PROBES)},
        dependencies={f"d{n}": DependencyRule(f"Dependency {n}") for n in range(50)},
    )


def _events():
    return [Observed(_observation(n, r)) for r in range(ROUNDS) for n in range(PROBES)]


def _observation(number, round_):
    run = Run(
        f"r{round_}-{number}", f"p{number}", f"j{number % 100}", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0
    )
    failing = number % 100 == 7 and 5 <= round_ < 10
    findings = (Finding(Failure.WRONG_STATUS, "expected status 200, got 502"),) if failing else ()
    return Observation(run, 60.0 * round_ + number / PROBES, 0.01, findings)
