"""The transport on libcurl: the cheapest way to a fresh connection, and the one that times each phase."""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pycurl

from earwitness.model import Failure
from earwitness.transport.base import GuardedTransport, Reply, Watch, ascii_host, port_of
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError
from earwitness.transport.exchange import Address, Certificate, Exchange, Proxy, Stage, Terms
from earwitness.transport.multi import MultiDriver
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.proxies import check_answer
from earwitness.transport.resolver import literal
from earwitness.transport.shown import Shown, ShownLately
from earwitness.transport.transfer import Transfer
from earwitness.transport.trust import diagnose, look

_WEIRD_SERVER_REPLY, _HTTP2_STREAM, _HTTP3, _QUIC_CONNECT, _TOO_LARGE = (
    8,
    92,
    95,
    96,
    100,
)  # pycurl has no names for these codes of libcurl

_BROKEN = {
    pycurl.E_UNSUPPORTED_PROTOCOL: Failure.PROTOCOL_ERROR,  # HTTP/0.9
    _WEIRD_SERVER_REPLY: Failure.PROTOCOL_ERROR,
    pycurl.E_HTTP2: Failure.PROTOCOL_ERROR,
    _TOO_LARGE: Failure.PROTOCOL_ERROR,  # headers
    pycurl.E_BAD_CONTENT_ENCODING: Failure.PROTOCOL_ERROR,  # a transfer encoding that nobody asked for
    _HTTP2_STREAM: Failure.PROTOCOL_ERROR,
    _HTTP3: Failure.PROTOCOL_ERROR,
    pycurl.E_GOT_NOTHING: Failure.CONNECTION_LOST,
    pycurl.E_PARTIAL_FILE: Failure.CONNECTION_LOST,
    pycurl.E_RECV_ERROR: Failure.CONNECTION_LOST,
    pycurl.E_SEND_ERROR: Failure.CONNECTION_LOST,
}
_REMEMBERED = 1000  # connections of which the certificates are known; ten times as many as are kept
_BROKE_OFF = frozenset({pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, _QUIC_CONNECT})
_REFUSED = {
    pycurl.E_PEER_FAILED_VERIFICATION: (Failure.CERTIFICATE_INVALID, "the certificate was refused"),
    pycurl.E_SSL_CACERT_BADFILE: (Failure.NO_TRUST_STORE, "the authorities cannot be read"),
    pycurl.E_SSL_CERTPROBLEM: (Failure.CLIENT_CERTIFICATE_UNUSABLE, "our client certificate cannot be used"),
    pycurl.E_SSL_CONNECT_ERROR: (Failure.TLS_FAILED, "no TLS connection"),
    pycurl.E_OPERATION_TIMEDOUT: (Failure.CONNECT_TIMEOUT, "cannot connect"),  # the kernel's own limit
}


class CurlTransport(GuardedTransport):
    """Requests by libcurl. Close it when done; what is then under way fails as the monitor's own doing."""

    _driver: MultiDriver | None = None
    _shown: dict[int, tuple[Certificate, ...]]  # by connection

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lately = ShownLately()

    def driver(self) -> MultiDriver:
        if self._driver is None:
            self._driver, self._shown = MultiDriver(), {}
        return self._driver

    async def aclose(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()

    async def _open(
        self, request: httpx.Request, addresses: Sequence[Address], terms: Terms, exchange: Exchange, watch: Watch
    ) -> Reply:
        known: Shown = {}
        if request.url.scheme == "https" and terms.fresh and terms.proxy is None:
            known = self._lately.by_address(exchange.host, port_of(request.url), terms.version, addresses)
        try:
            return await self._opened(request, addresses, terms, exchange, watch, known)
        except ConnectFailedError as refusal:
            if not known or refusal.failure is not Failure.CERTIFICATE_INVALID:
                raise
            seen = await self._seen_again(request, addresses, terms, exchange, watch)
            if seen is None:
                raise
            raise seen from refusal

    async def _seen_again(
        self, request: httpx.Request, addresses: Sequence[Address], terms: Terms, exchange: Exchange, watch: Watch
    ) -> ConnectFailedError | None:
        """Return the refusal of the certificate that is shown now, which the record then has; None if that one is none to refuse.

        Nothing is sent: who was refused has had the answer that counts, and the next handshake may be another server's.
        """
        again = Exchange(exchange.host)
        transfer = Transfer(request, b"", terms, again, {})
        transfer.handle.setopt(pycurl.CONNECT_ONLY, 1)
        try:
            async with asyncio.timeout_at(watch.rest()):
                self._start(transfer, again.host, request.url, addresses, None)
                await transfer.answered
                await self._settle(transfer, request.url, again, terms, watch)
        except (ExchangeError, TimeoutError) as error:
            if not isinstance(error, ConnectFailedError) or error.failure is not Failure.CERTIFICATE_INVALID:
                return None
            exchange.certificates = again.certificates
            return error
        finally:
            self._drop(transfer)
        return None

    async def _opened(
        self,
        request: httpx.Request,
        addresses: Sequence[Address],
        terms: Terms,
        exchange: Exchange,
        watch: Watch,
        known: Shown,
    ) -> Reply:
        body = await request.aread()
        transfer = Transfer(request, body, terms, exchange, known)
        watch.refresh = transfer.measure
        try:
            self._start(transfer, exchange.host, request.url, addresses, terms.proxy)
            await transfer.answered
            explains = terms.proxy is None and not known
            await self._settle(transfer, request.url, exchange, terms, watch if explains else None)
            check_answer(terms.proxy, exchange, transfer.status, transfer.reason.decode("latin-1"))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                transfer.measure()  # how far it came in its time
            watch.refresh = _nothing
            self._remember(transfer, exchange)
            self._drop(transfer)
            raise
        return self._reply(transfer, exchange)

    def _start(
        self, transfer: Transfer, host: str, url: httpx.URL, addresses: Sequence[Address], proxy: Proxy | None
    ) -> None:
        if url.scheme == "https":
            transfer.handle.setopt(pycurl.CAINFO, self._trust.bundle())
        if proxy is not None and proxy.url.scheme == "https":
            transfer.handle.setopt(pycurl.PROXY_CAINFO, self._trust.bundle())
        at, host = (url, host) if proxy is None else (proxy.url, ascii_host(proxy.url))
        if literal(host) is None:
            transfer.pin(host, port_of(at), addresses)
        self.driver().add(transfer.handle, transfer.on_done)

    async def _settle(
        self, transfer: Transfer, url: httpx.URL, exchange: Exchange, terms: Terms, watch: Watch | None
    ) -> None:
        """Complete the record up to the headers; raise what kept them from coming. Without a watch no refused certificate is explained."""
        transfer.complete()
        self._remember(transfer, exchange)
        if transfer.status and transfer.headers_done:
            exchange.verified = True if url.scheme == "https" else None
            if transfer.wrote_out:
                self._lately.take(exchange, port_of(url), terms.version)
            return
        error = transfer.error(lambda code, text: _explained(code, text, transfer, exchange))
        if isinstance(error, ExchangeError) and error.failure is Failure.CERTIFICATE_INVALID:
            exchange.verified = False
            error = await self._refused(error, transfer, url, exchange, watch) if watch else error
        raise error or BrokenAnswerError("the connection closed without an answer", Failure.CONNECTION_LOST)

    def _remember(self, transfer: Transfer, exchange: Exchange) -> None:
        """Let the record of a kept connection have the certificates that were shown when it was made, whatever became of that request."""
        if not transfer.keeps or self._driver is None:
            return
        transfer.read_certificates()
        known = self._shown.pop(transfer.connection, ())
        exchange.certificates = exchange.certificates or known
        if exchange.certificates:
            self._shown[transfer.connection] = exchange.certificates
        if len(self._shown) > _REMEMBERED:  # the first is the one that was not used for longest
            del self._shown[next(iter(self._shown))]

    @staticmethod
    async def _refused(
        error: ExchangeError, transfer: Transfer, url: httpx.URL, exchange: Exchange, watch: Watch
    ) -> ExchangeError:
        """Return the refusal of a certificate with the reason that its facts give."""
        if not exchange.certificates and exchange.address is not None:
            seen = await look(exchange.address, port_of(url), ascii_host(url), watch.rest())
            exchange.certificates = () if seen is None else (seen,)
        said = f"{error}, OpenSSL verify code {transfer.verify_code}"
        return ConnectFailedError(
            diagnose(exchange.certificates, ascii_host(url), time.time(), said, transfer.verify_code), error.failure
        )

    def _reply(self, transfer: Transfer, exchange: Exchange) -> Reply:
        async def close() -> None:
            self._drop(transfer)

        return Reply(
            status=transfer.status,
            reason=transfer.reason,
            headers=transfer.headers,
            chunks=transfer.chunks(lambda code, text: _explained(code, text, transfer, exchange)),
            close=close,
            finish=transfer.complete,
            at_hand=transfer.at_hand,
        )

    def _drop(self, transfer: Transfer) -> None:
        if self._driver is not None:
            self._driver.remove(transfer.handle)
        transfer.close()


def speaks_http3() -> bool:
    """Whether libcurl was built with HTTP/3 here."""
    return bool(pycurl.version_info()[4] & pycurl.VERSION_HTTP3)


def _nothing() -> None:
    """There is nothing left to measure."""


def _explained(code: int, text: str, transfer: Transfer, exchange: Exchange) -> ExchangeError:
    """Return libcurl's code as an error of ours."""
    text = text or f"libcurl code {code}"
    if code == pycurl.E_COULDNT_CONNECT:
        number = transfer.os_error
        why = os.strerror(number).lower() if number else text
        return ConnectFailedError(f"cannot connect to {exchange.address}: {why}", connect_failure(number))
    if code in _BROKE_OFF and exchange.stage is Stage.CONNECT:  # QUIC, to a port where nobody listens
        number = transfer.os_error
        failure = connect_failure(number) if number else Failure.CONNECTION_FAILED
        return ConnectFailedError(f"cannot connect to {exchange.address}: {text}", failure)
    if code in _REFUSED:
        failure, what = _REFUSED[code]
        return ConnectFailedError(f"{what}: {text}", failure)
    if code in _BROKEN and exchange.stage in (Stage.PROCESSING, Stage.TRANSFER):
        return BrokenAnswerError(f"the server broke the exchange off: {text}", _BROKEN[code])
    if exchange.stage is Stage.TLS and code != pycurl.E_ABORTED_BY_CALLBACK:
        return ConnectFailedError(f"no TLS connection: {text}", Failure.TLS_FAILED)
    return ExchangeError(f"libcurl gave up with code {code}: {text}", Failure.MONITOR_ERROR)
