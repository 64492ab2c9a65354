"""A run that is cancelled leaves nothing behind, whatever it was waiting for."""

import asyncio
import gc
import time
from contextlib import suppress
from pathlib import Path

import pytest
from web_servers import answering, hang, raw_server

from earwitness.transport.curl import CurlTransport
from earwitness.transport.errors import ExchangeError

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"


def sockets() -> set[str]:
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            links.add(str(entry.readlink()))
    return {link for link in links if link.startswith("socket:")}


def noticing(event: asyncio.Event, then):
    async def handle(reader, writer):
        event.set()
        await then(reader, writer)

    return handle


async def reads_headers_then_hangs(reader, writer):
    await answering(HEAD + b"x", then=hang)(reader, writer)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_request_cancelled_before_its_answer_leaves_no_socket(web, scheme):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await noticing(arrived, hang)(reader, writer)
        gone.set()

    async with raw_server(serve) as port:
        before = sockets()
        request = asyncio.create_task(web.client(timeout=30).get(f"{scheme}://127.0.0.1:{port}/"))
        await cancelled(request, arrived, gone)
        await asyncio.to_thread(wait_until, lambda: not sockets() - before)
    nothing_under_way(web)


async def test_a_request_cancelled_in_its_body_leaves_no_socket(web):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await reads_headers_then_hangs(reader, writer)
        gone.set()

    async def read(port):
        async with web.client(timeout=30).stream("GET", f"http://127.0.0.1:{port}/") as response:
            async for _ in response.aiter_bytes():
                arrived.set()

    async with raw_server(serve) as port:
        before = sockets()
        await cancelled(asyncio.create_task(read(port)), arrived, gone)
        await asyncio.to_thread(wait_until, lambda: not sockets() - before)
    nothing_under_way(web)


async def cancelled(request, arrived, gone):
    """Cancel the request once it arrived, and wait until the server saw the connection end."""
    await arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.wait_for(gone.wait(), 10)


async def test_a_cancelled_lookup_leaves_no_socket(make_web, engine, zone):
    web = make_web(transport=engine, nameservers=(zone.address,), resolve_timeout=30)
    before = sockets()
    request = asyncio.create_task(web.client(timeout=30).get("http://silent.test/"))
    await asyncio.to_thread(zone.silent_asked.acquire, True, 10)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.to_thread(wait_until, lambda: not sockets() - before)
    nothing_under_way(web)


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about in 10 s")


async def test_a_response_closed_unread_leaves_no_socket(web):
    gone = asyncio.Event()

    async def serve(reader, writer):
        await reads_headers_then_hangs(reader, writer)
        gone.set()

    async with raw_server(serve) as port:
        before = sockets()
        async with web.client(timeout=30, fresh=True).stream("GET", f"http://127.0.0.1:{port}/") as response:
            assert response.status_code == 200
        await asyncio.wait_for(gone.wait(), 10)
        await asyncio.to_thread(wait_until, lambda: not sockets() - before)
    nothing_under_way(web)


async def test_closing_the_client_ends_what_is_under_way(make_web):
    web = make_web()
    arrived = asyncio.Event()
    async with raw_server(noticing(arrived, hang)) as port:
        request = asyncio.create_task(web.client(timeout=30).get(f"http://127.0.0.1:{port}/"))
        await arrived.wait()
        await web.aclose()
        with pytest.raises(ExchangeError, match="closing"):
            await request


async def test_many_cancelled_at_once(web):
    async with raw_server(hang) as port:
        client = web.client(timeout=30)
        requests = [asyncio.create_task(client.get(f"http://127.0.0.1:{port}/")) for _ in range(50)]
        await asyncio.sleep(0)
        for request in requests:
            request.cancel()
        results = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    nothing_under_way(web)


def nothing_under_way(web):
    gc.collect()
    if isinstance(web.transport, CurlTransport):
        assert web.transport.driver().busy == 0
        assert web.transport.driver().watched == 0


async def test_a_fault_in_a_callback_fails_the_request_and_not_the_loop(make_web, monkeypatch):
    web = make_web()
    async with raw_server(hang) as port:
        driver = web.transport.driver()

        def broken(_fd, _events):
            raise RuntimeError("no room")

        monkeypatch.setattr(driver._selector, "register", broken)
        with pytest.raises(ExchangeError, match="no room"):
            await web.client(timeout=10).get(f"http://127.0.0.1:{port}/")
        monkeypatch.undo()
