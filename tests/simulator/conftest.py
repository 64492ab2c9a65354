import httpx
import pytest
from simulated_calls import ACCOUNT, HandClock
from twilio.rest import Client

from earwitness.simulator.server import Simulator, create_app


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
async def http(clock):
    """A client of the application itself, without a network."""
    transport = httpx.ASGITransport(create_app(clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator", auth=(ACCOUNT, "token")) as client:
        yield client


@pytest.fixture
async def simulator(clock):
    async with Simulator(clock=clock) as running:
        yield running


@pytest.fixture
async def wire(simulator):
    """A client of the running simulator, over TCP."""
    async with httpx.AsyncClient(base_url=simulator.url, auth=(ACCOUNT, "token"), trust_env=False) as client:
        yield client


@pytest.fixture
async def sdk(simulator):
    """The real SDK; its calls block, so they go through a thread."""
    client = Client(ACCOUNT, "token")
    client.api.base_url = simulator.url
    yield client
    client.http_client.session.close()
