"""The HTTP probe: one request as a customer's browser or program would make it, and what must be true of the answer."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

import httpx
from jsonpath_ng import JSONPath
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse as parse_json_path
from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Duration, Limits, SecretValue, Size, Spec, Texts, WithSecret, problem
from earwitness.model import Channel, Effect, Observation
from earwitness.probes.context import Kind, RunContext

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"[1-5](?:\d\d|xx)")


def _url(value: Any) -> str:
    text = str(value).strip()
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise problem(f"{text!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise problem(f"{text!r} is not a web address; write http:// or https:// and a host")
    if url.userinfo:
        raise problem("the URL carries a user or password; write them as user and password_file")
    return text


def _method(value: Any) -> str:
    text = str(value).strip()
    if not _TOKEN.fullmatch(text) or text.upper() == "CONNECT":
        raise problem(f"{text!r} is not an HTTP method; write one such as GET, HEAD or POST")
    return text.upper()


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for name, text in value.items():
        if not _TOKEN.fullmatch(str(name)):
            raise problem(f"{name!r} is not a header name; use letters, digits and dashes", str(name))
        if isinstance(text, str) and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
            raise problem("the value holds a control character, which no header may carry", str(name))
    return value


def _statuses(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    wrong = next((s for s in listed if not _STATUS.fullmatch(str(s))), None)
    if wrong is not None or not listed:
        raise problem(f"{wrong!r} is not a status; write one such as 200, a class such as 2xx, or a list of them")
    return tuple(str(s) for s in listed)


def _regex(value: Any) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    try:
        return re.compile(str(value))
    except re.error as error:
        raise problem(f"{value!r} is not a regular expression: {error}") from error


def _json_path(text: str) -> JSONPath:
    try:
        return parse_json_path(text)
    except (JSONPathError, ValueError, TypeError) as error:
        raise problem(f"{text!r} is not a JSON path; write one such as $.status", text) from error


def _json_checks(value: Any) -> Any:
    for path in value if isinstance(value, dict) else ():
        _json_path(str(path))
    return value


def _whole_number(value: Any) -> int:
    if not re.fullmatch(r"\d{1,9}", str(value).strip()):
        raise problem(f"{value!r} is not a whole number")
    return int(str(value).strip())


def _flag(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if str(value).lower() not in words:
        raise problem(f"{value!r} is neither true nor false")
    return words[str(value).lower()]


Regex = Annotated[re.Pattern[str], BeforeValidator(_regex, json_schema_input_type=str)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]


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

    connect: Duration | None = None
    tls: Duration | None = None
    first_byte: Duration | None = None


class HttpExpect(Spec):
    """What must be true of the answer. Texts in `body` must all be contained; the others are searched, not matched."""

    status: Annotated[tuple[str, ...], BeforeValidator(_statuses, json_schema_input_type=str | list[str])] = ("2xx",)
    headers: Annotated[dict[str, Regex], BeforeValidator(_headers)] = Field(default_factory=dict)
    body: Texts = ()
    body_regex: Regex | None = None
    json_: Annotated[dict[str, str], BeforeValidator(_json_checks)] = Field(default_factory=dict, alias="json")
    redirect_to: str | None = None
    min_size: Size | None = None
    max_size: Size | None = None
    certificate_left: TimeLeft = TimeLeft()
    within: Limits = Limits()

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise problem("min_size is above max_size; no answer can satisfy both", "min_size")
        return self


class HttpSpec(WithSecret):
    """One request and what is expected of its answer.

    `timeout` is for a whole try with its redirects. `tries` repeats inside the run; the run passes if one try does.
    `effect` says what a failure does to the customer when it is less than blocking.
    """

    url: Annotated[str, BeforeValidator(_url)]
    method: Annotated[str, BeforeValidator(_method)] = "GET"
    headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field(default_factory=dict)
    body: str | None = None
    form: dict[str, str] = Field(default_factory=dict)
    user: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    expect: HttpExpect = HttpExpect()
    timeout: Duration = Field(default=10.0, gt=0)
    timeouts: PhaseTimeouts = PhaseTimeouts()
    follow_redirects: Flag = True
    redirects: Annotated[Count, Field(le=10)] = 5
    body_limit: Size = Field(default=1024**2, gt=0)
    fresh_connection: Flag = True
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    tries: Annotated[Count, Field(ge=1, le=5)] = 1
    effect: Effect = Effect.BLOCKED

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.body is not None and self.form:
            raise problem("both body and form are set; a request has one body", "form")
        if self.password is not None and self.user is None:
            raise problem("a password without a user; add user", "password")
        if self.expect.redirect_to is not None and self.follow_redirects and self.redirects == 0:
            raise problem(
                "redirect_to cannot be reached with redirects: 0; set follow_redirects: false", "expect.redirect_to"
            )
        if self.expect.max_size is not None and self.expect.max_size > self.body_limit:
            raise problem("body_limit is below expect.max_size; raise it, or no such body can be read", "body_limit")
        return self


async def run(spec: HttpSpec, ctx: RunContext) -> Observation:
    raise NotImplementedError


KIND = Kind(channel=Channel.HTTP, spec=HttpSpec, run=run, budget=lambda spec: spec.timeout * spec.tries)
