"""Which addresses may be reached. Public ones may, unless they are denied; all others only where the configuration names their network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from earwitness.model import Failure
from earwitness.transport.errors import ConnectFailedError
from earwitness.transport.exchange import Address, Network

# `is_global` says yes to these, or did in some release of Python: carrier NAT (cloud metadata lives there), protocol
# assignments, the 6to4 relay, IPv4-compatible, IPv4-translated (SIIT), Teredo, 6to4, local NAT64, documentation, segment routing, site-local.
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "::/96",
        "::ffff:0:0:0/96",
        "2001::/32",
        "2002::/16",
        "64:ff9b:1::/48",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
_GLOBAL = IPv6Network("2000::/3")  # all that IANA has given out as global unicast addresses
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that packets to `address` may end up at (RFC 3056, 4380, 6052, 8215)."""
    packed = address.packed
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _LOCAL_NAT64:
        yield IPv4Address(packed[12:])
    if address in _LOCAL_NAT64:
        yield IPv4Address(packed[6:8] + packed[9:11])


def _places(address: Address) -> Iterator[Address]:
    """Yield every address that must be allowed before `address` may be reached."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
            return
        yield from _embedded(address)
    yield address


def _kind(address: Address) -> str:
    if address.is_loopback or address.is_unspecified:
        return "an address of this machine"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    return "a private address" if address.is_private else "a special-purpose address"


def _special(address: Address) -> bool:
    listed = any(address in network for network in _SPECIAL if network.version == address.version)
    given = address.version == 4 or address in _GLOBAL or address in _NAT64
    return listed or not given or address.is_multicast or not address.is_global


def _within(address: Address, networks: Iterable[Network]) -> Network | None:
    return next((net for net in networks if net.version == address.version and address in net), None)


def refusal(address: Address, allow: Iterable[Network] = (), deny: Iterable[Network] = ()) -> str | None:
    """Return why `address` may not be reached, or None if it may. What `deny` holds is refused whatever `allow` says."""
    return _refusal(address, tuple(allow), tuple(deny))


def denial(address: Address, deny: Iterable[Network]) -> str | None:
    """Return why `address` may not be reached whatever is allowed, or None if `deny` does not hold it."""
    deny = tuple(deny)
    for place in (*_places(address), address):
        denied = _within(place, deny)
        if denied is not None:
            return (
                f"{_named(address, place)} is in {denied}, which network.deny names; take it out there if it is meant"
            )
    return None


@lru_cache(maxsize=4096)
def _refusal(address: Address, allow: tuple[Network, ...], deny: tuple[Network, ...]) -> str | None:
    denied = denial(address, deny)
    if denied is not None:
        return denied
    for place in _places(address):
        if _special(place) and _within(place, allow) is None:
            return f"{_named(address, place)} is {_kind(place)}; name its network in allow if it is meant"
    return None


def _named(address: Address, place: Address) -> str:
    return str(address) if place == address else f"{address}, which stands for {place},"


def check(address: Address, allow: Iterable[Network] = (), deny: Iterable[Network] = ()) -> None:
    """Raise ConnectFailedError (address_refused) if `address` may not be reached."""
    reason = refusal(address, allow, deny)
    if reason is not None:
        raise ConnectFailedError(reason, Failure.ADDRESS_REFUSED)


def usable(
    addresses: Sequence[Address],
    port: int,
    allow: Sequence[Network],
    route: Callable[[Address, int], bool],
    deny: Sequence[Network] = (),
) -> tuple[Address, ...]:
    """Return those that may be reached, and to which `route` knows a way. Raises ConnectFailedError if none is left.

    Of addresses that are all of one version of IP whoever connects learns from the kernel that it knows no way.
    """
    permitted = tuple(a for a in addresses if refusal(a, allow, deny) is None)
    if not permitted:
        check(addresses[0], allow, deny)
    if len({a.version for a in permitted}) == 1:
        return permitted
    reachable = tuple(a for a in permitted if route(a, port))
    if not reachable:
        listed = ", ".join(str(a) for a in permitted)
        raise ConnectFailedError(f"this machine has no route to {listed}", Failure.UPLINK_DOWN)
    return reachable
