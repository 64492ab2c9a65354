"""Judging observations, most of them passes, one journey in a hundred failing."""

import time

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

PROBES, ROUNDS = 1_000, 20


def measure():
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
