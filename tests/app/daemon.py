"""The real daemon as a process, and a receiver of its webhooks in the test's own."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from virtual import until
from web_servers import free_port

from earwitness.serving import listen, served

PROGRAM = Path(sys.executable).with_name("earwitness")
SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, long enough").decode()
PATIENCE = 30.0  # seconds that a noisy machine may take for anything; nothing waits that long when it works


def run_cli(*arguments, env=None, seconds=60):
    """Run a command of ours to its end."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **(env or {})},
        check=False,
    )


async def cli(*arguments, **more):
    """Run a command of ours while this process goes on serving it."""
    return await asyncio.to_thread(run_cli, *arguments, **more)


class Daemon:
    """One configuration, one data directory, and the process that uses them, started as often as wanted."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.config = folder / "earwitness.yaml"
        self.data = folder / "data"
        self.log = folder / "daemon.log"
        self.address = f"{host}:{free_port()}"
        self.url = f"http://{self.address.replace('0.0.0.0', '127.0.0.1')}"
        self.api = httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, config: dict) -> None:
        self.config.write_text(yaml.safe_dump({"http": {"listen": self.address}, **config}, sort_keys=False))

    async def start(self) -> None:
        """Return when it is ready. Fails with its log when it ends instead."""
        self.launch()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it is. Fails with its log when it ends instead."""
        await until(self._ready_or_ended, PATIENCE)
        assert self.process.poll() is None, self.log.read_text()

    def launch(self) -> None:
        with self.log.open("ab") as log:
            arguments = [PROGRAM, "run", "--config", self.config, "--data-dir", self.data]
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)

    async def _ready_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        try:
            return (await self.api.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def ended(self, seconds: float = PATIENCE) -> int:
        await until(lambda: self.process.poll() is not None, seconds)
        return self.process.returncode

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.ended()

    def reload(self, config: dict | None = None) -> None:
        """Send SIGHUP, after writing the new configuration if there is one."""
        if config is not None:
            self.configure(config)
        self.process.send_signal(signal.SIGHUP)

    async def stop(self) -> int:
        """Ask for a clean end; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            await self.kill()
        await self.api.aclose()

    # --- what it says ----------------------------------------------------------------------------------------------

    def events(self, name: str) -> list[dict]:
        """Return the log lines of this event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def rows(self, query: str, *values) -> list[tuple]:
        """Ask its database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'earwitness.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    def is_running(self, run: str) -> bool:
        return self.rows("SELECT state FROM runs WHERE id = ?", run) == [("running",)]

    async def get(self, path: str, **query):
        reply = await self.api.get(f"/api/v1/{path}", params=query)
        reply.raise_for_status()
        return reply.json()

    async def look(self, probe: str) -> str:
        """Ask for a run now; return its id."""
        reply = await self.api.post(f"/api/v1/probes/{probe}/run")
        reply.raise_for_status()
        return reply.json()["run"]

    async def observation(self, run: str, seconds: float = PATIENCE) -> dict:
        """Return what the run saw, once it is known."""

        async def seen():
            return next((o for o in await self.get("runs", limit=1000) if o["run"] == run), None)

        return await until(seen, seconds)

    async def passes(self, *probes: str) -> None:
        """Wait until these probes pass."""

        async def so():
            outcomes = {p["name"]: p["outcome"] for p in await self.get("probes")}
            return all(outcomes.get(name) == "ok" for name in probes)

        await until(so, PATIENCE)

    async def incident(self, probe: str, status: str, seconds: float = PATIENCE) -> dict:
        """Return the newest incident of the probe once it has this status."""

        async def found():
            mine = [i for i in await self.get("incidents") if probe in i["probes"]]
            return mine[0] if mine and mine[0]["status"] == status else None

        return await until(found, seconds)

    async def metrics(self) -> "Samples":
        reply = await self.api.get("/metrics")
        reply.raise_for_status()
        return Samples(reply.text)

    async def shows(self, value: float | None, name: str, **labels) -> None:
        """Wait until the metric has this value; None: until there is no such series."""

        async def so():
            return (await self.metrics()).value(name, **labels) == value

        await until(so, PATIENCE)


class Samples:
    """One scrape."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def all(self, name: str, **labels) -> list[float]:
        return [s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items()]

    def value(self, name: str, **labels) -> float | None:
        """Return the only sample that fits, or None."""
        found = self.all(name, **labels)
        assert len(found) < 2, f"{name} {labels} is not one series"
        return found[0] if found else None

    def names_with(self, **labels) -> set[str]:
        return {s.name for s in self._samples if labels.items() <= s.labels.items()}


@dataclass
class Receiver:
    """Believes a webhook when the Standard Webhooks library does; `answer` is its status, None to hang."""

    answer: int | None = 204
    url: str = ""
    attempts: list[tuple[str, dict]] = field(default_factory=list)  # (webhook-id, body) of every attempt
    accepted: list[tuple[str, dict]] = field(default_factory=list)
    forged: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request) -> Response:
        body, answer = await request.body(), self.answer
        try:
            told = Webhook(SECRET).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.forged += 1
            return Response(status_code=401)
        alert = (request.headers["webhook-id"], told)
        self.attempts.append(alert)
        if answer is None:
            await self.closing.wait()
            answer = 503
        if answer < 300:
            self.accepted.append(alert)
        return Response(status_code=answer)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/alerts", self.receive, methods=["POST"])])

    def hook(self, **more) -> dict:
        return {"webhook": {"url": self.url, "secret": SECRET, **more}}

    def told(self, incident: str, kind: str) -> list[str]:
        """Return the ids under which this news was accepted."""
        return _ids(self.accepted, incident, kind)

    def tried(self, incident: str, kind: str) -> list[str]:
        """Return the ids under which this news was attempted."""
        return _ids(self.attempts, incident, kind)

    async def hears(self, incident: str, kind: str, seconds: float = PATIENCE) -> str:
        return (await until(lambda: self.told(incident, kind), seconds))[0]


def _ids(alerts: list[tuple[str, dict]], incident: str, kind: str) -> list[str]:
    wanted = (f"incident.{kind}", incident)
    return [key for key, told in alerts if (told["type"], told["data"]["incident"]["id"]) == wanted]


@contextlib.asynccontextmanager
async def serve_receiver():
    """Yield a receiver that listens."""
    receiver = Receiver()
    listener = listen("127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/alerts"
    async with served(receiver.app(), listener, grace=1):
        yield receiver
        receiver.closing.set()
