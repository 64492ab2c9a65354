"""Connections of our own, for what is no web request: looked up, guarded, routed and timed as web requests are."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from earwitness.model import Failure
from earwitness.transport import guard
from earwitness.transport.base import too_late
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError
from earwitness.transport.exchange import Address, Exchange, Network, Stage
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.resolver import Resolver, routable
from earwitness.transport.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect to, and how its name is looked up. `allow` adds to the networks that the configuration allows."""

    host: str
    port: int
    allow: tuple[Network, ...] = ()
    family: int | None = None  # version of IP: 4 or 6; None is either
    address: Address | None = None  # instead of looking the host up
    name_server: str | None = None  # asked instead of the configured ones, and of /etc/hosts


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection. Use it inside `Connector.open` only."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Connector:
    """Opens connections past the address guard, on the terms of one configuration."""

    def __init__(
        self,
        resolver: Resolver,
        trust: TrustStore,
        allow: Sequence[Network] = (),
        deny: Sequence[Network] = (),
        route: Callable[[Address, int], bool] = routable,
    ) -> None:
        self.resolver, self.trust = resolver, trust
        self._allow, self._deny = tuple(allow), tuple(deny)
        self._route = route

    @staticmethod
    def now() -> float:
        """Return the moment on the loop's clock, which records of exchanges are kept by."""
        return asyncio.get_running_loop().time()

    async def addresses(self, to: Endpoint) -> tuple[Address, ...]:
        """Return the addresses of the endpoint that may be, and can be, connected to. Raises ConnectFailedError."""
        allow = (*self._allow, *to.allow)
        return guard.usable(await self._looked_up(to), to.port, allow, self._route, self._deny)

    async def _looked_up(self, to: Endpoint) -> tuple[Address, ...]:
        if to.address is not None:
            return (to.address,)
        resolver = self.resolver if to.name_server is None else self.resolver.asking(to.name_server)
        return await resolver.resolve(to.host, to.family)

    @asynccontextmanager
    async def open(
        self, to: Endpoint, record: Exchange, seconds: float, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Connection]:
        """Yield a connection, and close it with the block; all of it must end within so many `seconds`.

        `record` is filled in as it goes. Raises ExchangeError, also for what breaks off or takes too long inside the block.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        record.host = to.host
        connection: Connection | None = None
        try:
            async with asyncio.timeout_at(until):
                record.enter(Stage.RESOLVE, loop.time())
                addresses = await self.addresses(to)
                record.enter(Stage.CONNECT, loop.time())
                connection = await _connect(addresses, to, record, until)
                if tls is not None:
                    await _secure(connection, tls, to, record)
                yield connection
        except TimeoutError as error:
            raise too_late(record.stage, seconds) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise _lost(error, record.stage) from error
        finally:
            record.ended = loop.time()
            if connection is not None:
                connection.writer.transport.abort()


async def _connect(addresses: Sequence[Address], to: Endpoint, record: Exchange, until: float) -> Connection:
    """Try the addresses one after the other, each for its share of the time that is left."""
    loop = asyncio.get_running_loop()
    failed: ExchangeError | None = None
    for place, address in enumerate(addresses):
        record.address = str(address)
        share = (until - loop.time()) / (len(addresses) - place)
        try:
            async with asyncio.timeout(share):
                return Connection(*await asyncio.open_connection(str(address), to.port))
        except TimeoutError:
            failed = too_late(Stage.CONNECT, share)
        except OSError as error:
            why = (os.strerror(error.errno) if error.errno else str(error)).lower()
            failed = ConnectFailedError(f"cannot connect to {address}: {why}", connect_failure(error.errno or 0))
    assert failed is not None
    raise failed


async def _secure(connection: Connection, tls: ssl.SSLContext, to: Endpoint, record: Exchange) -> None:
    record.enter(Stage.TLS, asyncio.get_running_loop().time())
    try:
        await connection.writer.start_tls(tls, server_hostname=to.host)
    except ssl.SSLCertVerificationError as error:
        message = f"the certificate of {to.host} was refused: {error.verify_message}"
        raise ConnectFailedError(message, Failure.CERTIFICATE_INVALID) from error
    except (ssl.SSLError, ConnectionError) as error:
        raise no_tls(error) from error


def no_tls(error: Exception) -> ConnectFailedError:
    """Return that no TLS connection came about, in the library's words."""
    why = getattr(error, "reason", None) or str(error) or "the server hung up"
    return ConnectFailedError(f"no TLS connection: {str(why).lower().replace('_', ' ')}", Failure.TLS_FAILED)


def _lost(error: Exception, stage: Stage) -> ExchangeError:
    what = "hung up" if isinstance(error, asyncio.IncompleteReadError) else str(error).lower()
    if stage is Stage.TLS:
        return no_tls(error)
    return BrokenAnswerError(f"the server broke the connection off: {what}", Failure.CONNECTION_LOST)
