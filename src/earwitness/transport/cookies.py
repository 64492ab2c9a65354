"""Cookies as browsers keep and send them (RFC 6265, 5): Python's jar drops one for an attribute that says nothing, and stumbles over others."""

import re
from collections.abc import Iterable

import httpx

from earwitness.transport.exchange import values_of

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_MONTH = re.compile(  # the shape of a date, at which Python's jar raises, and forgets all cookies of the answer
    r"\w{3}, \d\d (?!jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE
)


def keep_cookies(jar: httpx.Cookies, headers: Iterable[tuple[bytes, bytes]], request: httpx.Request) -> None:
    """Take the cookies of an answer to the request into the jar."""
    lines = map(_text, values_of(headers, b"set-cookie"))
    read = [(b"set-cookie", _plain(line).encode()) for line in lines if not _CONTROL.search(line)]
    if read:  # to take an answer apart for the jar costs more than to look
        jar.extract_cookies(httpx.Response(200, headers=read, request=request))


def send_cookies(jar: httpx.Cookies, request: httpx.Request) -> None:
    """Let the request carry what the jar holds for it, unless cookies are written in it already."""
    request.headers.encoding = "utf-8"  # httpx would hold it to ASCII, which cookies are not
    jar.set_cookie_header(request)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _plain(line: str) -> str:
    """Return a Set-Cookie with the attributes alone that mean something; of several of one name the last counts."""
    pair, *attributes = line.split(";")
    said = {name: value for name, value in map(_attribute, attributes) if _means_something(name, value)}
    if "max-age" in said:
        said.pop("expires", None)
    return "; ".join([pair.strip(), *(f"{name}={value}" if value else name for name, value in said.items())])


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    name = name.strip().lower()
    return name, "" if name == "secure" else value.strip()


def _means_something(name: str, value: str) -> bool:
    if name == "max-age":
        return re.fullmatch(r"-?\d{1,12}", value) is not None
    if name == "expires":
        return not _NO_MONTH.match(value)
    return name == "secure" or (name == "domain" and value != "") or (name == "path" and value.startswith("/"))
