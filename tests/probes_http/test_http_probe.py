import errno
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from structlog.testing import capture_logs
from web_servers import answering, hang, raw_server

from earwitness.clock import SystemClock
from earwitness.model import Attribution, Effect, Failure, Outcome

JSON = {"$.status": "ok", "$.queue[0]": "1", "$.open": "true"}


def plain(shop, path):
    return f"http://shop.test:{shop.plain}{path}"


def secure(shop, name, path="/ok"):
    return f"https://shop.test:{shop.secure[name]}{path}"


def only(observation):
    """Return the observation's one finding."""
    assert len(observation.findings) == 1, observation.findings
    return observation.findings[0]


async def test_a_full_disk_loses_the_evidence_and_not_the_finding(observe, shop, drawer, monkeypatch):
    async def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/evidence/ab")

    monkeypatch.setattr(drawer, "save", refuse)
    with capture_logs() as logs:
        seen = await observe(plain(shop, "/no-such-page"))
    assert only(seen).failure is Failure.WRONG_STATUS
    assert seen.outcome is Outcome.FINDING
    assert (seen.evidence, seen.facts["evidence_lost"]) == ((), 3)
    lost = [line for line in logs if line["event"] == "evidence_not_kept"]
    assert [(line["kind"], line["error"], line["why"]) for line in lost] == [
        ("request", "OSError", "No space left on device"),
        ("curl", "OSError", "No space left on device"),
        ("response", "OSError", "No space left on device"),
    ]
    assert "/evidence" not in repr(lost)


async def test_a_page_that_is_well_passes(observe, shop, drawer):
    seen = await observe(plain(shop, "/ok"), expect={"status": "200", "body": "Payment accepted"})
    assert seen.outcome is Outcome.OK
    assert not seen.findings
    assert not drawer.files
    assert seen.facts == {
        "url": plain(shop, "/ok"),
        "final_url": plain(shop, "/ok"),
        "redirects": 0,
        "status": 200,
        "address": "127.0.0.1",
        "http_version": "1.1",
    }
    phases = {"phase_resolve", "phase_connect", "phase_processing", "phase_transfer"}
    assert set(seen.measures) == {"duration", "status_code", "size", *phases}
    assert (seen.measures["status_code"], seen.measures["size"]) == (200.0, 16.0)
    assert 0 < sum(seen.measures[name] for name in phases) <= seen.measures["duration"] + 0.01
    assert [step.ok for step in seen.steps] == [True]


async def test_a_page_over_tls_passes_and_shows_its_certificate(observe, shop, engine):
    seen = await observe(secure(shop, "good"), expect={"status": "200"})
    assert not seen.findings
    assert 89 < (seen.measures["cert_expiry"] - time.time()) / 86400 < 91
    assert seen.measures["phase_tls"] > 0
    assert seen.facts["certificate_not_after"] == seen.measures["cert_expiry"]
    assert seen.facts["http_version"] == ("2" if engine == "curl" else "1.1")


WRONG = {
    "status": (
        "/down",
        {"status": "200"},
        Failure.WRONG_STATUS,
        "expected status 200, got 503 Service (Temporarily )?Unavailable",
    ),
    "status by default": ("/down", {}, Failure.WRONG_STATUS, "expected status 2xx, got 503 .*"),
    "status list": ("/ok", {"status": ["204", "3xx"]}, Failure.WRONG_STATUS, "expected status 204 or 3xx, got 200 OK"),
    "body": (
        "/wrong",
        {"body": "Payment accepted"},
        Failure.WRONG_BODY,
        "expected the body to contain 'Payment accepted'; it begins 'Something went wrong'",
    ),
    "body_regex": (
        "/wrong",
        {"body_regex": "[0-9]{4}"},
        Failure.WRONG_BODY,
        r"expected the body to hold something like '\[0-9\]\{4\}'; it begins 'Something went wrong'",
    ),
    "json value": (
        "/json",
        {"json": {"$.status": "closed"}},
        Failure.WRONG_BODY,
        r"expected \$\.status in the JSON body to be 'closed', got 'ok'",
    ),
    "json absent": (
        "/json",
        {"json": {"$.nothing": "1"}},
        Failure.WRONG_BODY,
        r"expected \$\.nothing in the JSON body to be '1', got nothing there",
    ),
    "no json": ("/ok", {"json": JSON}, Failure.WRONG_BODY, "expected a JSON body; it begins 'Payment accepted'"),
    "header": (
        "/ok",
        {"headers": {"content-type": "^text/html"}},
        Failure.WRONG_HEADER,
        r"expected the header content-type to be like '\^text/html', got 'text/plain'",
    ),
    "no header": (
        "/ok",
        {"headers": {"x-frame-options": "DENY"}},
        Failure.WRONG_HEADER,
        "expected a header x-frame-options like 'DENY', there is none",
    ),
    "small": ("/ok", {"min_size": "1kB"}, Failure.WRONG_SIZE, "expected at least 1000 bytes of body, got 16"),
    "big": ("/ok", {"max_size": "10B"}, Failure.WRONG_SIZE, "expected at most 10 bytes of body, got 16"),
    "redirect target": (
        "/moved",
        {"redirect_to": "/pay"},
        Failure.WRONG_REDIRECT,
        "expected to end at http://shop.test:[0-9]+/pay, got http://shop.test:[0-9]+/ok",
    ),
    "redirect loop": ("/loop", {}, Failure.TOO_MANY_REDIRECTS, "more than 5 redirects: .*/loop"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_says_exactly_what_is_wrong(observe, shop, drawer, case):
    path, expect, failure, message = WRONG[case]
    seen = await observe(plain(shop, path), expect=expect)
    finding = only(seen)
    assert (finding.failure, finding.effect, finding.attribution) == (failure, Effect.BLOCKED, Attribution.TARGET)
    assert re.fullmatch(message, finding.message)
    assert seen.outcome is Outcome.FINDING
    assert drawer.files["request"].startswith(f"GET {plain(shop, path)}\n")
    assert [step.ok for step in seen.steps] == [False]


RIGHT = {
    "json": ("/json", {"expect": {"json": JSON}}),
    "followed": ("/moved", {"expect": {"redirect_to": "/ok", "body": "Payment accepted"}}),
    "not followed": ("/moved", {"expect": {"redirect_to": "/ok"}, "follow_redirects": "false"}),
    "status of a redirect": ("/moved", {"expect": {"status": "302"}, "follow_redirects": "false"}),
    "header": ("/ok", {"expect": {"headers": {"Content-Type": "text/plain"}}}),
    "head": ("/ok", {"method": "HEAD", "expect": {"max_size": "0"}}),
}


@pytest.mark.parametrize("case", RIGHT)
async def test_is_content_with_what_was_expected(observe, shop, case):
    path, options = RIGHT[case]
    seen = await observe(plain(shop, path), **options)
    assert not seen.findings


async def test_a_redirect_that_should_have_come(observe, shop):
    seen = await observe(plain(shop, "/ok"), expect={"redirect_to": "/pay"}, follow_redirects="false")
    assert [finding.failure for finding in seen.findings] == [Failure.WRONG_STATUS, Failure.WRONG_REDIRECT]


CERTIFICATES = {
    "expired": r"the certificate of shop\.test expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC, 2 days ago",
    "other": r"the certificate of shop\.test is for other\.test, not for shop\.test",
    "unknown": r"the certificate of shop\.test was issued by .+, who is not trusted here, and whose certificate the server does not send \(.+\)",
    "self-signed": r"the certificate of shop\.test is self-signed",
}


@pytest.mark.parametrize("name", CERTIFICATES)
async def test_tells_refused_certificates_apart(observe, shop, name):
    finding = only(await observe(secure(shop, name)))
    assert (finding.failure, finding.effect) == (Failure.CERTIFICATE_INVALID, Effect.BLOCKED)
    assert re.fullmatch(CERTIFICATES[name], finding.message)


async def test_a_certificate_about_to_expire_is_a_nuisance(observe, shop):
    finding = only(await observe(secure(shop, "expiring")))
    assert (finding.failure, finding.effect) == (Failure.CERTIFICATE_EXPIRING, Effect.NUISANCE)
    assert re.match(
        r"expected the certificate to be valid for 7 more days, .+ expires on .+, in 3\.0 days", finding.message
    )


async def test_a_certificate_below_the_major_limit_blocks(observe, shop):
    expect = {"certificate_left": {"minor": "14d", "major": "5d"}}
    assert only(await observe(secure(shop, "expiring"), expect=expect)).effect is Effect.BLOCKED


class SlowClock(SystemClock):
    """Each look at it is two seconds after the last."""

    def __init__(self) -> None:
        self.ticks = 0

    def monotonic(self) -> float:
        self.ticks += 2
        return float(self.ticks)


@pytest.mark.parametrize(
    ("within", "effects"),
    [
        ({"minor": "1h", "major": "2h"}, []),
        ({"minor": "1s", "major": "1h"}, [Effect.NUISANCE]),
        ({"minor": "500ms", "major": "1s"}, [Effect.BLOCKED]),
    ],
)
async def test_slowness_is_a_nuisance_before_it_blocks(observe, shop, within, effects):
    seen = await observe(plain(shop, "/ok"), clock=SlowClock(), expect={"within": within})
    assert [finding.effect for finding in seen.findings] == effects
    assert all(re.match(r"expected the answer within 1 s, it took \d+\.00 s", f.message) for f in seen.findings)


async def test_a_weaker_effect_can_be_named(observe, shop):
    assert only(await observe(plain(shop, "/down"), effect="diverted")).effect is Effect.DIVERTED


async def test_nobody_listening_is_a_finding(observe):
    seen = await observe("http://127.0.0.1:1/")
    assert only(seen).failure is Failure.CONNECTION_REFUSED
    assert only(seen).message == "cannot connect to 127.0.0.1: connection refused"
    assert seen.outcome is Outcome.FINDING


async def test_a_name_that_is_gone_is_a_finding(observe):
    seen = await observe("https://gone.test/")
    assert only(seen).failure is Failure.NAME_NOT_FOUND
    assert seen.outcome is Outcome.FINDING


MANNERS = {
    "slow first byte": (answering(then=hang), Failure.FIRST_BYTE_TIMEOUT),
    "slow body": (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", then=hang), Failure.TRANSFER_TIMEOUT),
    "large body": (answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000), Failure.BODY_TOO_LARGE),
    "no HTTP": (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Failure.PROTOCOL_ERROR),
    "redirect elsewhere": (answering(b"HTTP/1.1 302 Found\r\nlocation: ftp://x/\r\n\r\n"), Failure.WRONG_REDIRECT),
    "redirect nowhere": (answering(b"HTTP/1.1 302 Found\r\nlocation: http://x:port/\r\n\r\n"), Failure.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("case", MANNERS)
async def test_bad_manners_are_findings(observe, case):
    handler, failure = MANNERS[case]
    async with raw_server(handler) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="1s", body_limit="1kB")
    assert (only(seen).failure, only(seen).attribution) == (failure, Attribution.TARGET)
    assert seen.outcome is Outcome.FINDING


async def test_invalid_utf8_is_read_as_far_as_it_goes(observe):
    body = b"Payment \xff\xfe accepted"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with raw_server(answering(head + body)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", expect={"body": ["Payment", "accepted"]})
    assert not seen.findings


@pytest.mark.parametrize("charset", [b"hex", b"punycode", b"no-such-thing", b"\xff"])
async def test_a_character_set_that_is_none_is_read_as_utf8(observe, charset):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=" + charset + b"\r\ncontent-length: 5\r\n\r\n"
    async with raw_server(answering(head + "é ok".encode())) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", expect={"body": "é ok"})
    assert not seen.findings


OURS = {
    "refused address": ({"allow": []}, "http://127.0.0.1/", Failure.ADDRESS_REFUSED),
    "silent resolver": ({"resolve_timeout": 0.2}, "http://silent.test/", Failure.RESOLVER_FAILED),
    "no trust store": ({"ca_file": "/nonexistent/ca.pem"}, "https://127.0.0.1:1/", Failure.NO_TRUST_STORE),
}


@pytest.mark.parametrize("case", OURS)
async def test_our_own_trouble_is_never_the_targets_outage(observe, make_web, drawer, case):
    options, url, failure = OURS[case]
    web = make_web(**options)
    seen = await observe(url, web=web)
    assert (only(seen).failure, only(seen).attribution) == (failure, Attribution.MONITOR)
    assert seen.outcome is Outcome.UNKNOWN
    assert not drawer.files
    assert (web.impaired is not None) == (failure is Failure.NO_TRUST_STORE)


async def test_a_trust_store_of_rubbish_is_our_own_trouble(observe, make_web, shop, tmp_path):
    (tmp_path / "ca.pem").write_text("rubbish")
    seen = await observe(secure(shop, "good"), web=make_web(ca_file=tmp_path / "ca.pem"))
    assert only(seen).failure is Failure.NO_TRUST_STORE
    assert seen.outcome is Outcome.UNKNOWN


async def test_servfail_is_nobodys_outage(observe, zone):
    zone.failing.add("shop.test")
    seen = await observe("http://shop.test/")
    assert (only(seen).failure, seen.outcome) == (Failure.RESOLVER_FAILED, Outcome.UNKNOWN)


async def test_a_probe_may_be_allowed_what_others_are_not(observe, make_web, shop):
    seen = await observe(plain(shop, "/ok"), web=make_web(allow=[]), allow=["127.0.0.1/32"])
    assert not seen.findings


async def test_broken_then_mended(observe, shop):
    url = plain(shop, "/mended")
    shop.break_()
    assert only(await observe(url)).message == "expected status 2xx, got 500 Internal Server Error"
    shop.mend()
    assert not (await observe(url)).findings


def failing_first(times):
    left = [times]

    async def handle(reader, writer):
        left[0] -= 1
        status = b"503 Service Unavailable" if left[0] >= 0 else b"200 OK"
        await answering(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")(reader, writer)

    return handle


@pytest.mark.parametrize(("failures", "steps"), [(0, [True]), (2, [False, False, True]), (3, [False, False, False])])
async def test_passes_if_one_try_passes(observe, failures, steps):
    async with raw_server(failing_first(failures)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", tries="3")
    assert [step.ok for step in seen.steps] == steps
    assert (seen.outcome is Outcome.OK) == steps[-1]


async def test_each_try_is_a_new_visitor(observe):
    """A cookie that the first try was given must not decide how the second is received."""

    async def serve(reader, writer):
        cookie = b"cookie:" in (await reader.readuntil(b"\r\n\r\n")).lower()
        visits.append(cookie)
        writer.write(b"HTTP/1.1 503 Busy\r\nset-cookie: seen=1\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    visits = []
    async with raw_server(serve) as port:
        await observe(f"http://127.0.0.1:{port}/", tries="2")
    assert visits == [False, False]


async def echo(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(re.search(rb"content-length: (\d+)", head.lower())[1])
    body = head + await reader.readexactly(size)
    extra = b"set-cookie: session=s3cr3t-cookie\r\n"
    writer.write(b"HTTP/1.1 500 Oops\r\n" + extra + b"content-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


async def test_evidence_shows_no_secret(observe, drawer):
    secrets = {
        "authorization": "hunter2-password",
        "x-api-key": "key-123456",
        "form": "4111 1111 1111 1111",
        "query": "query-token",
    }
    async with raw_server(echo) as port:
        seen = await observe(
            f"http://127.0.0.1:{port}/pay?token={secrets['query']}",
            method="POST",
            user="alice",
            password=secrets["authorization"],
            headers={"X-API-Key": secrets["x-api-key"]},
            form={"card_number": secrets["form"], "amount": "10", "note": "5555-5555-5555-4444"},
        )
    kept = "".join(drawer.files.values()) + repr(seen)
    assert sorted(drawer.files) == ["curl", "request", "response"]
    assert [item.kind for item in seen.evidence] == ["request", "curl", "response"]
    assert "amount=10" in drawer.files["request"]
    assert "HTTP 500 Oops" in drawer.files["response"]
    for secret in (*secrets.values(), "s3cr3t-cookie", "5555-5555-5555-4444", "YWxpY2U6aHVudGVyMi1wYXNzd29yZA=="):
        assert secret not in kept


async def test_credentials_stay_with_their_origin(observe):
    heard = []

    async def listen(reader, writer):
        heard.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(listen) as other:
        head = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2:{other}/\r\ncontent-length: 0\r\n\r\n"
        head = head.replace("127.0.0.2", "127.0.0.1")
        async with raw_server(answering(head.encode())) as first:
            seen = await observe(
                f"http://127.0.0.1:{first}/", user="alice", password="hunter2", headers={"X-API-Key": "key-1"}
            )
    assert not seen.findings
    assert len(heard) == 1
    assert not re.search(rb"authorization|x-api-key", heard[0])


async def test_cookies_travel_along_a_redirect(observe):
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"cookie: seen=1" in head.lower():
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nwelcome")
        else:
            writer.write(b"HTTP/1.1 302 Found\r\nset-cookie: seen=1\r\nlocation: /\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(serve) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", expect={"body": "welcome"})
    assert not seen.findings
    assert seen.facts["redirects"] == 1


OFFLINE = """
import asyncio
from earwitness.clock import SystemClock
from earwitness.config.network import NetworkSpec
from earwitness.model import Channel, Run, Why
from earwitness.probes.context import RunContext
from earwitness.probes.http import run
from earwitness.probes.http_spec import HttpSpec
from earwitness.transport.client import WebClient

async def main():
    web = WebClient(NetworkSpec(transport="{engine}"))
    planned = Run("r", "p", "j", Channel.HTTP, "here", "production", Why.SCHEDULED, 0.0)
    ctx = RunContext(run=planned, clock=SystemClock(), evidence=None, web=web)
    seen = await run(HttpSpec(url="http://8.8.8.8/"), ctx)
    print(seen.outcome, *[f.failure for f in seen.findings])
    await web.aclose()

asyncio.run(main())
"""


def test_without_a_network_nobody_can_tell(engine):
    """In a network namespace of its own this process has no route to anywhere."""
    apart = ["unshare", "--user", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system makes no network namespaces for us")
    script = OFFLINE.format(engine=engine)
    done = subprocess.run([*apart, sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["unknown", "uplink_down"]
