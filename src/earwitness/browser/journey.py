"""One visit to a site, step after step: how each went, and what is wrong with those that failed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import structlog
from playwright.async_api import Error as BrowserError
from playwright.async_api import TimeoutError as NotInTimeError

from earwitness.browser.actions import Hands, NotThereError, StepFailedError, UnanswerableError
from earwitness.browser.blame import Blame
from earwitness.config.fields import Limits
from earwitness.model import Attribution, Effect, Failure, Finding, Step
from earwitness.probes.browser_spec import BrowserSpec, BrowserStepSpec
from earwitness.probes.context import RunContext
from earwitness.probes.leaving import leave

_log = structlog.get_logger(__name__)
_THEIRS = (Attribution.TARGET, Attribution.THIRD_PARTY)


class StoppedError(Exception):
    """A step failed so that a customer could not go on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one step. Times are seconds."""

    title: str
    seconds: float
    harm: Effect
    within: Limits = field(default_factory=Limits)
    frame_host: Callable[[], Awaitable[str]] | None = None


class Journey:
    """Walks once. `findings` and `steps` are there afterwards, whatever happened."""

    def __init__(self, spec: BrowserSpec, ctx: RunContext, hands: Hands, blame: Blame) -> None:
        self._spec, self._ctx, self._hands, self._blame = spec, ctx, hands, blame
        self.findings: list[Finding] = []
        self.steps: list[Step] = []
        self._begun: list[BrowserStepSpec] = []
        self.after_step: Callable[[BrowserStepSpec | None, str], Awaitable[None]] = _nothing

    async def walk(self) -> None:
        """Take the steps up to the first that stops a customer, then those that clean up."""
        until = asyncio.get_running_loop().time() + self._spec.timeout
        try:
            await self._take_all(until)
        except asyncio.CancelledError:
            await self._leave()
            raise

    async def _take_all(self, until: float) -> None:
        stopped = False
        for step in self._spec.flow:
            if stopped and not step.always:
                continue
            left = until - asyncio.get_running_loop().time()
            seconds = self._spec.time_of(step) if step.always else min(self._spec.time_of(step), left)
            try:
                await self._take(step, max(seconds, 0.001))
            except StoppedError:
                stopped = stopped or not step.always

    async def _leave(self) -> None:
        """Clean up after a journey that was cut off. What fails is told in the log alone."""
        ended = self._begun[:-1]
        left = [step for step in self._spec.flow if step.always and step not in ended]
        await leave(left, self._clean_up, self._not_cleaned_up)

    async def _clean_up(self, step: BrowserStepSpec) -> str:
        with contextlib.suppress(StoppedError):
            await self._take(step, self._spec.time_of(step))
        return "" if self.steps[-1].ok else self.steps[-1].note

    def _not_cleaned_up(self, step: BrowserStepSpec, why: str) -> None:
        _log.warning(
            "not_cleaned_up", run=self._ctx.run.id, step=step.title, why=self._ctx.redact(self._hands.show(why))
        )

    async def _take(self, step: BrowserStepSpec, seconds: float) -> None:
        self._begun.append(step)
        terms = Terms(step.title, seconds, step.harm, step.within, lambda: self._hands.frame_host(step))
        async with self.step(terms):
            await self._hands.perform(step, seconds)
        await self.after_step(step, step.title)

    @asynccontextmanager
    async def step(self, terms: Terms) -> AsyncIterator[None]:
        """Time what is done in the block, and tell what fails in it. Raises StoppedError where a customer could not go on."""
        began = self._ctx.elapsed
        finding: Finding | None = None
        try:
            async with asyncio.timeout(terms.seconds + _MORE):
                yield
        except StepFailedError as error:
            finding = await self._blame.failed(error, terms.harm, began, await self._frame(terms))
        except UnanswerableError as error:
            finding = error.finding
        except (NotThereError, NotInTimeError, TimeoutError) as error:
            finding = await self._blame.late(error, terms.title, terms.harm, began, await self._frame(terms))
        except AssertionError as error:
            finding = await self._blame.asserted(error, terms.harm, began)
        except BrowserError as error:
            finding = await self._blame.refused(error, terms.title, terms.harm, began, await self._frame(terms))
        duration = self._ctx.elapsed - began
        if finding is None:
            finding = self._slow(terms, began, duration)
        self._note(terms, began, duration, finding)
        if finding is not None and _stops(finding):
            raise StoppedError

    @staticmethod
    async def _frame(terms: Terms) -> str:
        """Return the host of the step's frame, as far as the page still tells."""
        if terms.frame_host is None:
            return ""
        try:
            async with asyncio.timeout(_MORE):
                return await terms.frame_host()
        except (BrowserError, TimeoutError, UnanswerableError):
            return ""

    def _slow(self, terms: Terms, began: float, duration: float) -> Finding | None:
        limits = terms.within
        if limits.major is not None and duration > limits.major:
            limit, harm = limits.major, terms.harm
        elif limits.minor is not None and duration > limits.minor:
            limit, harm = limits.minor, min(terms.harm, Effect.NUISANCE, key=tuple(reversed(Effect)).index)
        else:
            return None
        return self._blame.slow(f"took {duration:.1f} s, more than {limit:g} s", harm, began, duration)

    def _note(self, terms: Terms, began: float, duration: float, finding: Finding | None) -> None:
        message = finding.message if finding else ""
        self.steps.append(Step(terms.title, finding is None, began, duration, message))
        if finding is not None:
            told = replace(finding, message=f"{terms.title}: {message}", step=terms.title, at=began)
            self.findings.append(told)


_MORE = 1.0  # seconds beyond a step's own time, so that what knows more of the failure comes first


def _stops(finding: Finding) -> bool:
    slow = finding.failure is Failure.SLOW
    return finding.attribution not in _THEIRS or (finding.effect is Effect.BLOCKED and not slow)


async def _nothing(_step: BrowserStepSpec | None, _title: str) -> None:
    """Do nothing after a step."""
