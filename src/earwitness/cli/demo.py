"""The stage on which a story is played: the simulator, a receiver of alerts, and the daemon.

The daemon is the real one, with the configuration in `demo.yaml`, and in `demo_browser.yaml` where there is a browser.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path

import httpx
import typer

from earwitness.app import App
from earwitness.browser.executable import NoBrowserError, find_browser
from earwitness.cli.receiver import create_receiver
from earwitness.cli.story import SCENARIOS, BrokenPromiseError, Json, Stage
from earwitness.cli.timeline import Timeline
from earwitness.config.fields import Secret
from earwitness.logs import SecretMask, set_up_logs
from earwitness.serving import listen, served
from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.server import Simulator

_SPEED = 40.0  # seconds of a call that pass in one second
_CONSOLE = "127.0.0.1:8420"


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
            print_result(scenario, failure, await stage.get("incidents"), stage.left_out)
        if stay:
            await _stay(stage)
    return failure is None


def print_result(scenario: str, failure: str | None, incidents: list[Json], left_out: str = "") -> None:
    result: Json = {"scenario": scenario, "passed": failure is None, "incidents": incidents}
    told = {"failure": failure, "left_out": left_out}
    typer.echo(json.dumps(result | {key: text for key, text in told.items() if text}, ensure_ascii=False))


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
            config, data_dir = Path(folder) / "config", Path(folder) / "data"
            stage.leave_out(_configure(config))
            with _environment(environment):
                async with (
                    served(receiver, listener),
                    _daemon(config, data_dir) as url,
                    httpx.AsyncClient(base_url=url, timeout=10) as stage.daemon,
                    stage.simulator,
                ):
                    yield stage


def _configure(folder: Path) -> str:
    """Write the daemon's configuration, and return why it has no browser probe; empty if it has one."""
    folder.mkdir()
    no_browser = ""
    try:
        find_browser(None)
    except NoBrowserError as error:
        no_browser = str(error)
    for name in ("demo.yaml",) if no_browser else ("demo.yaml", "demo_browser.yaml"):
        (folder / name).write_bytes((files("earwitness.cli") / name).read_bytes())
    return no_browser


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
