import asyncio
import os
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from web_servers import name_server

from earwitness.browser.engine import BrowserEngine
from earwitness.clock import SystemClock
from earwitness.config.network import NetworkSpec
from earwitness.model import Channel, Evidence, Run, Why
from earwitness.probes.browser import run
from earwitness.probes.browser_spec import BrowserSpec
from earwitness.probes.context import RunContext
from earwitness.probes.hosts import HostMap, Owner
from earwitness.serving import listen, served
from earwitness.simulator.server import Simulator
from earwitness.transport.client import WebClient

SHOP, CARDS = "shop.test", "cards.test"  # a shop, and the third party whose form is in its page
INSIDE = "Basic dGVzdGVyOm9wZW4tc2VzYW1l"  # tester:open-sesame
HOSTS = HostMap(
    {CARDS: Owner("card-processor", third_party=True), "localhost": Owner("card-processor", third_party=True)}
)


def pytest_collection_modifyitems(items):
    """One browser serves them all, so all run on one loop."""
    here = Path(__file__).parent
    missing = shutil.which("chromium") is None
    for item in items:
        if item.path.is_relative_to(here):
            if asyncio.iscoroutinefunction(item.function):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if missing and os.environ.get("CI") != "true":
                item.add_marker(pytest.mark.skip(reason="there is no chromium here"))


@dataclass
class Site:
    """Pages by path, for every host that leads to this machine. A page is a text, or (status, headers, text)."""

    port: int = 0
    pages: dict = field(default_factory=dict)
    scripts: dict = field(default_factory=dict)  # by path and query, where the path alone does not say
    posted: list = field(default_factory=list)

    def url(self, path, host=SHOP):
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request):
        path = request.url.path
        if request.method == "POST":
            self.posted.append((await request.body()).decode())
        if path == "/hang":
            await asyncio.Event().wait()
        if path == "/inside" and request.headers.get("authorization") != INSIDE:
            return Response("who are you?", 401, {"www-authenticate": 'Basic realm="staging"'})
        if path == "/slow.js":
            await asyncio.sleep(0.6)
            return Response("", media_type="text/javascript")
        if path == "/to":
            return RedirectResponse(request.query_params["url"])
        whole = f"{path}?{request.url.query}"
        if self.scripts.get(whole) == "hang":
            await asyncio.Event().wait()
        found = self.scripts.get(whole) or self.pages.get(path, (404, {}, "not here"))
        status, headers, text = found if isinstance(found, tuple) else (200, {}, found)
        kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
        return Response(text, status, {"content-type": kind, **headers})


@pytest.fixture(scope="session")
def zone():
    with name_server() as (address, zone):
        zone.address = address
        zone.addresses[SHOP] = zone.addresses[CARDS] = ["127.0.0.1"]
        yield zone


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_site():
    site = Site()
    listener = listen("127.0.0.1", 0)
    site.port = listener.getsockname()[1]
    app = Starlette(routes=[Route("/{path:path}", site.answer, methods=["GET", "POST"])])
    async with served(app, listener, grace=0):
        yield site


@pytest.fixture
def site(running_site):
    running_site.pages.clear()
    running_site.scripts.clear()
    running_site.posted.clear()
    return running_site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def simulator():
    async with Simulator() as running:
        yield running


@pytest.fixture
def shop(simulator):
    """The simulator's shop, with every fault off."""
    for name in tuple(simulator.faults.now().active):
        simulator.faults.turn_off(name)
    return simulator


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def web(zone):
    client = WebClient(NetworkSpec(nameservers=(zone.address,)))
    yield client
    await client.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(web):
    running = BrowserEngine(lambda: web)
    yield running
    await running.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def make_engine(web):
    """Make an engine of the test's own."""
    async with AsyncExitStack() as stack:

        def make(spec=None):
            made = BrowserEngine(lambda: web, spec)
            stack.push_async_callback(made.aclose)
            return made

        yield make


@dataclass
class Drawer:
    """Keeps evidence in memory, by its name."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def save(self, data: bytes, *, kind: str, media_type: str, name: str) -> Evidence:
        self.files[name] = data
        return Evidence(kind, media_type, sha256(data).hexdigest(), len(data), name)

    def text(self, name):
        return self.files[name].decode()


@pytest.fixture
def drawer():
    return Drawer()


@pytest.fixture
def observe(engine, web, drawer):
    """Run the probe that the keywords describe, and return its observation."""

    async def observe(*steps, browser=None, folder=None, pages=None, name="p", redact=str, **options):
        planned = Run("r", name, "j", Channel.BROWSER, "here", "production", Why.SCHEDULED, 0.0)
        section = {"allow": [ip_network("127.0.0.0/8"), ip_network("::1/128")], "step_timeout": "2s", **options}
        if steps:
            section["steps"] = list(steps)
        spec = BrowserSpec.model_validate(section, context={"folder": folder})
        ctx = RunContext(
            run=planned,
            clock=SystemClock(),
            evidence=drawer,
            web=web,
            hosts=HOSTS,
            browser=browser or engine,
            pages=pages,
            redact=redact,
        )
        return await run(spec, ctx)

    return observe
