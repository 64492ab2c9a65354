"""What can go wrong between us and a web server, each with the class of failure that a finding of it carries."""

from typing import TYPE_CHECKING

import httpx

from earwitness.model import OUR_FAILURES, Attribution, Failure

if TYPE_CHECKING:
    from earwitness.transport.exchange import Exchange


class ExchangeError(httpx.TransportError):
    """One exchange failed. `failure` is its class, the text one sentence for a person, without any secret of the URL.

    `sent` says whether the server may have received the request, so that a caller can tell a safe retry from one
    that might do the thing twice. `exchange` holds what was seen until then.
    """

    def __init__(self, message: str, failure: Failure, *, sent: bool = False) -> None:
        super().__init__(message)
        self.failure = failure
        self.sent = sent
        self.exchange: Exchange | None = None

    @property
    def attribution(self) -> Attribution:
        return Attribution.MONITOR if self.failure in OUR_FAILURES else Attribution.TARGET


class ConnectFailedError(ExchangeError, httpx.ConnectError):
    """No usable connection came about, so no request was sent."""


class ServerFailedError(ConnectFailedError):
    """Name servers answered that they failed: theirs, ours or the zone's fault, and nobody here can tell which."""

    @property
    def attribution(self) -> Attribution:
        return Attribution.UNKNOWN


class BehindProxyError(ConnectFailedError):
    """The proxy came to nothing with the target: it may be either that failed, and nobody here can tell which."""

    @property
    def attribution(self) -> Attribution:
        return Attribution.UNKNOWN


class UnreadableCertificateError(ConnectFailedError):
    """A certificate was shown that nothing here can read; some clients may, and nobody here can tell."""

    @property
    def attribution(self) -> Attribution:
        return Attribution.UNKNOWN


class TimedOutError(ExchangeError, httpx.TimeoutException):
    """A phase, or the whole exchange, took longer than it may."""


class BrokenAnswerError(ExchangeError, httpx.RemoteProtocolError):
    """An answer came, and was cut short, too large or not HTTP."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message, failure, sent=True)
