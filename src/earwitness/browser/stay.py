"""One run in a context of its own: the journey, what it shows of the site, and the evidence of what failed."""

import asyncio
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from playwright.async_api import Error as BrowserError

from earwitness.browser.actions import Hands
from earwitness.browser.blame import Blame
from earwitness.browser.engine import BrowserEngine, BrowserFailedError, Visit
from earwitness.browser.har import console_of, failures_of, har_of
from earwitness.browser.inventory import PageWatcher
from earwitness.browser.journey import Journey, StoppedError, Terms
from earwitness.browser.page_watch import PageWatch
from earwitness.browser.patience import within
from earwitness.browser.screenshot import Cover, screenshot
from earwitness.browser.trace import TooLargeError, redacted_trace
from earwitness.browser.traffic import Traffic
from earwitness.browser.vitals import read_vitals
from earwitness.config.fields import Limits
from earwitness.model import (
    Attribution,
    Effect,
    Evidence,
    Failure,
    Finding,
    Observation,
    Scalar,
    without_doubt,
)
from earwitness.probes.browser_spec import BrowserSpec, BrowserStepSpec
from earwitness.probes.context import RunContext
from earwitness.transport.redaction import Redaction
from earwitness.transport.uplink import UNREACHED, uplink_down

if TYPE_CHECKING:
    from playwright.async_api import Page

_log = structlog.get_logger(__name__)
_THEIRS = (Attribution.TARGET, Attribution.THIRD_PARTY)
_COOKIE = 8  # characters of a cookie that make it a secret: `yes` and `dark` are none
_CAPITALS = 8  # characters of a secret that is looked for in capitals too: short words stand everywhere
_ARRIVAL = 15.0  # seconds for the browser to open a page
_PATIENCE = 3.0  # seconds for the browser to hand over cookies or a trace


@dataclass(slots=True)
class Stay:
    """Everything of one run that is needed to tell of it."""

    spec: BrowserSpec
    ctx: RunContext
    visit: Visit
    engine: BrowserEngine
    redaction: Redaction = field(init=False)
    traffic: Traffic = field(init=False)
    page: "Page" = field(init=False)
    journey: Journey = field(init=False)
    blame: Blame = field(init=False)
    hands: Hands = field(init=False)
    watch: PageWatch | None = field(init=False, default=None)
    vitals: dict[str, float] = field(init=False, default_factory=dict)

    async def observe(self) -> Observation:
        """Walk, and return what was seen. Raises BrowserFailedError where the browser opens no page."""
        try:
            await within(_ARRIVAL, self._arrive())
        except (BrowserError, TimeoutError) as error:
            await self.engine.kill(self.visit)
            raise BrowserFailedError("the browser opened no page, and is started anew") from error
        began = self.ctx.elapsed
        await (self.journey.walk() if self.spec.script is None else self._play())
        duration = self.ctx.elapsed - began
        if self.watch is not None and self.watch.inventory is None and self.spec.script is not None:
            await self.watch.take("script")
        await self._learn_cookies()
        findings = await self._told()
        seen = any(f.attribution in _THEIRS and f.effect is not Effect.NONE for f in findings)
        evidence = await self._evidence(findings) if seen else []
        evidence += self.watch.evidence if self.watch else []
        return self.ctx.observe(
            findings=[replace(f, message=self.redaction.text(f.message)) for f in findings],
            steps=[replace(s, note=self.redaction.text(s.note)) for s in self.journey.steps],
            evidence=evidence,
            facts=self._facts(),
            measures=self._measures(duration),
        )

    async def _arrive(self) -> None:
        spec, context = self.spec, self.visit.context
        self.redaction = Redaction()
        for value in spec.secrets():
            self.redaction.hide_word(value)
        self.traffic = Traffic(context, lambda: self.ctx.elapsed, self.visit.guest.troubles)
        if spec.trace:
            await context.tracing.start(screenshots=False, snapshots=True)
        context.set_default_timeout(spec.step_timeout * 1000)
        context.on("page", lambda page: page.on("crash", lambda _page: setattr(self.blame, "crashed", True)))
        self.page = await context.new_page()
        if spec.watch is not None:
            watcher = PageWatcher(context, self.page, spec.watch.ignore, spec.watch.frames)
            await watcher.listen()
            self.watch = PageWatch(spec.watch, self.ctx, watcher)
        self.hands = Hands(self.page, self.traffic, self._show)
        self.blame = Blame(self.hands, self.visit, self.engine, self.ctx.hosts)
        self.journey = Journey(spec, self.ctx, self.hands, self.blame)
        self.journey.after_step = self._after_step

    def _show(self, text: str) -> str:
        return self.redaction.url(text) if "://" in text.partition(" ")[0] else self.redaction.entered(text)

    async def _after_step(self, step: BrowserStepSpec | None, title: str) -> None:
        if self.watch is not None and self.watch.inventory is None and self._is_watched(step, title):
            await self.watch.take(title)
        if not self.vitals and self.page.url.startswith("http"):
            self.vitals = await read_vitals(self.page)

    def _is_watched(self, step: BrowserStepSpec | None, title: str) -> bool:
        """Whether the page after this step is the one to watch: where something was filled in, unless the section says where."""
        assert self.spec.watch is not None
        if self.spec.watch.at is not None:
            return title == self.spec.watch.at
        if step is None:
            return False
        fills = [s for s in self.spec.steps if s.fill is not None]
        main = [s for s in self.spec.steps if not s.always]
        return step.title == (fills[0] if fills else main[-1]).title

    # --- the journey -------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        """Run the script; what it does wrong itself is ours."""
        assert self.spec.script is not None
        steps = ScriptSteps(self)
        try:
            async with self.journey.step(Terms("script", self.spec.timeout, self.spec.effect)):
                await self.spec.script.function()(self.page, steps)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  The script is somebody's code: whatever it raises is told.
            self.journey.findings.append(self._broken_script(error))

    def _broken_script(self, error: Exception) -> Finding:
        assert self.spec.script is not None
        path = str(self.spec.script.path)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        where = f"{self.spec.script.path.name}:{lines[-1] if lines else 1}"
        said = self.redaction.text(str(error).partition("\n")[0])
        message = f"the script broke: {where}: {type(error).__name__}: {said}"
        return Finding(Failure.SCRIPT_BROKEN, message, Effect.NONE, Attribution.MONITOR)

    # --- what is told ------------------------------------------------------------------------------------------------

    async def _told(self) -> list[Finding]:
        """Return what is told. That the page changed holds whatever became of the journey, whose end a skimmer may spoil."""
        found = without_doubt(self.journey.findings)
        nobodys = await self._nobodys(found)
        if nobodys is not None:
            return self._doubted([nobodys])
        named = {f.dependency for f in found}
        others = [f for f in self._of_dependencies() if f.dependency not in named]
        if any(f.attribution not in _THEIRS for f in found):
            return [*self._doubted(found), *others]
        return [*found, *self._watched(), *others]

    def _watched(self) -> list[Finding]:
        if self.watch is None:
            return []
        ours = any(trouble.attribution not in _THEIRS for trouble in self.traffic.troubles)
        return self.watch.told_in_doubt() if ours else self.watch.findings

    def _doubted(self, found: list[Finding]) -> list[Finding]:
        return without_doubt([*found, *(self.watch.in_doubt if self.watch else ())])

    async def _nobodys(self, found: Sequence[Finding]) -> Finding | None:
        """Return what kept the journey from being seen to its end, instead of what was found in it, where something did."""
        if self.visit.cut_short and (found or self.blame.crashed):  # what we ended says nothing of the target
            return Finding(Failure.PAGE_CRASHED, self.visit.cut_short, Effect.NONE, Attribution.UNKNOWN)
        if self.blame.crashed and not found:
            message = "the page's process crashed after the last step: the page may do that, or this machine"
            return Finding(Failure.PAGE_CRASHED, message, Effect.NONE, Attribution.UNKNOWN)
        assert self.ctx.web is not None
        if any(f.failure in UNREACHED for f in found) and not await self.ctx.web.uplink.works():
            return uplink_down(found[0])
        return None

    def _of_dependencies(self) -> Iterator[Finding]:
        """Yield what requests to dependencies did beside the steps: failed, or took long. The worst of each dependency."""
        told: set[str] = set()
        for finding in [*self._failed_at_dependencies(), *self._slow_at_dependencies()]:
            if finding.dependency is not None and finding.dependency not in told:
                told.add(finding.dependency)
                yield finding

    def _failed_at_dependencies(self) -> Iterator[Finding]:
        for request in self.traffic.requests:
            trouble = self.traffic.trouble(request.host)
            ours = request.failure and trouble is not None and trouble.attribution is not Attribution.TARGET
            if request.broken and not ours:
                message = (
                    f"a request failed, though the journey went on: {self._show(request.url)} ({request.what_happened})"
                )
                finding = Finding(Failure.REQUEST_FAILED, message, self._at_most_a_nuisance)
                yield self.ctx.hosts.attributed(finding, request.culprit)

    def _slow_at_dependencies(self) -> Iterator[Finding]:
        limits = self.spec.dependency_within
        for request, seconds in self.traffic.lasting():
            passed = _passed(limits, seconds)
            if passed is None:
                return
            limit, major = passed
            harm = self.spec.effect if major else self._at_most_a_nuisance
            took = "took" if request.ended is not None else "has not ended after"
            message = f"{self._show(request.url)} {took} {seconds:.1f} s, more than {limit:g} s"
            yield self.ctx.hosts.attributed(Finding(Failure.SLOW, message, harm), request.host)

    @property
    def _at_most_a_nuisance(self) -> Effect:
        return min(self.spec.effect, Effect.NUISANCE, key=tuple(reversed(Effect)).index)

    def _facts(self) -> dict[str, Scalar]:
        first = self.spec.steps[0].open if self.spec.steps else None
        facts: dict[str, Scalar] = {
            "url": None if first is None else self._show(first),
            "final_url": self._show(self.page.url) if self.page.url.startswith("http") else None,
            "browser": f"Chromium {self.visit.version}",
            "proxy": None if self.spec.proxy is None else self.redaction.url(self.spec.proxy.url),
            "page_watch": self.watch.note if self.watch else None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _measures(self, duration: float) -> dict[str, float]:
        named = {step.title: step.name for step in self.spec.steps if step.name}
        steps = {f"step_{named[s.name]}": s.duration for s in self.journey.steps if s.name in named}
        counts = {
            "requests": float(len(self.traffic.requests) + self.traffic.left_out),
            "failed_requests": float(sum(r.broken for r in self.traffic.requests)),
        }
        watched = {"page_watched": float(self.watch.whole)} if self.watch else {}
        return {"duration": duration, **counts, **watched, **self.vitals, **steps}

    # --- evidence ----------------------------------------------------------------------------------------------------

    async def _learn_cookies(self) -> None:
        try:
            cookies = await within(_PATIENCE, self.visit.context.cookies())
        except (BrowserError, TimeoutError):
            return  # the browser has gone, and its cookies stand nowhere but in headers, which are masked by their names
        for cookie in cookies:
            if len(cookie.get("value", "")) >= _COOKIE:
                self.redaction.hide(cookie["value"])

    async def _evidence(self, findings: list[Finding]) -> list[Evidence]:
        kept: list[Evidence] = []
        if not any(f.failure is Failure.PAGE_HUNG for f in findings):
            masks = (*self.spec.mask, *(("input", "textarea") if self.spec.script else ()))
            if self.spec.script or self.hands.filled:
                masks = (*masks, "canvas")  # nobody can read what is drawn there; it may be what was filled in
            cover = Cover(
                self.hands.filled,
                masks,
                self._hidden(self.redaction.text),
                self._hidden(self.redaction.entered),
                frozenset(secret.lower() for secret in self.spec.secrets() if len(secret) >= _CAPITALS),
            )
            picture = await screenshot(self.hands.page, cover)
            if picture is not None:
                kept += await self.ctx.keep(picture, kind="screenshot", media_type="image/png", name="screenshot.png")
        for kind, name, text in (
            ("requests", "failed-requests.txt", await asyncio.to_thread(failures_of, self.traffic, self.redaction)),
            ("console", "console.txt", await asyncio.to_thread(console_of, self.traffic, self.redaction)),
        ):
            if text:
                media_type = "text/plain; charset=utf-8"
                kept += await self.ctx.keep(text.encode(), kind=kind, media_type=media_type, name=name)
        began, version = self.ctx.started_at, self.visit.version
        archive = await asyncio.to_thread(har_of, self.traffic, began, version, self.redaction)
        kept += await self.ctx.keep(archive, kind="har", media_type="application/json", name="requests.har")
        return [*kept, *await self._trace()]

    def _hidden(self, shown: Callable[[str], str]) -> Callable[[str], str]:
        """Return how a text looks without secrets, and without what the configuration lets nobody see."""
        return lambda text: self.ctx.redact(shown(text))

    async def _trace(self) -> tuple[Evidence, ...]:
        if not self.spec.trace:
            return ()
        with tempfile.TemporaryDirectory(prefix="earwitness-") as folder:
            file = Path(folder) / "trace.zip"
            try:
                await within(_PATIENCE * 3, self.visit.context.tracing.stop(path=file))
                shown = self._hidden(self.redaction.entered)
                content = await asyncio.to_thread(lambda: redacted_trace(file.read_bytes(), self.redaction, shown))
            except (BrowserError, TimeoutError, OSError):
                return ()  # a browser that has gone has no trace; what was found holds without one
            except TooLargeError:
                _log.warning("trace_too_large", run=self.ctx.run.id)
                return ()
            except Exception as error:  # noqa: BLE001  What was found holds without a trace that cannot be read.
                _log.error("trace_unreadable", run=self.ctx.run.id, error=type(error).__name__)
                return ()
        return await self.ctx.keep(content, kind="trace", media_type="application/zip", name="trace.zip")


def _passed(limits: Limits, seconds: float) -> tuple[float, bool] | None:
    """Return the limit that was passed and whether it is the major one, or None."""
    if limits.major is not None and seconds > limits.major:
        return limits.major, True
    return (limits.minor, False) if limits.minor is not None and seconds > limits.minor else None


@dataclass(slots=True)
class ScriptSteps:
    """What a script names its steps with: `async with step("pay", minor=2, major=8): ...`. Times are seconds."""

    _stay: Stay

    @property
    def values(self) -> dict[str, str]:
        """The secret values that the configuration gives the script."""
        return {name: value.reveal() for name, value in self._stay.spec.values.items()}

    @asynccontextmanager
    async def __call__(
        self,
        title: str,
        *,
        minor: float | None = None,
        major: float | None = None,
        effect: str | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[None]:
        spec = self._stay.spec
        harm = spec.effect if effect is None else Effect(effect)
        terms = Terms(title, seconds or spec.step_timeout, harm, Limits(minor=minor, major=major))
        async with self._stay.journey.step(terms):
            yield
        await self._stay.journey.after_step(None, title)
