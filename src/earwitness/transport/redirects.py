"""Redirects, one hop at a time: each is resolved, guarded and timed anew, and credentials stay with their origin."""

import asyncio
from dataclasses import dataclass, field, replace

import httpx

from earwitness.model import Failure
from earwitness.transport.base import Arrival, GuardedTransport
from earwitness.transport.errors import BrokenAnswerError, ExchangeError
from earwitness.transport.exchange import Exchange, Terms
from earwitness.transport.redaction import harmless_header, mask_url

_NO_ADDRESS = "redirected to what is no address at all"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER = 303
_POST_BECOMES_GET = (301, 302)


@dataclass(slots=True)
class Trail:
    """What was met on the way to the last answer: a record for each exchange, a line for each redirect."""

    exchanges: list[Exchange] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)  # status and URL, query values masked


async def follow(
    transport: GuardedTransport,
    jar: httpx.Cookies,
    request: httpx.Request,
    terms: Terms,
    trail: Trail,
    limit: int | None,
) -> Arrival:
    """Return the last answer with its body unread, after at most `limit` redirects; None follows none.

    `terms.timeout` is for all hops and the body together. Cookies are kept in the jar. Raises ExchangeError, or
    httpx.LocalProtocolError where the request cannot be sent.
    """
    loop = asyncio.get_running_loop()
    deadline = None if terms.timeout is None else loop.time() + terms.timeout
    for hop in range((limit or 0) + 1):
        if hop and deadline is not None:
            terms = replace(terms, timeout=max(0.001, deadline - loop.time()))
        arrival = await _send(transport, request, terms, trail)
        _keep_cookies(jar, arrival, request)
        if limit is None or arrival.status not in REDIRECTS or not arrival.has(b"location"):
            return arrival
        await arrival.body.aclose()
        following = _following(request, arrival, jar)
        if not same_origin(request.url, following.url):
            terms = replace(terms, client=None)
        request = following
        trail.hops.append(f"{arrival.status} {mask_url(request.url)}")
    way = " -> ".join(hop.partition(" ")[2] for hop in trail.hops)
    raise BrokenAnswerError(f"more than {limit} redirects: {way}", Failure.TOO_MANY_REDIRECTS)


async def _send(transport: GuardedTransport, request: httpx.Request, terms: Terms, trail: Trail) -> Arrival:
    try:
        arrival = await transport.send(request, terms)
    except ExchangeError as error:
        if error.exchange is not None:
            trail.exchanges.append(error.exchange)
        raise
    trail.exchanges.append(arrival.exchange)
    return arrival


def _keep_cookies(jar: httpx.Cookies, arrival: Arrival, request: httpx.Request) -> None:
    if arrival.has(b"set-cookie"):  # to take an answer apart for the jar costs more than to look
        jar.extract_cookies(httpx.Response(arrival.status, headers=arrival.headers, request=request))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def has_port(url: httpx.URL) -> bool:
    """Whether there can be such a port: httpx takes any number for one."""
    return url.port is None or 0 < url.port < 65536


def _following(request: httpx.Request, arrival: Arrival, jar: httpx.Cookies) -> httpx.Request:
    """Return the request that a redirect asks for, as browsers make it (Fetch Standard, "HTTP-redirect fetch").

    Raises BrokenAnswerError.
    """
    url = pointed_at(request.url, httpx.Headers(arrival.headers)["location"])
    bare = arrival.status == _SEE_OTHER or (arrival.status in _POST_BECOMES_GET and request.method == "POST")
    bare = bare and request.method != "HEAD"
    headers = request.headers.copy()
    dropped = {"cookie"}  # the jar knows where its own belong
    if bare:
        dropped |= {name for name in headers if name.startswith("content-")}
    if not same_origin(request.url, url):
        dropped |= {"host", *(name for name in headers if not harmless_header(name))}
    for name in dropped & set(headers):
        del headers[name]
    following = httpx.Request(
        "GET" if bare else request.method, url, headers=headers, content=None if bare else request.content or None
    )
    jar.set_cookie_header(following)
    return following


def pointed_at(at: httpx.URL, location: str) -> httpx.URL:
    """Return where an answer of `at` redirects to. Raises BrokenAnswerError."""
    try:
        url = at.join(location)
        host = url.host  # which is read only now, and may be none
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR) from error
    if url.scheme not in ("http", "https"):
        raise BrokenAnswerError(f"redirected to {url.scheme}:, no web address", Failure.WRONG_REDIRECT)
    if not host or not has_port(url):
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR)
    return url.copy_with(fragment=at.fragment) if at.fragment and not url.fragment else url
