"""Where the browser may go: nowhere that the monitor itself may not."""

import asyncio
import contextlib

import pytest

from earwitness.model import Attribution, Failure, Outcome


async def test_a_private_address_is_refused_and_is_no_outage(observe):
    for url in ("http://169.254.169.254/latest/meta-data", "https://10.0.0.7/", "http://[::ffff:10.0.0.7]/"):
        seen = await observe({"open": url}, allow=[])
        (finding,) = seen.findings
        assert (seen.outcome, finding.failure) == (Outcome.UNKNOWN, Failure.ADDRESS_REFUSED), url
        assert finding.attribution is Attribution.MONITOR
        assert seen.evidence == ()


async def test_this_machine_is_refused_unless_it_is_allowed(observe, site):
    site.pages["/"] = "Hello"
    for host in ("127.0.0.1", "shop.test", "localhost"):
        assert (await observe({"open": site.url("/", host)}, allow=[])).outcome is Outcome.UNKNOWN, host
    assert site.posted == []


async def test_a_redirect_to_a_private_address_is_refused(observe, site):
    seen = await observe({"open": site.url("/to?url=http://169.254.169.254/")})
    assert seen.findings[0].failure is Failure.ADDRESS_REFUSED
    assert "169.254.169.254" in seen.findings[0].message


async def test_a_name_that_leads_to_a_private_address_is_refused(observe, zone):
    zone.addresses["rebound.test"] = ["192.168.7.7"]
    seen = await observe({"open": "http://rebound.test/"})
    assert seen.findings[0].failure is Failure.ADDRESS_REFUSED


async def test_what_a_page_fetches_is_refused_too(observe, site):
    """By fetch(), WebSocket, frame, image and worker; the page itself goes on."""
    other = await asyncio.start_server(lambda _r, w: (reached.append(1), w.close()), "127.0.0.2", 0)
    reached = []
    port = other.sockets[0].getsockname()[1]
    private = f"127.0.0.2:{port}"
    site.pages["/"] = f"""<p id=said>waiting</p><iframe src="http://{private}/"></iframe><img src="http://{private}/i">
    <script>new WebSocket('ws://{private}/'); navigator.sendBeacon('http://{private}/b', 'x');
    fetch('http://{private}/', {{mode: 'no-cors'}}).then(() => 'reached', () => 'refused').then(
      how => {{ document.getElementById('said').textContent = how; }});</script>"""
    allow = ["127.0.0.1/32"]
    seen = await observe({"open": site.url("/")}, {"expect_text": "refused"}, allow=allow)
    other.close()
    await other.wait_closed()
    assert seen.outcome is Outcome.OK, seen.findings
    assert reached == []
    assert seen.measures["failed_requests"] >= 2


class _Listening(asyncio.DatagramProtocol):
    def __init__(self):
        self.heard = []

    def datagram_received(self, data, _addr):
        self.heard.append(data)


CALLS = """<p id=said>waiting</p><script>
const ice = ADDRESSES.map(urls => ({urls, username: 'a', credential: 'b'}));
const one = new RTCPeerConnection({iceServers: ice}), other = new RTCPeerConnection();
(async () => {
  one.createDataChannel('x');
  await one.setLocalDescription(await one.createOffer());
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription(await other.createAnswer());
  await one.setRemoteDescription(other.localDescription);
  await one.addIceCandidate({candidate: 'candidate:1 1 udp 2122260223 127.0.0.2 PORT typ host', sdpMLineIndex: 0});
  setTimeout(() => { document.getElementById('said').textContent = 'tried'; }, 1000);  // they try at once, and again every 50 ms
})();</script>"""


async def test_a_page_reaches_nothing_by_webrtc(observe, site):
    """Datagrams do not pass the gateway, so none may leave: to no server that a page names, and to no other browser."""
    loop = asyncio.get_running_loop()
    transport, near = await loop.create_datagram_endpoint(_Listening, local_addr=("127.0.0.2", 0))
    port = transport.get_extra_info("sockname")[1]
    over_tcp = await asyncio.start_server(lambda _r, w: (near.heard.append("tcp"), w.close()), "127.0.0.2", port)
    servers = [f"stun:127.0.0.2:{port}", f"turn:127.0.0.2:{port}", f"turn:127.0.0.2:{port}?transport=tcp"]
    site.pages["/"] = CALLS.replace("ADDRESSES", str(servers)).replace("PORT", str(port))
    seen = await observe({"open": site.url("/")}, {"expect_text": "tried"}, allow=["127.0.0.1/32"])
    transport.close()
    over_tcp.close()
    await over_tcp.wait_closed()
    assert near.heard == []
    assert seen.outcome is Outcome.OK, seen.findings


REBOUND = """<p id=said>waiting</p><script>fetch('/again').then(() => 'reached', () => 'refused').then(
  how => { document.getElementById('said').textContent = how; })</script>"""


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(observe, site, zone, monkeypatch):
    class Rebinding(dict):
        def get(self, path, *more):
            zone.addresses["rebound.test"] = ["192.168.7.7"]  # once its page is asked for
            return super().get(path, *more)

    zone.addresses["rebound.test"] = ["127.0.0.1"]
    monkeypatch.setattr(site, "pages", Rebinding({"/": REBOUND, "/again": "inside"}))
    seen = await observe({"open": site.url("/", "rebound.test")}, {"expect_text": "refused", "timeout": "5s"})
    assert seen.outcome is Outcome.OK, seen.findings


async def test_windows_service_workers_and_downloads_are_no_way_round(observe, site):
    """Nor is what the page asks the browser to fetch ahead of time."""
    reached = []
    other = await asyncio.start_server(lambda _r, w: (reached.append(1), w.close()), "127.0.0.2", 0)
    private = f"http://127.0.0.2:{other.sockets[0].getsockname()[1]}"
    ahead = f'{{"prefetch": [{{"source": "list", "urls": ["{private}/ahead"]}}]}}'
    site.pages |= {
        "/": f"""<link rel=preconnect href={private}><script type=speculationrules>{ahead}</script>
        <p id=said>waiting</p><a id=file href=/file download>file</a><script>
        open('{private}/window'); document.getElementById('file').click();
        navigator.serviceWorker.register('/worker.js').catch(() => 0).then(() => navigator.serviceWorker.getRegistrations())
          .then(all => {{ document.getElementById('said').textContent = 'workers: ' + all.length }})</script>""",
        "/file": (200, {"content-type": "application/octet-stream"}, "0"),
        "/worker.js": "fetch('" + private + "/worker')",
    }
    steps = ({"open": site.url("/", "localhost")}, {"expect_text": "workers: 0", "timeout": "5s"})
    seen = await observe(*steps, allow=["127.0.0.1/32"])
    other.close()
    await other.wait_closed()
    assert reached == []
    assert [f.failure for f in seen.findings if f.step] == [], seen.findings


async def test_what_our_own_guard_keeps_from_a_page_makes_nobody_else_guilty(observe, site):
    site.pages["/"] = "<script src=http://127.0.0.2:9999/needed.js></script><p>Hello"
    seen = await observe({"open": site.url("/")}, {"expect_text": "Loaded", "timeout": "300ms"}, allow=["127.0.0.1/32"])
    assert (seen.outcome, seen.findings[0].failure) == (Outcome.UNKNOWN, Failure.ADDRESS_REFUSED)


async def test_files_and_the_browsers_own_pages_are_not_opened(observe, tmp_path):
    (tmp_path / "s.py").write_text("async def run(page, step):\n    await page.goto('file:///etc/passwd')\n")
    seen = await observe(script="s.py", folder=tmp_path)
    assert seen.findings, "the file was opened"
    assert "root" not in str(seen)


async def test_the_gateway_lets_nobody_through_without_a_pass(observe, site, engine):
    site.pages["/"] = "Hello"
    await observe({"open": site.url("/")})
    host, port = engine._gateway.url.removeprefix("http://").split(":")
    for head in (f"GET {site.url('/', '127.0.0.1')} HTTP/1.1", f"CONNECT 127.0.0.1:{site.port} HTTP/1.1"):
        for extra in ("", "Proxy-Authorization: Basic bm9ib2R5OmF0YWxs\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{head}\r\n{extra}\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 407")
            writer.close()


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"GET\r\n\r\n", b"CONNECT x HTTP/1.1 y\r\n\r\n", b"\xff" * 200_000])
async def test_nonsense_at_the_gateway_ends_its_connection(observe, site, engine, raw):
    site.pages["/"] = "Hello"
    await observe({"open": site.url("/")})
    host, port = engine._gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
