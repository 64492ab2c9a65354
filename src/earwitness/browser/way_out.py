"""The way from the gateway to the world: straight to an address that the guard lets through, or by a proxy that the probe names.

A proxy looks names up itself, so that the guard sees the proxy's own address, addresses that are spelled in URLs, and localhost.
"""

import asyncio
import base64
import ssl
from collections.abc import Sequence

from earwitness.model import Failure
from earwitness.transport.base import port_of, too_late
from earwitness.transport.client import WebClient
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError
from earwitness.transport.exchange import Address, Exchange, Network, Proxy, Stage
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.proxies import by_way_of_proxy

PATIENCE = 10.0  # seconds for a connection, and for a proxy's answer
LARGEST_HEAD = 128 * 1024  # bytes
End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def straight(web: WebClient, host: str, port: int, allow: Sequence[Network]) -> End:
    """Return a connection to the first of the host's addresses that takes one. Raises ExchangeError."""
    return await _opened(await web.addresses(host, port, allow), port)


async def by_proxy(
    web: WebClient, host: str, port: int, allow: Sequence[Network], proxy: Proxy, *, tunnel: bool
) -> End:
    """Return a connection to the proxy; with `tunnel` one that it has opened to the host. Raises ExchangeError."""
    record, now = Exchange(host=host), asyncio.get_running_loop().time
    with by_way_of_proxy(proxy, record):
        record.enter(Stage.RESOLVE, now())
        addresses = await web.addresses(host, port, allow, proxy=proxy)
        record.enter(Stage.CONNECT, now())
        tls = web.connector.trust.context() if proxy.url.scheme == "https" else None
        end = await _opened(addresses, port_of(proxy.url), tls, proxy.url.host)
        record.enter(Stage.PROCESSING, now())
        if tunnel:
            await _dig(end, host, port, proxy, record)
    return end


def authorization(proxy: Proxy) -> list[tuple[str, str]]:
    """Return the headers by which the proxy knows us."""
    if proxy.user is None:
        return []
    said = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
    return [("Proxy-Authorization", f"Basic {said}")]


async def _dig(end: End, host: str, port: int, proxy: Proxy, record: Exchange) -> None:
    """Let the proxy open a tunnel. Raises ExchangeError, and closes the connection."""
    reader, writer = end
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", *(f"{n}: {text}" for n, text in authorization(proxy))]
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            answer = await reader.readuntil(b"\r\n\r\n")
        record.tunnel = _status(answer)
        if not 200 <= record.tunnel < 300:
            said = answer.partition(b"\r\n")[0][:80].decode("latin-1")
            raise BrokenAnswerError(f"it answered {said!r} to CONNECT", Failure.CONNECTION_LOST)
    except TimeoutError as error:
        writer.close()
        raise too_late(Stage.PROCESSING, PATIENCE) from error
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise BrokenAnswerError("it gave no answer to CONNECT that makes sense", Failure.PROTOCOL_ERROR) from error
    except ExchangeError:
        writer.close()
        raise


def _status(answer: bytes) -> int:
    """Return the status of an answer's head. Raises ValueError."""
    version, _, rest = answer.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("this is no HTTP")
    return int(rest[:3])


async def _opened(
    addresses: Sequence[Address], port: int, tls: ssl.SSLContext | None = None, name: str | None = None
) -> End:
    """Return a connection to the first address that takes one. Raises ConnectFailedError."""
    failed: ConnectFailedError | None = None
    for address in addresses:
        try:
            async with asyncio.timeout(PATIENCE):
                named = None if tls is None else name
                return await asyncio.open_connection(
                    str(address), port, ssl=tls, server_hostname=named, limit=LARGEST_HEAD
                )
        except TimeoutError:
            text = f"no connection to {address} came about within {PATIENCE:g} s"
            failed = ConnectFailedError(text, Failure.CONNECT_TIMEOUT)
        except ssl.SSLError as error:
            failed = ConnectFailedError(f"no TLS with {address}: {error.reason or error}", Failure.TLS_FAILED)
        except OSError as error:
            text = f"no connection to {address} port {port}: {error.strerror or type(error).__name__}"
            failed = ConnectFailedError(text, connect_failure(error.errno or 0))
    assert failed is not None
    raise failed
