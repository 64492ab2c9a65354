from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_network

import pytest
import trustme
from web_servers import issued, name_server, nginx, self_signed

from earwitness.clock import SystemClock
from earwitness.config.network import NetworkSpec
from earwitness.model import Channel, Evidence, Run, Why
from earwitness.probes.context import RunContext
from earwitness.probes.http import run
from earwitness.probes.http_spec import HttpSpec
from earwitness.simulator.server import Simulator
from earwitness.transport.client import WebClient

SHOP = "shop.test"


@pytest.fixture(params=["curl", "httpx"])
def engine(request):
    return request.param


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.file = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(str(made.file))
    return made


@pytest.fixture(scope="session")
def shop(tmp_path_factory, authority):
    """A shop on nginx, with a port for each kind of certificate."""
    folder = tmp_path_factory.mktemp("nginx")
    now = datetime.now(UTC)
    certificates = {
        "good": issued(folder, authority, SHOP, now + timedelta(days=90), "good"),
        "expiring": issued(folder, authority, SHOP, now + timedelta(days=3), "expiring"),
        "expired": issued(folder, authority, SHOP, now - timedelta(days=2), "expired"),
        "other": issued(folder, authority, "other.test", now + timedelta(days=90), "other"),
        "unknown": issued(folder, trustme.CA(), SHOP, now + timedelta(days=90), "unknown"),
        "self-signed": self_signed(folder, SHOP),
    }
    with nginx(folder, certificates) as running:
        yield running


@pytest.fixture
def zone():
    with name_server() as (address, zone):
        zone.address = address
        zone.addresses[SHOP] = ["127.0.0.1"]
        yield zone


@dataclass
class Drawer:
    """Keeps evidence in memory."""

    files: dict[str, str] = field(default_factory=dict)  # by kind, the last of each
    named: dict[str, str] = field(default_factory=dict)  # by name

    async def save(self, data: bytes, *, kind: str, media_type: str, name: str) -> Evidence:
        self.files[kind] = self.named[name] = data.decode()
        return Evidence(kind, media_type, sha256(data).hexdigest(), len(data), name)


@pytest.fixture
def drawer():
    return Drawer()


@pytest.fixture
async def checkout():
    """The simulator's shop, where a customer can log in and pay."""
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def make_web(engine, zone, authority):
    made = []

    def make(**options):
        spec = {
            "allow": [ip_network("127.0.0.0/8")],
            "nameservers": (zone.address,),
            "ca_file": authority.file,
            "transport": engine,
            **options,
        }
        made.append(WebClient(NetworkSpec(**spec)))
        return made[-1]

    yield make
    for web in made:
        await web.aclose()


@pytest.fixture
def observe(make_web, drawer):
    """Run the probe that the keywords describe and return its observation."""

    async def observe(url=None, web=None, clock=None, ports=None, meanwhile=None, **options):
        planned = Run("r", "p", "j", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
        web = web or make_web()
        ctx = RunContext(run=planned, clock=clock or SystemClock(), evidence=drawer, web=web, **(ports or {}))
        spec = HttpSpec.model_validate({**options, **({"url": url} if url else {})})
        if meanwhile is not None:
            meanwhile()  # after the configuration was read
        return await run(spec, ctx)

    return observe
