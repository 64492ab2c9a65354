"""What servers have shown a moment ago: to have libcurl write certificates out takes a tenth of a handshake."""

import time
from collections.abc import Callable, Mapping, Sequence

from earwitness.transport.exchange import Address, Certificate, Exchange
from earwitness.transport.resolver import literal

_LATELY = 5.0  # seconds
_REMEMBERED = 1000  # places; each is asked again within seconds anyway

Shown = Mapping[Address, tuple[Certificate, ...]]


class ShownLately:
    """The certificates of servers that passed a handshake within the last five seconds, which proved them good."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._shown: dict[tuple[str, int, str | None, Address], tuple[float, tuple[Certificate, ...]]] = {}

    def by_address(self, host: str, port: int, version: str | None, addresses: Sequence[Address]) -> Shown:
        """Return what each of these addresses shows for the host, by the wanted version of HTTP; nothing unless all are known."""
        since, found = self._now() - _LATELY, {}
        for address in addresses:
            at, found[address] = self._shown.get((host, port, version, address), (since, ()))
            if at <= since:
                return {}
        return found

    def take(self, exchange: Exchange, port: int, version: str | None) -> None:
        """Remember for a moment what was shown."""
        address = literal(exchange.address or "")
        if address is None or not exchange.certificates:
            return
        place = exchange.host, port, version, address
        self._shown.pop(place, None)  # so that the first is the oldest
        self._shown[place] = self._now(), exchange.certificates
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]
