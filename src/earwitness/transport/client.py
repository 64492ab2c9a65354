"""The way out: every request and connection of the monitor goes through one WebClient, and so past the address guard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from earwitness.config.network import NetworkSpec
from earwitness.transport.base import GuardedTransport
from earwitness.transport.connection import Connector
from earwitness.transport.curl import CurlTransport
from earwitness.transport.decoding import ACCEPTED
from earwitness.transport.exchange import TERMS, Address, Network, Proxy, Terms
from earwitness.transport.resolver import Resolver
from earwitness.transport.stock import StockTransport
from earwitness.transport.trust import TrustStore
from earwitness.transport.uplink import Uplink

_HEADERS = {"accept-encoding": ACCEPTED, "user-agent": "earwitness"}
_BODY_LIMIT = 32 * 1024**2  # bytes; an hour of telephone audio is 28 MB


@dataclass(frozen=True, slots=True)
class _Bound(httpx.AsyncBaseTransport):
    """The shared transport on one client's terms. Closing the client leaves the shared one open."""

    transport: GuardedTransport
    terms: Terms

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions.setdefault(TERMS, self.terms)
        return await self.transport.handle_async_request(request)


class WebClient:
    """Owns the transport and the resolver of one process. Use it on one event loop, and aclose() it."""

    def __init__(self, spec: NetworkSpec | None = None) -> None:
        spec = spec or NetworkSpec()
        self._allow: tuple[Network, ...] = spec.allow
        self._deny: tuple[Network, ...] = spec.deny
        self._trust, self._has_own = TrustStore(spec.ca_file), spec.ca_file is not None
        engine = CurlTransport if spec.transport == "curl" else StockTransport
        self.uplink = Uplink(spec.known_good, lambda: self.client(fresh=True))
        resolver = Resolver(spec.nameservers, spec.resolve_timeout)
        self.transport: GuardedTransport = engine(resolver, self._trust)
        self.connector = Connector(resolver, self._trust, spec.allow, spec.deny)

    @property
    def impaired(self) -> str | None:
        """Why this process can verify no certificate, or None."""
        return self._trust.impaired

    @property
    def own_authorities(self) -> tuple[Path, float] | None:
        """The configured file of authorities, and when it was written (epoch seconds); None where the system's are trusted.

        Raises ConnectFailedError (no_trust_store) where it cannot be read.
        """
        return (Path(self._trust.bundle()), self._trust.changed) if self._has_own else None

    def terms(self, allow: Sequence[Network] = (), *, fresh: bool = False, body_limit: int = _BODY_LIMIT) -> Terms:
        """Return terms on which `allow` adds to the networks that the configuration allows everywhere."""
        return Terms(allow=(*self._allow, *allow), deny=self._deny, fresh=fresh, body_limit=body_limit)

    async def addresses(
        self, host: str, port: int, allow: Sequence[Network] = (), *, proxy: Proxy | None = None
    ) -> tuple[Address, ...]:
        """Return the addresses of a host that may be, and can be, connected to; with a proxy, its own. Raises ExchangeError."""
        return await self.transport.addresses(host, port, replace(self.terms(allow), proxy=proxy))

    def client(
        self,
        *,
        allow: Sequence[Network] = (),
        fresh: bool = False,
        timeout: float = 10.0,  # It is httpx's own word for it.
        body_limit: int = _BODY_LIMIT,
    ) -> httpx.AsyncClient:
        """Return an httpx client of your own; closing it is optional.

        `timeout` (seconds) is for a whole exchange, name lookup to last byte, also where a request overrides it.
        `body_limit` is in bytes after decompression. Redirects are not followed unless a request asks for it, and each
        one passes the guard. Failures are ExchangeErrors (an httpx.TransportError) with `failure` and `sent`.
        """
        terms = self.terms(allow, fresh=fresh, body_limit=body_limit)
        return httpx.AsyncClient(
            transport=_Bound(self.transport, terms),
            timeout=timeout,
            trust_env=False,
            max_redirects=5,
            headers=_HEADERS,
        )

    @staticmethod
    def request(method: str, url: httpx.URL | str, headers: httpx.Headers, **body: Any) -> httpx.Request:
        """Return a request with our own headers where it names none; `body` is httpx's `content`, `data` or `json`."""
        ours = httpx.Headers({"accept": "*/*", **_HEADERS})
        ours.update(headers)
        return httpx.Request(method, url, headers=ours, **body)

    async def aclose(self) -> None:
        await self.transport.aclose()
