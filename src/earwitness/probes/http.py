"""The HTTP probe: one request as a customer's browser or program would make it, and what must be true of the answer."""

import base64
import re
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

import httpx
import regex
from jsonpath_ng import JSONPath
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse as parse_json_path
from pydantic import BeforeValidator, Field, model_validator

from earwitness.config.fields import Duration, Flag, Limits, SecretValue, Size, Spec, Texts, WithSecret, problem
from earwitness.model import (
    Attribution,
    Channel,
    Effect,
    Evidence,
    Failure,
    Finding,
    Observation,
    Scalar,
    Step,
    worst_effect,
)
from earwitness.probes.context import Kind, RunContext
from earwitness.probes.http_checks import Answer, check_head, check_rest
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Exchange, Stage, Terms
from earwitness.transport.redaction import MASK, header_text, mask_text, mask_url, sensitive_field, sensitive_header
from earwitness.transport.redirects import Trail, follow

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EVIDENCE_BODY = 256 * 1024  # characters of a body that are kept
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


def _regex(value: Any) -> regex.Pattern[str]:
    if isinstance(value, regex.Pattern):
        return value
    try:
        return regex.compile(str(value))
    except regex.error as error:
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


Regex = Annotated[regex.Pattern[str], BeforeValidator(_regex, json_schema_input_type=str)]
Count = Annotated[int, BeforeValidator(_whole_number)]


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


@dataclass(slots=True)
class _Try:
    """One try: what was asked, what came, and what is wrong with it."""

    request: httpx.Request
    started: float  # seconds into the run
    findings: list[Finding] = field(default_factory=list)
    trail: Trail = field(default_factory=Trail)
    answer: Answer | None = None
    duration: float = 0.0

    @property
    def badness(self) -> tuple[bool, int]:
        """Order by what a customer who tried again would have met; what we cannot tell comes last."""
        unsure = any(f.attribution is not Attribution.TARGET for f in self.findings)
        return unsure, -list(Effect).index(worst_effect(tuple(self.findings)))


async def run(spec: HttpSpec, ctx: RunContext) -> Observation:
    """Make the request, as often as `tries` allows until one try passes, and say what was wrong with the best of them.

    Facts: url (query values masked), final_url, redirects, status, address, http_version, certificate_subject,
    certificate_not_after (seconds since the epoch). Measures: duration and phase_resolve, phase_connect, phase_tls,
    phase_processing, phase_transfer in seconds (summed over redirects; without TLS there is no phase_tls), status_code,
    size in bytes after decompression, cert_expiry (earliest in the chain, seconds since the epoch).
    """
    if ctx.web is None:
        raise RuntimeError("an HTTP probe needs a web client")
    tries: list[_Try] = []
    async with ctx.web.client() as client:
        while len(tries) < spec.tries and (not tries or tries[-1].findings):
            tries.append(await _attempt(spec, client, ctx.web.terms(spec.allow), ctx))
    best = min(reversed(tries), key=lambda one: one.badness)
    if any(f.failure in _UNREACHED for f in best.findings) and not await ctx.web.uplink.works():
        best.findings = [_our_uplink(best.findings[0])]
    return ctx.observe(
        findings=best.findings,
        steps=[_step(spec, one) for one in tries],
        evidence=await _evidence(spec, best, ctx),
        facts=_facts(spec, best),
        measures=_measures(best),
    )


_UNREACHED = (Failure.NAME_NOT_FOUND, Failure.CONNECT_TIMEOUT, Failure.CONNECTION_FAILED, Failure.CONNECTION_REFUSED)
"""What looks the same when it is our own uplink, resolver or firewall that fails."""


def _our_uplink(seen: Finding) -> Finding:
    message = f"our own uplink is down: no known_good address answers either ({seen.message})"
    return Finding(Failure.UPLINK_DOWN, message, Effect.NONE, Attribution.MONITOR)


KIND = Kind(channel=Channel.HTTP, spec=HttpSpec, run=run, budget=lambda spec: spec.timeout * spec.tries)


async def _attempt(spec: HttpSpec, client: httpx.AsyncClient, terms: Terms, ctx: RunContext) -> _Try:
    client.cookies.clear()
    this = _Try(_request(spec, client), started=ctx.elapsed)
    limits = {Stage.CONNECT: spec.timeouts.connect, Stage.TLS: spec.timeouts.tls}
    limits[Stage.PROCESSING] = spec.timeouts.first_byte
    terms = replace(
        terms,
        timeout=spec.timeout,
        fresh=spec.fresh_connection,
        limits={stage: limit for stage, limit in limits.items() if limit is not None},
        body_limit=spec.body_limit,
    )
    try:
        redirects = spec.redirects if spec.follow_redirects else None
        response = await follow(client, this.request, terms, this.trail, redirects)
        await _judge(spec, response, this, ctx)
    except httpx.HTTPError as error:
        this.findings.append(_finding(spec, error, this))
    this.duration = ctx.elapsed - this.started
    return this


def _request(spec: HttpSpec, client: httpx.AsyncClient) -> httpx.Request:
    content = spec.body.encode() if spec.body is not None else None
    request = client.build_request(spec.method, spec.url, headers=spec.headers, content=content, data=spec.form or None)
    if spec.user is not None:
        password = spec.password.reveal() if spec.password else ""
        token = base64.b64encode(f"{spec.user}:{password}".encode()).decode("ascii")
        request.headers["authorization"] = f"Basic {token}"
    return request


async def _judge(spec: HttpSpec, response: httpx.Response, this: _Try, ctx: RunContext) -> None:
    """Read the body and check everything; what breaks off the body leaves the head to be judged."""
    parts: list[bytes] = []
    broken: ExchangeError | None = None
    try:
        async for chunk in response.aiter_raw():
            parts.append(chunk)  # noqa: PERF401  # What came before it broke off is evidence.
    except ExchangeError as error:
        broken = error
    finally:
        await response.aclose()
    exchange = this.trail.exchanges[-1] if this.trail.exchanges else Exchange()
    this.answer = Answer(
        url=response.url,
        status=response.status_code,
        reason=response.reason_phrase,
        headers=httpx.Headers(exchange.headers or response.headers),
        body=b"".join(parts),
        seconds=ctx.elapsed - this.started,
        certificates=exchange.certificates,
    )
    this.findings += check_head(spec, this.answer, ctx.clock.now())
    this.findings += check_rest(spec, this.answer) if broken is None else [_finding(spec, broken, this)]


_HTTPX = (
    (httpx.ConnectTimeout, Failure.CONNECT_TIMEOUT),
    (httpx.ConnectError, Failure.CONNECTION_FAILED),
    (httpx.TimeoutException, Failure.FIRST_BYTE_TIMEOUT),
    (httpx.NetworkError, Failure.CONNECTION_LOST),
    (httpx.RemoteProtocolError, Failure.PROTOCOL_ERROR),
)
"""For errors that httpx raises above the transport, such as a redirect that makes no sense."""


def _finding(spec: HttpSpec, error: httpx.HTTPError, this: _Try) -> Finding:
    at = this.duration or None
    if not isinstance(error, ExchangeError):
        failure = next((failure for kind, failure in _HTTPX if isinstance(error, kind)), Failure.MONITOR_ERROR)
        error = ExchangeError(str(error) or type(error).__name__, failure)
    ours = error.attribution is not Attribution.TARGET
    message = mask_text(str(error), _secrets(spec))
    return Finding(error.failure, message, Effect.NONE if ours else spec.effect, error.attribution, at=at)


def _step(spec: HttpSpec, one: _Try) -> Step:
    note = one.findings[0].message if one.findings else (one.answer.status_line if one.answer else "")
    return Step(f"{spec.method} {mask_url(spec.url)}", not one.findings, one.started, one.duration, note)


def _facts(spec: HttpSpec, best: _Try) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {"url": mask_url(spec.url), "redirects": len(best.trail.hops)}
    if best.answer is not None:
        facts |= {"final_url": mask_url(best.answer.url), "status": best.answer.status}
    if best.trail.exchanges:
        last = best.trail.exchanges[-1]
        facts |= {"address": last.address, "http_version": last.http_version}
        if last.certificates:
            leaf = last.certificates[0]
            facts |= {"certificate_subject": leaf.subject, "certificate_not_after": leaf.not_after}
    return {name: value for name, value in facts.items() if value is not None}


def _measures(best: _Try) -> dict[str, float]:
    measures: dict[str, float] = {"duration": best.duration}
    for exchange in best.trail.exchanges:
        for stage, seconds in exchange.phases.items():
            measures[f"phase_{stage}"] = measures.get(f"phase_{stage}", 0.0) + seconds
    if best.answer is not None:
        measures |= {"status_code": float(best.answer.status), "size": float(len(best.answer.body))}
    if best.trail.exchanges and best.trail.exchanges[-1].certificates:
        measures["cert_expiry"] = min(c.not_after for c in best.trail.exchanges[-1].certificates)
    return measures


def _secrets(spec: HttpSpec) -> list[str]:
    """Return the texts that nothing we keep may show, even where a server echoes them."""
    secrets = [value for name, value in spec.headers.items() if sensitive_header(name)]
    secrets += [value for name, value in spec.form.items() if sensitive_field(name)]
    if spec.password is not None:
        secrets.append(spec.password.reveal())
        secrets.append(base64.b64encode(f"{spec.user}:{spec.password.reveal()}".encode()).decode("ascii"))
    return secrets + [value for _, value in httpx.URL(spec.url).params.multi_items()]


async def _evidence(spec: HttpSpec, best: _Try, ctx: RunContext) -> list[Evidence]:
    """Keep request and answer where something is wrong with the target; a run that passed leaves no file."""
    if not any(f.attribution is Attribution.TARGET for f in best.findings):
        return []
    files = [("request", _request_text(spec, best))]
    if best.answer is not None:
        lines = f"HTTP {best.answer.status_line}\n{header_text(best.answer.headers)}\n"
        files.append(("response", lines + mask_text(best.answer.text[:_EVIDENCE_BODY], _secrets(spec))))
    return [
        evidence
        for kind, text in files
        for evidence in await ctx.keep(
            text.encode(), kind=kind, media_type="text/plain; charset=utf-8", name=f"{kind}.txt"
        )
    ]


def _request_text(spec: HttpSpec, best: _Try) -> str:
    head = f"{spec.method} {mask_url(spec.url)}\n{header_text(best.request.headers)}"
    form = "\n".join(f"{n}={MASK if sensitive_field(n) else v}" for n, v in spec.form.items())
    body = mask_text((spec.body or form)[:_EVIDENCE_BODY], _secrets(spec))
    return "\n".join([head, body, *(f"-> {hop}" for hop in best.trail.hops)])
