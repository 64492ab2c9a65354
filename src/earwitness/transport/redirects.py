"""Redirects, one hop at a time: each is resolved, guarded and timed anew, and credentials stay with their origin."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import httpx

from earwitness.model import Failure
from earwitness.transport import guard
from earwitness.transport.base import Arrival, GuardedTransport
from earwitness.transport.client_certificate import ClientCertificate
from earwitness.transport.cookies import keep_cookies, send_cookies
from earwitness.transport.errors import BrokenAnswerError, ExchangeError
from earwitness.transport.exchange import Exchange, Terms, values_of
from earwitness.transport.redaction import harmless_header, mask_url
from earwitness.transport.resolver import literal

_NO_ADDRESS = "redirected to what is no address at all"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_AUTHORITY = re.compile(r"((?:https?:)?)//+", re.IGNORECASE)
_POST_BECOMES_GET = (301, 302)


@dataclass(slots=True)
class Trail:
    """What was met on the way to the last answer: a record for each exchange, for each redirect a line and what was asked then."""

    exchanges: list[Exchange] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)  # status and URL, query values masked
    asked: list[httpx.Request] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Home:
    """The first request, and what belongs to its origin alone: it goes along again when a redirect comes back there."""

    request: httpx.Request
    client: ClientCertificate | None
    cookie: str | None  # that the request carries by itself, and not from the jar

    def has(self, url: httpx.URL) -> bool:
        return same_origin(self.request.url, url)


async def follow(
    transport: GuardedTransport,
    jar: httpx.Cookies,
    request: httpx.Request,
    terms: Terms,
    trail: Trail,
    limit: int | None,
    seconds: float | None,
) -> Arrival:
    """Return the last answer with its body unread, after at most `limit` redirects; None follows none.

    `seconds` are for all hops and the body together, `terms.client` is for the origin of the request alone. Cookies are
    kept in the jar. Raises ExchangeError, or httpx.LocalProtocolError where the request cannot be sent.
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    home: _Home | None = None
    for _ in range((limit or 0) + 1):
        if home is not None:
            seconds = None if deadline is None else max(0.001, deadline - loop.time())
            terms = replace(terms, client=home.client if home.has(request.url) else None)
        arrival = await _send(transport, request, terms, trail, seconds)
        location = None if limit is None or arrival.status not in REDIRECTS else location_in(arrival.headers)
        if home is None and location is not None:
            home = _Home(request, terms.client, _own_cookie(request, jar))
        keep_cookies(jar, arrival.headers, request)
        if home is None or location is None:
            return arrival
        await arrival.body.aclose()
        url = pointed_at(request.url, location)
        _check_way(arrival.exchange, url, terms)
        request = _following(home, request, arrival.status, url, jar)
        trail.asked.append(request)
        trail.hops.append(f"{arrival.status} {mask_url(request.url)}")
    way = " -> ".join(hop.partition(" ")[2] for hop in trail.hops)
    raise BrokenAnswerError(f"more than {limit} redirects: {way}", Failure.TOO_MANY_REDIRECTS)


async def _send(
    transport: GuardedTransport, request: httpx.Request, terms: Terms, trail: Trail, seconds: float | None
) -> Arrival:
    try:
        arrival = await transport.send(request, terms, seconds)
    except ExchangeError as error:
        if error.exchange is not None:
            trail.exchanges.append(error.exchange)
        raise
    trail.exchanges.append(arrival.exchange)
    return arrival


def _check_way(exchange: Exchange, url: httpx.URL, terms: Terms) -> None:
    """Raise BrokenAnswerError if a public server sends its visitors to an address of its own network, as one behind a proxy may.

    A name that means such an address may mean another one to customers; so may whatever a proxy looks up.
    """
    to, server = literal(url.host), literal(exchange.address or "")
    if to is None or server is None or terms.proxy is not None or guard.denial(to, terms.deny):
        return
    inside = guard.refusal(to, terms.allow)
    if inside is not None and guard.refusal(server) is None:
        raise BrokenAnswerError(f"redirected to where no customer gets: {inside}", Failure.WRONG_REDIRECT)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def has_port(url: httpx.URL) -> bool:
    """Whether there can be such a port: httpx takes any number for one."""
    return url.port is None or 0 < url.port < 65536


def _own_cookie(request: httpx.Request, jar: httpx.Cookies) -> str | None:
    """Return the cookies that were written as a header of the request, if they were."""
    written = request.headers.get("cookie")
    if written is None:
        return None
    without = httpx.Request(request.method, request.url)
    send_cookies(jar, without)
    return None if without.headers.get("cookie") == written else written


def _following(home: _Home, request: httpx.Request, status: int, url: httpx.URL, jar: httpx.Cookies) -> httpx.Request:
    """Return the request that a redirect to `url` asks for, as browsers make it (Fetch Standard, "HTTP-redirect fetch")."""
    other = status == _SEE_OTHER and request.method not in ("GET", "HEAD")
    becomes_get = other or (status in _POST_BECOMES_GET and request.method == "POST")
    method = "GET" if becomes_get else request.method
    headers = _headers(home, request, url, bare=method != home.request.method)
    content = None if becomes_get else request.content or None
    following = httpx.Request(method, url, headers=headers, content=content)
    send_cookies(jar, following)
    if home.cookie is not None and home.has(url):
        following.headers["cookie"] = _together(home.cookie, following.headers.get("cookie", ""))
    return following


def _together(written: str, of_jar: str) -> str:
    """Return the cookies of a request: those that were written for it, but for what the server has set anew."""
    anew = {pair.partition("=")[0].strip() for pair in of_jar.split(";")}
    kept = [pair.strip() for pair in written.split(";") if pair.partition("=")[0].strip() not in anew]
    return "; ".join([*kept, of_jar] if of_jar else kept)


def _headers(home: _Home, request: httpx.Request, url: httpx.URL, *, bare: bool) -> httpx.Headers:
    """Return the headers of a redirected request but its cookies. `bare`: the body was left behind on the way."""
    at_home = home.has(url)
    headers = (home.request if at_home else request).headers.copy()
    dropped = {"cookie"}  # the jar knows where its own belong
    if bare:
        dropped |= {name for name in headers if name.startswith("content-")}
    if not at_home:
        headers["referer"] = _referer(headers.get("referer", ""), url)
        dropped |= {"host", *(name for name, value in headers.items() if not value or not harmless_header(name))}
    for name in dropped & set(headers):
        del headers[name]
    return headers


def _referer(written: str, to: httpx.URL) -> str:
    """Return what another origin may see of it (Referrer Policy, "strict-origin-when-cross-origin"); empty: nothing."""
    try:
        at = httpx.URL(written)
        host = at.host
    except (httpx.InvalidURL, UnicodeError):
        return ""
    if not host or at.scheme not in ("http", "https") or (at.scheme, to.scheme) == ("https", "http"):
        return ""
    return written if same_origin(at, to) else str(at.copy_with(userinfo=b"", raw_path=b"/", fragment=None))


def location_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return where an answer points, as browsers read it: the first Location that is not empty. None: there is none."""
    found = next((value for value in values_of(headers, b"location") if value.strip()), None)
    if found is None:
        return None
    try:
        text = found.decode()
    except UnicodeDecodeError:  # of an older character set: what it stands for nobody knows but who sent it
        text = "".join(chr(octet) if octet < 0x80 else f"%{octet:02X}" for octet in found)
    text = text.strip().replace("\t", "")
    ends = min((place for sign in "?#" if (place := text.find(sign)) >= 0), default=len(text))
    return text[:ends].replace("\\", "/") + text[ends:]


def _spelled_out(at: httpx.URL, location: str) -> str:
    """Return where a Location points so that Python's urljoin reads it as browsers do (URL Standard). Raises BrokenAnswerError.

    By itself, it takes an address without a host for one of the same host, and leaves out empty segments of relative paths.
    """
    found = _AUTHORITY.match(location)
    if found is not None:
        rest = location[found.end() :]
        if rest[:1] in ("", "?", "#"):
            raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR)
        return f"{found[1]}//{rest}"
    path = at.raw_path.partition(b"?")[0].decode("ascii")
    if location[:1] in ("", "/", "#") or _SCHEME.match(location) or path.startswith("//"):
        return location
    return path + location if location.startswith("?") else f"{path.rpartition('/')[0]}/{location}"


def pointed_at(at: httpx.URL, location: str) -> httpx.URL:
    """Return where an answer of `at` redirects to. Raises BrokenAnswerError."""
    try:
        url = at.join(_spelled_out(at, location))
        host = url.host  # which is read only now, and may be none
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR) from error
    if url.scheme not in ("http", "https"):
        raise BrokenAnswerError(f"redirected to {url.scheme}:, no web address", Failure.WRONG_REDIRECT)
    if not host or not has_port(url):
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR)
    return url.copy_with(fragment=at.fragment) if at.fragment and not url.fragment else url
