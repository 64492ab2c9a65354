"""Web checks: the daemon beside blackbox_exporter and Prometheus, one after the other on the same target and machine.

CPU is what the operating system accounts to all processes of a side, divided by the requests that the target counted. Lateness is
the daemon's own `earwitness_schedule_lateness_seconds`. `--seconds` is how long each side is measured, `--only` picks parts, `--python`
another interpreter for the daemon.
"""

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.web_sides import Daemon, Pair, missing_programs, stage

RATE = 200  # checks a second
TARGETS, EVERY = 1_000, 5


@dataclass
class Figures:
    """What a side used while it was watched."""

    checks: int
    cpu: float  # seconds a check
    rate: float  # checks a second
    resident: int  # bytes
    start: float  # seconds until ready
    lateness: float | None = None  # seconds, 99th percentile


def measure(options=()):
    chosen = _options(options)
    absent = missing_programs()
    if absent:
        yield "not measured, for want of", " ".join(absent)
        return
    with tempfile.TemporaryDirectory() as folder, stage(folder) as target:
        for part in chosen.only:
            yield from _MEASURES[part](Path(folder), target, chosen)


def _options(words):
    parser = argparse.ArgumentParser(prog="python -m bench web")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each side is measured")
    parser.add_argument("--rounds", type=int, default=1, help="how often the sides take turns")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that the daemon runs on")
    parser.add_argument("--only", nargs="+", choices=_MEASURES, default=list(_MEASURES))
    return parser.parse_args(words)


def _side_by_side(scheme, folder, target, chosen):
    urls, ours, theirs = target.urls(scheme, TARGETS), [], []
    for turn in range(chosen.rounds):
        daemon = Daemon(folder / f"{scheme}-ours-{turn}", target, urls, EVERY, python=chosen.python)
        ours.append(_watched(daemon, target, chosen.seconds, EVERY))
        pair = Pair(folder / f"{scheme}-pair-{turn}", target, urls, EVERY)
        theirs.append(_watched(pair, target, chosen.seconds, EVERY))
    for name, rows in ((Daemon.name, ours), (Pair.name, theirs)):
        yield f"{scheme}, {TARGETS:,} targets, {name}: checks a second", _list(f"{f.rate:.0f}" for f in rows)
        yield f"{scheme}, {name}: CPU a check", _list(f"{f.cpu * 1e6:.0f} us" for f in rows)
        yield f"{scheme}, {name}: memory", _list(f"{f.resident / 1e6:.0f} MB" for f in rows)
    yield f"{scheme}: p99 lateness of a start", _list(_lateness(f) for f in ours)
    yield f"{scheme}: ratio of CPU", _list(f"{a.cpu / b.cpu:.2f}" for a, b in zip(ours, theirs, strict=True))
    yield (
        f"{scheme}: ratio of memory",
        _list(f"{a.resident / b.resident:.2f}" for a, b in zip(ours, theirs, strict=True)),
    )


def _many(folder, target, chosen):
    """The many, beside fewer that make as many checks together, and beside some that are run as seldom each."""
    many, busy, seldom = (10_000, 10_000 // RATE), (RATE, 1), (100, 10_000 // RATE)
    rows = {}
    for number, every in (busy, seldom, many):
        daemon = Daemon(folder / f"many-{number}", target, target.urls("http", number), every, python=chosen.python)
        rows[number] = _watched(daemon, target, max(chosen.seconds, every), every)
        what = f"{number:,} probes every {every} s"
        yield f"{what}: CPU a check", f"{rows[number].cpu * 1e6:.0f} us"
        yield f"{what}: memory", f"{rows[number].resident / 1e6:.0f} MB"
        yield f"{what}: p99 lateness of a start", _lateness(rows[number])
        yield f"{what}: start to ready", f"{rows[number].start:.2f} s"
    most = rows[many[0]].cpu
    yield f"ratio of CPU a check, {many[0]:,} to {busy[0]} probes at the same rate", f"{most / rows[busy[0]].cpu:.2f}"
    yield f"ratio of CPU a check, {many[0]:,} to {seldom[0]} probes as seldom", f"{most / rows[seldom[0]].cpu:.2f}"


def _dead(folder, target, chosen):
    urls = target.urls("http", TARGETS)
    for dead in (0, 210):
        daemon = Daemon(folder / f"dead-{dead}", target, urls, EVERY, dead=dead, python=chosen.python)
        row = _watched(daemon, target, chosen.seconds, EVERY)
        what = f"with {dead} lookups at a dead name server in flight" if dead else "with none"
        yield f"p99 lateness of a start {what}", _lateness(row)


_MEASURES = {
    "http": partial(_side_by_side, "http"),
    "https": partial(_side_by_side, "https"),
    "many": _many,
    "dead": _dead,
}


def _watched(side, target, seconds, warm_up):
    """Return what the side uses in `seconds`, once every probe has run at least once."""
    try:
        time.sleep(warm_up + 2)
        late = side.lateness() if isinstance(side, Daemon) else {}
        began, checks, cpu = time.monotonic(), target.served(), _cpu(side)
        time.sleep(seconds)
        took, checks, cpu = time.monotonic() - began, target.served() - checks, _cpu(side) - cpu
        resident = sum(process.resident() for process in side.processes)
        p99 = _quantile(late, side.lateness(), 0.99) if late else None
    finally:
        side.stop()
    return Figures(checks, cpu / checks, checks / took, resident, side.start_seconds, p99)


def _cpu(side):
    return sum(process.cpu() for process in side.processes)


def _quantile(before, after, share):
    """The quantile of a histogram's growth, between its bounds as Prometheus' histogram_quantile does it."""
    grown = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    wanted = share * grown[math.inf]
    below, below_count = 0.0, 0.0
    for bound, count in grown.items():
        if count >= wanted:
            inside = (wanted - below_count) / (count - below_count) if count > below_count else 1.0
            return bound if math.isinf(bound) else below + (bound - below) * inside
        below, below_count = bound, count
    return math.inf


def _lateness(figures):
    return f"{figures.lateness * 1e3:.0f} ms"


def _list(texts):
    return ", ".join(texts)
