import sys
from ipaddress import ip_network

import pytest
from web_servers import name_server

from earwitness.config.network import NetworkSpec
from earwitness.transport.client import WebClient

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(params=["curl", "httpx"])
def engine(request):
    return request.param


@pytest.fixture
def zone():
    with name_server() as (address, zone):
        zone.address = address
        yield zone


@pytest.fixture
async def make_web():
    made = []

    def make(**options):
        made.append(WebClient(NetworkSpec(**{"allow": LOOPBACK, **options})))
        return made[-1]

    yield make
    for web in made:
        await web.aclose()


@pytest.fixture
def web(make_web, engine):
    return make_web(transport=engine)


@pytest.fixture
def steps_of():
    """Count the lines of Python that a call executes."""

    def steps_of(function, *arguments):
        count = 0

        def step(_frame, event, _argument):
            nonlocal count
            count += event == "line"
            return step

        before = sys.gettrace()
        sys.settrace(step)
        try:
            function(*arguments)
        finally:
            sys.settrace(before)
        return count

    return steps_of
