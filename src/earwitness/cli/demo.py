"""The founding story, played on the simulator: Black Friday, and the card processor fails on the web and on the phone.

The daemon is the real one, with the configuration in `demo.yaml`; the story only turns switches at the simulator, asks the
daemon's API what it saw, and checks that it saw all of it.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import httpx
import typer

from earwitness.app import App
from earwitness.cli.receiver import create_receiver
from earwitness.cli.timeline import Timeline
from earwitness.config.fields import Secret
from earwitness.logs import SecretMask, set_up_logs
from earwitness.serving import listen, served
from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.server import Simulator

_SPEED = 40.0  # seconds of a call that pass in one second
_PATIENCE = 40.0  # seconds that any one chapter may take
_CONSOLE = "127.0.0.1:8420"

Json = dict[str, Any]


class BrokenPromiseError(Exception):
    """The story did not go as promised."""


@dataclass(slots=True)
class Stage:
    """The daemon's API, the simulator's switches, and what the receiver was told."""

    daemon: httpx.AsyncClient
    simulator: httpx.AsyncClient
    timeline: Timeline
    alerts: list[Json] = field(default_factory=list)

    @property
    def console(self) -> str:
        return str(self.daemon.base_url).rstrip("/")

    async def break_(self, fault: str, words: str, parameters: Json | None = None) -> None:
        self.timeline.say("fault", words)
        (await self.simulator.put(f"/faults/{fault}", json=parameters or {})).raise_for_status()

    async def mend(self, fault: str, words: str) -> None:
        self.timeline.say("mended", words)
        (await self.simulator.delete(f"/faults/{fault}")).raise_for_status()

    async def look(self, *probes: str) -> None:
        """Ask for runs now instead of waiting for the schedule."""
        for probe in probes:
            (await self.daemon.post(f"/api/v1/probes/{probe}/run")).raise_for_status()

    async def get(self, path: str) -> Any:
        reply = await self.daemon.get(f"/api/v1/{path}")
        reply.raise_for_status()
        return reply.json()

    async def until(self, what: str, condition: Callable[[], Awaitable[Any]]) -> Any:
        """Return what the condition returns, as soon as it is true. Raises BrokenPromiseError when that takes too long."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if found := await condition():
                return found
            await asyncio.sleep(0.1)
        raise BrokenPromiseError(f"{what} did not happen within {_PATIENCE:g} s")

    async def incident(self, severity: str, status: str, probe: str) -> Json:
        """Return the incident of this probe once it has this severity and status."""

        async def found() -> Json | None:
            return next(
                (
                    i
                    for i in await self.get("incidents")
                    if probe in i["probes"] and i["severity"] == severity and i["status"] == status
                ),
                None,
            )

        incident: Json = await self.until(f"a {severity} incident of {probe} that is {status}", found)
        return incident

    async def alert(self, incident: str, kind: str) -> Json:
        """Return the alert of this kind about the incident, once the receiver has it."""

        async def found() -> Json | None:
            wanted = (f"incident.{kind}", incident)
            return next((a for a in self.alerts if (a["type"], a["data"]["incident"]["id"]) == wanted), None)

        alert: Json = await self.until(f"an alert that {incident} {kind}s", found)
        return alert


# --- chapters --------------------------------------------------------------------------------------------------------


async def all_is_well(stage: Stage) -> None:
    """Every journey is tried once, and works."""
    stage.timeline.say("story", "Black Friday. The contact centre and the shop are open.")
    await stage.look("pay-by-phone", "mortgage-queue", "hours-by-phone")

    async def healthy() -> bool:
        return all(probe["outcome"] == "ok" for probe in await stage.get("probes"))

    await stage.until("every probe passing", healthy)
    stage.timeline.say("ok", "Three calls answered and heard, three pages opened: every journey works.")


async def the_card_processor_fails(stage: Stage) -> None:
    """One Sev1 with the evidence of both channels, told and taken back."""
    await stage.break_("card-processor-down", "The card processor's connection fails.")

    async def both() -> Json | None:
        incident = await stage.incident("sev1", "open", "pay-on-web")
        return incident if "pay-by-phone" in incident["probes"] else None

    incident: Json = await stage.until("one Sev1 incident of web and phone", both)
    stage.timeline.incident(incident)
    await _check_founding_incident(stage, incident)
    alert = await stage.alert(incident["id"], "open")
    stage.timeline.say("alert", f"on-call was told: {alert['data']['incident']['title']}")
    await stage.mend("card-processor-down", "The card processor is back.")
    resolved = await stage.incident("sev1", "resolved", "pay-on-web")
    stage.timeline.incident(resolved)
    await stage.alert(incident["id"], "resolve")
    stage.timeline.say("alert", "on-call was told that it is over")


async def _check_founding_incident(stage: Stage, incident: Json) -> None:
    _promise(incident["cause"]["dependency"] == "card-processor", "the incident names the card processor")
    _promise(len(await stage.get("incidents")) == 1, "web and phone are one incident")
    kinds = {e["kind"]: e for e in incident["evidence"]}
    _promise({"recording", "response"} <= kinds.keys(), "the evidence has the recording and the response")
    recording = await stage.daemon.get(kinds["recording"]["url"])
    _promise(recording.content[:4] == b"RIFF" and len(recording.content) > 100_000, "the recording can be played")
    stage.timeline.say("evidence", f"hear the call: {stage.console}/incidents/{incident['id']}")


async def calls_are_misrouted(stage: Stage) -> None:
    """Customers reach the wrong team, who transfer them by hand: Sev2. Staging fails meanwhile: no customer's business."""
    await stage.break_("misroute", "Call routing sends callers for mortgages to lost cards.")
    await stage.break_("staging-down", "Meanwhile the next release fails in staging.")
    await stage.look("mortgage-queue")
    stage.timeline.incident(await stage.incident("nonprod", "open", "staging-web"))
    stage.timeline.incident(await stage.incident("sev2", "open", "mortgage-queue"))
    await stage.mend("misroute", "Call routing is repaired.")
    await stage.mend("staging-down", "Staging is repaired.")
    await stage.look("mortgage-queue")
    stage.timeline.incident(await stage.incident("sev2", "resolved", "mortgage-queue"))


async def audio_is_poor(stage: Stage) -> None:
    """Everything works, but everyone has to repeat themselves: Sev3."""
    await stage.break_("poor-audio", "The line crackles.", {"level": 0.5})
    for _ in range(2):
        await stage.look("hours-by-phone")
    stage.timeline.incident(await stage.incident("sev3", "open", "hours-by-phone"))
    await stage.mend("poor-audio", "The line is clear again.")
    await stage.look("hours-by-phone")


async def all_is_over(stage: Stage) -> None:
    async def nothing_open() -> bool:
        return all(incident["status"] == "resolved" for incident in await stage.get("incidents"))

    await stage.until("every incident resolving", nothing_open)
    stage.timeline.say("ok", "Every incident is resolved.")


Chapter = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, tuple[Chapter, ...]] = {
    "black-friday": (all_is_well, the_card_processor_fails, calls_are_misrouted, audio_is_poor, all_is_over),
}


def _promise(kept: object, words: str) -> None:
    if not kept:
        raise BrokenPromiseError(f"it was promised that {words}; that is not so")


# --- staging ---------------------------------------------------------------------------------------------------------


async def play(scenario: str, *, stay: bool, as_json: bool) -> bool:
    """Play the scenario. Returns whether everything it promises happened."""
    timeline = Timeline(quiet=as_json)
    set_up_logs(SecretMask(), "ERROR")
    async with _stage(timeline, _CONSOLE if stay else "127.0.0.1:0") as stage:
        failure = None
        try:
            for chapter in SCENARIOS[scenario]:
                await chapter(stage)
        except (BrokenPromiseError, httpx.HTTPError) as error:
            failure = str(error) or type(error).__name__
            timeline.say("broken", failure)
        if as_json:
            print_result(scenario, failure, await stage.get("incidents"))
        if stay:
            await _stay(stage)
    return failure is None


def print_result(scenario: str, failure: str | None, incidents: list[Json]) -> None:
    result = {"scenario": scenario, "passed": failure is None, "incidents": incidents}
    typer.echo(json.dumps(result if failure is None else {**result, "failure": failure}, ensure_ascii=False))


async def _stay(stage: Stage) -> None:
    stage.timeline.say("console", f"The console stays at {stage.console} - Ctrl-C ends the demo.")
    stage.timeline.say(
        "console",
        f"Break something yourself: curl -X PUT {str(stage.simulator.base_url).rstrip('/')}/faults/card-processor-down",
    )
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _stage(timeline: Timeline, console: str) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="earwitness-demo-") as folder:
        async with Simulator(speed=_SPEED) as simulator:
            stage = Stage(httpx.AsyncClient(), httpx.AsyncClient(base_url=simulator.url), timeline)
            secret = base64.b64encode(secrets.token_bytes(24)).decode()
            receiver = create_receiver(Secret(f"whsec_{secret}"), stage.alerts.append)
            listener = listen("127.0.0.1", 0)
            host, port = listener.getsockname()
            environment = {
                "EARWITNESS_DEMO_LISTEN": console,
                "EARWITNESS_DEMO_SIMULATOR": simulator.url,
                "EARWITNESS_DEMO_RECEIVER": f"http://{host}:{port}/alerts",
                "EARWITNESS_DEMO_SECRET": secret,
                "EARWITNESS_DEMO_PROMPTS": str(PROMPTS_DIR),
            }
            with _environment(environment), as_file(files("earwitness.cli") / "demo.yaml") as config:
                async with (
                    served(receiver, listener),
                    _daemon(config, Path(folder)) as url,
                    httpx.AsyncClient(base_url=url, timeout=10) as stage.daemon,
                    stage.simulator,
                ):
                    yield stage


@contextlib.asynccontextmanager
async def _daemon(config: Path, data_dir: Path) -> AsyncIterator[str]:
    app = App(config, data_dir)
    task = asyncio.create_task(app.serve())
    starting = asyncio.create_task(app.started())
    await asyncio.wait([task, starting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        starting.cancel()
        await task  # raises what kept it from starting
    try:
        yield app.url
    finally:
        app.stop()
        await task


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
