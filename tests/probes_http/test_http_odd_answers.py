"""Answers that are odd in ways that libraries stumble over: each ends as a finding of the target, none as a fault of ours."""

import json
import random
import threading

import pytest
from web_servers import answering, raw_server

from earwitness.model import Attribution, Failure, Outcome
from earwitness.probes import http_capture, http_checks

HEAD = b"HTTP/1.1 500 Broken\r\n"


def answer(body=b"", *headers, head=HEAD):
    lines = b"".join(line + b"\r\n" for line in headers)
    return answering(head + lines + b"content-length: %d\r\n\r\n" % len(body) + body)


LOCATIONS = [
    "javascript:alert(1)",
    "http://xn--/",
    "http://[::1",
    "http://a..b/",
    "mailto:a@b",
    "//xn--a.test/",
    "http://",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:99999999999999999999/",
]


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("location", LOCATIONS)
async def test_a_redirect_to_no_address_is_the_targets_failure(observe, location, follow):
    async with raw_server(answer(b"", b"location: " + location.encode(), head=b"HTTP/1.1 302 Found\r\n")) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="5s", follow_redirects=follow)
    assert seen.outcome is Outcome.FINDING, seen.findings
    assert seen.findings[0].attribution is Attribution.TARGET, seen.findings


ODD_HEADS = {  # to what they come: a failure, or None where browsers read on
    b"HTTP/1.1 200 OK\r\nHTTP/x: y\r\n": None,
    b"HTTP/1.1 200OK\r\n": None,
    b"HTTP/1.1 103 Early Hints\r\nHTTP/x: y\r\n\r\nHTTP/1.1 200 OK\r\nHTTP/x: y\r\n": None,
    b"HTTP/1.1 200 OK\r\nHTTP/1.1 404 Not Found\r\n": Failure.PROTOCOL_ERROR,
    b"HTTP/1.1 abc\r\n": Failure.PROTOCOL_ERROR,
    b"HTTP/1.1\r\n": Failure.PROTOCOL_ERROR,
}


@pytest.mark.parametrize("head", ODD_HEADS)
async def test_an_odd_head_is_no_fault_of_ours(observe, engine, head):
    async with raw_server(answer(b"ok", head=head)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="5s", expect={"body": "ok"})
    if engine == "curl":
        assert [f.failure for f in seen.findings] == ([] if ODD_HEADS[head] is None else [ODD_HEADS[head]])
    assert all(f.attribution is Attribution.TARGET for f in seen.findings)


def visits(start):
    """A redirect after the cookie, and a step after it."""
    return [{"url": f"{start}first"}, {"steps": [{"name": n, "url": f"{start}{n}"} for n in ("first", "second")]}]


@pytest.mark.parametrize("way", [0, 1])
@pytest.mark.parametrize("cookie", ["city=Zürich".encode(), b"city=Z\xfcrich"])
async def test_a_cookie_of_any_characters_hides_no_failure(observe, cookie, way):
    asked = []

    async def shop(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if b" /first " in asked[-1]:
            head = b"HTTP/1.1 302 Found\r\nlocation: /second\r\n" if way == 0 else b"HTTP/1.1 200 OK\r\n"
            writer.write(head + b"set-cookie: " + cookie + b"\r\ncontent-length: 0\r\n\r\n")
        else:
            writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(shop) as port:
        seen = await observe(timeout="5s", **visits(f"http://127.0.0.1:{port}/")[way])
    assert [f.failure for f in seen.findings] == [Failure.WRONG_STATUS]
    assert "cookie: city=Zürich\r\n" in asked[1].decode().replace("Cookie:", "cookie:")


CHARSETS = [
    (b"text/html; charset=utf-7", b"+2AA-"),
    (b"text/html; charset*=utf-8''%ff; charset*0*=x''y", b"hello"),
    (b'text/html; charset="punycode!"', b"a-b" * 100),
    (b"text/html; charset=unicode_escape", b"\\ud800"),
    (b"text/html; charset=utf-16", b"\x00\xd8a"),
    (b"text/html; charset=", b"\xff"),
]


@pytest.mark.parametrize(("media_type", "body"), CHARSETS)
async def test_an_odd_character_set_hides_no_failure(observe, drawer, media_type, body):
    async with raw_server(answer(body, b"content-type: " + media_type)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="5s", expect={"body": "Welcome"})
    assert [f.failure for f in seen.findings] == [Failure.WRONG_STATUS, Failure.WRONG_BODY]
    assert "HTTP 500 Broken" in drawer.files["response"]


@pytest.mark.parametrize(
    ("charset", "body"), [("utf-8", "Wëlcome"), ("iso-8859-1", "Wëlcome"), ("Shift_JIS", "ようこそ"), ("gbk", "欢迎")]
)
async def test_the_character_sets_of_the_web_are_read(observe, charset, body):
    media_type = f'text/html; charset="{charset}"'.encode()
    async with raw_server(answer(body.encode(charset), b"content-type: " + media_type)) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", timeout="5s", expect={"status": 500, "body": body})
    assert seen.findings == ()


async def through(observe, body, use):
    """Run a flow that captures `$.x` of a JSON body and uses it; return what is found."""
    async with raw_server(answer(body, b"content-type: application/json", head=b"HTTP/1.1 200 OK\r\n")) as port:
        home = f"http://127.0.0.1:{port}/"
        first = {"name": "first", "url": home, "capture": {"X": {"json": "$.x"}}}
        second = {"name": "second", "url": home, **{key: text.format(home=home) for key, text in use.items()}}
        if "json" in use:
            second["json"] = {"x": use["json"]}
        return await observe(timeout="5s", steps=[first, second])


@pytest.mark.parametrize(
    ("body", "use", "step"),
    [
        (b'{"x": "\\ud800abcd"}', {"url": "{home}a?{{{{X}}}}"}, "first"),
        (b'{"x": NaN}', {"method": "POST", "json": "{{X}}"}, "first"),
        (b'{"x": [1e999]}', {"method": "POST", "json": "{{X}}"}, "first"),
        (b'{"x": "' + b"a" * 70_000 + b'"}', {"url": "{home}a?{{{{X}}}}"}, "second"),
        (b'{"x": "' + b"a" * 70_000 + b'"}', {"url": "{{{{X}}}}"}, "second"),
        (b'{"x": "http://xn--/"}', {"url": "{{{{X}}}}"}, "second"),
    ],
    ids=["half a character", "no number", "no number in a list", "a long value", "a long address", "no name"],
)
async def test_a_captured_value_that_cannot_be_used_is_told(observe, body, use, step):
    seen = await through(observe, body, use)
    (finding,) = seen.findings
    assert (finding.failure, finding.step, finding.attribution) == (Failure.CAPTURE_FAILED, step, Attribution.TARGET)


PIECES = (
    *(name.encode() for name in LOCATIONS),
    *(media_type for media_type, _ in CHARSETS),
    b"\xff\xfe",
    b"\x80" * 20,
    b"%" * 9,
    b'{"x": "\\ud83d"}',
    b'{"x": ' + b"[" * 2000,
    b"sid=\xc3\x28; Expires=Thu, 99 Foo 99999 25:61:61; Domain=.; Max-Age=-999999999999999999999",
    b"&#xD800;&#1114112;",
    b'<form><input name="f" value="&#xD800;"><select name=f><option></select>',
    b"a" * 300,
    b"1 4111 " * 40,
)
NAMES = (
    b"location",
    b"content-type",
    b"set-cookie",
    b"content-encoding",
    b"refresh",
    b"x-a",
    b"link",
    b"www-authenticate",
)
STATUSES = (b"200 OK", b"200OK\r\nHTTP/x: y", b"302 Found", b"500 Oops \xff", b"401 Who", b"299 ", b"999 Far")
CAPTURES = ({"json": "$.x"}, {"header": "x-a"}, {"cookie": "sid"}, {"regex": "(.+)"}, {"form": "f"})


@pytest.mark.parametrize("seed", range(40))
async def test_no_answer_breaks_the_probe(observe, seed):
    chance = random.Random(seed)
    headers = [chance.choice(NAMES) + b": " + chance.choice(PIECES) for _ in range(chance.randrange(5))]
    body = b"".join(chance.choices(PIECES, k=chance.randrange(4)))
    handler = answer(body, *headers, head=b"HTTP/1.1 " + chance.choice(STATUSES) + b"\r\n")
    async with raw_server(handler) as port:
        home = f"http://127.0.0.1:{port}/"
        first = {"name": "first", "url": home, "capture": {"X": chance.choice(CAPTURES)}, "expect": {"status": 204}}
        last = {"name": "last", "url": home + "{{X}}", "always": True, "headers": {"x-b": "{{X}}"}, "body": "{{X}}"}
        seen = await observe(timeout="5s", steps=[first, {**last, "method": "POST"}])
    assert seen.outcome is Outcome.FINDING, seen.findings
    assert all(f.failure is not Failure.MONITOR_ERROR for f in seen.findings), seen.findings


ENCODINGS = {  # a content-encoding, and what is wrong with a plain body under it, where browsers show it: nothing
    b"none": None,
    b"utf-8": None,
    b"identity, identity": None,
    b"identity,gzip": "the compressed body cannot be unpacked",
    b"br": "the body is encoded as 'br', which cannot be unpacked here",
    b"gzip, gzip": "the body is encoded as 'gzip, gzip', which cannot be unpacked here",
    b"zstd, none": "the body is encoded as 'zstd, none', which cannot be unpacked here",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_an_encoding_that_is_none_hides_no_page(observe, encoding):
    wrong = ENCODINGS[encoding]
    async with raw_server(answer(b"welcome", b"content-encoding: " + encoding, head=b"HTTP/1.1 200 OK\r\n")) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", expect={"body": "welcome"})
    assert [f.message[: len(wrong or "")] for f in seen.findings] == ([] if wrong is None else [wrong])
    assert all(f.failure is Failure.PROTOCOL_ERROR for f in seen.findings)
    assert seen.facts["status"] == 200


async def test_a_header_that_may_hold_a_secret_follows_no_redirect_to_another_origin(observe, drawer):
    heard = []

    async def hear(reader, writer):
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(hear) as other:
        to = f"location: http://127.0.0.1:{other}/cb?code=canary-code#access_token=canary-fragment".encode()
        async with raw_server(answer(b"", to, head=b"HTTP/1.1 302 Found\r\n")) as port:
            headers = {
                "X-Passcode": "canary-passcode",
                "Ocp-Apim-Subscription-Key": "canary-key",
                "Accept-Language": "en",
            }
            url = f"http://127.0.0.1:{port}/"
            await observe(url, timeout="5s", headers=headers)
            await observe(url, timeout="5s", headers=headers, follow_redirects=False, expect={"status": 200})
    assert "canary" not in heard[0].partition("\r\n")[2]
    assert "accept-language: en" in heard[0]
    assert "location: http://127.0.0.1" in drawer.files["response"]
    assert "canary" not in "".join(drawer.named.values())


async def test_a_long_document_is_searched_beside_the_loop(observe, monkeypatch):
    """A megabyte takes a JSON path seconds, and every other probe would wait for it."""
    threads = []

    def noting(module):
        real = module.values_at

        def noted(*asked):
            threads.append((module.__name__.rpartition("_")[2], threading.get_ident() == here))
            return real(*asked)

        monkeypatch.setattr(module, "values_at", noted)

    here = threading.get_ident()
    noting(http_checks)
    noting(http_capture)
    for places, beside in ((10, False), (5000, True)):
        document = json.dumps({"paid": "yes", "items": [{"id": number} for number in range(places)]}).encode()
        async with raw_server(answer(document, head=b"HTTP/1.1 200 OK\r\n")) as port:
            expect = {"json": {"$.paid": "yes", "$..id": "7"}}
            step = {"name": "list", "url": f"http://127.0.0.1:{port}/", "capture": {"PAID": {"json": "$.paid"}}}
            seen = await observe(steps=[{**step, "expect": expect}], timeout="5s", meanwhile=threads.clear)
        assert not seen.findings
        assert threads == [("capture", not beside), ("checks", not beside), ("checks", not beside)]
