"""The section of an HTTP probe: one request, or the steps of a flow, and what holds for the whole run."""

import re
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from earwitness.config.fields import (
    Duration,
    Flag,
    IpAddress,
    Limits,
    Name,
    NameServer,
    Secret,
    SecretValue,
    Size,
    Spec,
    Texts,
    WithSecret,
    problem,
)
from earwitness.model import Effect
from earwitness.probes.http_capture import CaptureSpec
from earwitness.probes.http_fields import (
    Cookies,
    Count,
    Destination,
    HeaderPatterns,
    Headers,
    JsonChecks,
    JsonTree,
    Method,
    Regex,
    Statuses,
    web_url,
)
from earwitness.probes.http_oauth2 import OAuth2Spec
from earwitness.probes.http_templates import names_in, templated_url
from earwitness.probes.proxies import ProxySection
from earwitness.transport.client_certificate import UnusableCertificateError, read_client_certificate
from earwitness.transport.curl import speaks_http3

_LARGEST_BODY = 64 * 1024**2  # bytes: it is held in memory, twice for a moment


def _held_in_memory(size: int) -> int:
    if size > _LARGEST_BODY:
        raise problem("a body is held in memory while it is looked at; write 64MiB at most")
    return size


class TimeLeft(Spec):
    """How long the certificate must still be valid.

    Below `minor` is a nuisance, below `major` is as good as blocked. An expired certificate always blocks.
    """

    minor: Duration = 7 * 86400.0
    major: Duration = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.major > self.minor:
            raise problem("major is above minor; time runs down, so the minor limit is the longer one", "major")
        return self


class PhaseTimeouts(Spec):
    """Limits for single phases, in seconds; None leaves a phase to the whole `timeout`."""

    connect: Duration | None = Field(default=None, gt=0)
    tls: Duration | None = Field(default=None, gt=0)
    first_byte: Duration | None = Field(default=None, gt=0)


class HttpExpect(Spec):
    """What must be true of the answer. Texts in `body` must all be contained; the others are searched, not matched."""

    status: Statuses = ("2xx",)
    headers: HeaderPatterns = Field(default_factory=dict)
    body: Texts = ()
    body_regex: Regex | None = None
    json_: JsonChecks = Field(default_factory=dict, alias="json")
    redirect_to: Destination | None = None
    min_size: Size | None = None
    max_size: Size | None = None
    certificate_left: TimeLeft = TimeLeft()
    within: Limits = Limits()

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise problem("min_size is above max_size; no answer can satisfy both", "min_size")
        return self


_A_GOOD_ANSWER = (
    HttpExpect()
)  # one for all requests that say nothing: pydantic would copy it for each, which takes 1.7 KB


class RequestSpec(Spec):
    """What is sent, and what is expected of the answer. `body`, `form` and `json` exclude each other."""

    method: Method = "GET"
    headers: Headers = Field(default_factory=dict)
    body: str | None = None
    form: dict[str, str] = Field(default_factory=dict)
    json_: JsonTree = Field(default=None, alias="json")
    expect: HttpExpect = Field(default_factory=lambda: _A_GOOD_ANSWER)
    timeouts: PhaseTimeouts = PhaseTimeouts()
    follow_redirects: Flag = True
    redirects: Annotated[Count, Field(le=10)] = 5
    body_limit: Annotated[Size, AfterValidator(_held_in_memory)] = Field(default=1024**2, gt=0)

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        bodies = {"body": self.body is not None, "form": bool(self.form), "json": self.json_ is not None}
        written = [name for name, there in bodies.items() if there]
        if len(written) > 1:
            raise problem(f"both {written[0]} and {written[1]} are set; a request has one body", written[1])
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.expect.redirect_to is not None and self.follow_redirects and self.redirects == 0:
            raise problem(
                "redirect_to cannot be reached with redirects: 0; set follow_redirects: false", "expect.redirect_to"
            )
        if self.expect.max_size is not None and self.expect.max_size > self.body_limit:
            raise problem("body_limit is below expect.max_size; raise it, or no such body can be read", "body_limit")
        return self


_CLEAN_UP_TIME = 5.0  # seconds that a clean-up step gets beyond the time of the flow


class StepSpec(RequestSpec):
    """One request of a flow. `timeout` is within that of the whole; an `always` step has its own, 5 s unless it says more.

    `credentials` says whether user, token or oauth2 of the probe go with it; unless it says, to the first step's host only.
    """

    name: Name
    url: Annotated[str, BeforeValidator(templated_url)]
    capture: dict[str, CaptureSpec] = Field(default_factory=dict)
    timeout: Duration | None = Field(default=None, gt=0)
    effect: Effect | None = None
    always: Flag = False
    credentials: Flag | None = None

    @property
    def harm(self) -> Effect:
        """What a failure of the step does to the customer."""
        return self.effect or Effect.BLOCKED

    @cached_property
    def needs(self) -> frozenset[str]:
        """The names of the values that earlier steps must have captured."""
        return frozenset(names_in([self.url, self.headers, self.body, self.form, self.json_]))


class HttpSpec(RequestSpec, WithSecret):
    """One request, or `steps`; each try of them is a new visitor, with cookies of its own.

    `timeout` is for a whole try with all its steps and redirects. `tries` repeats inside the run; the run passes if one try
    does. `effect` says what a failure does to the customer when it is less than blocking.
    """

    url: Annotated[str, BeforeValidator(web_url)] | None = None
    steps: tuple[StepSpec, ...] = ()
    cookies: Cookies = Field(default_factory=dict)
    user: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    token: SecretValue | None = None
    token_file: Path | None = None
    oauth2: OAuth2Spec | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    timeout: Duration = Field(default=10.0, gt=0)
    fresh_connection: Flag = True
    http_version: Literal["any", "1.1", "2", "3"] = "any"
    ip: Literal["any", "4", "6", "both"] = "any"
    resolve: IpAddress | None = None
    resolver: NameServer | None = None
    proxy: ProxySection | None = None
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    tries: Annotated[Count, Field(ge=1, le=5)] = 1
    effect: Effect = Effect.BLOCKED

    @model_validator(mode="after")
    def _one_request_or_steps(self) -> Self:
        if self.url is None and not self.steps:
            raise problem("there is nothing to request; write url, or steps for several requests in a row")
        written = next(
            (name for name in type(self).model_fields if name in self.model_fields_set & _OF_A_REQUEST), None
        )
        if self.steps and written is not None:
            key = written.rstrip("_")
            raise problem(f"this probe has steps, so {key} belongs into one of them; move it there", key)
        return self

    @model_validator(mode="after")
    def _steps_in_order(self) -> Self:
        for place, step in enumerate(self.steps):
            if step.name in (other.name for other in self.steps[:place]):
                raise problem(
                    f"{step.name} is the name of an earlier step too; give each its own", f"steps.{place}.name"
                )
            if not step.always and place and self.steps[place - 1].always:
                raise problem("an always step is before this one; they clean up, so they come last", f"steps.{place}")
        return self

    @model_validator(mode="after")
    def _token_comes_first(self) -> Self:
        names = [step.name for step in self.steps]
        if self.oauth2 is not None and "token" in names:
            raise problem(
                "token is the name of the step that oauth2 adds; use another", f"steps.{names.index('token')}.name"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        if self.password is not None and self.user is None:
            raise problem("a password without a user; add user", "password")
        if self.token is not None and not re.fullmatch(r"[\x21-\x7e]+", self.token.reveal()):
            raise problem("the token holds a blank, a line break or a character beyond ASCII, or nothing", "token")
        ways = [name for name in ("user", "token", "oauth2") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise problem(f"both {ways[0]} and {ways[1]} are set; a request has one authorisation", ways[1])
        return self

    @model_validator(mode="after")
    def _spoken_here(self) -> Self:
        if self.http_version != "3":
            return self
        if not speaks_http3():
            raise problem("libcurl was built without HTTP/3 here; install a pycurl that has it", "http_version")
        if self.proxy is not None:
            raise problem("HTTP/3 does not go through a proxy; leave out one of the two", "http_version")
        for place, step in enumerate(self.flow):
            if step.url.startswith("http:"):
                raise problem("HTTP/3 needs https; change the URL", f"steps.{place}.url" if self.steps else "url")
        return self

    @model_validator(mode="after")
    def _proxy_looks_up(self) -> Self:
        mine = next((key for key in ("resolve", "resolver") if getattr(self, key) is not None), None)
        mine = mine or ("ip" if self.ip != "any" else None)
        if self.proxy is not None and mine is not None:
            raise problem(f"with a proxy, names are the proxy's to look up; leave out {mine}", mine)
        return self

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if self.resolve is not None and self.ip == "both":
            raise problem("resolve names one address, so ip: both has nothing to compare; leave out one", "ip")
        if self.resolve is not None and self.ip not in ("any", str(self.resolve.version)):
            raise problem(f"{self.resolve} is no IPv{self.ip} address; leave out ip", "ip")
        return self

    @model_validator(mode="before")
    @classmethod
    def _find_certificate(cls, data: Any, info: ValidationInfo) -> Any:
        """A relative path starts at the folder of the configuration, as that of a secret does."""
        if not isinstance(data, dict):
            return data
        folder = (info.context or {}).get("folder", Path())
        found = {key: folder / str(data[key]) for key in ("client_cert", "client_key") if data.get(key)}
        return {**data, **found}

    @model_validator(mode="after")
    def _certificate_fits(self) -> Self:
        if self.client_cert is None and self.client_key is not None:
            raise problem("a client_key without its client_cert; add client_cert", "client_key")
        if self.client_cert is not None:
            try:
                read_client_certificate(self.client_cert, self.client_key)
            except UnusableCertificateError as error:
                raise problem(str(error), error.key) from error
        return self

    @cached_property
    def flow(self) -> tuple[StepSpec, ...]:
        """The steps, each with its effect settled; one request is a flow of one step without a name."""
        if not self.steps:
            fields = {name: getattr(self, name) for name in RequestSpec.model_fields}
            settled = StepSpec.model_construct(_NONE_WRITTEN, **fields, name="", url=self.url or "", effect=self.effect)
            return (settled,)
        return tuple(step.model_copy(update={"effect": self._effect_of(step)}) for step in self.steps)

    def _effect_of(self, step: StepSpec) -> Effect:
        if step.effect is not None:
            return step.effect
        return min(self.effect, Effect.NUISANCE, key=tuple(reversed(Effect)).index) if step.always else self.effect

    @property
    def needs_curl(self) -> str | None:
        """The setting that only the transport on libcurl can do, if there is one."""
        if self.http_version in ("2", "3"):
            return "http_version"
        return "proxy" if self.proxy is not None else None

    @property
    def longest(self) -> float:
        """Seconds that a run may take."""
        cleaning = sum(step.timeout or _CLEAN_UP_TIME for step in self.steps if step.always)
        return (self.timeout + cleaning) * self.tries * (2 if self.ip == "both" else 1)

    def time_of(self, step: StepSpec, left: float) -> float:
        """Return the seconds that a step may take when the whole has `left` of them."""
        if step.always:
            return step.timeout or _CLEAN_UP_TIME
        return left if step.timeout is None else min(step.timeout, left)

    def secrets(self) -> Iterator[str]:
        """Yield the texts that nothing we keep may show, even where a server echoes them."""
        own = (self.password, self.token, self.proxy and self.proxy.password, self.oauth2 and self.oauth2.client_secret)
        yield from (secret.reveal() for secret in own if isinstance(secret, Secret))
        yield from self.cookies.values()


_NONE_WRITTEN: set[str] = set()  # one for all steps that we make
_OF_A_REQUEST = frozenset({*RequestSpec.model_fields, "url"})
