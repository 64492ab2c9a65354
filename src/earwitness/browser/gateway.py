"""The only way from the browser to the world: a forward proxy on this machine that guards every connection it makes.

The browser resolves no name and opens no connection itself, so pages, redirects, frames, `fetch()` and WebSockets all pass here,
and each address is checked after its name was looked up, just before it is connected to. Each run has a password of its own;
whoever has none gets nothing.
"""

import asyncio
import base64
import contextlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from earwitness.browser.way_out import LARGEST_HEAD, End, authorization, by_proxy, straight
from earwitness.model import Attribution, Failure
from earwitness.transport.client import WebClient
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Network, Proxy

_PATIENCE = 10.0  # seconds for the head of a request
_WHO_ARE_YOU = 407
_MOST_INTERIM = 20  # answers of 1xx before the one that counts
_CHUNK = 64 * 1024  # bytes
_HOP_BY_HOP = ("proxy-authorization", "proxy-connection", "connection", "keep-alive")
_BROWSERS_OWN = frozenset(
    {
        "content-autofill.googleapis.com",
        "optimizationguide-pa.googleapis.com",
        "update.googleapis.com",
        "clients2.google.com",
        "connectivitycheck.gstatic.com",  # after each certificate that it refuses
    }
)
"""Services that Chromium asks for itself, with what it saw of a page. No customer waits for them, and they learn nothing of us."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A connection that did not come about."""

    host: str
    failure: Failure
    message: str
    attribution: Attribution


@dataclass(slots=True, eq=False)
class Pass:
    """What lets one run through, and what became of its connections."""

    allow: tuple[Network, ...]
    proxy: Proxy | None = None  # by which it goes out
    user: str = field(default_factory=lambda: secrets.token_hex(8))
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    troubles: list[Trouble] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a request to a proxy."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port to connect to. Raises ValueError."""
        parts = urlsplit(f"//{self.target}" if self.method == "CONNECT" else self.target)
        if self.method != "CONNECT" and parts.scheme != "http":
            raise ValueError("a proxy forwards http only")
        if not parts.hostname:
            raise ValueError("there is no host")
        return parts.hostname, parts.port or (443 if self.method == "CONNECT" else 80)

    def forwarded(self, proxy: Proxy | None) -> bytes:
        """Return the head as the origin, or the next proxy, gets it: one request a connection, without what was said to us."""
        parts = urlsplit(self.target)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = path if proxy is None else f"{parts.scheme}://{parts.netloc}{path}"
        kept = [(name, value) for name, value in self.headers if name.lower() not in _HOP_BY_HOP]
        kept += [] if proxy is None else authorization(proxy)
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept), "Connection: close"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _parsed(raw: bytes) -> _Head:
    """Raises ValueError."""
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")
    headers = tuple((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return _Head(method.upper(), target, version, headers)


class _AsksWhoWeAreError(Exception):
    """An answer asks for our name and password, as only a proxy may."""


class Gateway:
    """The proxy. `web` returns what resolves names and knows which networks are allowed everywhere."""

    def __init__(self, web: Callable[[], WebClient]) -> None:
        self._web = web
        self._passes: dict[str, Pass] = {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LARGEST_HEAD)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def admit(self, allow: Sequence[Network], proxy: Proxy | None = None) -> Pass:
        """Return a pass for one run."""
        made = Pass(tuple(allow), proxy)
        self._passes[made.authorization] = made
        return made

    async def dismiss(self, guest: Pass) -> None:
        """Let the run no longer through, and close the connections it has."""
        self._passes.pop(guest.authorization, None)
        for task in tuple(guest.under_way):
            task.cancel()
        await asyncio.gather(*guest.under_way, return_exceptions=True)

    async def aclose(self) -> None:
        for guest in tuple(self._passes.values()):
            await self.dismiss(guest)
        if self._server is not None:
            self._server.close()
            self._server = None

    # --- one connection of the browser -------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection by a task of ours: asyncio complains in the log of its own that end early."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        guest: Pass | None = None
        try:
            found = await self._admitted(reader, writer)
            if found is not None:
                guest, head = found
                guest.under_way.add(task)
                await self._connected(head, guest, reader, writer)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            # One of the two ends went away or makes no sense: the browser says what it missed.
            _log.debug("gateway_connection_ended", why=type(error).__name__)
        except Exception:  # noqa: BLE001  A fault of ours ends one connection, and is traced.
            _log.exception("gateway_broke")
        finally:
            if guest is not None:
                guest.under_way.discard(task)
            writer.close()

    async def _admitted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[Pass, _Head] | None:
        """Return whose request comes, and its head; a browser says who it is when it is asked."""
        for _ in range(3):
            async with asyncio.timeout(_PATIENCE):
                head = _parsed(await reader.readuntil(b"\r\n\r\n"))
            guest = self._guest(head.get("proxy-authorization"))
            if guest is not None:
                return guest, head
            length = int(head.get("content-length") or 0)
            if length:
                await reader.readexactly(min(length, LARGEST_HEAD))
            ask = 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="earwitness"\r\n'
            writer.write(f"{ask}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        return None

    def _guest(self, authorization: str) -> Pass | None:
        said = authorization.encode()
        return next((p for key, p in self._passes.items() if hmac.compare_digest(key.encode(), said)), None)

    async def _connected(
        self, head: _Head, guest: Pass, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, port = head.origin
        if host in _BROWSERS_OWN:
            return
        try:
            far_reader, far_writer = await self._reach(host, port, guest, tunnel=head.method == "CONNECT")
        except ExchangeError as error:
            guest.troubles.append(Trouble(host, error.failure, str(error), error.attribution))
            if head.method == "CONNECT":  # else an answer of ours could be taken for the origin's
                refused = error.failure is Failure.ADDRESS_REFUSED
                said = b"403 Forbidden" if refused else b"502 Bad Gateway"
                writer.write(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            return
        try:
            if head.method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                await _both_ways((reader, writer), (far_reader, far_writer))
            else:
                far_writer.write(head.forwarded(guest.proxy))
                await self._answered(host, guest, (reader, writer), (far_reader, far_writer))
        finally:
            far_writer.close()

    @staticmethod
    async def _answered(host: str, guest: Pass, near: End, far: End) -> None:
        """Carry a request and its answer. What asks for our name as only a proxy may is kept from the browser, which would take us for it."""
        try:
            await _both_ways(near, far, answers=True)
        except _AsksWhoWeAreError:
            if guest.proxy is None:
                text, failure, whose = (
                    "it answered 407, as only a proxy may",
                    Failure.PROTOCOL_ERROR,
                    Attribution.TARGET,
                )
            else:
                text = f"the proxy {guest.proxy.url.host} is no way out: it answered 407 (who are you?)"
                failure, whose = Failure.PROXY_FAILED, Attribution.MONITOR
            guest.troubles.append(Trouble(host, failure, text, whose))

    async def _reach(self, host: str, port: int, guest: Pass, *, tunnel: bool) -> End:
        """Return a connection on which the request can be carried. Raises ExchangeError."""
        if guest.proxy is None:
            return await straight(self._web(), host, port, guest.allow)
        return await by_proxy(self._web(), host, port, guest.allow, guest.proxy, tunnel=tunnel)


async def _both_ways(near: End, far: End, *, answers: bool = False) -> None:
    """Carry bytes both ways until the far end has said all, or either end is gone."""
    there = asyncio.create_task(_carry(near[0], far[1]))
    back = asyncio.create_task(_answers(far[0], near[1]) if answers else _carry(far[0], near[1]))
    try:
        await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        if there.done() and not answers and there.exception() is None:
            await back  # half closed: the near end has said all it had to say
        elif answers and there.done():
            await asyncio.wait([back], timeout=_PATIENCE)
    finally:
        for task in (there, back):
            task.cancel()
        ended = await asyncio.gather(there, back, return_exceptions=True)
    if isinstance(ended[1], _AsksWhoWeAreError):
        raise ended[1]


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    with contextlib.suppress(OSError, RuntimeError):
        sink.write_eof()


async def _answers(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry the answer to one request, and say that the connection ends with it."""
    for _ in range(_MOST_INTERIM + 1):
        head = _parsed_answer(await _lines(source))
        if head[0] == _WHO_ARE_YOU:
            raise _AsksWhoWeAreError
        if not 100 <= head[0] < 200:  # no browser waits for interim answers, and one alone would pass for the whole
            sink.write(head[1])
            await _carry(source, sink)
            return
    raise ValueError("it gives interim answers only")


async def _lines(source: asyncio.StreamReader) -> list[bytes]:
    """Return the lines of an answer's head, each without its end, which may be LF alone (RFC 9112, 2.2). Raises ValueError."""
    lines: list[bytes] = []
    left = LARGEST_HEAD
    while (line := await source.readuntil(b"\n")).rstrip(b"\r\n"):
        lines.append(line.rstrip(b"\r\n"))
        left -= len(line)
        if left < 0:
            raise ValueError("its head does not end")
    return lines


def _parsed_answer(raw: list[bytes]) -> tuple[int, bytes]:
    """Return the status, and the head with `Connection: close`. Raises ValueError."""
    first, *lines = raw
    status = int(first.split(b" ")[1])
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in (b"connection", b"keep-alive")]
    closing = [] if 100 <= status < 200 else [b"Connection: close"]
    return status, b"\r\n".join([first, *kept, *closing]) + b"\r\n\r\n"
