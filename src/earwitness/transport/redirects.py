"""Redirects, one hop at a time: each is resolved, guarded and timed anew, and credentials stay with their origin."""

import asyncio
from dataclasses import dataclass, field, replace

import httpx

from earwitness.model import Failure
from earwitness.transport.errors import BrokenAnswerError, ExchangeError
from earwitness.transport.exchange import EXCHANGE, TERMS, Exchange, Terms
from earwitness.transport.redaction import harmless_header, mask_url

_NO_ADDRESS = "redirected to what is no address at all"


@dataclass(slots=True)
class Trail:
    """What was met on the way to the last answer: a record for each exchange, a line for each redirect."""

    exchanges: list[Exchange] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)  # status and URL, query values masked


async def follow(
    client: httpx.AsyncClient, request: httpx.Request, terms: Terms, trail: Trail, limit: int | None
) -> httpx.Response:
    """Return the last answer with its body unread, after at most `limit` redirects; None follows none.

    `terms.timeout` is for all hops and the body together. Raises httpx.HTTPError, mostly ExchangeError.
    """
    loop = asyncio.get_running_loop()
    deadline = None if terms.timeout is None else loop.time() + terms.timeout
    for hop in range((limit or 0) + 1):
        if hop and deadline is not None:
            terms = replace(terms, timeout=max(0.001, deadline - loop.time()))
        request.extensions = {**request.extensions, TERMS: terms}
        response = await _send(client, request, trail)
        if response.next_request is None or limit is None:
            return response
        await response.aclose()
        if not same_origin(request.url, response.next_request.url):
            terms = replace(terms, client=None)
        request = _next(request, response.next_request)
        trail.hops.append(f"{response.status_code} {mask_url(request.url)}")
    way = " -> ".join(hop.partition(" ")[2] for hop in trail.hops)
    raise BrokenAnswerError(f"more than {limit} redirects: {way}", Failure.TOO_MANY_REDIRECTS)


async def _send(client: httpx.AsyncClient, request: httpx.Request, trail: Trail) -> httpx.Response:
    try:
        response = await client.send(request, stream=True, follow_redirects=False)
    except ExchangeError as error:
        if error.exchange is not None:
            trail.exchanges.append(error.exchange)
        raise
    except (
        httpx.InvalidURL,
        UnicodeError,
    ) as error:  # httpx reads where a redirect points, whether it is followed or not
        if isinstance(error, UnicodeEncodeError | UnicodeDecodeError):
            raise  # none of a host name that is none: it would be ours
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR) from error
    if EXCHANGE in response.extensions:
        trail.exchanges.append(response.extensions[EXCHANGE])
    return response


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def has_port(url: httpx.URL) -> bool:
    """Whether there can be such a port: httpx takes any number for one."""
    return url.port is None or 0 < url.port < 65536


def _next(request: httpx.Request, following: httpx.Request) -> httpx.Request:
    if following.url.scheme not in ("http", "https"):
        raise BrokenAnswerError(f"redirected to {following.url.scheme}:, no web address", Failure.WRONG_REDIRECT)
    if not has_port(following.url):
        raise BrokenAnswerError(_NO_ADDRESS, Failure.PROTOCOL_ERROR)
    if not same_origin(request.url, following.url):  # cookies have a jar that knows where they belong
        for name in [n for n in following.headers if not harmless_header(n) and n.lower() != "cookie"]:
            del following.headers[name]
    return following
