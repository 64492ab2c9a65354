"""Names to addresses, asked anew each time, without a thread: c-ares driven by the event loop."""

import asyncio
import re
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import pycares
from pycares.errno import ARES_EBADNAME, ARES_ENODATA, ARES_ENONAME, ARES_ENOTFOUND, ARES_EREFUSED, ARES_ESERVFAIL

from earwitness.model import Failure
from earwitness.transport.errors import ConnectFailedError, ServerFailedError
from earwitness.transport.exchange import Address

_NOT_FOUND = frozenset({ARES_ENOTFOUND, ARES_ENODATA, ARES_ENONAME, ARES_EBADNAME})
_SERVER_FAILED = frozenset({ARES_ESERVFAIL, ARES_EREFUSED})
_LEGACY_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\.?", re.IGNORECASE)
_TRIES = 3


@lru_cache(maxsize=4096)
def literal(host: str) -> Address | None:
    """Return the address that `host` spells, in any spelling that some client honours (127.1, 0x7f000001), or None."""
    bare = host.strip("[]")
    try:
        return ip_address(bare)
    except ValueError:
        return _legacy(bare) if _LEGACY_IPV4.fullmatch(bare) else None


def _legacy(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(socket.inet_aton(text.removesuffix(".")))
    except OSError:
        return None


class _Lookup:
    """One question. It has a c-ares channel of its own, because a channel keeps a cache that has no switch."""

    def __init__(self, servers: Sequence[str], timeout: float, *, hosts_file: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[pycares.AddrInfoResult] = self._loop.create_future()
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._channel = pycares.Channel(
            servers=servers or None,
            timeout=timeout / _TRIES,
            tries=_TRIES,
            lookups=None if hosts_file else "b",
            sock_state_cb=self._on_socket,
        )

    async def ask(self, host: str) -> pycares.AddrInfoResult:
        """Return c-ares' answer; raises pycares.AresError(code, text)."""
        try:
            self._channel.getaddrinfo(host, None, family=socket.AF_UNSPEC, callback=self._on_answer)
            self._arm()
            return await self._answer
        finally:
            self._close()

    def _on_answer(self, result: pycares.AddrInfoResult | None, code: int | None) -> None:
        if self._answer.done():
            return
        if code is None and result is not None:
            self._answer.set_result(result)
        else:
            number = code or ARES_ENODATA
            self._answer.set_exception(pycares.AresError(number, pycares.errno.strerror(number)))

    def _on_socket(self, fd: int, readable: bool, writable: bool) -> None:
        if self._closed:
            return
        self._forget(fd)
        if readable:
            self._loop.add_reader(fd, self._process, fd, pycares.ARES_SOCKET_BAD)
        if writable:
            self._loop.add_writer(fd, self._process, pycares.ARES_SOCKET_BAD, fd)
        if readable or writable:
            self._watched.add(fd)

    def _forget(self, fd: int) -> None:
        if fd in self._watched:
            self._watched.discard(fd)
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)

    def _process(self, readable: int, writable: int) -> None:
        self._channel.process_fd(readable, writable)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed and not self._answer.done():
            bad = pycares.ARES_SOCKET_BAD
            wait: float = self._channel.timeout(1.0)  # type: ignore[no-untyped-call]
            self._timer = self._loop.call_later(wait, self._process, bad, bad)

    def _close(self) -> None:
        """Let go of the sockets here, on the loop's thread; pycares destroys the channel on another."""
        self._channel.cancel()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for fd in tuple(self._watched):
            self._forget(fd)
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()
        self._channel.close()


class Resolver:
    """Looks names up in /etc/hosts and at name servers (`address` or `address:port`; none: the system's)."""

    def __init__(self, nameservers: Sequence[str] = (), timeout: float = 5.0, *, hosts_file: bool = True) -> None:
        self._nameservers = tuple(nameservers)
        self._timeout = timeout
        self._hosts_file = hosts_file

    def asking(self, name_server: str) -> "Resolver":
        """Return a resolver that asks this server and nothing else, not even /etc/hosts."""
        return Resolver((name_server,), self._timeout, hosts_file=False)

    @property
    def nameservers(self) -> tuple[str, ...]:
        """The configured servers; none: the system's are asked."""
        return self._nameservers

    async def resolve(self, host: str, family: int | None = None) -> tuple[Address, ...]:
        """Return the addresses of `host`, IPv4 first; `family` (4 or 6) leaves out the others.

        Raises ConnectFailedError: name_not_found when a name server says so, resolver_failed when none answers.
        """
        spelled = literal(host)
        addresses = (spelled,) if spelled is not None else await self._asked(host)
        fitting = tuple(address for address in addresses if family in (None, address.version))
        if not fitting:
            raise ConnectFailedError(f"{host} has no IPv{family} address", Failure.NAME_NOT_FOUND)
        return fitting

    async def _asked(self, host: str) -> tuple[Address, ...]:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await _Lookup(self._nameservers, self._timeout, hosts_file=self._hosts_file).ask(host)
        except pycares.AresError as error:
            raise self._explained(host, *error.args) from error
        except TimeoutError as error:
            raise self._silent(host) from error
        found = {ip_address(node.addr[0].decode("ascii")) for node in answer.nodes}
        if not found:
            raise ConnectFailedError(f"{host} has no address", Failure.NAME_NOT_FOUND)
        return tuple(sorted(found, key=lambda address: (address.version, int(address))))

    def _explained(self, host: str, code: int, text: object) -> ConnectFailedError:
        if code in _NOT_FOUND:
            return ConnectFailedError(f"the name {host} does not exist or has no address", Failure.NAME_NOT_FOUND)
        if code in _SERVER_FAILED:
            return ServerFailedError(f"the name servers failed to look up {host}: {text}", Failure.RESOLVER_FAILED)
        return ConnectFailedError(f"no name server could be asked for {host}: {text}", Failure.RESOLVER_FAILED)

    def _silent(self, host: str) -> ConnectFailedError:
        return ConnectFailedError(
            f"no name server answered within {self._timeout:g} s when asked for {host}", Failure.RESOLVER_FAILED
        )


def routable(address: Address, port: int) -> bool:
    """Whether this machine has a route to `address`. Connecting a UDP socket asks the kernel and sends nothing."""
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), port))
    except OSError:
        return False
    return True
