"""A proxy of ours on the way out of the browser: asked for every name, guarded itself, and never taken for the target."""

import asyncio
import os
import shutil
import ssl
import subprocess
from contextlib import contextmanager

import pytest
import trustme
from virtual import until
from web_servers import free_port, raw_server, self_signed, web_proxy

from earwitness.browser.engine import BrowserEngine
from earwitness.config.network import NetworkSpec
from earwitness.model import Attribution, Failure, Outcome
from earwitness.transport.client import WebClient

HERE = ["127.0.0.1/32"]


def through(proxy, **more):
    return {"url": f"http://127.0.0.1:{proxy.port}", "allow": HERE, "user": "probe", "password": "pr0xy-secret", **more}


@contextmanager
def tinyproxy(folder):
    """Yield the port of a proxy of the system that asks for a name and a password."""
    program = shutil.which("tinyproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("tinyproxy is not installed")
    port, file, log = free_port(), folder / "tinyproxy.conf", folder / "tinyproxy.log"
    file.write_text(f'Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth probe pr0xy-secret\nLogFile "{log}"\n')
    process = subprocess.Popen([program, "-d", "-c", str(file)])
    try:
        yield port, log
    finally:
        process.terminate()
        process.wait(timeout=30)


def only(seen):
    (finding,) = seen.findings
    return finding


async def test_everything_goes_through_the_proxy_which_looks_names_up(observe, site, zone, drawer):
    """Pages, scripts, `fetch()` and WebSockets, of names that our own name servers do not know; nothing of it passes by."""
    site.pages["/"] = f"""<script src="http://scripts.inside:{site.port}/s.js"></script><p>Hello
    <script>new WebSocket('ws://sockets.inside:{site.port}/');
    fetch('http://data.inside:{site.port}/d', {{mode: 'no-cors'}}).then(() => document.title = 'done');</script>"""
    site.pages["/s.js"] = "1"
    before = zone.asked
    async with web_proxy() as proxy:
        steps = ({"open": site.url("/", "page.inside")}, {"expect_title": "done"}, {"click": "Pay", "timeout": "300ms"})
        seen = await observe(*steps, allow=[], proxy=through(proxy))
    assert only(seen).failure is Failure.ELEMENT_MISSING, seen.findings
    for name in ("page", "scripts", "sockets", "data"):
        heads = [
            head for head in proxy.asked if f" {name}.inside:".encode() in head or f"//{name}.inside:".encode() in head
        ]
        assert heads, name
        assert all(b"\r\nProxy-Authorization: Basic cHJvYmU6cHIweHktc2VjcmV0\r\n" in head for head in heads)
    assert seen.facts["proxy"] == f"http://127.0.0.1:{proxy.port}"
    assert zone.asked == before
    assert not any(b"pr0xy-secret" in kept or b"cHJvYmU6" in kept for kept in drawer.files.values())


async def test_a_secure_page_goes_through_a_tunnel_in_which_its_certificate_is_checked(observe, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path, "shop.inside"))

    async def silent(reader, _writer):
        await reader.read()

    async with raw_server(silent, ssl=context) as port, web_proxy() as proxy:
        seen = await observe({"open": f"https://shop.inside:{port}/"}, allow=[], proxy=through(proxy))
    assert (only(seen).failure, only(seen).attribution) == (Failure.CERTIFICATE_INVALID, Attribution.TARGET)
    assert all(head.startswith(b"CONNECT shop.inside:") for head in proxy.asked), "nothing of the browser's own"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/",
        "http://[::ffff:10.0.0.7]/",
        "http://0x7f000001/",
        "http://localhost:8081/",
        "http://shop.localhost/",
    ],
)
async def test_the_proxy_is_asked_for_no_address_that_is_refused(observe, url):
    async with web_proxy() as proxy:
        seen = await observe({"open": url}, allow=[], proxy=through(proxy))
    assert (only(seen).failure, only(seen).attribution) == (Failure.ADDRESS_REFUSED, Attribution.MONITOR)
    assert proxy.asked == []


async def test_a_redirect_to_a_private_address_is_refused_there_too(observe, site):
    async with web_proxy() as proxy:
        page = {"open": site.url("/to?url=http://169.254.169.254/", "shop.inside")}
        seen = await observe(page, allow=[], proxy=through(proxy))
    assert only(seen).failure is Failure.ADDRESS_REFUSED
    assert not any(b"169.254" in head.partition(b"\r\n")[0].partition(b"?")[0] for head in proxy.asked)


async def test_the_proxy_is_guarded_itself(observe):
    async with web_proxy() as proxy:
        seen = await observe({"open": "http://shop.inside/"}, allow=HERE, proxy=through(proxy, allow=[]))
    assert (only(seen).failure, proxy.asked) == (Failure.ADDRESS_REFUSED, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_dead_proxy_is_our_own_trouble(observe, drawer, scheme):
    seen = await observe({"open": f"{scheme}://shop.inside/"}, proxy={"url": "http://127.0.0.1:1", "allow": HERE})
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, Attribution.MONITOR)
    assert "the proxy 127.0.0.1 is no way out: " in only(seen).message
    assert (seen.outcome, drawer.files) == (Outcome.UNKNOWN, {})


@pytest.mark.parametrize(
    ("scheme", "answer", "whose"),
    [
        (
            "https",
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n",
            Attribution.MONITOR,
        ),
        (
            "http",
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n",
            Attribution.MONITOR,
        ),
        ("https", b"HTTP/1.1 403 Forbidden\r\n\r\n", Attribution.MONITOR),
        ("https", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Attribution.UNKNOWN),
        ("https", b"", Attribution.UNKNOWN),
        ("https", b"SSH-2.0-OpenSSH\r\n\r\n", Attribution.UNKNOWN),
    ],
    ids=["407", "407 to plain http", "403", "502", "hangs up", "no proxy"],
)
async def test_a_proxy_that_brings_nothing_blames_no_target(observe, scheme, answer, whose):
    async with web_proxy(answer) as proxy:
        seen = await observe({"open": f"{scheme}://shop.inside/"}, allow=[], proxy=through(proxy))
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, whose), seen.findings
    assert seen.outcome is Outcome.UNKNOWN
    assert seen.evidence == ()


async def test_a_proxy_is_spoken_to_by_tls_where_its_address_says_so(observe, site, engine, zone, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    file = self_signed(tmp_path, "proxy.test")
    context.load_cert_chain(file)
    site.pages["/"] = "Hello"
    zone.addresses["proxy.test"] = ["127.0.0.1"]
    async with web_proxy(ssl=context) as proxy:
        section = {"url": f"https://proxy.test:{proxy.port}", "allow": HERE}
        seen = await observe({"open": site.url("/", "shop.inside")}, allow=[], proxy=section)
        assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, Attribution.MONITOR)
        trusting = WebClient(NetworkSpec(nameservers=(zone.address,), ca_file=file))
        engine._gateway._web, before = (lambda: trusting), engine._gateway._web
        try:
            seen = await observe({"open": site.url("/", "shop.inside")}, allow=[], proxy=section)
        finally:
            engine._gateway._web = before
            await trusting.aclose()
    assert seen.outcome is Outcome.OK, seen.findings


async def test_a_real_proxy_and_a_real_server_with_an_authority_of_ours(observe, site, zone, tmp_path):
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    web = WebClient(NetworkSpec(nameservers=(zone.address,), ca_file=tmp_path / "ca.pem"))
    engine = BrowserEngine(lambda: web)
    site.pages["/frame"] = "Pay here"

    async def payment_page(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        text = f"<h1>Checkout</h1><iframe name=card src='{site.url('/frame', '127.0.0.1')}'></iframe>"
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n{text}".encode())
        await writer.drain()

    with tinyproxy(tmp_path) as (port, log):
        await until(lambda: log.exists() and "Accepting connections" in log.read_text())
        section = {"url": f"http://127.0.0.1:{port}", "allow": HERE, "user": "probe", "password": "pr0xy-secret"}
        async with raw_server(payment_page, ssl=context) as secure:
            steps = ({"open": f"https://127.0.0.1:{secure}/"}, {"expect_text": "Checkout"})
            seen = await observe(*steps, allow=HERE, proxy=section, browser=engine)
            wrong = await observe(*steps, allow=HERE, proxy={**section, "password": "other"}, browser=engine)
    await engine.aclose()
    await web.aclose()
    assert seen.outcome is Outcome.OK, seen.findings
    assert (only(wrong).failure, only(wrong).attribution) == (Failure.PROXY_FAILED, Attribution.MONITOR)
    told = await asyncio.to_thread(log.read_text)
    assert f"CONNECT 127.0.0.1:{secure}" in told
