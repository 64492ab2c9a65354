"""Cookies as browsers keep and send them, where Python's jar would leave one out, or all of an answer."""

import httpx
import pytest

from earwitness.transport.cookies import keep_cookies, send_cookies

ASKED = httpx.Request("GET", "https://shop.test/pay/card")
BESIDE = b"sid=12345678; Path=/"


def sent_after(*lines, to="https://shop.test/pay/done"):
    """Return what is sent after an answer with these Set-Cookie."""
    jar, request = httpx.Cookies(), httpx.Request("GET", to)
    keep_cookies(jar, [(b"Set-Cookie", line) for line in lines], ASKED)
    send_cookies(jar, request)
    return dict(request.headers.raw).get(b"Cookie", b"")


@pytest.mark.parametrize(
    "line",
    [
        b"a=b; Domain=",
        b"a=b; Domain",
        b"a=b; Max-Age=",
        b"a=b; Max-Age=1e5",
        b"a=b; Version=x; Port=x",
        b"a=b; Expires=Sun, 15 Dic 2030 10:00:00 GMT",
        b"a=b; Expires=Mar, 15 Foo 2030 10:00:00 GMT",
        b"a=b; Expires=never",
        b"a=b; Path=pay",
        b"a=b; Path=/nowhere; Path=/pay",
        b"a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60",
    ],
)
def test_an_attribute_that_says_nothing_is_passed_over(line, recwarn):
    assert sent_after(BESIDE, line) in (b"a=b; sid=12345678", b"sid=12345678; a=b")
    assert not recwarn


@pytest.mark.parametrize(
    "line",
    [
        b"a=b; Max-Age=0",
        b"a=b; Max-Age=60; Max-Age=-1",
        b"a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        b"a=b; Domain=cards.test",
        b"a=b; Path=/admin",
        b"a=\x01b",
    ],
)
def test_what_is_not_to_be_sent_is_not(line):
    assert sent_after(BESIDE, line) == b"sid=12345678"


def test_a_secure_one_goes_by_tls_alone():
    assert sent_after(b"a=b; Secure; HttpOnly; SameSite=None", to="http://shop.test/pay/") == b""
    assert sent_after(b"a=b; Secure; HttpOnly; SameSite=None") == b"a=b"


@pytest.mark.parametrize("octets", ["city=Zürich".encode(), b"city=Z\xfcrich"])
def test_characters_beyond_ascii_are_sent_back(octets):
    assert sent_after(octets, BESIDE) in ("city=Zürich; sid=12345678".encode(), "sid=12345678; city=Zürich".encode())
