"""A daemon on the simulator, and a real Prometheus that scrapes it: all that a dashboard shows has happened there."""

import asyncio
import base64
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import httpx
import trustme
import yaml
from deploy_needs import DEPLOY, program

from earwitness.cli.receiver import create_receiver
from earwitness.config.fields import Secret
from earwitness.serving import listen, served
from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.server import Simulator, create_app

EARWITNESS = str(Path(sys.executable).parent / "earwitness")
PATIENCE = 40.0  # seconds
_SECRET = base64.b64encode(b"a secret of these tests").decode()
_SPEED = 40.0  # seconds of a call that pass in one second
_CALLS = ("pay-by-phone", "mortgage-queue", "hours-by-phone")


async def until(what: str, condition: Callable[[], Awaitable[object]]):
    """Return what the condition returns, as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {PATIENCE:g} s")


@dataclass
class Stage:
    daemon: httpx.AsyncClient
    simulator: httpx.AsyncClient
    prometheus: httpx.AsyncClient
    alerts: list[dict] = field(default_factory=list)

    async def metrics(self) -> str:
        return (await self.daemon.get("/metrics")).text

    async def query(self, expression: str) -> list[dict]:
        answer = await self.prometheus.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["result"]


@asynccontextmanager
async def process(log: Path, *words: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that writes to `log`; it is asked to end at the end, and has to."""
    with log.open("wb") as out:
        running = await asyncio.create_subprocess_exec(*words, stdout=out, stderr=out, env={**os.environ, **variables})
    try:
        yield running
    finally:
        if running.returncode is None:
            running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 30) == 0, _text(log)


def _text(log: Path) -> str:
    return log.read_text()


async def said(log: Path, pattern: str, running: asyncio.subprocess.Process) -> str:
    """Return what the pattern's group finds in the log, once it is there."""

    async def found() -> str | None:
        assert running.returncode is None, _text(log)
        match = re.search(pattern, _text(log))
        return match and match[1]

    return await until(f"{pattern} in {log.name}", found)


class Theatre:
    """Everything that has to run, each part closed by `exits`."""

    def __init__(self, folder: Path, exits: AsyncExitStack) -> None:
        self._folder, self._exits = folder, exits
        self.config = folder / "config"
        self.config.mkdir()

    async def prepare(self, alerts: list[dict]) -> str:
        """Start the simulator, the receiver and a shop with a certificate; write the configuration; return the simulator."""
        simulator = await self._exits.enter_async_context(Simulator(speed=_SPEED))
        receiver = listen("127.0.0.1", 0)
        app = create_receiver(Secret(f"whsec_{_SECRET}"), alerts.append)
        await self._exits.enter_async_context(served(app, receiver))
        self.variables = {
            "EARWITNESS_DEMO_LISTEN": "127.0.0.1:0",
            "EARWITNESS_DEMO_SIMULATOR": simulator.url,
            "EARWITNESS_DEMO_RECEIVER": f"http://127.0.0.1:{receiver.getsockname()[1]}/alerts",
            "EARWITNESS_DEMO_SECRET": _SECRET,
            "EARWITNESS_DEMO_PROMPTS": str(PROMPTS_DIR),
        }
        (self.config / "demo.yaml").write_text((files("earwitness.cli") / "demo.yaml").read_text())
        (self.config / "tls.yaml").write_text(yaml.safe_dump(await self._shop_with_certificate()))
        return simulator.url

    async def _shop_with_certificate(self) -> dict:
        authority, listener = trustme.CA(), listen("127.0.0.1", 0)
        certificate, key = self._folder / "shop.pem", self._folder / "shop.key"
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(self._folder / "ca.pem")
        secured = served(create_app(), listener, ssl_certfile=certificate, ssl_keyfile=key)
        await self._exits.enter_async_context(secured)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/shop/pay"
        probe = {"journey": "look", "every": "1s", "http": {"url": url, "timeout": "1s", "expect": {"status": 200}}}
        network = {"ca_file": str(self._folder / "ca.pem")}
        return {"network": network, "journeys": {"look": {"title": "Look"}}, "probes": {"look-on-web": probe}}

    @asynccontextmanager
    async def daemon(self, name: str) -> AsyncIterator[str]:
        """Run the daemon and yield its URL."""
        log = self._folder / f"{name}.log"
        command = (EARWITNESS, "run", "--config", str(self.config))
        async with process(log, *command, "--data-dir", str(self._folder / "data"), **self.variables) as running:
            yield await said(log, r'"url": "(http://[\d.:]+)"', running)

    @asynccontextmanager
    async def prometheus(self, daemon: str) -> AsyncIterator[str]:
        """Run Prometheus with the deployed configuration, faster and on this daemon; yield its URL."""
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [daemon.removeprefix("http://")]
        file, log = self._folder / "prometheus.yml", self._folder / "prometheus.log"
        file.write_text(json.dumps(config))
        store = f"--storage.tsdb.path={self._folder / 'tsdb'}"
        words = (program("prometheus"), f"--config.file={file}", store, "--web.listen-address=127.0.0.1:0")
        async with process(log, *words) as running:
            yield "http://" + await said(log, r'"Listening on" address=([\d.]+:\d+)', running)


@asynccontextmanager
async def scraped_stage(folder: Path) -> AsyncIterator[Stage]:
    """Yield the stage when every journey was tried, slots were missed, and an incident came, was told, and went."""
    alerts: list[dict] = []
    async with AsyncExitStack() as exits:
        theatre = Theatre(folder, exits)
        simulator = await theatre.prepare(alerts)
        async with theatre.daemon("first") as url, httpx.AsyncClient(base_url=url) as client:
            await until("a run of each probe on the web", lambda: _tried(client, "http"))
        await asyncio.sleep(3)  # three slots of the probes on the web, in which nobody looks
        url = await exits.enter_async_context(theatre.daemon("second"))
        prometheus = await exits.enter_async_context(theatre.prometheus(url))
        clients = [await exits.enter_async_context(httpx.AsyncClient(base_url=u)) for u in (url, simulator, prometheus)]
        stage = Stage(*clients, alerts)
        await _play(stage)
        yield stage


async def _tried(client: httpx.AsyncClient, channel: str) -> bool:
    probes = (await client.get("/api/v1/probes")).raise_for_status().json()
    return all(probe["outcome"] is not None for probe in probes if probe["channel"] == channel)


async def _play(stage: Stage) -> None:
    for probe in _CALLS:
        (await stage.daemon.post(f"/api/v1/probes/{probe}/run")).raise_for_status()
    (await stage.simulator.put("/faults/staging-down", json={})).raise_for_status()
    await until("an incident in staging, told", lambda: _told(stage, "incident.open"))
    (await stage.simulator.delete("/faults/staging-down")).raise_for_status()
    await until("its end, told", lambda: _told(stage, "incident.resolve"))
    await until("a run of each probe on the telephone", lambda: _tried(stage.daemon, "call"))


async def _told(stage: Stage, kind: str) -> bool:
    return any(alert["type"] == kind for alert in stage.alerts)
