import httpx
import pytest
from calling import Caller, VirtualClock

from earwitness.simulator.server import Simulator


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
async def sim(clock):
    async with Simulator(clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def caller(sim, http, clock):
    return Caller(sim.url, http, clock)
