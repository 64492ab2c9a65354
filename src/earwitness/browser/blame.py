"""Whose fault a failed step is: the page's own, a third party's whose request came to nothing, or ours."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from playwright.async_api import Error as BrowserError

from earwitness.browser.actions import Hands, NotThereError, RequestsFailedError, StepFailedError
from earwitness.browser.engine import BrowserEngine, Visit
from earwitness.browser.gateway import Trouble
from earwitness.browser.patience import within
from earwitness.browser.traffic import ConsoleLine, WebRequest
from earwitness.model import Attribution, Effect, Failure, Finding
from earwitness.probes.hosts import HostMap, host_of

_PAGE_ANSWERS = 2.0  # seconds in which a page that is not hung answers
_MOST_TOLD = 3  # requests that a reason names
_MOST_HINTS = 2  # refused calls, and lines of the console, that it names where no request came to nothing
_LONGEST = 200  # characters of a line of the console, or of an element, that a reason tells
_UNUSABLE = (
    ("not visible", "it is hidden"),
    ("not enabled", "it is disabled"),
    ("not editable", "it is read-only"),
    ("not stable", "it does not stand still"),
    ("outside of the viewport", "it is outside of the window"),
    ("did not find some options", "it has no such option"),
)
"""What Playwright logs of an element that it waits for in vain, and what we say."""
_FOUND = "locator resolved to"
_WAITED = re.compile(r"- waiting for (.+)")
_COVERED = re.compile(r"(<[^<>]*>).*intercepts pointer events")
_NET = (
    ("net::ERR_CERT_", Failure.CERTIFICATE_INVALID),
    ("net::ERR_SSL_", Failure.TLS_FAILED),
    ("net::ERR_TOO_MANY_REDIRECTS", Failure.TOO_MANY_REDIRECTS),
    ("net::ERR_CONNECTION_", Failure.CONNECTION_LOST),
    ("net::ERR_EMPTY_RESPONSE", Failure.CONNECTION_LOST),
    ("net::ERR_TIMED_OUT", Failure.FIRST_BYTE_TIMEOUT),
    ("net::ERR_INVALID_AUTH_CREDENTIALS", Failure.WRONG_STATUS),  # 401, and what we have for it does not do
    ("net::ERR_INVALID_", Failure.PROTOCOL_ERROR),
    ("net::ERR_HTTP", Failure.PROTOCOL_ERROR),
)
_GONE = ("Target crashed", "Page crashed", "has been closed", "Connection closed", "Browser closed")
_DOWNLOAD = "Download is starting"
_STRICT = "strict mode violation"


@dataclass(slots=True)
class Blame:
    """Turns what went wrong into a finding. `crashed` is set once the page's process died."""

    hands: Hands
    visit: Visit
    engine: BrowserEngine
    hosts: HostMap
    crashed: bool = False

    async def failed(self, error: StepFailedError, harm: Effect, since: float, frame: str) -> Finding:
        """The page is not as the step needs it."""
        if isinstance(error, RequestsFailedError):
            return self.hosts.attributed(Finding(error.failure, str(error), harm), error.host)
        message = str(error) + (self._elsewhere() if error.failure is Failure.ELEMENT_MISSING else "")
        return self._reasoned(Finding(error.failure, message, harm), self._broken(since), frame, since)

    async def late(self, error: BaseException, title: str, harm: Effect, since: float, frame: str) -> Finding:
        """Something was not there in time: the page is not ready, is hung, or the browser is."""
        culprits = [replace(r) for r in (*self._broken(since), *self.hands.traffic.waiting())]  # as they are now
        silent = any(r.main and r.ended is None and r.status is None for r in culprits)
        if silent:
            await self._stop_loading()
        if not await self._page_answers():
            return await self._hung(harm)
        if not title.startswith("open ") and "Page.goto" not in str(error):
            message = _why_late(error, self.hands.show) + self._elsewhere()
            finding = Finding(Failure.ELEMENT_MISSING, message, harm)
        elif silent:
            finding = Finding(Failure.FIRST_BYTE_TIMEOUT, "no answer came in time", harm)
        else:
            finding = Finding(Failure.TRANSFER_TIMEOUT, "the page did not finish loading in time", harm)
        return self._reasoned(finding, culprits, frame, since)

    async def asserted(self, error: AssertionError, harm: Effect, since: float) -> Finding:
        """A script found the page other than it says it should be."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Call log" not in line]
        message = "; ".join(lines[:3]) or "what the script asserts is not so"
        finding = Finding(Failure.WRONG_PAGE, self.hands.show(message), harm)
        return self._reasoned(finding, self._broken(since), "", since)

    async def refused(self, error: BrowserError, title: str, harm: Effect, since: float, frame: str) -> Finding:
        """The browser says that it cannot: it did not get the page, does not find one element, or is gone."""
        text = str(error)
        if self.hands.page.is_closed() and not self.crashed and await self.visit.browser_answers():
            finding = Finding(Failure.ELEMENT_MISSING, f"the window closed before {title!r} was done", harm)
            return self._reasoned(finding, self._broken(since), frame, since)
        if self.crashed or any(word in text for word in _GONE):
            return await self._gone()
        if "net::ERR_" in text:
            return self._unreached(text, harm, since)
        if _DOWNLOAD in text:
            finding = Finding(Failure.WRONG_PAGE, "it leads to a download, not to a page", harm)
            return self.hosts.attributed(finding, self._page_host())
        if _STRICT in text:
            message = f"several elements fit {title!r}; name the one that is meant more exactly"
            return Finding(Failure.ELEMENT_MISSING, message, Effect.NONE, Attribution.UNKNOWN)
        finding = Finding(Failure.ELEMENT_MISSING, self.hands.show(_first_line(text)), harm)
        return self._reasoned(finding, self._broken(since), frame, since)

    def slow(self, message: str, harm: Effect, since: float, duration: float) -> Finding:
        """The step took too long: by the slowest request of it, where that was most of the time."""
        finding = Finding(Failure.SLOW, message, harm)
        slowest = self.hands.traffic.slowest_since(since)
        if slowest is None or (slowest.seconds or 0.0) < duration / 2:
            return self.hosts.attributed(finding, self._page_host())
        told = f"{message}; the slowest request was {self.hands.show(slowest.url)}, {slowest.seconds:.1f} s"
        return self.hosts.attributed(replace(finding, message=told), slowest.host)

    # --- what is behind it -------------------------------------------------------------------------------------------

    def _broken(self, since: float) -> list[WebRequest]:
        """Return what came to nothing of the page that the step found, and since."""
        return self.hands.traffic.broken_since(self.hands.traffic.page_since(since))

    def _reasoned(self, finding: Finding, culprits: Sequence[WebRequest], frame: str, since: float) -> Finding:
        """Add to a finding the requests behind it, and whose they are.

        It is ours where our gateway refused the page itself, a script, or the frame that the step looks into; and the page's, where
        the page itself forbids the request, or never asked for the frame.
        """
        listed = "; ".join(f"{self.hands.show(r.url)} ({self._why(r)})" for r in culprits[:_MOST_TOLD])
        reason = f"; behind it: {listed}" if listed else self._hints(since)
        finding = replace(finding, message=f"{finding.message}{reason}")
        needed = [r for r in culprits if r.main or r.type == "script" or (r.type == "document" and r.host == frame)]
        ours = next((trouble for r in needed if (trouble := self._our_trouble(r))), None)
        if ours is not None:
            return Finding(ours.failure, ours.message, Effect.NONE, ours.attribution)
        if culprits and culprits[0].main:
            return self.hosts.attributed(finding, culprits[0].host)
        owned = next((r.culprit for r in culprits if self.hosts.owner(r.culprit) and self._our_trouble(r) is None), "")
        asked = frame if any(r.host == frame and r.host == r.culprit for r in self.hands.traffic.requests) else ""
        return self.hosts.attributed(finding, owned or asked or self._page_host())

    def _hints(self, since: float) -> str:
        """Return what may be behind a failure where no request came to nothing. It makes nobody guilty: consoles are full of errors."""
        traffic, at = self.hands.traffic, self.hands.traffic.page_since(since)
        refused = [f"{self.hands.show(r.url)} ({r.what_happened})" for r in traffic.refused_calls_since(at)]
        errors = [self._shown(line) for line in sorted(traffic.errors_since(at), key=lambda e: e.kind != "uncaught")]
        called = f"; it was refused {'; '.join(refused[:_MOST_HINTS])}" if refused else ""
        return called + (f"; the console says {'; '.join(errors[:_MOST_HINTS])}" if errors else "")

    def _shown(self, line: ConsoleLine) -> str:
        where = f" at {self.hands.show(line.url)}" if line.url and line.kind == "uncaught" else ""
        return f"{self.hands.show(_first_line(line.text))[:_LONGEST]!r}{where}"

    def _elsewhere(self) -> str:
        """Return where the page is, if that is not where the journey went."""
        url = self.hands.page.url
        there = not url.startswith("http") or _bare(url) == _bare(self.hands.opened)
        return "" if there else f"; the page is {self.hands.show(url)}"

    def _why(self, request: WebRequest) -> str:
        trouble = self.hands.traffic.trouble(request.host)
        return trouble.message if trouble and request.failure else request.what_happened

    def _our_trouble(self, request: WebRequest) -> Trouble | None:
        """Return what our side kept a request from, if it did."""
        trouble = self.hands.traffic.trouble(request.host) if request.failure else None
        return trouble if trouble is not None and trouble.attribution is not Attribution.TARGET else None

    def _unreached(self, text: str, harm: Effect, since: float) -> Finding:
        """The page did not come: our gateway knows why, or the browser's own word for it says so."""
        broken = self._broken(since)
        page = next((r for r in broken if r.main), broken[0] if broken else None)
        trouble = self.hands.traffic.trouble(page.host) if page is not None else None
        if trouble is not None:
            ours = trouble.attribution is not Attribution.TARGET
            finding = Finding(trouble.failure, trouble.message, Effect.NONE if ours else harm, trouble.attribution)
        else:
            word = text[text.index("net::ERR_") :].split(maxsplit=1)[0].rstrip(".,;:")
            failure = next((f for begin, f in _NET if word.startswith(begin)), Failure.CONNECTION_FAILED)
            address = f" for {self.hands.show(page.url)}" if page is not None else ""
            finding = Finding(failure, f"the browser says {word.removeprefix('net::')}{address}", harm)
        return self.hosts.attributed(finding, page.host if page is not None else "")

    def _page_host(self) -> str:
        return host_of(self.hands.page.url)

    # --- who does not answer -----------------------------------------------------------------------------------------

    async def _stop_loading(self) -> None:
        """Give up the page that does not come: until then the one before it answers nothing, and would seem to hang."""
        try:
            session = await within(_PAGE_ANSWERS, self.visit.context.new_cdp_session(self.hands.page))
            await within(_PAGE_ANSWERS, session.send("Page.stopLoading"))
            await within(_PAGE_ANSWERS, session.detach())
        except (TimeoutError, BrowserError):
            return  # whether the page answers is asked next

    async def _page_answers(self) -> bool:
        try:
            answer: bool = await within(_PAGE_ANSWERS, self.hands.page.evaluate("true"))
        except (TimeoutError, BrowserError):
            return False
        return answer

    async def _hung(self, harm: Effect) -> Finding:
        if self.crashed or not await self.visit.browser_answers():
            return await self._gone()
        message = f"the page hangs: it has answered nothing for {_PAGE_ANSWERS:g} s, while the browser is well"
        return self.hosts.attributed(Finding(Failure.PAGE_HUNG, message, harm), self._page_host())

    async def _gone(self) -> Finding:
        """The page's process died, or the browser did: by the page or by this machine, and nobody here can tell which."""
        if self.crashed and await self.visit.browser_answers():
            message = "the page's process crashed: the page may do that, or this machine"
            return Finding(Failure.PAGE_CRASHED, message, Effect.NONE, Attribution.UNKNOWN)
        await self.engine.kill(self.visit)
        message = "the browser hung or died, and is started anew"
        return Finding(Failure.BROWSER_FAILED, message, Effect.NONE, Attribution.MONITOR)


def _why_late(error: BaseException, show: Callable[[str], str]) -> str:
    """Return why something was not done in time. `show` hides secrets, before anything is cut: half of one is one too."""
    if isinstance(error, NotThereError):
        return show(str(error))
    log = str(error)
    waited = _WAITED.search(log)
    if waited is None:
        return "it was not done in time"
    if _FOUND not in log or " to be " in waited[1]:  # of a script, which waits by itself
        return f"waited in vain for {show(waited[1])[:_LONGEST]}"
    return f"what the step needs is there, but cannot be used in time: {_why_unusable(log, show)}"


def _why_unusable(log: str, show: Callable[[str], str]) -> str:
    """Return what Playwright says last of an element that it could not use."""
    for line in reversed(log.splitlines()):
        covered = _COVERED.search(line)
        if covered is not None:
            return f"it is covered by {show(covered[1])[:_LONGEST]}"
        said = next((ours for theirs, ours in _UNUSABLE if theirs in line), None)
        if said is not None:
            return said
    return "hidden, disabled or covered"


def _bare(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
