"""What went on behind the pages of a run: requests, console, and which of them failed. Bounded, whatever a page does."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from earwitness.browser.gateway import Trouble
from earwitness.probes.hosts import host_of

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response, WebError

_MOST_REQUESTS = 2000
_MOST_LINES = 500
_LONGEST_LINE = 2000  # characters
_LONGEST_POST = 16 * 1024  # bytes
_NO_FAILURE = ("net::ERR_ABORTED",)  # the page itself gave the request up, as it does when it is left
_VITAL = frozenset({"document", "script", "stylesheet"})
_CALLS = frozenset({"fetch", "xhr"})
_FORBIDDEN = {
    "csp": "the page's own Content-Security-Policy forbids it",
    "mixed-content": "plain http: is forbidden in a secure page",
}
"""The browser's words for requests that it never makes, since the page that asks may not."""
_PLACE = re.compile(r"(https?://\S+?):\d+:\d+")  # in the stack of an error


@dataclass(slots=True, eq=False)
class WebRequest:
    """One request of a page. Times are seconds into the run."""

    method: str
    url: str
    type: str  # document, script, xhr, ... as the browser calls it
    frame: str  # address of the document that asked
    main: bool  # whether it is the page itself
    started: float
    headers: dict[str, str] = field(default_factory=dict)
    post: bytes = b""
    status: int | None = None
    reason: str = ""
    answer_headers: dict[str, str] = field(default_factory=dict)
    failure: str | None = None  # the browser's word, such as net::ERR_CONNECTION_REFUSED
    ended: float | None = None
    timing: dict[str, float] = field(default_factory=dict)  # Playwright's, in milliseconds

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def culprit(self) -> str:
        """The host whose doing it is if it failed: that of the page, where the page itself forbids the request."""
        return host_of(self.frame) if self.failure in _FORBIDDEN else self.host

    @property
    def address(self) -> str:
        """The URL without its query."""
        return self.url.partition("?")[0]

    @property
    def is_stream(self) -> bool:
        """Whether it is meant to stay open."""
        streams = self.answer_headers.get("content-type", "").startswith("text/event-stream")
        return streams or self.type in ("eventsource", "websocket")

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.started

    @property
    def broken(self) -> bool:
        """Whether it got no answer, or one that says that the server failed; a page or script that is not there is none."""
        if self.failure is not None and self.failure not in _NO_FAILURE:
            return True
        if self.status is None or self.url.endswith("/favicon.ico"):
            return False
        return self.status >= 500 or (self.status >= 400 and self.type in _VITAL)

    @property
    def refused(self) -> bool:
        """Whether it is `broken`, or was answered by any other 4xx."""
        return self.broken or (self.status is not None and self.status >= 400 and not self.url.endswith("/favicon.ico"))

    @property
    def what_happened(self) -> str:
        answer = f"HTTP {self.status}" if self.status is not None else ""
        if self.failure is None or (answer and self.failure in _NO_FAILURE):
            return answer or "no answer yet"
        word = _FORBIDDEN.get(self.failure, self.failure.removeprefix("net::"))
        return f"{answer}, {word}" if answer else word


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """A line of the browser's console, or an error that no script caught (kind `uncaught`)."""

    at: float  # seconds into the run
    kind: str
    text: str
    url: str

    @property
    def is_error(self) -> bool:
        # The browser's own line about a resource that did not load is told as a failed request.
        return self.kind in ("error", "uncaught") and not self.text.startswith("Failed to load resource")


class Traffic:
    """Listens to a context from its beginning."""

    def __init__(self, context: "BrowserContext", elapsed: Callable[[], float], troubles: Sequence[Trouble]) -> None:
        self.requests: list[WebRequest] = []
        self.console: list[ConsoleLine] = []
        self.left_out = 0  # requests beyond what is kept
        self._elapsed, self.troubles = elapsed, troubles
        self._known: dict[Request, WebRequest] = {}
        context.on("request", self._asked)
        context.on("response", self._answered)
        context.on("requestfinished", self._finished)
        context.on("requestfailed", self._failed)
        context.on("console", self._said)
        context.on("weberror", self._uncaught)

    # --- questions ---------------------------------------------------------------------------------------------------

    def broken_since(self, at: float) -> list[WebRequest]:
        """Return the requests that came to nothing since then, the page itself first, the newest of several."""
        found = [r for r in self.requests if r.broken and (r.ended or r.started) >= at]
        return sorted(found, key=lambda r: (not r.main, -r.started if r.main else r.started))

    def refused_calls_since(self, at: float) -> list[WebRequest]:
        """Return the calls of the page's scripts that were answered by a 4xx since then: no failure by itself, and often the reason of one."""
        return [r for r in self.requests if r.refused and not r.broken and r.type in _CALLS and r.started >= at]

    def page_since(self, at: float) -> float:
        """Return when the page that was shown then began to load: what failed since is missing from it still."""
        return max((r.started for r in self.requests if r.main and r.started <= at), default=at)

    def waiting(self) -> list[WebRequest]:
        """Return the requests that the page still waits for, the page itself first: not those that are meant to stay open."""
        found = (r for r in self._under_way() if r.status is None or r.type in _VITAL)
        return sorted(found, key=lambda r: not r.main)

    def _under_way(self) -> Iterator[WebRequest]:
        """Yield the requests that have not ended, but for streams, and for polls: the same one, no page, has been answered before."""
        answered = {(r.method, r.address) for r in self.requests if r.ended is not None and r.failure is None}
        for request in self.requests:
            waits = request.ended is None and request.failure is None
            polls = not request.main and (request.method, request.address) in answered
            if waits and not request.is_stream and not polls:
                yield request

    def lasting(self) -> list[tuple[WebRequest, float]]:
        """Return the requests that did not fail with their seconds, until now for those under way; the longest first."""
        ended = [(r, r.seconds) for r in self.requests if not r.broken and r.seconds is not None]
        open_still = [(r, self._elapsed() - r.started) for r in self._under_way()]
        return sorted([*ended, *open_still], key=lambda pair: -pair[1])

    def slowest_since(self, at: float) -> WebRequest | None:
        ended = [r for r in self.requests if r.seconds is not None and r.ended is not None and r.ended >= at]
        return max(ended, key=lambda r: r.seconds or 0.0, default=None)

    def errors_since(self, at: float) -> list[ConsoleLine]:
        return [line for line in self.console if line.is_error and line.at >= at]

    def trouble(self, host: str) -> Trouble | None:
        """Return why our gateway reached the host no more, the last time it was asked."""
        return next((t for t in reversed(self.troubles) if t.host == host), None)

    def by_host(self) -> Iterator[tuple[str, list[WebRequest]]]:
        """Yield the hosts of requests that failed, with those requests."""
        broken = [r for r in self.requests if r.refused]
        for host in dict.fromkeys(r.host for r in broken):
            yield host, [r for r in broken if r.host == host]

    # --- events ------------------------------------------------------------------------------------------------------

    def _asked(self, request: "Request") -> None:
        if request.url.startswith(("data:", "blob:")):
            return
        if len(self.requests) >= _MOST_REQUESTS:
            self.left_out += 1
            return
        made = WebRequest(
            method=request.method,
            url=request.url,
            type=request.resource_type,
            frame=_frame_of(request),
            main=_is_page(request),
            started=self._elapsed(),
            headers=request.headers,
            post=(request.post_data_buffer or b"")[:_LONGEST_POST],
        )
        self.requests.append(made)
        self._known[request] = made

    def _answered(self, response: "Response") -> None:
        made = self._known.get(response.request)
        if made is not None:
            made.status, made.reason = response.status, response.status_text
            made.answer_headers = response.headers
            if 300 <= response.status < 400:  # the browser tells the end of the last of a chain of redirects only
                made.ended = self._elapsed()

    def _finished(self, request: "Request") -> None:
        self._end(request)

    def _failed(self, request: "Request") -> None:
        self._end(request, request.failure or "failed")

    def _end(self, request: "Request", failure: str | None = None) -> None:
        made = self._known.pop(request, None)
        if made is not None:
            made.ended, made.failure = self._elapsed(), failure
            made.timing = {n: float(v) for n, v in request.timing.items() if isinstance(v, int | float)}

    def _said(self, message: "ConsoleMessage") -> None:
        self._line(message.type, message.text, str(message.location.get("url", "")))

    def _uncaught(self, error: "WebError") -> None:
        place = _PLACE.search((error.error.stack or "")[:_LONGEST_LINE])  # a page may write what it likes there
        url = place[1] if place else error.page.url if error.page else ""
        self._line("uncaught", str(error.error).partition("\n")[0], url)

    def _line(self, kind: str, text: str, url: str) -> None:
        if len(self.console) < _MOST_LINES:
            self.console.append(ConsoleLine(self._elapsed(), kind, text[:_LONGEST_LINE], url))


def _frame_of(request: "Request") -> str:
    try:
        return request.frame.url
    except Exception:  # noqa: BLE001  Playwright raises its own Error for a page that is only just opening.
        return ""


def _is_page(request: "Request") -> bool:
    try:
        return request.is_navigation_request() and request.frame.parent_frame is None
    except Exception:  # noqa: BLE001  As above: what is only just opening is a page.
        return request.is_navigation_request()
