import asyncio
import contextlib
import socket

import httpx
import pytest

from earwitness.serving import CannotListenError
from earwitness.simulator import CONTACT_CENTRE, PROMPTS_DIR, STAGING_CENTRE, TEST_LINE
from earwitness.simulator.server import Simulator, serve


def test_the_numbers_are_the_ones_in_the_documentation():
    assert (CONTACT_CENTRE, STAGING_CENTRE, TEST_LINE) == ("+12025550199", "+12025550198", "+12025550100")
    assert (PROMPTS_DIR / "welcome.wav").is_file()


async def test_it_is_gone_when_the_block_ends():
    async with Simulator() as simulator, httpx.AsyncClient(base_url=simulator.url, trust_env=False) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient(trust_env=False).get(simulator.url + "/healthz")


async def test_two_at_once_know_nothing_of_each_other():
    async with Simulator() as one, Simulator() as other:
        one.faults.turn_on("crm-down")
        assert one.port != other.port
        assert "crm-down" not in other.faults.now()


async def test_an_address_that_is_taken_is_an_error():
    async with Simulator() as first:
        with pytest.raises(CannotListenError, match="in use"):
            await Simulator(port=first.port).__aenter__()


async def test_serve_runs_until_it_is_cancelled():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    task = asyncio.create_task(serve("127.0.0.1", port, 1.0))
    transport = httpx.AsyncHTTPTransport(retries=5)
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_request_that_hangs_does_not_keep_it_from_ending():
    account = "AC" + "a" * 32
    async with httpx.AsyncClient(auth=(account, "token"), trust_env=False) as client:
        async with asyncio.timeout(10), Simulator() as simulator:
            simulator.faults.turn_on("create-lost", {"answer": "never"})
            path = f"{simulator.url}/2010-04-01/Accounts/{account}/Calls.json"
            data = {"To": TEST_LINE, "From": "+12025550143", "Twiml": "<Response/>"}
            hanging = asyncio.create_task(client.post(path, data=data, timeout=None))
            while not simulator.carrier.calls:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.HTTPError):
            await hanging


async def test_at_high_speed_a_call_of_half_a_minute_is_over_in_a_moment():
    account = "AC" + "a" * 32
    calls = f"/2010-04-01/Accounts/{account}/Calls"
    data = {"To": TEST_LINE, "From": "+12025550143", "Twiml": "<Response><Pause length='30'/></Response>"}
    async with (
        asyncio.timeout(10),
        Simulator(speed=500) as simulator,
        httpx.AsyncClient(base_url=simulator.url, auth=(account, "token"), trust_env=False) as client,
    ):
        call = (await client.post(f"{calls}.json", data=data)).json()
        while call["status"] != "completed":
            call = (await client.get(f"{calls}/{call['sid']}.json")).json()
        assert 15 < int(call["duration"]) < 25, "the test line hangs up"
        assert (await client.get("/calls")).json()[0]["prompts"] == ["test_line", "goodbye"]
