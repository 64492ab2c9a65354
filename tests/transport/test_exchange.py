import asyncio
import gzip
import os
import zlib
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest
import respx
from web_servers import answering, hang, raw_server

from earwitness.model import Failure
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import EXCHANGE, TERMS, WRITTEN, Stage, Terms

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def sized(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (lines, len(body), body)


async def echo(reader, writer):
    """Send back what came, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    writer.write(sized(head + await reader.readexactly(length)))
    await writer.drain()


async def reset(_reader, writer):
    writer.transport.abort()


async def test_times_every_phase(web):
    async with raw_server(answering(OK)) as port:
        response = await web.client().get(f"http://127.0.0.1:{port}/")
    exchange = response.extensions[EXCHANGE]
    assert list(exchange.phases) == [Stage.RESOLVE, Stage.CONNECT, Stage.PROCESSING, Stage.TRANSFER]
    assert all(seconds >= 0 for seconds in exchange.phases.values())
    assert exchange.phases[Stage.PROCESSING] > 0
    assert (exchange.address, exchange.http_version, exchange.size) == ("127.0.0.1", "1.1", 2)


@pytest.mark.parametrize(("extensions", "heard"), [({}, [b"1", b"2"]), ({WRITTEN: None}, [b"1", b"1"])])
async def test_only_a_request_that_nothing_changes_is_written_once(make_web, extensions, heard):
    web = make_web()
    async with raw_server(echo) as port:
        request = httpx.Request("GET", f"http://127.0.0.1:{port}/", headers={"x-n": "1"}, extensions=extensions)
        first = await web.transport.send(request, web.terms(), 5.0)
        heads = [b"".join([piece async for piece in first.body])]
        request.headers["x-n"] = "2"
        second = await web.transport.send(request, web.terms(), 5.0)
        heads.append(b"".join([piece async for piece in second.body]))
    assert [head.partition(b"x-n: ")[2][:1] for head in heads] == heard


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b""), ("POST", b"a=1"), ("POST", b""), ("PUT", b"\0\xff" * 9), ("DELETE", b"")]
)
async def test_sends_what_it_is_given(web, method, body):
    async with raw_server(echo) as port:
        client = web.client()
        url = f"http://user:pass@127.0.0.1:{port}/a/../b%20c?x=1&y=%2F#part"
        response = await client.request(method, url, content=body, headers={"x-empty": "", "x-one": "1"})
    head, _, sent = response.content.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == f"{method} /b%20c?x=1&y=%2F HTTP/1.1".encode()
    lines = head.lower().split(b"\r\n")[1:]
    assert sent == body
    assert b"x-one: 1" in lines
    assert b"x-empty:" in [line.strip() for line in lines]
    assert b"authorization: basic dxnlcjpwyxnz" in lines
    assert lines.count(f"host: 127.0.0.1:{port}".encode()) == 1
    assert not [line for line in lines if line.startswith((b"expect:", b"transfer-encoding:"))]


async def test_refuses_a_line_break_in_a_header(web):
    async with raw_server(answering(OK)) as port:
        with pytest.raises(httpx.LocalProtocolError):
            await web.client().get(f"http://127.0.0.1:{port}/", headers=[(b"x", b"1\r\ny: 2")])


async def test_a_large_body_waits_for_its_reader(web):
    body = os.urandom(5_000_000)
    async with raw_server(answering(sized(body))) as port:
        client = web.client()
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as response:
            got = [chunk async for chunk in response.aiter_bytes()]
    assert b"".join(got) == body


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data)[2:-4]),
        (b"identity", bytes),
    ],
    ids=["gzip", "two members", "zlib", "raw deflate", "identity"],
)
async def test_unpacks(web, encoding, pack):
    body = b"Payment accepted " * 10_000
    async with raw_server(answering(sized(pack(body), b"content-encoding: " + encoding))) as port:
        response = await web.client().get(f"http://127.0.0.1:{port}/")
    assert response.content == body
    assert (b"content-encoding", encoding) in [(n.lower(), v) for n, v in response.extensions[EXCHANGE].headers]


@pytest.mark.parametrize("tail", [b"\0" * 20, b"<!-- served by cache 7 -->", b"\x1e"], ids=["zeros", "text", "one"])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [(b"gzip", gzip.compress(b"hello ") + gzip.compress(b"there")), (b"deflate", zlib.compress(b"hello there"))],
    ids=["gzip", "zlib"],
)
async def test_what_follows_a_packed_body_is_ignored_as_browsers_do(web, encoding, packed, tail):
    async with raw_server(answering(sized(packed + tail, b"content-encoding: " + encoding))) as port:
        assert (await web.client().get(f"http://127.0.0.1:{port}/")).text == "hello there"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"gzip", b"not gzip"), (b"gzip", gzip.compress(b"x" * 999)[:-9]), (b"br", b"?"), (b"gzip, gzip", b"?")],
    ids=["no gzip", "cut short", "not offered", "packed twice"],
)
async def test_a_body_that_cannot_be_unpacked_is_a_protocol_error(web, encoding, body):
    async with raw_server(answering(sized(body, b"content-encoding: " + encoding))) as port:
        with pytest.raises(ExchangeError) as caught:
            await web.client().get(f"http://127.0.0.1:{port}/")
    assert caught.value.failure is Failure.PROTOCOL_ERROR
    assert caught.value.sent


BOMB = gzip.compress(b"\0" * 50_000_000)


async def test_a_bomb_is_never_whole_in_memory(web):
    async with raw_server(answering(sized(BOMB, b"content-encoding: gzip"))) as port:
        with pytest.raises(ExchangeError) as caught:
            await web.client(body_limit=1_000_000).get(f"http://127.0.0.1:{port}/")
    assert caught.value.failure is Failure.BODY_TOO_LARGE
    assert 1_000_000 < caught.value.exchange.size <= 1_000_000 + 64 * 1024


async def endless(_reader, writer):
    while not writer.transport.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


async def drip(_reader, writer):
    while not writer.transport.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


BROKEN = {
    "endless body": (answering(b"HTTP/1.1 200 OK\r\n\r\n", then=endless), Failure.BODY_TOO_LARGE),
    "reset after headers": (
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", then=reset),
        Failure.CONNECTION_LOST,
    ),
    "short body": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"), Failure.CONNECTION_LOST),
    "no answer": (answering(), Failure.CONNECTION_LOST),
    "HTTP/0.9": (answering(b"<html>\r\n\r\nhello</html>\n"), Failure.PROTOCOL_ERROR),
    "10 MB of headers": (answering(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_700_000 + b"\r\n"), Failure.PROTOCOL_ERROR),
    "one header of 10 MB": (answering(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000_000), Failure.PROTOCOL_ERROR),
    "slow first byte": (answering(then=hang), Failure.FIRST_BYTE_TIMEOUT),
    "slow body": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", then=hang), Failure.TRANSFER_TIMEOUT),
    "dripping body": (answering(b"HTTP/1.1 200 OK\r\n\r\n", then=drip), Failure.TRANSFER_TIMEOUT),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_bad_manners_have_names(web, kind):
    handler, failure = BROKEN[kind]
    async with raw_server(handler) as port:
        with pytest.raises(ExchangeError) as caught:
            await web.client(body_limit=500_000, timeout=0.5).get(f"http://127.0.0.1:{port}/")
    assert caught.value.failure is failure
    assert caught.value.sent
    assert caught.value.exchange.phases


async def test_a_server_that_is_not_there_refuses(web):
    with pytest.raises(ExchangeError, match=r"cannot connect to 127.0.0.1: connection refused") as caught:
        await web.client().get("http://127.0.0.1:1/")
    assert caught.value.failure is Failure.CONNECTION_REFUSED
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("scheme", "stage", "failure"),
    [("http", Stage.PROCESSING, Failure.FIRST_BYTE_TIMEOUT), ("https", Stage.TLS, Failure.TLS_FAILED)],
)
async def test_a_phase_has_a_limit_of_its_own(web, scheme, stage, failure):
    terms = Terms(allow=web.terms().allow, limits={Stage.CONNECT: 5.0, stage: 0.05})
    async with raw_server(hang) as port:
        with pytest.raises(ExchangeError, match=r"within 0.05 s") as caught:
            await web.client(timeout=20).get(f"{scheme}://127.0.0.1:{port}/", extensions={TERMS: terms})
    assert caught.value.failure is failure


async def test_the_limit_of_a_phase_begins_when_the_phase_does(web):
    terms = Terms(allow=web.terms().allow, limits={Stage.TLS: 2.0})
    async with raw_server(hang) as port:
        with pytest.raises(ExchangeError, match=r"the TLS handshake did not end within 2 s") as caught:
            await web.client(timeout=20).get(f"https://127.0.0.1:{port}/", extensions={TERMS: terms})
    phases = caught.value.exchange.phases
    assert phases[Stage.CONNECT] < 1.0, "it was there at once"
    assert phases[Stage.TLS] == pytest.approx(2.0, abs=0.5)


async def test_a_connection_that_nobody_takes_is_timed_out(web):
    """A listener with a full queue drops the handshake, as a firewall would."""
    import socket  # noqa: PLC0415

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        with pytest.raises(ExchangeError) as caught:
            await web.client(timeout=0.3).get(f"http://127.0.0.1:{port}/")
        for filler in fillers:
            filler.close()
    assert caught.value.failure is Failure.CONNECT_TIMEOUT


async def test_interim_answers_and_trailers_are_not_the_answer(web):
    pieces = (
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: 1\r\n\r\n2\r\nok\r\n0\r\ntrail: 1\r\n\r\n",
    )
    async with raw_server(answering(*pieces)) as port:
        response = await web.client().get(f"http://127.0.0.1:{port}/")
    assert (response.status_code, response.text, response.headers.get("link")) == (200, "ok", None)


async def test_respx_reaches_the_client(web):
    with respx.mock(using="httpx") as mock:
        mock.post("https://alerts.example/hook").respond(202, json={"status": "accepted"})
        response = await web.client().post("https://alerts.example/hook", json={})
    assert (response.status_code, response.json()) == (202, {"status": "accepted"})


async def test_keeps_a_connection_only_for_those_who_may_share_it(make_web):
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)

    async with raw_server(serve) as port:
        web = make_web()
        url = f"http://127.0.0.1:{port}/"
        for fresh in (False, False, True, True):
            await web.client(fresh=fresh).get(url)
        assert len(connections) == 3
        for writer in connections:
            writer.transport.abort()


async def test_a_broken_server_that_is_mended_is_seen_to_be(web):
    async with raw_server(answering(OK)) as port:
        assert (await web.client().get(f"http://127.0.0.1:{port}/")).text == "ok"
    with pytest.raises(ExchangeError):
        await web.client().get(f"http://127.0.0.1:{port}/")


async def test_a_post_is_never_sent_twice(web):
    """A server that hangs up on a kept connection may have done what it was asked to."""
    heard = []

    async def serve(reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            heard.append(head.split()[0])
            if head.startswith(b"POST"):
                await reset(reader, writer)
                return
            writer.write(OK)

    async with raw_server(serve) as port:
        client, url = web.client(fresh=False), f"http://127.0.0.1:{port}/"
        await client.get(url)
        with pytest.raises(ExchangeError) as caught:
            await client.post(url)
    assert heard == [b"GET", b"POST"]
    assert (caught.value.failure, caught.value.sent) == (Failure.CONNECTION_LOST, True)


async def test_without_tls_there_is_no_http3_to_insist_on(make_web):
    """Where a redirect leads from https to http, the version that is spoken there is what is wrong, and nothing of ours."""
    request = httpx.Request("GET", "http://127.0.0.1/")
    async with raw_server(answering(OK)) as port:
        request.url = request.url.copy_with(port=port)
        web = make_web()
        arrival = await web.transport.send(request, replace(web.terms(), version="3"), 5.0)
        assert (arrival.status, arrival.exchange.http_version) == (200, "1.1")
        await arrival.body.aclose()
