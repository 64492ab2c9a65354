"""Runs over a connection that an earlier one left open: they ask who they are told to ask, and say what they waited for."""

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from web_servers import free_port, issued, nginx, raw_server

from earwitness.model import Failure, Outcome
from earwitness.transport import curl, transfer


@pytest.fixture(params=["curl"])
def engine(request):
    return request.param


class Keeping:
    """A server that keeps its connections open and says its name; from request `until` on it says nothing."""

    def __init__(self, name="shop", until=1000):
        self.name, self.until, self.connections, self.asked = name, until, 0, 0

    async def __call__(self, reader, writer):
        self.connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            self.asked += 1
            if self.asked >= self.until:
                await reader.read()
                return
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(self.name)}\r\n\r\n{self.name}".encode())


async def test_it_is_kept_where_nothing_says_which_way_to_go(observe, make_web):
    web, server = make_web(), Keeping()
    async with raw_server(server) as port:
        for _ in range(3):
            assert not (await observe(f"http://shop.test:{port}/", web, fresh_connection=False)).findings
    assert (server.connections, server.asked) == (1, 3)


@pytest.mark.parametrize("ip", ["both", "6"])
async def test_it_is_never_one_over_another_version_of_ip(observe, make_web, zone, ip):
    zone.addresses["shop.test"] = ["127.0.0.1", "::1"]
    web = make_web(allow=["127.0.0.0/8", "::1/128"])
    async with raw_server(Keeping()) as port:
        url = f"http://shop.test:{port}/"
        assert not (await observe(url, web, fresh_connection=False, ip="4")).findings
        assert not (await observe(url, web, fresh_connection=False)).findings
        seen = await observe(url, web, fresh_connection=False, ip=ip)
    assert [f.failure for f in seen.findings] == [Failure.CONNECTION_REFUSED], seen.outcome


async def test_it_is_never_one_to_another_address(observe, make_web):
    web, port = make_web(), free_port()
    async with AsyncExitStack() as servers:
        for last in "123":
            await servers.enter_async_context(raw_server(Keeping(f"server {last}"), f"127.0.0.{last}", port))
        for address in (None, "127.0.0.2", "127.0.0.3", None, "127.0.0.2"):
            way = {"resolve": address} if address else {}
            body = f"server {(address or '127.0.0.1')[-1]}"
            seen = await observe(f"http://shop.test:{port}/", web, fresh_connection=False, expect={"body": body}, **way)
            assert seen.outcome is Outcome.OK, seen.findings


async def test_another_name_server_may_name_another_address(observe, make_web, zone):
    web, port = make_web(), free_port()
    async with (
        raw_server(Keeping("old"), "127.0.0.1", port),
        raw_server(Keeping("new"), "127.0.0.2", port),
    ):
        url = f"http://shop.test:{port}/"
        assert not (await observe(url, web, fresh_connection=False)).findings
        zone.addresses["shop.test"] = ["127.0.0.2"]
        seen = await observe(url, web, fresh_connection=False, resolver=zone.address, expect={"body": "new"})
    assert seen.outcome is Outcome.OK, seen.findings


@pytest.mark.parametrize(
    "limits", [{"connect": "0.3s"}, {"first_byte": "0.3s"}, {"connect": "0.2s", "first_byte": "0.6s"}]
)
async def test_to_wait_for_its_answer_is_not_to_connect(observe, make_web, limits):
    web, server = make_web(), Keeping(until=2)
    async with raw_server(server) as port, asyncio.timeout(20):
        url = f"http://shop.test:{port}/"
        assert not (await observe(url, web, fresh_connection=False)).findings
        seen = await observe(url, web, fresh_connection=False, timeout="1s", timeouts=limits)
    within = limits.get("first_byte", "1s").rstrip("s")
    assert [f.message for f in seen.findings] == [f"no answer began within {within} s"]
    assert seen.findings[0].failure is Failure.FIRST_BYTE_TIMEOUT
    assert seen.measures["phase_processing"] > 0.2
    assert server.connections == 1


@pytest.fixture
async def secure(authority):
    """The port of a server with a certificate that ends in three days, and the server."""
    context, server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Keeping()
    authority.issue_cert("shop.test", not_after=datetime.now(UTC) + timedelta(days=3)).configure_cert(context)
    async with raw_server(server, ssl=context) as port:
        yield port, server


async def test_its_certificate_is_known_though_it_was_shown_when_it_was_made(observe, make_web, secure):
    """Nothing else would tell that it runs out, as long as somebody comes often enough."""
    (port, server), web = secure, make_web()
    for _ in range(2):
        seen = await observe(f"https://shop.test:{port}/", web, fresh_connection=False)
        assert [f.failure for f in seen.findings] == [Failure.CERTIFICATE_EXPIRING]
        assert seen.measures["cert_expiry"] == seen.facts["certificate_not_after"]
    assert server.connections == 1


@pytest.fixture
def over_http2(tmp_path, authority):
    """The port of an nginx that speaks HTTP/2, with a certificate that ends in three days, in front of a silent server."""
    pem = issued(tmp_path, authority, "shop.test", datetime.now(UTC) + timedelta(days=3), "soon")
    with nginx(tmp_path, {"soon": pem}) as running, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        yield running.secure["soon"]


async def test_its_certificate_is_known_though_the_first_request_over_it_had_no_answer(observe, make_web, over_http2):
    """A connection of HTTP/2 lives on when one of its requests is given up."""
    web, url = make_web(), f"https://shop.test:{over_http2}"
    seen = await observe(f"{url}/silent", web, fresh_connection=False, timeout="0.5s")
    assert Failure.FIRST_BYTE_TIMEOUT in [f.failure for f in seen.findings]
    seen = await observe(f"{url}/ok", web, fresh_connection=False)
    assert [f.failure for f in seen.findings] == [Failure.CERTIFICATE_EXPIRING]
    assert "phase_tls" not in seen.measures, "it is the same connection"


async def test_it_is_made_anew_after_a_while(observe, make_web, secure, monkeypatch):
    """Whether a certificate is still good is seen at a handshake."""
    monkeypatch.setattr(transfer, "_KEPT_FOR", 1)
    (port, server), web = secure, make_web()
    async with asyncio.timeout(20):
        while server.connections < 2:
            await observe(f"https://shop.test:{port}/", web, fresh_connection=False)
            await asyncio.sleep(0.05)
    assert server.asked > 5


async def test_its_certificate_is_known_however_many_others_were_made_since(
    observe, make_web, secure, authority, monkeypatch
):
    monkeypatch.setattr(curl, "_REMEMBERED", 2)
    (port, server), web = secure, make_web()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.test").configure_cert(context)
    for _ in range(3):
        seen = await observe(f"https://shop.test:{port}/", web, fresh_connection=False)
        assert [f.failure for f in seen.findings] == [Failure.CERTIFICATE_EXPIRING]
        async with raw_server(Keeping(), ssl=context) as other:
            assert not (await observe(f"https://shop.test:{other}/", web, fresh_connection=False)).findings
    assert server.connections == 1


async def test_authorities_that_are_missing_are_our_own_trouble_here_too(observe, make_web, secure, tmp_path):
    web = make_web(ca_file=tmp_path / "gone.pem")
    seen = await observe(f"https://shop.test:{secure[0]}/", web, fresh_connection=False)
    assert [f.failure for f in seen.findings] == [Failure.NO_TRUST_STORE]
