"""What each step does with the page. Nothing here decides whose fault a failure is."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import regex
from playwright.async_api import TimeoutError as NotInTimeError

from earwitness.browser.locators import Purpose, Target, settled
from earwitness.browser.traffic import Traffic
from earwitness.model import Failure, Finding
from earwitness.probes.browser_spec import BrowserStepSpec, FrameSpec
from earwitness.probes.hosts import host_of, matches
from earwitness.probes.http_checks import search

if TYPE_CHECKING:
    from playwright.async_api import Frame, Locator, Page

    from earwitness.browser.locators import Scope

_LOOK = 0.05  # seconds between looks at what no event tells of
_MOST_TOLD = 3  # failed requests that a message names


class StepFailedError(Exception):
    """The page is not as the step needs it."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class UnanswerableError(Exception):
    """A pattern of the configuration takes too long on what the page holds: nobody can tell, and `finding` says so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class NotThereError(Exception):
    """What the step needs did not come in time."""


@dataclass(slots=True)
class Hands:
    """What acts on pages: `page` is the one that the latest step was about. `show` takes out of a text what nobody may see."""

    page: "Page"
    traffic: Traffic
    show: Callable[[str], str]
    filled: "list[Locator]" = field(default_factory=list)  # fields whose values no screenshot may show

    first: "Page" = field(init=False)
    opened: str = field(init=False, default="")  # the address that a step opened last

    def __post_init__(self) -> None:
        self.first = self.page

    async def perform(self, step: BrowserStepSpec, seconds: float) -> None:
        """Do it. Raises StepFailedError, and what Playwright raises: its TimeoutError where something is not there in time."""
        until = asyncio.get_running_loop().time() + seconds
        self.page = self.first if step.window == "first" else await self._newest(until)
        act: Callable[[BrowserStepSpec, float], Awaitable[None]] = getattr(self, f"_{step.action}")
        await act(step, until)

    async def _newest(self, until: float) -> "Page":
        while True:
            others = [page for page in self.first.context.pages if page != self.first]
            if others:
                return others[-1]
            await self._look_again(until, Failure.ELEMENT_MISSING, "no other window has opened")

    async def _scope(self, step: BrowserStepSpec, until: float) -> "Scope":
        frame = step.frame
        if frame is None:
            return self.page
        if frame.url is not None:
            return await self._frame_at(frame.url, until)
        return self.page.frame_locator(frame_selector(frame))

    async def _frame_at(self, pattern: "regex.Pattern[str]", until: float) -> "Frame":
        while True:
            found = self._frame_like(pattern)
            if found is not None:
                return found
            await self._look_again(
                until, Failure.ELEMENT_MISSING, f"there is no frame of an address like {pattern.pattern}"
            )

    def _frame_like(self, pattern: "regex.Pattern[str]") -> "Frame | None":
        return next((f for f in self.page.frames[1:] if _fits(pattern, f.url)), None)

    @staticmethod
    async def _find(scope: "Scope", target: Target, purpose: Purpose, until: float) -> "Locator":
        try:
            return await settled(scope, target, purpose, _left(until))
        except NotInTimeError as error:
            raise NotThereError(f"nothing on the page is {target}") from error

    @staticmethod
    async def _look_again(until: float, failure: Failure, message: str) -> None:
        if asyncio.get_running_loop().time() > until:
            raise StepFailedError(failure, message)
        await asyncio.sleep(_LOOK)

    # --- doing -------------------------------------------------------------------------------------------------------

    async def _open(self, step: BrowserStepSpec, until: float) -> None:
        self.opened = step.open or ""
        response = await self.page.goto(step.open or "", wait_until="load", timeout=_left(until))
        if response is not None and response.status >= 400:
            address = self.show(response.url)
            raise StepFailedError(Failure.WRONG_STATUS, f"{address} answered {response.status} {response.status_text}")

    async def _fill(self, step: BrowserStepSpec, until: float) -> None:
        scope = await self._scope(step, until)
        for target, value in (step.fill or {}).items():
            element = await self._find(scope, target, "field", until)
            self.filled.append(element)
            await element.fill(value.reveal(), timeout=_left(until))

    async def _select(self, step: BrowserStepSpec, until: float) -> None:
        scope = await self._scope(step, until)
        for target, option in (step.select or {}).items():
            element = await self._find(scope, target, "field", until)
            await element.select_option(option, timeout=_left(until))

    async def _click(self, step: BrowserStepSpec, until: float) -> None:
        assert step.click is not None
        element = await self._find(await self._scope(step, until), step.click, "button", until)
        await element.click(timeout=_left(until))

    async def _check(self, step: BrowserStepSpec, until: float) -> None:
        assert step.check is not None
        element = await self._find(await self._scope(step, until), step.check, "field", until)
        await element.check(timeout=_left(until))

    async def _press(self, step: BrowserStepSpec, until: float) -> None:
        assert step.press is not None
        if step.press.on is None:
            await self.page.keyboard.press(step.press.key)
            return
        element = await self._find(await self._scope(step, until), step.press.on, "anything", until)
        await element.press(step.press.key, timeout=_left(until))

    # --- expecting ---------------------------------------------------------------------------------------------------

    async def _wait_for(self, step: BrowserStepSpec, until: float) -> None:
        wanted = step.wait_for
        assert wanted is not None
        if wanted.url is not None:
            await self._address(wanted.url, until)
            return
        scope = await self._scope(step, until)
        if wanted.text is not None:
            await self._text(scope, wanted.text, until)
            return
        assert wanted.element is not None
        element = await self._find(scope, wanted.element, "anything", until)
        await element.first.wait_for(state="visible", timeout=_left(until))

    async def _expect_text(self, step: BrowserStepSpec, until: float) -> None:
        await self._text(await self._scope(step, until), step.expect_text or "", until)

    @staticmethod
    async def _text(scope: "Scope", text: str, until: float) -> None:
        try:
            await scope.get_by_text(text).filter(visible=True).first.wait_for(timeout=_left(until))
        except NotInTimeError as error:
            raise NotThereError(f"expected the text {text!r}, the page does not show it") from error

    async def _expect_url(self, step: BrowserStepSpec, until: float) -> None:
        assert step.expect_url is not None
        await self._address(step.expect_url, until)

    async def _address(self, pattern: "regex.Pattern[str]", until: float) -> None:
        while not _fits(pattern, self.page.url):
            message = f"expected an address like {pattern.pattern}, the page is {self.show(self.page.url)}"
            await self._look_again(until, Failure.WRONG_PAGE, message)

    async def _expect_title(self, step: BrowserStepSpec, until: float) -> None:
        assert step.expect_title is not None
        while not _fits(step.expect_title, title := await self.page.title()):
            message = f"expected a title like {step.expect_title.pattern}, it is {self.show(title)!r}"
            await self._look_again(until, Failure.WRONG_PAGE, message)

    async def _expect_no_console_error(self, _step: BrowserStepSpec, _until: float) -> None:
        errors = self.traffic.errors_since(0.0)
        if errors:
            more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
            raise StepFailedError(Failure.CONSOLE_ERROR, f"an error in the console: {self.show(errors[0].text)}{more}")

    async def _expect_no_failed_request(self, step: BrowserStepSpec, _until: float) -> None:
        hosts = step.expect_no_failed_request.hosts if step.expect_no_failed_request else ()
        failed = [r for r in self.traffic.requests if r.refused and (not hosts or matches(r.host, hosts))]
        if failed:
            listed = "; ".join(f"{self.show(r.url)} ({r.what_happened})" for r in failed[:_MOST_TOLD])
            more = f", and {len(failed) - _MOST_TOLD} more" if len(failed) > _MOST_TOLD else ""
            raise RequestsFailedError(f"a request failed: {listed}{more}", failed[0].culprit)

    async def frame_host(self, step: BrowserStepSpec) -> str:
        """Return the host of the frame that a step looks into; empty where there is none."""
        if step.frame is None:
            return ""
        if step.frame.url is not None:
            found = self._frame_like(step.frame.url)
            return host_of(found.url if found else "")
        source = await self.page.locator(frame_selector(step.frame)).first.get_attribute("src", timeout=1000)
        return host_of(source or "")


class RequestsFailedError(StepFailedError):
    """A step asked that no request fail, and one did, to `host`."""

    def __init__(self, message: str, host: str) -> None:
        super().__init__(Failure.REQUEST_FAILED, message)
        self.host = host


def _fits(pattern: "regex.Pattern[str]", text: str) -> bool:
    """Whether the text holds the pattern. Raises UnanswerableError where nobody can tell in time."""
    found = search(pattern, text)
    if isinstance(found, Finding):
        raise UnanswerableError(found)
    return found is not None


def frame_selector(frame: FrameSpec) -> str:
    return frame.selector or f"iframe[name={json.dumps(frame.name)}]"


def _left(until: float) -> float:
    """Return the milliseconds until then, at least one: to Playwright, 0 is for ever."""
    return max(1.0, (until - asyncio.get_running_loop().time()) * 1000)
