import httpx
import pytest
from daemon import Daemon, serve_receiver

from earwitness.simulator.server import Simulator


@pytest.fixture
async def daemon(tmp_path):
    made = Daemon(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def receiver():
    async with serve_receiver() as running:
        yield running


@pytest.fixture
async def simulator():
    async with Simulator(speed=40) as running:
        yield running


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        yield client
