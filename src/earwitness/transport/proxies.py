"""Whose fault it is when a request goes through a proxy and comes to nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from earwitness.model import Attribution, Failure
from earwitness.transport.errors import BehindProxyError, ConnectFailedError, ExchangeError
from earwitness.transport.exchange import Exchange, Proxy, Stage

_WHO_ARE_YOU = 407
_OUR_WAY_OUT = range(400, 500)  # what a proxy answers to CONNECT when it does not want us


@contextmanager
def by_way_of_proxy(proxy: Proxy | None, exchange: Exchange) -> Iterator[None]:
    """Turn what fails before the target is reached into `proxy_failed`.

    It is ours when the proxy cannot be reached or refuses us, and nobody can tell when it fails to bring an answer: target
    and proxy look the same from here. Once a tunnel is open, what fails is the target.
    """
    try:
        yield
    except ExchangeError as error:
        if proxy is None or exchange.tunnel == 200 or error.attribution is not Attribution.TARGET:
            raise
        where = f"the proxy {proxy.url.host}"
        if exchange.stage in (Stage.RESOLVE, Stage.CONNECT) or exchange.tunnel in _OUR_WAY_OUT:
            raise ConnectFailedError(f"{where} is no way out: {error}", Failure.PROXY_FAILED) from error
        raise BehindProxyError(f"{where} came to nothing with the target: {error}", Failure.PROXY_FAILED) from error


def check_answer(proxy: Proxy | None, exchange: Exchange, status: int, reason: str) -> None:
    """Raise ConnectFailedError if the answer is the proxy's own: without a tunnel only a proxy says 407 (RFC 9110, 15.5.8)."""
    if proxy is not None and exchange.tunnel is None and status == _WHO_ARE_YOU:
        said = f"{status} {reason}".strip()
        raise ConnectFailedError(f"the proxy {proxy.url.host} is no way out: it answered {said}", Failure.PROXY_FAILED)
