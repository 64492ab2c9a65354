"""Whatever a server does, the run ends in time, in little memory, and with a name for what was wrong."""

import asyncio
import gzip
import ssl
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from web_servers import answering, hang, raw_server

from earwitness.model import Attribution, Failure, Outcome

HEAD = b"HTTP/1.1 200 OK\r\n"
NOT_IN_TIME = (Failure.FIRST_BYTE_TIMEOUT, Failure.TRANSFER_TIMEOUT)
BROKEN = (Failure.PROTOCOL_ERROR, Failure.CONNECTION_LOST)
PIECE = b"x" * 65536


def repeating(first, piece, pause=0.0):
    """Return a handler that answers `first` and then `piece` for ever."""

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        with suppress(ConnectionError):
            while not writer.transport.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)

    return handle


async def half_open(_reader, writer):
    """Take the connection and the request, and never read or say anything."""
    writer.transport.pause_reading()
    while not writer.transport.is_closing():
        await asyncio.sleep(0.02)
        writer.transport.resume_reading()


async def reset_at_once(_reader, writer):
    writer.transport.abort()


async def reset_in_the_middle(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"content-length: 99\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


BOMB = gzip.compress(gzip.compress(b"\0" * 30_000_000))
CASES = {
    "a dripping status line": (repeating(b"", b"H", 0.02), BROKEN + NOT_IN_TIME),
    "dripping headers": (repeating(HEAD, b"x: y\r\n", 0.02), NOT_IN_TIME),
    "one header without an end": (repeating(HEAD + b"x: ", PIECE), (Failure.PROTOCOL_ERROR,)),
    "headers without an end": (repeating(HEAD, b"x: y\r\n" * 1000), (Failure.PROTOCOL_ERROR,)),
    "interim answers without an end": (repeating(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), BROKEN + NOT_IN_TIME),
    "a dripping body": (repeating(HEAD + b"\r\n", b"x", 0.02), (Failure.TRANSFER_TIMEOUT,)),
    "a body without an end": (repeating(HEAD + b"\r\n", PIECE), (Failure.BODY_TOO_LARGE,)),
    "chunks without an end": (
        repeating(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + PIECE + b"\r\n"),
        (Failure.BODY_TOO_LARGE,),
    ),
    "trailers without an end": (
        repeating(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 1000),
        BROKEN + NOT_IN_TIME,
    ),
    "a chunk that is none": (answering(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n"), BROKEN),
    "a transfer encoding that nobody asked for": (
        answering(HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        (Failure.PROTOCOL_ERROR, Failure.WRONG_BODY),
    ),
    "a transfer encoding that is none": (
        answering(HEAD + b"transfer-encoding: foo\r\n\r\nhello"),
        (Failure.PROTOCOL_ERROR, Failure.WRONG_BODY),
    ),
    "a length that is none": (answering(HEAD + b"content-length: -5\r\n\r\nhello"), BROKEN),
    "two lengths": (answering(HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello"), BROKEN),
    "a bomb": (
        answering(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB),
        (Failure.WRONG_BODY,),
    ),
    "a bomb that goes off": (
        answering(HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"\0" * 30_000_000)),
        (Failure.BODY_TOO_LARGE,),
    ),
    "HTTP/0.9": (answering(b"<html>hello</html>\r\n\r\n"), (Failure.PROTOCOL_ERROR,)),
    "an unknown version": (answering(b"HTTP/9.9 200 OK\r\n\r\nhello"), (*BROKEN, Failure.WRONG_BODY)),
    "a status that is none": (answering(b"HTTP/1.1 abc OK\r\n\r\n"), BROKEN),
    "a reset at once": (reset_at_once, BROKEN),
    "a reset in the middle": (reset_in_the_middle, (Failure.CONNECTION_LOST,)),
    "a half-open connection": (half_open, (Failure.FIRST_BYTE_TIMEOUT,)),
    "a redirect to itself": (
        answering(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"),
        (Failure.TOO_MANY_REDIRECTS,),
    ),
    "invalid UTF-8 in headers and body": (
        answering(HEAD + b"x-bad: \xff\xfe\r\ncontent-length: 3\r\n\r\n\xff\xfe\xfd"),
        (Failure.WRONG_BODY,),
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_ends_in_time_and_with_a_name(observe, drawer, case):
    handler, failures = CASES[case]
    async with raw_server(handler) as port, asyncio.timeout(30):
        url = f"http://127.0.0.1:{port}/"
        seen = await observe(url, timeout="1s", body_limit="64kB", expect={"body": "Payment accepted"})
    (finding,) = seen.findings
    assert finding.failure in failures, finding
    assert (finding.attribution, seen.outcome) == (Attribution.TARGET, Outcome.FINDING)
    assert drawer.files["request"].startswith(f"GET {url}\n")


@pytest.mark.parametrize(
    "case", ["one header without an end", "headers without an end", "a body without an end", "a bomb that goes off"]
)
async def test_ends_in_little_memory(observe, case):
    handler, _ = CASES[case]
    async with raw_server(handler) as port:
        await observe(f"http://127.0.0.1:{port}/", timeout="5s", body_limit="64kB")  # loads what is loaded once
        tracemalloc.start()
        try:
            await observe(f"http://127.0.0.1:{port}/", timeout="5s", body_limit="64kB")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4_000_000  # bytes, the server's own included


@pytest.mark.parametrize("engine", ["curl"])  # httpcore is too slow at it to get there
async def test_a_body_in_tiny_chunks_takes_no_more_memory_than_in_large_ones(observe):
    """Each piece of two bytes is an object of forty: 64 MiB of them were 3 GB."""
    handler = repeating(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"2\r\nxy\r\n" * 5000)
    async with raw_server(handler) as port:
        await observe(f"http://127.0.0.1:{port}/", timeout="5s", body_limit="64kB")  # loads what is loaded once
        tracemalloc.start()
        try:
            seen = await observe(f"http://127.0.0.1:{port}/", timeout="30s", body_limit="1MB")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [f.failure for f in seen.findings] == [Failure.BODY_TOO_LARGE]
    assert peak < 8_000_000  # bytes, the server's own included


@pytest.mark.parametrize("nothing", [gzip.compress(b"") * 500, b"\x00\x00\x00\xff\xff" * 2000])
async def test_a_packed_body_that_unpacks_to_nothing_has_a_limit_too(observe, nothing):
    """Empty members, or empty blocks, without an end: to unpack them would take a core until the time is up."""
    head = HEAD + b"content-encoding: gzip\r\n\r\n" + (b"" if nothing.startswith(b"\x1f") else gzip.compress(b"")[:10])
    async with raw_server(repeating(head, nothing)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="20s", body_limit="256kB")
    assert [f.failure for f in seen.findings] == [Failure.BODY_TOO_LARGE]


LONG = b"/" + b"x" * 60_000
ENDLESS = {  # what a server says at length, and the failures that come of it
    "a reason": (answering(b"HTTP/1.1 500 " + LONG + b"\r\ncontent-length: 0\r\n\r\n"), [Failure.WRONG_STATUS]),
    "a loop": (
        answering(b"HTTP/1.1 302 F\r\nlocation: /?" + b"next=a&" * 8000 + b"\r\ncontent-length: 0\r\n\r\n"),
        [Failure.TOO_MANY_REDIRECTS],
    ),
    "an address": (
        answering(b"HTTP/1.1 302 F\r\nlocation: " + LONG + b"\r\ncontent-length: 0\r\n\r\n"),
        [Failure.WRONG_STATUS, Failure.WRONG_REDIRECT],
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_a_server_says_at_length_is_told_in_brief(observe, drawer, kind):
    """It would be stored, sent to every hook and shown in every list."""
    handler, failures = ENDLESS[kind]
    follow = {} if kind != "an address" else {"follow_redirects": False, "expect": {"status": 200, "redirect_to": "/a"}}
    async with raw_server(handler) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="5s", **follow)
    assert [f.failure for f in seen.findings] == failures
    told = [*(f.message for f in seen.findings), *(step.note for step in seen.steps), *map(str, seen.facts.values())]
    assert max(map(len, told)) < 2_100
    assert max(map(len, drawer.files.values())) > 10_000  # the evidence has it all


# --- TLS -------------------------------------------------------------------------------------------------------------


def days(count):
    return datetime.now(UTC) + timedelta(days=count)


def weak(authority, folder):
    """Write a certificate of the authority for a key of 1024 bits, and return the file."""
    return signed(authority, folder, 1024)


def signed(authority, folder, bits, uses=None):
    key = rsa.generate_private_key(65537, bits)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signing = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    name = x509.SubjectAlternativeName([x509.DNSName("shop.test")])
    made = x509.CertificateBuilder(issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(days(-1)).not_valid_after(days(90)).add_extension(name, critical=True)
    if uses:
        made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    file = folder / "signed.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return file


def context_of(authority, folder, case):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if case in ("weak key", "wrong use"):
        context.set_ciphers("ALL:@SECLEVEL=0")
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if case == "wrong use" else None
        context.load_cert_chain(weak(authority, folder) if uses is None else signed(authority, folder, 2048, uses))
        return context
    if case == "incomplete chain":
        leaf = authority.create_child_ca().issue_cert("shop.test")
        file = folder / "leaf.pem"
        file.write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())
        context.load_cert_chain(file)
        return context
    options = {
        "not yet valid": {"not_before": days(2), "not_after": days(90)},
        "expired": {"not_before": days(-90), "not_after": days(-2)},
    }
    issuer = trustme.CA() if case == "unknown issuer" else authority
    issued = issuer.issue_cert("other.test" if case == "wrong name" else "shop.test", **options.get(case, {}))
    issued.configure_cert(context)
    if case == "old protocol":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


TLS = {
    "not yet valid": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test is not valid before "),
    "expired": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test expired on "),
    "wrong name": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test is for other.test, not for shop.test"),
    "unknown issuer": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test was issued by "),
    "incomplete chain": (
        Failure.CERTIFICATE_INVALID,
        "the certificate of shop.test was issued by ",
    ),  # which is not sent
    "weak key": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test has a key that is too short"),
    "wrong use": (Failure.CERTIFICATE_INVALID, "the certificate of shop.test may not be used by a server"),
    "old protocol": (Failure.TLS_FAILED, "no TLS connection: "),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("case", TLS)
async def test_names_what_is_wrong_with_tls(observe, authority, tmp_path, case):
    failure, message = TLS[case]
    async with raw_server(answering(HEAD + b"\r\n"), ssl=context_of(authority, tmp_path, case)) as port:
        seen = await observe(f"https://shop.test:{port}/", timeout="5s")
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (failure, Attribution.TARGET), finding
    assert finding.message.startswith(message), finding.message
    assert ("does not send" in finding.message) == (case in ("incomplete chain", "unknown issuer")), finding.message


@pytest.mark.parametrize("case", ["expired", "wrong name", "unknown issuer", "incomplete chain"])
async def test_a_certificate_that_turns_bad_is_seen_at_once_and_in_full(observe, make_web, authority, tmp_path, case):
    """What a server showed a moment ago is not written out again, unless it is refused."""
    contexts = {name: context_of(authority, tmp_path, name) for name in ("good", case)}
    shown, web = ["good"], make_web()
    listening = context_of(authority, tmp_path, "good")
    listening.sni_callback = lambda tls, _name, _context: setattr(tls, "context", contexts[shown[-1]])
    async with raw_server(answering(HEAD + b"content-length: 0\r\n\r\n"), ssl=listening) as port:
        good = [await observe(f"https://shop.test:{port}/", web, timeout="5s") for _ in range(2)]
        shown.append(case)
        seen = await observe(f"https://shop.test:{port}/", web, timeout="5s")
    assert [(one.outcome, one.facts["certificate_subject"]) for one in good] == [
        (Outcome.OK, good[0].facts["certificate_subject"])
    ] * 2
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (Failure.CERTIFICATE_INVALID, Attribution.TARGET)
    assert finding.message.startswith(TLS[case][1]), finding.message
    assert ("does not send" in finding.message) == (case in ("incomplete chain", "unknown issuer")), finding.message


async def test_an_international_name_is_not_said_to_be_another(observe, zone, authority):
    zone.addresses["xn--zhlung-bua.test"] = ["127.0.0.1"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("zählung.test", not_before=days(-90), not_after=days(-2)).configure_cert(context)
    async with raw_server(answering(HEAD + b"\r\n"), ssl=context) as port:
        seen = await observe(f"https://zählung.test:{port}/", timeout="5s")
    (finding,) = seen.findings
    assert finding.message.startswith("the certificate of xn--zhlung-bua.test expired on ")
    assert "not for" not in finding.message


def saying(text):
    """Return a handler that answers in plain text whatever it is told; a TLS client ends no line that could be waited for."""

    async def handle(reader, writer):
        await reader.read(1)
        writer.write(text)
        await writer.drain()

    return handle


NO_TLS = {
    "plain HTTP": saying(HEAD + b"\r\n"),
    "another protocol": saying(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a reset": reset_at_once,
    "silence": hang,
}


@pytest.mark.parametrize("case", NO_TLS)
async def test_a_server_without_tls_is_told(observe, case):
    async with raw_server(NO_TLS[case]) as port:
        seen = await observe(f"https://shop.test:{port}/", timeout="1s" if case == "silence" else "10s")
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution) == (Failure.TLS_FAILED, Attribution.TARGET)
