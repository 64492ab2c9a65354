"""The section of a browser probe: the steps a customer takes on pages, or a script for what steps cannot say."""

from collections.abc import Callable, Iterator
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from earwitness.browser.locators import ElementTarget
from earwitness.browser.script import Script, read_script
from earwitness.config.fields import (
    Duration,
    Flag,
    Limits,
    Name,
    OneOrMore,
    OrText,
    SecretValue,
    Spec,
    Texts,
    WithSecret,
    problem,
)
from earwitness.model import Effect
from earwitness.probes.hosts import HostPattern
from earwitness.probes.http_fields import Regex, web_url
from earwitness.probes.proxies import ProxySection

_CLEAN_UP_TIME = 5.0  # seconds that a clean-up step gets beyond the time of the journey
ACTIONS = (
    "open",
    "fill",
    "click",
    "select",
    "check",
    "press",
    "wait_for",
    "expect_text",
    "expect_url",
    "expect_title",
    "expect_no_console_error",
    "expect_no_failed_request",
)


class FrameSpec(Spec):
    """The frame in which a step looks, such as the card form of a payment provider: by its name, its address or its element."""

    name: str | None = None
    url: Regex | None = None
    selector: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(value is not None for value in (self.name, self.url, self.selector)) != 1:
            raise problem("write exactly one of name, url and selector, to say which frame")
        return self


def _frame(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class PressSpec(Spec):
    """A key, as `Enter`, `Tab` or `Control+A`; on the focused element, or on one that is named."""

    key: str = Field(min_length=1)
    on: ElementTarget | None = None


def _press(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


class WaitSpec(Spec):
    """What has to be there before the next step: an element, a text, or the page's address."""

    element: ElementTarget | None = None
    text: str | None = None
    url: Regex | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if sum(value is not None for value in (self.element, self.text, self.url)) != 1:
            raise problem("write exactly one of element, text and url, to say what to wait for")
        return self


class FailedRequestSpec(Spec):
    """Requests that must not fail: those to `hosts`, or to any host where none is named."""

    hosts: Annotated[tuple[HostPattern, ...], OneOrMore()] = ()


def _failed_request(value: Any) -> Any:
    return {} if str(value).lower() in ("true", "yes", "on") else value


class BrowserStepSpec(Spec):
    """One thing the customer does or expects: exactly one of ACTIONS. `timeout` and `within` are for this step alone."""

    name: Name | None = None
    frame: Annotated[FrameSpec, BeforeValidator(_frame), OrText()] | None = None
    window: Literal["first", "newest"] = "first"  # the newest of those that pages opened besides
    timeout: Duration | None = Field(default=None, gt=0)
    within: Limits = Limits()
    effect: Effect | None = None
    always: Flag = False
    open: Annotated[str, BeforeValidator(web_url)] | None = None
    fill: dict[ElementTarget, SecretValue] | None = Field(default=None, min_length=1)
    click: ElementTarget | None = None
    select: dict[ElementTarget, str] | None = Field(default=None, min_length=1)
    check: ElementTarget | None = None
    press: Annotated[PressSpec, BeforeValidator(_press), OrText()] | None = None
    wait_for: WaitSpec | None = None
    expect_text: str | None = Field(default=None, min_length=1)
    expect_url: Regex | None = None
    expect_title: Regex | None = None
    expect_no_console_error: Flag = False
    expect_no_failed_request: Annotated[FailedRequestSpec, BeforeValidator(_failed_request), OrText()] | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        written = [name for name in ACTIONS if getattr(self, name) not in (None, False)]
        if len(written) != 1:
            said = f"both {' and '.join(written)}" if written else "nothing to do"
            at = written[1] if written else None
            raise problem(f"this step has {said}; write exactly one of {', '.join(ACTIONS)}", at)
        if self.frame is not None and not _WITHIN_A_FRAME.issuperset(written):
            raise problem(f"{written[0]} is about the whole page; leave out frame", "frame")
        return self

    @property
    def action(self) -> str:
        return next(name for name in ACTIONS if getattr(self, name) not in (None, False))

    @property
    def harm(self) -> Effect:
        """What a failure of the step does to the customer."""
        return self.effect or Effect.BLOCKED

    @property
    def title(self) -> str:
        """What the step is called where it is told of: its name, else what it does. Never what it fills in."""
        if self.name:
            return self.name
        words = self.action.replace("_", " ")
        what = getattr(self, self.action)
        return f"{words} {_shown(self.action, what)}".strip()


_WITHIN_A_FRAME = frozenset({"fill", "click", "select", "check", "press", "wait_for", "expect_text"})


def _shown(action: str, what: Any) -> str:
    """Return what an action is about, as its title tells it."""
    if action in ("fill", "select"):
        return ", ".join(map(str, what))
    if action in ("expect_url", "expect_title"):
        return str(what.pattern)
    telling: dict[str, Callable[[], str]] = {
        "open": lambda: str(what).partition("?")[0],
        "press": lambda: str(what.key),
        "wait_for": lambda: str(what.element or what.text or what.url.pattern),
        "expect_no_console_error": lambda: "",
        "expect_no_failed_request": lambda: " ".join(what.hosts),
    }
    return telling.get(action, lambda: str(what))()


class WatchSpec(Spec):
    """Watch what the payment page delivers: its scripts and its security headers, held against the accepted baseline.

    Taken after the step `at`; by default after the first step that fills something in, else after the last.
    """

    page: Literal["payment_page"] = "payment_page"
    at: Name | None = None
    effect: Literal[Effect.NONE, Effect.NUISANCE] = Effect.NUISANCE
    changing: Annotated[tuple[HostPattern, ...], OneOrMore()] = ()  # hosts whose scripts may change in content
    ignore: Annotated[tuple[Regex, ...], OneOrMore()] = ()  # scripts by URL, or inline ones by their text
    frames: dict[Name, Regex] = Field(default_factory=dict)  # what a frame is called, by its address


def _watch(value: Any) -> Any:
    return {"page": value} if isinstance(value, str) else value


class Viewport(Spec):
    """The size of the window in CSS pixels."""

    width: int = Field(default=1280, ge=200, le=4000)
    height: int = Field(default=800, ge=200, le=4000)


class BrowserSpec(WithSecret):
    """What a customer does in a browser: `steps`, or a `script`. `timeout` is for the whole run, `step_timeout` for a step.

    `dependency_within` limits each request to a host of a dependency. `effect` says what a failure does to the customer when
    it is less than blocking. `mask` are CSS selectors of what no screenshot may show, beside fields for secrets and cards.
    """

    steps: tuple[BrowserStepSpec, ...] = ()
    script: Annotated[Script, WithJsonSchema({"type": "string"})] | None = None  # written as its path
    values: dict[str, SecretValue] = Field(default_factory=dict)  # what a script may fill in, as step.values[NAME]
    timeout: Duration = Field(default=45.0, gt=0)
    step_timeout: Duration = Field(default=10.0, gt=0)
    effect: Effect = Effect.BLOCKED
    dependency_within: Limits = Limits()
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    proxy: ProxySection | None = None
    mask: Texts = ()
    trace: Flag = False
    watch: Annotated[WatchSpec, BeforeValidator(_watch), OrText()] | None = None
    viewport: Viewport = Viewport()
    user: str | None = None  # what the first address asks for by HTTP authentication
    password: SecretValue | None = None
    password_file: Path | None = None
    locale: str | None = None
    timezone: str | None = None
    user_agent: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_script(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict) and isinstance(data.get("script"), str):
            folder = (info.context or {}).get("folder", Path())
            return {**data, "script": read_script(folder / str(data["script"]))}
        return data

    @model_validator(mode="after")
    def _steps_or_script(self) -> Self:
        if bool(self.steps) is (self.script is not None):
            said = "both steps and a script" if self.steps else "nothing to do"
            raise problem(f"this probe has {said}; write either steps or script", "script" if self.steps else None)
        if self.script is None and self.values:
            raise problem("values are for a script; write what a step fills in at the step", "values")
        if self.steps and self.steps[0].open is None:
            raise problem("the first step has to open an address", "steps.0")
        if (self.user is None) is not (self.password is None) or (self.user is not None and not self.steps):
            raise problem("user and password go together, and with steps: they are for the first step's host", "user")
        return self

    @model_validator(mode="after")
    def _steps_in_order(self) -> Self:
        for place, step in enumerate(self.steps):
            if step.name and step.name in (other.name for other in self.steps[:place]):
                raise problem(
                    f"{step.name} is the name of an earlier step too; give each its own", f"steps.{place}.name"
                )
            if not step.always and place and self.steps[place - 1].always:
                raise problem("an always step is before this one; they clean up, so they come last", f"steps.{place}")
            if step.within.major is not None and step.within.major > self.time_of(step):
                raise problem(
                    f"the step may take {self.time_of(step):g}s, so within.major is never passed; raise timeout",
                    f"steps.{place}.within.major",
                )
        return self

    @model_validator(mode="after")
    def _watched_step(self) -> Self:
        names = [step.name for step in self.steps if step.name]
        if self.watch is not None and self.watch.at is not None and self.script is None and self.watch.at not in names:
            raise problem(
                f"there is no step {self.watch.at}; name one of {', '.join(names) or 'the steps'}", "watch.at"
            )
        return self

    @cached_property
    def flow(self) -> tuple[BrowserStepSpec, ...]:
        """The steps, each with its effect settled: one that cleans up is a nuisance at most, unless it says more."""
        return tuple(step.model_copy(update={"effect": self._effect_of(step)}) for step in self.steps)

    def _effect_of(self, step: BrowserStepSpec) -> Effect:
        if step.effect is not None:
            return step.effect
        return min(self.effect, Effect.NUISANCE, key=tuple(reversed(Effect)).index) if step.always else self.effect

    def time_of(self, step: BrowserStepSpec) -> float:
        """Return the seconds that a step may take."""
        if step.timeout is not None:
            return step.timeout
        return _CLEAN_UP_TIME if step.always else self.step_timeout

    @property
    def longest(self) -> float:
        """Seconds that a run may take: its own time, what cleans up, and what it takes to keep the evidence."""
        return self.timeout + sum(self.time_of(step) for step in self.steps if step.always) + EVIDENCE_TIME

    @property
    def home(self) -> str:
        """The origin of the first address."""
        parts = urlsplit(self.steps[0].open or "")
        return f"{parts.scheme}://{parts.netloc}"

    def secrets(self) -> Iterator[str]:
        """Yield the texts that nothing we keep may show."""
        for step in self.steps:
            yield from (value.reveal() for value in (step.fill or {}).values())
        yield from (value.reveal() for value in self.values.values())
        yield from (own.reveal() for own in (self.password, self.proxy and self.proxy.password) if own)


EVIDENCE_TIME = 15.0  # seconds for starting the browser, for asking whether it still answers, and for the evidence
