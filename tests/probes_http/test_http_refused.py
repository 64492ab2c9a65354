"""A certificate that is refused while others, which the same server showed a moment ago, were good: behind one address there may be many."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from web_servers import raw_server

from earwitness.model import Failure, Outcome

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Farm:
    """Servers behind one address: the next of `contexts` takes the next connection, and the last of them all that follow."""

    def __init__(self, *contexts):
        self.contexts = list(contexts)
        self.handshakes = 0
        self.requests = 0

    def choose(self, tls, _name, _context):
        self.handshakes += 1
        tls.context = self.contexts.pop(0) if len(self.contexts) > 1 else self.contexts[0]

    async def answer(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(ANSWER)
        await writer.drain()


def context_of(authority, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.test", **options).configure_cert(context)
    return context


@asynccontextmanager
async def listening(farm, authority):
    context = context_of(authority)
    context.sni_callback = farm.choose
    async with raw_server(farm.answer, ssl=context) as port:
        yield port


@pytest.fixture
def good(authority):
    return context_of(authority)


@pytest.fixture
def expired(authority):
    return context_of(authority, not_after=datetime.now(UTC) - timedelta(days=2))


async def test_one_bad_server_among_good_ones_is_not_asked_past(observe, make_web, authority, good, expired):
    web, farm = make_web(), Farm(good)
    async with listening(farm, authority) as port:
        url = f"https://shop.test:{port}/"
        assert (await observe(url, web, timeout="5s")).outcome is Outcome.OK
        farm.contexts = [expired, good]
        seen = await observe(url, web, timeout="5s", method="POST", body="pay")
    (finding,) = seen.findings
    assert finding.failure is Failure.CERTIFICATE_INVALID
    assert farm.requests == 1, "the one that was good before"
    assert farm.handshakes == 3, "one more, to see why"


@asynccontextmanager
async def delayed(port, seconds):
    """Yield a port that leads to `port`, for each connection only after so many seconds."""

    async def relay(reader, writer):
        await asyncio.sleep(seconds[-1])
        await connect(reader, writer, port)

    async with raw_server(relay) as taken:
        yield taken


async def connect(reader, writer, port):
    """Carry what comes to the server at `port`, and what it says back."""
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(carry(reader, back), carry(there, writer))
    finally:
        back.transport.abort()


async def carry(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize("limit", [{"timeout": "3s"}, {"timeout": "20s", "timeouts": {"tls": "3s"}}])
async def test_a_refusal_is_told_in_time_however_long_it_takes_to_see_why(
    observe, make_web, authority, good, expired, limit
):
    web, farm, seconds = make_web(), Farm(good), [0.0]
    async with listening(farm, authority) as secure, delayed(secure, seconds) as port:
        url = f"https://shop.test:{port}/"
        assert (await observe(url, web, timeout="5s")).outcome is Outcome.OK
        farm.contexts = [expired]
        seconds.append(1.6)  # twice is more than the limit
        seen = await observe(url, web, **limit)
    (finding,) = seen.findings
    assert finding.failure is Failure.CERTIFICATE_INVALID, finding.message
    assert seen.measures["phase_tls"] == pytest.approx(1.6, abs=0.7), "to see why is no part of it"
    assert seen.duration < 7.0
    assert farm.requests == 1


@pytest.mark.parametrize("engine", ["curl"])
async def test_what_was_shown_through_a_proxy_is_not_what_its_machine_shows(observe, make_web, authority):
    """There the name may mean another server."""
    web, soon = make_web(), datetime.now(UTC) + timedelta(days=3)
    beyond, here = Farm(context_of(authority, not_after=soon)), Farm(context_of(authority))
    async with listening(beyond, authority) as far, listening(here, authority) as near, tunnelling_to(far) as proxy:
        url = f"https://shop.test:{near}/"
        by_proxy = await observe(
            url, web, timeout="5s", proxy={"url": f"http://127.0.0.1:{proxy}", "allow": ["127.0.0.0/8"]}
        )
        direct = await observe(url, web, timeout="5s")
    assert by_proxy.facts["certificate_not_after"] == pytest.approx(soon.timestamp(), abs=2)
    assert direct.facts["certificate_not_after"] > soon.timestamp() + 60


@asynccontextmanager
async def tunnelling_to(port):
    """Yield the port of a proxy for which every name means the server at `port`."""

    async def tunnel(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await connect(reader, writer, port)

    async with raw_server(tunnel) as taken:
        yield taken
