"""What every transport of ours does around its engine: resolve, guard, limit the time, unpack, and keep the record."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import TracebackType

import httpx

from earwitness.model import Failure
from earwitness.transport import guard
from earwitness.transport.decoding import decoder
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError, TimedOutError
from earwitness.transport.exchange import EXCHANGE, TERMS, Address, Exchange, Stage, Terms, values_of
from earwitness.transport.proxies import by_way_of_proxy
from earwitness.transport.resolver import Resolver, literal, routable
from earwitness.transport.trust import TrustStore

_LATE = {
    Stage.RESOLVE: (Failure.RESOLVER_FAILED, "the name lookup did not end"),
    Stage.CONNECT: (Failure.CONNECT_TIMEOUT, "no connection came about"),
    Stage.TLS: (Failure.TLS_FAILED, "the TLS handshake did not end"),
    Stage.PROCESSING: (Failure.FIRST_BYTE_TIMEOUT, "no answer began"),
    Stage.TRANSFER: (Failure.TRANSFER_TIMEOUT, "the answer did not end"),
}
_PORTS = {"http": 80, "https": 443}
_THIS_MACHINE = IPv4Address("127.0.0.1")  # what localhost means (RFC 6761), the proxy's machine included
_OVERHEAD = 64 * 1024  # bytes by which a packed body may be larger than what it unpacks to
_LOOKS = 10  # within the smallest limit of a stage, to see which one is under way
_OFTEN = 0.01  # seconds; no more often than that
_SECOND_LOOK = 5.0  # seconds for what was wrong with a refused certificate
_NO_LIMIT = nullcontext()  # to arm a timer for each chunk costs more than to take it


def too_late(stage: Stage, seconds: float) -> TimedOutError:
    failure, what = _LATE[stage]
    told = round(seconds, 1 if seconds >= 1 else 2)  # what was left of a limit is a moment less than the limit
    return TimedOutError(f"{what} within {told:g} s", failure, sent=stage in (Stage.PROCESSING, Stage.TRANSFER))


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine has once the headers are there. `chunks` are the body's bytes as they came."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    chunks: AsyncGenerator[bytes]
    close: Callable[[], Awaitable[None]]
    finish: Callable[[], None]  # completes the record
    at_hand: Callable[[], bool] = lambda: (
        False
    )  # whether the next of the chunks, or their end, is there without waiting


class Watch:
    """Ends the block it is around when the stage under way, or the whole exchange, takes too long."""

    def __init__(self, exchange: Exchange, terms: Terms) -> None:
        self._exchange = exchange
        self._limits = terms.limits
        self._late: float | None = None  # the limit that the stage under way has passed, in seconds
        self._timer: asyncio.TimerHandle | None = None
        self.decided: float | None = None  # when the outcome was known, if reasons for it were looked for afterwards
        self.refresh: Callable[[], None] = lambda: None  # an engine that must be asked where it is sets this

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout_at(self._exchange.until)
        await self._timeout.__aenter__()
        if self._limits:
            self._look()

    def _look(self) -> None:
        """End the block if the stage has passed its limit, else look again when one of them may be passed.

        For an engine that is asked where it is, a stage begins when it is first seen: late by a part of the smallest limit.
        """
        self.refresh()
        now, stage = self._loop.time(), self._exchange.stage
        limit, began = self._limits.get(stage), self._exchange.began.get(stage)
        if limit is not None and began is not None and now >= began + limit:
            self._late = limit
            self._timeout.reschedule(now)
            return
        wake = now + max(_OFTEN, min(self._limits.values()) / _LOOKS)
        if limit is not None and began is not None:
            wake = min(wake, began + limit)
        self._timer = self._loop.call_at(wake, self._look)

    def rest(self) -> float:
        """End the block no more, since its outcome is known. Returns until when, on the loop's clock, reasons for it may be looked for."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._timeout.expired():
            self._timeout.reschedule(None)
        self.decided = self.decided or self._loop.time()
        soon, until = self.decided + _SECOND_LOOK, self._exchange.until
        return soon if until is None else min(soon, until)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as timeout:
            late = self._exchange.limit if self._late is None else self._late
            raise too_late(self._exchange.stage, late or 0.0) from timeout


class Body(httpx.AsyncByteStream):
    """The body, unpacked, counted and cut off where the terms say so."""

    def __init__(self, reply: Reply, exchange: Exchange, terms: Terms, encoding: str) -> None:
        self._reply = reply
        self._exchange = exchange
        self._limit = terms.body_limit
        self._came = 0  # bytes before they were unpacked
        self._encoding = encoding  # which matters to who reads the body alone
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            unpack = decoder(self._encoding)
            while (chunk := await self._next()) is not None:
                for piece in unpack.feed(chunk):
                    yield self._counted(piece)
                self._came += len(chunk)
                if self._came > self._limit + _OVERHEAD:  # much that unpacks to little takes its time all the same
                    raise self._too_large()
            unpack.finish()
        except ExchangeError as error:
            error.exchange = self._exchange
            raise
        finally:
            await self.aclose()

    async def _next(self) -> bytes | None:
        """Return the next chunk as it came, None after the last. Raises TimedOutError."""
        try:
            async with _NO_LIMIT if self._reply.at_hand() else asyncio.timeout_at(self._exchange.until):
                return await anext(self._reply.chunks, None)
        except TimeoutError as error:
            raise too_late(Stage.TRANSFER, self._exchange.limit or 0.0) from error

    def _counted(self, piece: bytes) -> bytes:
        self._exchange.size += len(piece)
        if self._exchange.size > self._limit:
            raise self._too_large()
        return piece

    def _too_large(self) -> BrokenAnswerError:
        return BrokenAnswerError(f"the body is larger than {self._limit} bytes", Failure.BODY_TOO_LARGE)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._reply.finish()
        await self._reply.chunks.aclose()
        await self._reply.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer of which the head is there. Read the body once, and close it. `headers` are as they came."""

    url: httpx.URL
    status: int
    reason: str
    headers: list[tuple[bytes, bytes]]
    body: Body
    exchange: Exchange


class GuardedTransport(httpx.AsyncBaseTransport, ABC):
    """An httpx transport whose every connection goes where the guard lets it.

    For httpx a request's terms are in its extensions under TERMS, and httpx's own read timeout is for the whole exchange. The record is in the response's extensions under EXCHANGE.
    """

    def __init__(self, resolver: Resolver, trust: TrustStore, route: Callable[[Address, int], bool] = routable) -> None:
        self._resolver = resolver
        self._trust = trust
        self._route = route

    @abstractmethod
    async def _open(
        self, request: httpx.Request, addresses: Sequence[Address], terms: Terms, exchange: Exchange, watch: Watch
    ) -> Reply:
        """Send the request to one of `addresses` and return when the headers are there. Raises ExchangeError."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read")
        arrival = await self.send(request, request.extensions.get(TERMS, Terms()), seconds)
        # The body that we hand on is unpacked, so httpx must not try again.
        kept = [(name, value) for name, value in arrival.headers if name.lower() != b"content-encoding"]
        extensions = {
            EXCHANGE: arrival.exchange,
            "reason_phrase": arrival.reason.encode("latin-1"),
            "http_version": f"HTTP/{arrival.exchange.http_version}".encode("ascii"),
        }
        return httpx.Response(arrival.status, headers=kept, stream=arrival.body, extensions=extensions)

    async def send(self, request: httpx.Request, terms: Terms, seconds: float | None) -> Arrival:
        """Send a request on these terms and return when the head of the answer is there.

        All of it, the body included, must end within so many `seconds`. Raises ExchangeError, with the record of what was
        seen until then.
        """
        loop = asyncio.get_running_loop()
        exchange = Exchange(ascii_host(request.url), seconds, None if seconds is None else loop.time() + seconds)
        watch = Watch(exchange, terms)
        try:
            with by_way_of_proxy(terms.proxy, exchange):
                async with watch:
                    addresses = await self._addresses(request.url, terms, exchange)
                    reply = await self._open(request, addresses, terms, exchange, watch)
            return _arrived(request.url, reply, exchange, terms)
        except ExchangeError as error:
            exchange.ended = watch.decided or loop.time()
            error.exchange = exchange
            error.request = request
            raise

    async def addresses(self, host: str, port: int, terms: Terms) -> tuple[Address, ...]:
        """Return the addresses of a host that may be, and can be, connected to, for who connects by other means."""
        url = httpx.URL(scheme="https", host=host, port=port)
        return await self._addresses(url, terms, Exchange(host=host))

    async def _addresses(self, url: httpx.URL, terms: Terms, exchange: Exchange) -> tuple[Address, ...]:
        """Return the addresses that may be, and can be, connected to: the URL host's, or the proxy's."""
        if url.scheme not in _PORTS:
            raise ConnectFailedError(f"{url.scheme}: is not a scheme that may be opened", Failure.ADDRESS_REFUSED)
        loop = asyncio.get_running_loop()
        exchange.enter(Stage.RESOLVE, loop.time())
        if terms.proxy is not None:
            _check_beyond_proxy(ascii_host(url), terms)
        at, allow = (url, terms.allow) if terms.proxy is None else (terms.proxy.url, terms.proxy.allow)
        addresses = await self._looked_up(exchange.host if at is url else ascii_host(at), terms)
        exchange.ended = loop.time()
        return guard.usable(addresses, port_of(at), allow, self._route, terms.deny)

    async def _looked_up(self, host: str, terms: Terms) -> tuple[Address, ...]:
        """Return the addresses of the host, of the wanted version of IP. Raises ConnectFailedError."""
        if host in terms.pinned:
            return (terms.pinned[host],)
        resolver = self._resolver if terms.name_server is None else self._resolver.asking(terms.name_server)
        return await resolver.resolve(host, terms.family)


def _arrived(url: httpx.URL, reply: Reply, exchange: Exchange, terms: Terms) -> Arrival:
    exchange.headers = tuple(reply.headers)
    encoding = b",".join(values_of(reply.headers, b"content-encoding"))
    body = Body(reply, exchange, terms, encoding.decode("latin-1"))
    return Arrival(url, reply.status, reply.reason.decode("latin-1"), reply.headers, body, exchange)


def _check_beyond_proxy(host: str, terms: Terms) -> None:
    """Raise ConnectFailedError if a host that the proxy looks up is known to be refused: by its spelling, or as every machine's own."""
    name = host.lower().rstrip(".")
    spelled = _THIS_MACHINE if name == "localhost" or name.endswith(".localhost") else literal(host)
    if spelled is not None:
        guard.check(spelled, terms.allow, terms.deny)


def ascii_host(url: httpx.URL) -> str:
    """Return the host as name servers and certificates know it: an international name in ASCII, an address without brackets."""
    return url.raw_host.decode("ascii")


def port_of(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port
