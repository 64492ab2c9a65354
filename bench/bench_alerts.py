"""Alerts: how soon, whether one hook holds up the others, what kill -9 loses, and how a long queue drains.

Everything runs for real: the judge, the store with its fsyncs, the couriers, HTTP to receivers. Without options it takes about three
minutes; what is promised of 10,000 incidents and 100,000 rows takes `--incidents 10000 --rows 100000` and an hour. `--mix` is how many
incidents are told through hooks of five kinds at once.
"""

import argparse
import asyncio
import contextlib
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.alerts_house import House, config_of, mixed_hooks, webhooks
from earwitness.alerting.couriers import Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.senders import Senders
from earwitness.clock import SystemClock
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.logs import SecretMask, set_up_logs
from earwitness.presentation import sample_incident
from earwitness.serving import listen, served
from earwitness.store import outbox, owed, verdicts
from earwitness.store.store import Store

_HOOKS = 20
_ROWS_OF_ONE = 10  # transitions of an incident in the long queue


_ACCEPTS = {  # the end of an address -> what the provider behind it answers
    "alerts": (200, b""),
    "enqueue": (202, b'{"status":"success","message":"Event processed","dedup_key":"x"}'),
    "chat.postMessage": (200, b'{"ok":true,"channel":"C0123456","ts":"1700000000.000100"}'),
    "workflow": (202, b""),
}


class Receiver:
    """A bare ASGI application: notes the key, or the incident and the address, and the moment; at /silent it never answers."""

    def __init__(self):
        self.got = {}  # key -> moments
        self.closing = asyncio.Event()

    async def __call__(self, scope, receive, send):
        now, body, more = time.time(), b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        self.got.setdefault(_key(scope, body), []).append(now)
        if scope["path"] == "/silent":
            await self.closing.wait()
        status, said = _ACCEPTS.get(scope["path"].rpartition("/")[2], (204, b""))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": said})


def _key(scope, body):
    signed = dict(scope["headers"]).get(b"webhook-id")
    return signed.decode() if signed else f"{re.search(rb'inc-[0-9a-f]+', body)[0].decode()}.{scope['path']}"


@contextlib.asynccontextmanager
async def _received():
    receiver, listener = Receiver(), listen("127.0.0.1", 0)
    async with served(receiver, listener, grace=1):
        yield receiver, f"http://127.0.0.1:{listener.getsockname()[1]}"
        receiver.closing.set()


def measure(options=()):
    parser = argparse.ArgumentParser()
    parser.add_argument("--probes", type=int, default=1_000)
    parser.add_argument("--mix", type=int, default=200)
    parser.add_argument("--incidents", type=int, default=500)
    parser.add_argument("--rows", type=int, default=5_000)
    asked = parser.parse_args(list(options))
    set_up_logs(SecretMask(), "WARNING")
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_rows(_soon(Path(folder) / "soon", asked.probes)))
        yield from asyncio.run(_rows(_soon_by_all_kinds(Path(folder) / "kinds", asked.mix)))
        yield from asyncio.run(_rows(_isolated(Path(folder))))
        yield from asyncio.run(_rows(_killed(Path(folder) / "killed", asked.incidents)))
        yield from asyncio.run(_rows(_drained(Path(folder) / "drained", asked.rows)))


async def _rows(made):
    return [row async for row in made]


async def _until(condition):
    while not condition():  # noqa: ASYNC110  Receivers count, and need not know who waits.
        await asyncio.sleep(0.05)


def _p(values, share):
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


# --- how soon --------------------------------------------------------------------------------------------------------


async def _soon(folder, probes):
    delays = await _delays(folder, probes, lambda url: webhooks([f"{url}/"]), rate=50)
    yield f"verdict to first attempt, {probes:,} probes failing 50 a second, p50", f"{_p(delays, 0.5) * 1000:.0f} ms"
    yield "the same, p99 (promised: 1,000 ms)", f"{_p(delays, 0.99) * 1000:.0f} ms"


async def _soon_by_all_kinds(folder, probes):
    delays = await _delays(folder, probes, mixed_hooks, rate=10)
    kinds = ", ".join(hook.partition("-")[0] for hook in mixed_hooks("")).replace("hook,", "webhook,", 1)
    yield f"{probes:,} failing 10 a second, each told to {kinds}: p99", f"{_p(delays, 0.99) * 1000:.0f} ms"


async def _delays(folder, probes, hooks, rate, *, silent=None):
    """Return for each incident and answering hook the seconds from the verdict to the receiver; `hooks` are those at its address."""
    decided = {}

    def counts(key):
        return silent is None or not key.endswith(f".{silent}")

    async with _received() as (receiver, url):
        house = House(folder, config_of(probes, hooks(url)))
        async with house.running():
            await asyncio.gather(*(house.fails(name) for name in house.config.probes))

            async def decide(number, name):
                await asyncio.sleep(number / rate)
                for transition in (await house.fails(name)).transitions:
                    decided[transition.incident.id] = time.time()

            await asyncio.gather(*(decide(number, name) for number, name in enumerate(house.config.probes)))
            answering = len(house.config.hooks) - (silent is not None)
            await _until(lambda: sum(map(counts, receiver.got)) >= probes * answering)
    told = [(key, at[0]) for key, at in receiver.got.items() if counts(key)]
    return [max(0.0, at - decided[key.partition(".")[0]]) for key, at in told]


async def _isolated(folder):
    """One hook of twenty never answers. Both are run twice, the better of each counts: the machine may be noisy."""
    results = {"all answer": [], "one is silent": []}
    for turn in range(2):
        for name, first, silent in (("all answer", "0", None), ("one is silent", "silent", "hook-0")):
            paths = [first, *map(str, range(1, _HOOKS))]
            hooks = lambda url, paths=paths: webhooks([f"{url}/{path}" for path in paths])  # noqa: E731
            delays = await _delays(folder / f"{name} {turn}", 60, hooks, rate=5, silent=silent)
            results[name].append((statistics.median(delays), _p(delays, 0.99)))
    well, silent = ([min(column) for column in zip(*results[name], strict=True)] for name in results)
    for number, what in enumerate(("p50", "p99")):
        yield f"{_HOOKS} hooks, delay {what}: all answer", f"{well[number] * 1000:.0f} ms"
        change = (silent[number] / well[number] - 1) * 100
        yield (
            f"{_HOOKS} hooks, delay {what} of 19 while one is silent",
            f"{silent[number] * 1000:.0f} ms ({change:+.0f} %)",
        )


# --- kill -9 ---------------------------------------------------------------------------------------------------------


async def _killed(folder, incidents):
    folder.mkdir()
    draw, kills = random.Random(7), 0
    longest = 2.5 * max(1.0, incidents / 1000)  # seconds of a life: more incidents are not to take ever more starts
    async with _received() as (receiver, url):
        command = [sys.executable, "-m", "bench.alerts_house", str(folder), str(incidents), url + "/"]
        while True:
            process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE, text=True)
            await asyncio.to_thread(process.stdout.readline)
            await asyncio.sleep(draw.uniform(0.05, longest))
            opened, left = _standing(folder)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            process.stdout.close()
            kills += 1
            if opened == incidents and not left:
                break
    told = set(receiver.got)
    owed_keys = _keys(folder)
    attempts = sum(map(len, receiver.got.values()))
    yield f"{incidents:,} incidents, kill -9 at {kills} random moments: lost", f"{len(owed_keys - told)}"
    yield "told under another key than the outbox has", f"{len(told - owed_keys)}"
    yield "attempts beyond one an alert, all under the same key", f"{attempts - len(told)}"


def _standing(folder):
    with contextlib.closing(sqlite3.connect(folder / "earwitness.db")) as database:
        (opened,) = database.execute("SELECT count(*) FROM incidents").fetchone()
        (left,) = database.execute("SELECT count(*) FROM deliveries WHERE state != 'delivered'").fetchone()
    return opened, left


def _keys(folder):
    with contextlib.closing(sqlite3.connect(folder / "earwitness.db")) as database:
        return {key for (key,) in database.execute("SELECT key FROM deliveries")}


# --- a long queue ----------------------------------------------------------------------------------------------------


async def _drained(folder, rows):
    store, clock, seen = Store.open(folder / "earwitness.db"), SystemClock(), []

    def take(request):
        seen.append(request.headers["webhook-id"])
        return httpx.Response(204)

    await _fill(store, rows, clock.now())
    senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(take)), Path)
    hook = Hook("hook", KIND, WebhookSpec(url="https://hook.test/", secret="of the bench"), 15.0)
    courier = Courier(hook, store, clock, senders, Links("http://127.0.0.1:8420"))
    before, started, most = _resident(), time.perf_counter(), 0
    task = asyncio.create_task(courier.run())
    while len(seen) < rows:
        most = max(most, _resident())
        await asyncio.sleep(0.2)
    while await store.read(outbox.backlog):  # noqa: ASYNC110  What is in the database wakes nobody here.
        await asyncio.sleep(0.2)
    took = time.perf_counter() - started
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    store.close()
    yield f"{rows:,} queued rows drained", f"{rows / took:.0f} rows/s"
    yield "told out of their incident's order, or twice", f"{_disorder(seen)}"
    yield "memory that draining added at its peak", f"{(most - before) / 1e6:.1f} MB"


async def _fill(store, rows, now):
    def fill(connection, first, last):
        for number in range(first, last):
            incident = sample_incident(f"inc-{number:08d}", now)
            verdicts.save_incidents(connection, [incident])
            for n in range(_ROWS_OF_ONE):
                row = {"key": f"{incident.id}.{n}.hook", "incident": incident.id, "kind": "raise", "at": now}
                owed.owe(connection, row | {"text": incident.reason, "hook": "hook", "next_at": now})

    for first in range(0, rows // _ROWS_OF_ONE, 200):
        last = min(first + 200, rows // _ROWS_OF_ONE)
        await store.write(lambda c, first=first, last=last: fill(c, first, last))


def _disorder(seen):
    """Count what came after a later row of its incident, or a second time."""
    newest, wrong = {}, 0
    for key in seen:
        incident, number, _ = key.split(".")
        wrong += int(number) != newest.get(incident, -1) + 1
        newest[incident] = int(number)
    return wrong


def _resident():
    """Return the resident memory now, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
