"""The alerting rooms as the daemon wires them, for benchmarks and for a process that is to be killed: judge, store, outbox, couriers."""

import asyncio
import contextlib
import sys
from pathlib import Path

from earwitness.alerting.notices import Links
from earwitness.alerting.postroom import Postroom
from earwitness.alerting.routing import Router
from earwitness.clock import SystemClock
from earwitness.commit import CommitLoop
from earwitness.config.rules import rules_of
from earwitness.config.schema import Config
from earwitness.metrics import Metrics
from earwitness.model import Failure, Finding, Observation, Observed, Run, Why
from earwitness.store import outbox
from earwitness.store.store import Store
from earwitness.transport.client import WebClient


def webhooks(urls):
    """Return a webhook for each address."""
    secret = "of the bench"
    return {f"hook-{n}": {"webhook": {"url": u, "secret": secret, "timeout": "10s"}} for n, u in enumerate(urls)}


def mixed_hooks(url):
    """Return a hook of each kind that one request makes, all with the receiver at this address."""
    return webhooks([f"{url}/"]) | {
        "alertmanager": {"alertmanager": {"url": url}},
        "pagerduty": {"pagerduty": {"url": url, "routing_key": "of the bench"}},
        "slack": {"slack": {"api_url": url, "token": "of the bench", "channel": "#alerts"}},
        "teams": {"teams": {"url": f"{url}/workflow"}},
    }


def config_of(probes, hooks):
    """Return a configuration of these hooks and so many probes, each of a journey and a host of its own."""
    names = [f"probe-{n}" for n in range(probes)]
    return Config.model_validate(
        {
            "environment": "production",
            "network": {"allow": ["127.0.0.0/8"]},
            "journeys": {name: {} for name in names},
            "probes": {n: {"journey": n, "every": "5m", "http": {"url": f"http://{n}.test/"}} for n in names},
            "hooks": hooks,
        }
    )


class House:
    """What stands between an observation and a hook."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.config, self.clock, self.store = config, SystemClock(), Store.open(folder / "earwitness.db")
        self.web = WebClient(config.network)
        rules = rules_of(config)
        self.commit = CommitLoop(self.store, self.clock, rules, Router.of(config), lambda _done: self.postroom.wake())
        links = Links("http://127.0.0.1:8420")
        self.postroom = Postroom(self.store, self.clock, Metrics(), lambda: self.web, links, Path)

    @contextlib.asynccontextmanager
    async def running(self):
        await self.store.write(lambda c: outbox.release_leases(c, self.clock.now()))
        await self.commit.load()
        self.postroom.configure(self.config)
        tasks = [asyncio.create_task(self.commit.run()), asyncio.create_task(self.postroom.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.web.aclose()
            self.store.close()

    async def fails(self, probe):
        """Let the judge see one failure more of the probe."""
        now = self.clock.now()
        channel = self.config.probes[probe].kind.channel
        run = Run(f"{probe}-{now:.6f}", probe, probe, channel, "local", "production", Why.SCHEDULED, now)
        finding = Finding(Failure.WRONG_STATUS, "503 instead of 200")
        return await self.commit.submit(Observed(Observation(run, now, 0.001, (finding,))))

    async def opens(self, probe):
        while probe not in self.commit.state.holders:
            await self.fails(probe)


async def _until_killed(folder, probes, urls):
    """Open an incident for every probe that has none, in a few at a time, and deliver for ever."""
    house = House(folder, config_of(probes, webhooks(urls)))
    async with house.running():
        waiting = [name for name in house.config.probes if name not in house.commit.state.holders]
        print("running", flush=True)
        for start in range(0, len(waiting), 20):
            await asyncio.gather(*(house.opens(name) for name in waiting[start : start + 20]))
        print("opened", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_until_killed(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
