"""One question to one name server, answered in full: code, flags and every record, which a resolver keeps to itself."""

import asyncio
import contextlib
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.message

from earwitness.model import Failure
from earwitness.transport.connection import Connector, Endpoint
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError, TimedOutError
from earwitness.transport.exchange import Network
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.server_address import server_address

_REPEATED = (
    1.0,
    2.0,
)  # seconds without an answer by UDP after which the question is sent again, at most a third of the time


def system_servers() -> tuple[str, ...]:
    """Return the name servers that the system asks. Raises ConnectFailedError (resolver_failed) if it names none."""
    import dns.resolver  # noqa: PLC0415  5 MB, which only DNS probes need.

    try:
        return tuple(str(server) for server in dns.resolver.Resolver().nameservers)
    except dns.exception.DNSException as error:
        message = f"the system names no name server: {error}"
        raise ConnectFailedError(message, Failure.RESOLVER_FAILED) from error


async def ask(
    connector: Connector,
    server: str,
    query: dns.message.QueryMessage,
    seconds: float,
    *,
    tcp: bool,
    allow: Sequence[Network] | None,
) -> dns.message.Message:
    """Return the server's answer within so many `seconds`; a truncated one is asked for again by TCP.

    By UDP the question is sent up to three times: one datagram that is lost on the way says nothing of the server.
    `allow` adds to the networks that may be reached; None asks a server that the configuration or the system itself names.
    Raises ExchangeError: name_server_silent, connection_refused and the like.
    """
    import dns.asyncquery  # noqa: PLC0415  As above.

    address, port = server_address(server)
    if allow is not None:
        await connector.addresses(Endpoint(address, port, tuple(allow), address=ip_address(address)))
    try:
        async with asyncio.timeout(seconds):
            if tcp:
                return await dns.asyncquery.tcp(query, address, port=port)
            return await _by_udp(query, address, port, seconds)
    except (TimeoutError, dns.exception.Timeout) as error:
        raise TimedOutError(f"{server} does not answer within {seconds:g} s", Failure.NAME_SERVER_SILENT) from error
    except (OSError, EOFError) as error:
        raise _broken(server, error) from error
    except dns.exception.DNSException as error:
        message = f"{server} sends what is no answer: {type(error).__name__}"
        raise BrokenAnswerError(message, Failure.PROTOCOL_ERROR) from error


async def _by_udp(query: dns.message.QueryMessage, address: str, port: int, seconds: float) -> dns.message.Message:
    """Return the answer; the caller limits the time of the last try. Raises what dnspython raises."""
    import dns.asyncquery  # noqa: PLC0415  As above.

    for wait in (*(min(wait, seconds / 3) for wait in _REPEATED), None):
        with contextlib.suppress(dns.exception.Timeout):
            answer, _ = await dns.asyncquery.udp_with_fallback(
                query, address, port=port, timeout=wait, ignore_unexpected=True
            )
            return answer
    raise dns.exception.Timeout


def _broken(server: str, error: OSError | EOFError) -> ExchangeError:
    number = getattr(error, "errno", None)
    if number is None or isinstance(error, ConnectionResetError):
        return BrokenAnswerError(f"{server} hung up without an answer", Failure.CONNECTION_LOST)
    why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return ConnectFailedError(f"cannot ask {server}: {why}", connect_failure(number))
