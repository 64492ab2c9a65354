"""Whether this machine reaches the world at all: asked before an address that cannot be reached is blamed for it."""

import asyncio
from collections.abc import Callable, Sequence

import httpx

from earwitness.model import Attribution, Effect, Failure, Finding

UNREACHED = (
    Failure.NAME_NOT_FOUND,
    Failure.CONNECT_TIMEOUT,
    Failure.CONNECTION_FAILED,
    Failure.CONNECTION_REFUSED,
    Failure.NAME_SERVER_SILENT,
)
"""What looks the same when it is our own uplink, resolver or firewall that fails."""
_FRESH = 5.0  # seconds for which one look serves everybody who asks
_PATIENCE = 4.0  # seconds for each address


class Uplink:
    """Looks at addresses that are known to work, all at once; one look at a time, however many probes fail together."""

    def __init__(self, addresses: Sequence[str], client: Callable[[], httpx.AsyncClient]) -> None:
        self._addresses = addresses
        self._client = client
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._works = True

    async def works(self) -> bool:
        """Whether any of the addresses answers, with whatever status. True when none is named: then nobody can tell."""
        if not self._addresses:
            return True
        loop = asyncio.get_running_loop()
        async with self._looking:
            if loop.time() - self._looked_at > _FRESH:
                self._works = any(await asyncio.gather(*(self._answers(address) for address in self._addresses)))
                self._looked_at = loop.time()
            return self._works

    async def _answers(self, address: str) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE), self._client() as client:
                await client.head(address)
        except (TimeoutError, httpx.TransportError):
            return False
        return True


def uplink_down(seen: Finding) -> Finding:
    """Return what is told instead of `seen` when no address answers that is known to work."""
    message = f"our own uplink is down: no known_good address answers either ({seen.message})"
    return Finding(Failure.UPLINK_DOWN, message, Effect.NONE, Attribution.MONITOR, seen.step)
