"""One question to one name server, answered in full: code, flags and every record, which a resolver keeps to itself."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message

from earwitness.model import Failure
from earwitness.transport.connection import Connector, Endpoint
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError, ExchangeError, TimedOutError
from earwitness.transport.exchange import Network
from earwitness.transport.oserrors import connect_failure
from earwitness.transport.server_address import server_address

_REPEATED = (
    (1.0, 1 / 3),
    (3.0, 2 / 3),
)  # seconds by UDP after which the question is sent again, at most such a part of the time
_LARGEST = 65_535  # bytes of a datagram


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
    until = connector.now() + seconds
    try:
        answer = None if tcp else await _by_udp(query, address, port, until)
        if answer is not None and not answer.flags & dns.flags.TC:
            return answer
        async with asyncio.timeout_at(until):
            return await dns.asyncquery.tcp(query, address, port=port)
    except (TimeoutError, dns.exception.Timeout) as error:
        raise TimedOutError(f"{server} does not answer within {seconds:g} s", Failure.NAME_SERVER_SILENT) from error
    except (OSError, EOFError) as error:
        raise _broken(server, error) from error
    except dns.exception.DNSException as error:
        message = f"{server} sends what is no answer: {str(error).lower().rstrip('.')}"
        raise BrokenAnswerError(message, Failure.PROTOCOL_ERROR) from error


async def _by_udp(query: dns.message.QueryMessage, address: str, port: int, until: float) -> dns.message.Message:
    """Return the answer to the question, to whichever sending of it, as resolvers do. `until` is on the loop's clock.

    Raises TimeoutError, OSError, or where nothing came but what is no answer the DNSException of that.
    """
    loop = asyncio.get_running_loop()
    began, wire = loop.time(), query.to_wire()
    waits = [began + min(after, (until - began) * part) for after, part in _REPEATED]
    strays: list[dns.exception.DNSException] = []
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setblocking(False)
        opened.connect((address, port))  # so that nothing from anywhere else is read, and a refusal is told
        for wait in (*waits, until):
            await loop.sock_sendall(opened, wire)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wait):
                    return await _answer_to(query, opened, strays)
    raise strays[-1] if strays else TimeoutError


async def _answer_to(
    query: dns.message.QueryMessage, opened: socket.socket, strays: list[dns.exception.DNSException]
) -> dns.message.Message:
    """Return the first datagram that answers the question, cut off or not; add to `strays` why the others do not."""
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(opened, _LARGEST)
        try:
            said = dns.message.from_wire(data, raise_on_truncation=True)
        except dns.message.Truncated as error:
            said = error.message()  # type: ignore[no-untyped-call]
        except dns.exception.DNSException as error:
            strays.append(error)
            continue
        if query.is_response(said):
            return said
        strays.append(dns.exception.FormError("it answers another question"))  # type: ignore[no-untyped-call]


def _broken(server: str, error: OSError | EOFError) -> ExchangeError:
    number = getattr(error, "errno", None)
    if number is None or isinstance(error, ConnectionResetError):
        return BrokenAnswerError(f"{server} hung up without an answer", Failure.CONNECTION_LOST)
    why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    return ConnectFailedError(f"cannot ask {server}: {why}", connect_failure(number))
