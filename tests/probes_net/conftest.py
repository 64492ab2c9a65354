from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_network

import pytest
import trustme
from web_servers import name_server

from earwitness.clock import SystemClock
from earwitness.config.network import NetworkSpec
from earwitness.model import Evidence, Run, Why
from earwitness.probes import KINDS
from earwitness.probes.context import RunContext
from earwitness.transport.client import WebClient

HOST = "mail.test"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.file = tmp_path_factory.mktemp("net-authority") / "ca.pem"
    made.cert_pem.write_to_path(str(made.file))
    return made


@pytest.fixture(scope="session")
def _zone_server():
    with name_server() as (address, zone):
        zone.address = address
        yield zone


@pytest.fixture
def zone(_zone_server):
    """The name server, which takes half a second to end, with the one name that it knows."""
    _zone_server.addresses = {HOST: ["127.0.0.1"]}
    return _zone_server


@dataclass
class Drawer:
    """Keeps evidence in memory, by kind."""

    files: dict[str, str] = field(default_factory=dict)

    async def save(self, data: bytes, *, kind: str, media_type: str, name: str) -> Evidence:
        self.files[kind] = data.decode()
        return Evidence(kind, media_type, sha256(data).hexdigest(), len(data), name)


@pytest.fixture
def drawer():
    return Drawer()


@pytest.fixture
async def make_web(zone, authority):
    made = []

    def make(**options):
        spec = {"allow": [ip_network("127.0.0.0/8")], "nameservers": (zone.address,), "ca_file": authority.file}
        made.append(WebClient(NetworkSpec(**{**spec, **options})))
        return made[-1]

    yield make
    for web in made:
        await web.aclose()


@pytest.fixture
def observe(make_web, drawer):
    """Run the probe of this kind that the keywords describe; return its observation."""

    async def observe(kind, web=None, ports=None, **options):
        channel = KINDS[kind].channel
        planned = Run("r", "p", "j", channel, "here", "production", Why.SCHEDULED, 0.0)
        ctx = RunContext(planned, SystemClock(), drawer, web=web or make_web(), **(ports or {}))
        return await KINDS[kind].run(KINDS[kind].spec.model_validate(options), ctx)

    return observe
