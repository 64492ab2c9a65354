"""By which way a request goes: version of HTTP, version of IP, address, name server, proxy."""

import contextlib
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from web_servers import answering, free_port, hang, http3_server, name_server, raw_server, web_proxy

from earwitness.model import Attribution, Effect, Failure, Outcome

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"


only_curl = pytest.mark.parametrize("engine", ["curl"])


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


# --- the version of HTTP ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "spoken"), [("any", "2"), ("1.1", "1.1"), ("2", "2")])
@only_curl
async def test_speaks_the_version_that_is_wanted(observe, shop, wanted, spoken):
    seen = await observe(f"https://shop.test:{shop.secure['good']}/ok", http_version=wanted)
    assert not seen.findings
    assert seen.facts["http_version"] == spoken


@only_curl
async def test_a_server_that_speaks_no_http2_is_told(observe, secure_server):
    async with secure_server() as url:
        seen = await observe(url, http_version="2")
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROTOCOL_ERROR, Attribution.TARGET)
    assert only(seen).message == "expected HTTP/2, the server speaks HTTP/1.1"


@only_curl
async def test_speaks_http3(observe, shop):
    async with http3_server(shop.folder / "good.pem") as port:
        seen = await observe(f"https://shop.test:{port}/", http_version="3", expect={"body": "over three"})
    assert not seen.findings
    assert seen.facts["http_version"] == "3"
    assert seen.facts["certificate_not_after"] > 0
    assert seen.measures["phase_connect"] > 0


@only_curl
async def test_refuses_a_bad_certificate_over_http3(observe, shop):
    async with http3_server(shop.folder / "other.pem") as port:
        finding = only(await observe(f"https://shop.test:{port}/", http_version="3"))
    assert finding.failure is Failure.CERTIFICATE_INVALID


@only_curl
async def test_nobody_who_speaks_http3_is_a_finding(observe, shop):
    """There is no way back to TCP: who asks for HTTP/3 wants to know whether it is there."""
    seen = await observe(f"https://shop.test:{shop.secure['good']}/ok", http_version="3", timeout="2s")
    assert only(seen).failure in (Failure.CONNECTION_REFUSED, Failure.CONNECTION_FAILED, Failure.CONNECT_TIMEOUT)
    assert seen.outcome is Outcome.FINDING


# --- the version of IP, the address, the name server -----------------------------------------------------------------


@asynccontextmanager
async def twins(four, six):
    """Yield the port at which this machine answers over IPv4 with one handler, over IPv6 with another; None: not at all."""
    async with AsyncExitStack() as servers:
        port = free_port()
        for handler, host in ((four, "127.0.0.1"), (six, "::1")):
            if handler is not None:
                await servers.enter_async_context(raw_server(handler, host, port))
        yield port


@pytest.mark.parametrize("limits", [{}, {"connect": "1500ms"}])
async def test_the_next_address_is_tried_when_one_takes_nobody(observe, zone, limits):
    """A host of two machines, one of which is cut off: customers come to the other."""
    zone.addresses["twin.test"] = ["127.0.0.2", "127.0.0.3"]
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(8):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.2", port))
        async with raw_server(answering(OK), "127.0.0.3", port):
            seen = await observe(f"http://twin.test:{port}/", timeout="3s", timeouts=limits)
    assert seen.outcome is Outcome.OK, seen.findings
    assert seen.facts["address"] == "127.0.0.3"


@pytest.fixture
def twin_web(make_web, zone):
    zone.addresses["twin.test"] = ["127.0.0.1", "::1"]
    return make_web(allow=["127.0.0.0/8", "::1/128"])


@pytest.mark.parametrize(("ip", "body"), [("4", "four"), ("6", "six")])
async def test_goes_by_the_wanted_version_of_ip(observe, twin_web, ip, body):
    by = {name: answering(OK.replace(b": 2", b": %d" % len(name)).replace(b"ok", name)) for name in (b"four", b"six")}
    async with twins(by[b"four"], by[b"six"]) as port:
        seen = await observe(f"http://twin.test:{port}/", web=twin_web, ip=ip, expect={"body": body})
    assert not seen.findings


BOTH = {
    "both well": (OK, OK, []),
    "only 6 fails": (OK, BUSY, ["only over IPv6: expected status 2xx, got 503 Busy"]),
    "only 4 fails": (BUSY, OK, ["only over IPv4: expected status 2xx, got 503 Busy"]),
    "both fail": (BUSY, BUSY, ["expected status 2xx, got 503 Busy"]),
    "each its own way": (
        BUSY,
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
        ["over IPv4: expected status 2xx, got 503 Busy", "over IPv6: the server broke the exchange off: *"],
    ),
}


@pytest.mark.parametrize("case", BOTH)
async def test_tries_both_and_says_over_which_it_fails(observe, twin_web, case):
    four, six, messages = BOTH[case]
    async with twins(answering(four), answering(six)) as port:
        seen = await observe(f"http://twin.test:{port}/", web=twin_web, ip="both")
    assert len(seen.findings) == len(messages)
    for finding, message in zip(seen.findings, messages, strict=True):
        assert finding.message == message or finding.message.startswith(message.removesuffix("*") + "")
    assert [step.name for step in seen.steps] == [f"GET http://twin.test:{port}/ over IPv{v}" for v in (4, 6)]


async def test_a_name_without_an_ipv6_address_is_told(observe, shop):
    seen = await observe(f"http://shop.test:{shop.plain}/ok", ip="both")
    assert only(seen).message == "only over IPv6: shop.test has no IPv6 address"
    assert (only(seen).failure, seen.outcome) == (Failure.NAME_NOT_FOUND, Outcome.FINDING)


async def test_our_own_lack_of_a_family_hides_no_outage(observe, zone, make_web):
    """IPv6 may not be reached from here at all: then that half is unknown, and the other is told as it is."""
    zone.addresses["twin.test"] = ["127.0.0.1", "::1"]
    web = make_web()
    async with raw_server(answering(BUSY)) as port:
        failing = await observe(f"http://twin.test:{port}/", web=web, ip="both")
    async with raw_server(answering(OK)) as port:
        passing = await observe(f"http://twin.test:{port}/", web=web, ip="both")
    assert (only(failing).message, failing.outcome) == ("over IPv4: expected status 2xx, got 503 Busy", Outcome.FINDING)
    assert (only(passing).failure, passing.outcome) == (Failure.ADDRESS_REFUSED, Outcome.UNKNOWN)


async def test_an_address_takes_the_place_of_the_lookup(observe, zone, shop):
    zone.addresses["shop.test"] = ["192.0.2.1"]
    seen = await observe(f"https://shop.test:{shop.secure['good']}/ok", resolve="127.0.0.1")
    assert not seen.findings
    assert (zone.asked, seen.facts["address"]) == (0, "127.0.0.1")


async def test_an_address_that_is_named_is_guarded_all_the_same(observe):
    seen = await observe("http://shop.test/", resolve="169.254.169.254")
    assert (only(seen).failure, seen.outcome) == (Failure.ADDRESS_REFUSED, Outcome.UNKNOWN)


async def test_asks_the_name_server_of_the_probe(observe, zone, shop):
    zone.addresses["shop.test"] = ["192.0.2.1"]
    with name_server() as (address, other):
        other.addresses["shop.test"] = ["127.0.0.1"]
        seen = await observe(f"http://shop.test:{shop.plain}/ok", resolver=address)
        gone = await observe("http://localhost.gone.test/", resolver=address)
    assert not seen.findings
    assert zone.asked == 0
    assert only(gone).failure is Failure.NAME_NOT_FOUND


async def test_a_silent_name_server_of_the_probe_is_our_own_trouble(observe, make_web):
    with name_server() as (address, _):
        seen = await observe("http://silent.test/", web=make_web(resolve_timeout=0.3), resolver=address)
    assert (only(seen).failure, seen.outcome) == (Failure.RESOLVER_FAILED, Outcome.UNKNOWN)


# --- the proxy -------------------------------------------------------------------------------------------------------


def through(proxy, **more):
    return {"url": f"http://127.0.0.1:{proxy.port}", "allow": ["127.0.0.1/32"], **more}


@pytest.fixture
def guarded(make_web):
    """Only the proxy may be reached from here."""
    return make_web(allow=[])


@pytest.mark.parametrize("scheme", ["http", "https"])
@only_curl
async def test_goes_through_a_proxy_that_looks_names_up(observe, zone, guarded, shop, scheme):
    del zone.addresses["shop.test"]
    port = shop.plain if scheme == "http" else shop.secure["good"]
    async with web_proxy() as proxy:
        options = through(proxy, user="probe", password="pr0xy-secret")
        seen = await observe(f"{scheme}://shop.test:{port}/ok", web=guarded, proxy=options, expect={"body": "accepted"})
    assert not seen.findings, seen.findings
    assert seen.facts["proxy"] == f"http://127.0.0.1:{proxy.port}"
    assert "address" not in seen.facts
    assert b"\r\nProxy-Authorization: Basic " in proxy.asked[0]
    assert ("certificate_subject" in seen.facts) == (scheme == "https")


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "admin.LOCALHOST."])
@only_curl
async def test_a_proxy_reaches_no_address_that_is_refused(observe, guarded, host):
    async with web_proxy(b"") as proxy:
        seen = await observe(f"http://{host}/latest/meta-data", web=guarded, proxy=through(proxy), timeout="5s")
    assert (only(seen).failure, proxy.asked) == (Failure.ADDRESS_REFUSED, [])


@only_curl
async def test_a_proxy_is_guarded_itself(observe, guarded):
    async with web_proxy() as proxy:
        seen = await observe("http://shop.test/", web=guarded, proxy=f"http://127.0.0.1:{proxy.port}")
    assert (only(seen).failure, proxy.asked) == (Failure.ADDRESS_REFUSED, [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@only_curl
async def test_a_dead_proxy_is_our_own_trouble(observe, guarded, drawer, scheme):
    options = {"url": "http://127.0.0.1:1", "allow": ["127.0.0.1/32"]}
    seen = await observe(f"{scheme}://shop.test/", web=guarded, proxy=options)
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, Attribution.MONITOR)
    assert only(seen).message == "the proxy 127.0.0.1 is no way out: cannot connect to 127.0.0.1: connection refused"
    assert (seen.outcome, drawer.files) == (Outcome.UNKNOWN, {})


ANSWERS = {
    "wants other credentials": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Attribution.MONITOR),
    "forbids it": (b"HTTP/1.1 403 Forbidden\r\n\r\n", Attribution.MONITOR),
    "cannot reach the target": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Attribution.UNKNOWN),
    "hangs up": (b"", Attribution.UNKNOWN),
}


@pytest.mark.parametrize("case", ANSWERS)
@only_curl
async def test_a_proxy_that_brings_no_tunnel_blames_no_target(observe, guarded, case):
    answer, attribution = ANSWERS[case]
    async with web_proxy(answer) as proxy:
        seen = await observe("https://shop.test/", web=guarded, proxy=through(proxy))
    assert (only(seen).failure, only(seen).attribution, only(seen).effect) == (
        Failure.PROXY_FAILED,
        attribution,
        Effect.NONE,
    )
    assert seen.outcome is Outcome.UNKNOWN


@only_curl
async def test_a_proxy_that_refuses_us_blames_no_target_of_plain_http(observe, guarded, drawer):
    """Only a proxy answers 407 (RFC 9110, 15.5.8): the target never saw the request."""
    answer, _ = ANSWERS["wants other credentials"]
    async with web_proxy(answer) as proxy:
        seen = await observe("http://shop.test/", web=guarded, proxy=through(proxy))
    assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, Attribution.MONITOR)
    assert only(seen).message == "the proxy 127.0.0.1 is no way out: it answered 407 Proxy Authentication Required"
    assert (seen.outcome, drawer.files) == (Outcome.UNKNOWN, {})


@only_curl
async def test_a_target_that_answers_407_by_itself_is_to_blame(observe):
    answer, _ = ANSWERS["wants other credentials"]
    async with web_proxy(answer) as target:
        seen = await observe(f"http://127.0.0.1:{target.port}/")
    assert (only(seen).failure, seen.outcome) == (Failure.WRONG_STATUS, Outcome.FINDING)


@only_curl
async def test_a_proxy_that_hangs_blames_no_target(observe, guarded):
    async with raw_server(hang) as port:
        options = {"url": f"http://127.0.0.1:{port}", "allow": ["127.0.0.1/32"]}
        for scheme in ("http", "https"):
            seen = await observe(f"{scheme}://shop.test/", web=guarded, proxy=options, timeout="1s")
            assert (only(seen).failure, only(seen).attribution) == (Failure.PROXY_FAILED, Attribution.UNKNOWN)


@only_curl
async def test_behind_an_open_tunnel_the_target_is_to_blame(observe, guarded, shop):
    async with web_proxy() as proxy:
        refused = await observe(f"https://shop.test:{shop.secure['other']}/ok", web=guarded, proxy=through(proxy))
        wrong = await observe(f"https://shop.test:{shop.secure['good']}/down", web=guarded, proxy=through(proxy))
    assert (only(refused).failure, refused.outcome) == (Failure.CERTIFICATE_INVALID, Outcome.FINDING)
    assert (only(wrong).failure, wrong.outcome) == (Failure.WRONG_STATUS, Outcome.FINDING)


@only_curl
async def test_the_environment_exempts_nothing_from_the_proxy(observe, guarded, shop, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    async with web_proxy() as proxy:
        seen = await observe(f"http://shop.test:{shop.plain}/ok", web=guarded, proxy=through(proxy))
    assert (len(proxy.asked), seen.findings) == (1, ())


# --- our certificate -------------------------------------------------------------------------------------------------


@pytest.fixture
def secure_server(authority):
    """Make HTTPS servers that want a certificate of ours, if `wanted`."""

    @asynccontextmanager
    async def serve(*, wanted=False, answer=OK):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("shop.test").configure_cert(context)
        if wanted:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        async with raw_server(answering(answer), ssl=context) as port:
            yield f"https://shop.test:{port}/"

    return serve


@pytest.fixture
def ours(authority, tmp_path):
    """A certificate of ours, with its key in a file of its own."""
    issued = authority.issue_cert("probe.test")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "probe.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "probe.key"))
    return {"client_cert": str(tmp_path / "probe.pem"), "client_key": str(tmp_path / "probe.key")}


async def test_signs_in_with_a_certificate(observe, secure_server, ours):
    async with secure_server(wanted=True) as url:
        assert not (await observe(url, **ours)).findings
        without = await observe(url)
    assert without.outcome is Outcome.FINDING


async def test_a_certificate_is_not_shown_to_another_host(observe, secure_server, ours):
    """A redirect elsewhere must not tell who we are; the server there wants to know, and is told nothing."""
    async with secure_server(wanted=True) as there:
        head = f"HTTP/1.1 302 Found\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n"
        async with secure_server(wanted=True, answer=head.encode()) as here:
            seen = await observe(here, **ours)
    assert seen.outcome is Outcome.FINDING
    assert seen.facts["redirects"] == 1


async def test_a_certificate_is_shown_again_when_a_redirect_comes_back(observe, authority, secure_server, ours):
    """As after a login at another host, which must not see it."""
    shown = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.test").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    async def shop(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        shown.append((path, bool(writer.get_extra_info("peercert"))))
        writer.write(OK if path == b"/done" else f"HTTP/1.1 302 Found\r\nlocation: {login}\r\n\r\n".encode())
        await writer.drain()

    async with raw_server(shop, ssl=context) as port:
        back = f"HTTP/1.1 302 Found\r\nlocation: https://shop.test:{port}/done\r\ncontent-length: 0\r\n\r\n"
        async with secure_server(answer=back.encode()) as login:
            seen = await observe(f"https://shop.test:{port}/", **ours)
    assert seen.outcome is Outcome.OK, seen.findings
    assert shown == [(b"/", True), (b"/done", True)]


async def test_a_certificate_that_is_gone_since_is_our_own_trouble(observe, drawer, secure_server, ours, tmp_path):
    async with secure_server(wanted=True) as url:
        seen = await observe(url, **ours, meanwhile=(tmp_path / "probe.key").unlink)
    assert (only(seen).failure, only(seen).attribution) == (Failure.CLIENT_CERTIFICATE_UNUSABLE, Attribution.MONITOR)
    assert (seen.outcome, drawer.files) == (Outcome.UNKNOWN, {})
    assert "cannot read" in only(seen).message


async def test_a_certificate_that_our_library_refuses_is_our_own_trouble(observe, authority, secure_server, tmp_path):
    """What was good enough when it was issued is too weak for the OpenSSL of today: nothing that the server did."""
    file = client_certificate(authority, tmp_path, bits=1024)
    async with secure_server(wanted=True) as url:
        seen = await observe(url, client_cert=str(file))
    assert (only(seen).failure, only(seen).attribution) == (Failure.CLIENT_CERTIFICATE_UNUSABLE, Attribution.MONITOR)
    assert (seen.outcome, only(seen).effect) == (Outcome.UNKNOWN, Effect.NONE)
    assert "ee key too small" in only(seen).message.lower()


def client_certificate(authority, folder, *, bits):
    """Write a certificate of the authority for an RSA key of so many bits, with the key, and return the file."""
    key = rsa.generate_private_key(65537, bits)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signing = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer.subject,
        x509.Name([]),
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=1),
    ).sign(signing, hashes.SHA256())
    pem, secret = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "client.pem"
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, secret, serialization.NoEncryption()))
    return file


async def test_a_flow_over_both_names_step_and_family(observe, twin_web):
    async with twins(answering(OK), answering(BUSY)) as port:
        url = f"http://twin.test:{port}/"
        steps = [{"name": "token", "url": url, "effect": "nuisance"}, {"name": "pay", "url": url}]
        seen = await observe(steps=steps, web=twin_web, ip="both")
    assert [(f.step, f.message) for f in seen.findings] == [
        ("token over IPv6", "token: only over IPv6: expected status 2xx, got 503 Busy"),
        ("pay over IPv6", "pay: only over IPv6: expected status 2xx, got 503 Busy"),
    ]
    assert seen.facts["status"] == 503
    assert {"step_token", "step_pay"} <= set(seen.measures)
