"""The transport on httpcore, for those who would rather run httpx as it comes. Connections are never kept."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from earwitness.model import Failure
from earwitness.transport.base import GuardedTransport, Reply, Watch, ascii_host, port_of
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError
from earwitness.transport.exchange import Address, Exchange, Stage, Terms
from earwitness.transport.guard import check
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.trust import diagnose, look, read_der

_STAGES = {
    "connection.connect_tcp.started": Stage.CONNECT,
    "connection.start_tls.started": Stage.TLS,
    "http11.send_request_headers.started": Stage.PROCESSING,
    "http11.receive_response_headers.complete": Stage.TRANSFER,
}


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name it is given, one after the other."""

    def __init__(self, addresses: Sequence[Address], terms: Terms, exchange: Exchange) -> None:
        self._addresses = addresses
        self._terms = terms
        self._exchange = exchange
        self._inner = httpcore.AnyIOBackend()
        self._streams: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002  # httpcore's signature
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = self._addresses
        for address in others:
            try:
                return await self._connect(address, port, self._share(), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next address may do better, and the last one speaks for all
        return await self._connect(last, port, timeout, local_address, socket_options)

    def _share(self) -> float | None:
        """Return the seconds that one of the addresses may take, so that one that takes nobody leaves some for the next."""
        known = [limit for limit in (self._exchange.limit, self._terms.limits.get(Stage.CONNECT)) if limit is not None]
        return min(known) / len(self._addresses) if known else None

    async def _connect(
        self, address: Address, port: int, limit: float | None, local: str | None, options: Iterable[Any] | None
    ) -> httpcore.AsyncNetworkStream:
        check(address, self._terms.allow, self._terms.deny)
        self._exchange.address = str(address)
        self._streams.append(await self._inner.connect_tcp(str(address), port, limit, local, options))
        return self._streams[-1]

    async def aclose(self) -> None:
        """Close what is open. A pool does not know of a stream whose handshake was cancelled."""
        while self._streams:
            await self._streams.pop().aclose()

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class StockTransport(GuardedTransport):
    """Requests by httpcore, one pool for each."""

    async def _open(
        self,
        request: httpx.Request,
        addresses: Sequence[Address],
        terms: Terms,
        exchange: Exchange,
        watch: Watch,
    ) -> Reply:
        secure = request.url.scheme == "https"
        backend = _PinnedBackend(addresses, terms, exchange)
        context = self._trust.context(terms.client) if secure else None
        pool = httpcore.AsyncConnectionPool(ssl_context=context, network_backend=backend)
        try:
            response = await self._answered(pool, request, exchange, watch)
        except BaseException:
            await pool.aclose()
            await backend.aclose()
            raise
        self._record(response, exchange, secure=secure)
        return self._reply(pool, backend, response, exchange)

    async def _answered(
        self, pool: httpcore.AsyncConnectionPool, request: httpx.Request, exchange: Exchange, watch: Watch
    ) -> httpcore.Response:
        loop = asyncio.get_running_loop()

        async def trace(event: str, _info: object) -> None:
            if event in _STAGES:
                exchange.enter(_STAGES[event], loop.time())

        try:
            with _translated(exchange):
                return await pool.handle_async_request(_outgoing(request, await request.aread(), trace))
        except ssl.SSLCertVerificationError as error:
            raise await self._refused(error, request.url, exchange, watch) from error

    @staticmethod
    async def _refused(
        error: ssl.SSLCertVerificationError, url: httpx.URL, exchange: Exchange, watch: Watch
    ) -> ExchangeError:
        exchange.verified = False
        host, until = ascii_host(url), watch.rest()
        seen = None if exchange.address is None else await look(exchange.address, port_of(url), host, until)
        exchange.certificates = () if seen is None else (seen,)
        message = diagnose(exchange.certificates, host, time.time(), error.verify_message, error.verify_code)
        return ConnectFailedError(message, Failure.CERTIFICATE_INVALID)

    @staticmethod
    def _record(response: httpcore.Response, exchange: Exchange, *, secure: bool) -> None:
        exchange.http_version = response.extensions["http_version"].decode("ascii").removeprefix("HTTP/")
        if not secure:
            return
        exchange.verified = True
        der = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(binary_form=True)
        facts = read_der(der)
        exchange.certificates = () if facts is None else (facts,)

    @staticmethod
    def _reply(
        pool: httpcore.AsyncConnectionPool, backend: _PinnedBackend, response: httpcore.Response, exchange: Exchange
    ) -> Reply:
        loop = asyncio.get_running_loop()

        async def chunks() -> AsyncGenerator[bytes]:
            with _translated(exchange):
                async for chunk in response.aiter_stream():
                    yield chunk

        async def close() -> None:
            await response.aclose()
            await pool.aclose()
            await backend.aclose()

        def finish() -> None:
            exchange.ended = loop.time()

        return Reply(
            status=response.status,
            reason=response.extensions.get("reason_phrase", b""),
            headers=list(response.headers),
            chunks=chunks(),
            close=close,
            finish=finish,
        )


def _outgoing(request: httpx.Request, body: bytes, trace: object) -> httpcore.Request:
    target = request.url.copy_with(userinfo=b"")
    framing = (b"transfer-encoding", b"content-length", b"connection")
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in framing]
    if body or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"content-length", str(len(body)).encode("ascii")))
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
        headers=headers,
        content=body,
        extensions={"trace": trace},
    )


def _roots(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it came from, groups included."""
    yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for cause in (*members, error.__cause__, error.__context__):
        if cause is not None:
            yield from _roots(cause)


def _connect_error(error: httpcore.ConnectError, exchange: Exchange) -> Exception:
    for root in _roots(error):
        if isinstance(root, ssl.SSLCertVerificationError):
            return root
        if isinstance(root, ssl.SSLError):
            return ConnectFailedError(f"no TLS connection: {root.reason or root}", Failure.TLS_FAILED)
        if exchange.stage is not Stage.TLS and isinstance(root, OSError) and root.errno:
            why = os.strerror(root.errno).lower()
            return ConnectFailedError(f"cannot connect to {exchange.address}: {why}", connect_failure(root.errno))
    if exchange.stage is Stage.TLS:
        return ConnectFailedError("no TLS connection: the server hung up", Failure.TLS_FAILED)
    return ConnectFailedError(f"cannot connect to {exchange.address}: {error}", Failure.CONNECTION_FAILED)


@contextmanager
def _translated(exchange: Exchange) -> Iterator[None]:
    """Turn httpcore's errors into ours, and the refusal of a certificate into ssl's own."""
    try:
        yield
    except httpcore.ConnectError as error:
        raise _connect_error(error, exchange) from error
    except (httpcore.ReadError, httpcore.WriteError) as error:
        message = f"the server broke the exchange off: {error or 'connection reset'}"
        raise BrokenAnswerError(message, Failure.CONNECTION_LOST) from error
    except httpcore.RemoteProtocolError as error:
        lost = "disconnected" in str(error) or "closed" in str(error)
        failure = Failure.CONNECTION_LOST if lost else Failure.PROTOCOL_ERROR
        raise BrokenAnswerError(f"the server broke the exchange off: {error}", failure) from error
    except httpcore.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
