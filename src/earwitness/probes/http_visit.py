"""One try of a flow, as one visitor makes it: step after step, with the cookies and the captured values of this visit."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from earwitness.model import Attribution, Effect, Failure, Finding, worst_effect
from earwitness.probes.context import RunContext
from earwitness.probes.http_capture import captured
from earwitness.probes.http_checks import Answer, check_head, check_rest
from earwitness.probes.http_fields import parsed_url
from earwitness.probes.http_oauth2 import OAuth2Spec, Token, basic, read_token, refused_by
from earwitness.probes.http_prepared import Prepared
from earwitness.probes.http_spec import HttpSpec, StepSpec
from earwitness.probes.http_step import Visit, finding_of, host_of
from earwitness.probes.http_templates import (
    Captured,
    UnusableValueError,
    fill_body,
    fill_form,
    fill_headers,
    fill_json,
    fill_url,
)
from earwitness.probes.http_terms import check_version, terms_of, terms_of_step
from earwitness.probes.leaving import LEAVING, leave
from earwitness.transport.base import Arrival
from earwitness.transport.chain import as_utc, needed_of
from earwitness.transport.client_certificate import (
    ClientCertificate,
    UnusableCertificateError,
    read_client_certificate,
)
from earwitness.transport.cookies import keep_cookies, send_cookies
from earwitness.transport.errors import ExchangeError
from earwitness.transport.exchange import Certificate, Terms
from earwitness.transport.redaction import Redaction, is_long, secrets_of_request
from earwitness.transport.redirects import follow, same_origin

if TYPE_CHECKING:
    from earwitness.transport.client import WebClient

_log = structlog.get_logger(__name__)
_CAN_GO_ON = (Failure.SLOW, Failure.CERTIFICATE_EXPIRING)
_COOKIE = 8  # characters of a received cookie that make it a secret: `yes` and `dark` are none


class Visitor:
    """Walks through the flow once. `family` is the version of IP to go by, None for any."""

    def __init__(
        self, spec: HttpSpec, ctx: RunContext, web: "WebClient", redaction: Redaction, family: int | None
    ) -> None:
        self._suffix = f" over IPv{family}" if spec.ip == "both" else ""
        self._spec, self._ctx, self._web, self._redaction = spec, ctx, web, redaction
        self._family = family
        self._jar = httpx.Cookies()
        self._terms = ctx.memo.once(spec, ("terms", family), lambda: terms_of(spec, web.terms(spec.allow), family))
        self._home = parsed_url(spec.flow[0].url)  # where credentials belong
        self._values: dict[str, Captured] = {}
        self._token: Token | None = None
        self._fetched = False  # whether the token is of this visit
        self._last_url: httpx.URL | None = None
        self.visits: list[Visit] = []

    async def walk(self) -> list[Visit]:
        """Return the visits of the steps: up to the first that stops a customer, and of those that clean up."""
        self._bring_cookies()
        self._read_certificate()
        self._until = asyncio.get_running_loop().time() + self._spec.timeout
        try:
            await self._take_all()
        except asyncio.CancelledError:
            await self._leave()
            raise
        return self.visits

    async def _take_all(self) -> None:
        stopped = self._spec.oauth2 is not None and not await self._sign_in()
        for step in self._spec.flow:
            if step.always or not stopped:
                visit = await self._take(step)
                stopped = stopped or (visit.stops and not step.always)

    async def _leave(self) -> None:
        """Clean up after a visit that was cut off. What fails is told in the log alone."""
        if all(visit.request is None or visit.signs_in for visit in self.visits):
            return
        ended = [visit.step for visit in self.visits[:-1]]
        left = [step for step in self._spec.flow if step.always and step not in ended]
        self._until = asyncio.get_running_loop().time() + LEAVING
        await leave(left, self._clean_up, self._not_cleaned_up)

    async def _clean_up(self, step: StepSpec) -> str:
        seen = (await self._take(step)).step_seen
        return "" if seen.ok else seen.note

    def _not_cleaned_up(self, step: StepSpec, why: str) -> None:
        _log.warning("not_cleaned_up", run=self._ctx.run.id, step=step.name, why=self._ctx.redact(why))

    def _bring_cookies(self) -> None:
        """Let the jar take the configured cookies as if the first step's host had set them."""
        if self._spec.cookies:
            lines = [(b"set-cookie", f"{name}={value}; Path=/".encode()) for name, value in self._spec.cookies.items()]
            keep_cookies(self._jar, lines, httpx.Request("GET", self._home))

    def _read_certificate(self) -> None:
        """Take up our certificate as it is now: it may have been renewed, or have expired, since the configuration was read."""
        self._certificate: ClientCertificate | None = None
        self._unusable: str | None = None
        if self._spec.client_cert is not None:
            try:
                now = self._ctx.clock.now()
                self._certificate = read_client_certificate(self._spec.client_cert, self._spec.client_key, now)
            except UnusableCertificateError as error:
                self._unusable = f"our client certificate cannot be used: {error}"

    # --- signing in --------------------------------------------------------------------------------------------------

    async def _sign_in(self) -> bool:
        """Hold a token: one of an earlier run, or a new one. Returns whether there is one."""
        assert self._spec.oauth2 is not None
        self._token = self._ctx.tokens.get(self._spec.oauth2, self._ctx.clock.monotonic())
        return self._token is not None or await self._fetch_token()

    async def _fetch_token(self) -> bool:
        oauth2 = self._spec.oauth2
        assert oauth2 is not None
        visit = self._begin(self._ctx.memo.once(self._spec, "token", lambda: self._token_step(oauth2)))
        visit.signs_in = True
        await self._send(visit)
        self._token = self._read_token(visit)
        self._settle(visit)
        self._fetched = True
        if self._token is not None:
            self._ctx.tokens.put(oauth2, self._token)
        return self._token is not None

    def _token_step(self, oauth2: OAuth2Spec) -> StepSpec:
        return StepSpec.model_validate(
            {
                "name": "token",
                "url": oauth2.token_url,
                "method": "POST",
                "form": oauth2.form(),
                "headers": oauth2.headers(),
                "effect": self._spec.effect,
                "credentials": False,
                "follow_redirects": False,  # one that keeps the form would carry the client's secret wherever it leads
            }
        )

    def _read_token(self, visit: Visit) -> Token | None:
        if visit.answer is None or visit.findings:
            refused = visit.answer and refused_by(visit.answer.body)
            if refused:
                message = f"the token endpoint refuses our client: {refused}"
                visit.findings = [Finding(Failure.WRONG_STATUS, message, Effect.NONE, Attribution.UNKNOWN)]
            return None
        token = read_token(visit.answer.body, self._ctx.clock.monotonic())
        if token is None:
            visit.findings.append(Finding(Failure.WRONG_BODY, "the token endpoint gave no token", visit.step.harm))
            return None
        self._redaction.hide(token.text)
        return token

    def _authorization(self, url: httpx.URL, step: StepSpec) -> str | None:
        """Return what signs a request in, if it may go there."""
        spec = self._spec
        if not self._trusted(url, step):
            return None
        if spec.user is not None:
            return basic(spec.user, spec.password.reveal() if spec.password else "")
        if spec.token is not None:
            return f"Bearer {spec.token.reveal()}"
        return f"Bearer {self._token.text}" if self._token is not None else None

    def _trusted(self, url: httpx.URL, step: StepSpec) -> bool:
        """Whether credentials go along: unless the step says so, to the first step's origin only."""
        return same_origin(url, self._home) if step.credentials is None else step.credentials

    # --- one step ----------------------------------------------------------------------------------------------------

    def _begin(self, step: StepSpec) -> Visit:
        name = (step.name or f"{step.method} {self._redaction.url(step.url)}") + self._suffix
        self.visits.append(Visit(step, name, self._ctx.elapsed))
        return self.visits[-1]

    async def _take(self, step: StepSpec) -> Visit:
        visit = self._begin(step)
        missing = sorted(step.needs - self._values.keys()) if step.name else []
        if missing:
            visit.note = f"skipped: {' and '.join(missing)} was never captured"
            return visit
        await self._send(visit)
        if self._outlived(visit):
            return await self._with_new_token(visit)
        self._settle(visit)
        return visit

    async def _send(self, visit: Visit) -> None:
        if self._unusable is not None:
            failure = Failure.CLIENT_CERTIFICATE_UNUSABLE
            visit.findings = [Finding(failure, self._unusable, Effect.NONE, Attribution.MONITOR)]
            return
        if not visit.step.always and self._until <= asyncio.get_running_loop().time():
            visit.findings = [self._no_time_for(visit.step)]
            visit.lacks = True  # and so will those after it
            return
        try:
            visit.request = self._request(visit)
        except UnusableValueError as error:
            visit.findings = [Finding(Failure.CAPTURE_FAILED, str(error), visit.step.harm)]
        else:
            await self._exchange(visit, visit.request)
        visit.duration = self._ctx.elapsed - visit.started

    def _no_time_for(self, step: StepSpec) -> Finding:
        """Return that the time of the whole is over: as bad as what took it, or as the step where nothing else was wrong."""
        before = [finding for visit in self.visits for finding in visit.findings]
        message = f"no time was left for it of the {self._spec.timeout:g} s that the whole has"
        return Finding(Failure.TRANSFER_TIMEOUT, message, worst_effect(tuple(before)) if before else step.harm)

    def _outlived(self, visit: Visit) -> bool:
        """Whether a token that we kept is refused: it was ours to renew, and says nothing about the target."""
        if self._fetched or self._token is None or visit.request is None or visit.answer is None:
            return False
        sent = visit.request.headers.get("authorization") == f"Bearer {self._token.text}"
        return sent and visit.answer.status == 401

    async def _with_new_token(self, visit: Visit) -> Visit:
        assert self._spec.oauth2 is not None
        self.visits.remove(visit)
        self._ctx.tokens.forget(self._spec.oauth2)
        if not await self._fetch_token():
            return self.visits[-1]
        return await self._take(visit.step)

    def _request(self, visit: Visit) -> httpx.Request:
        """Return the request; one that needs nothing of this visit is built once for all. Raises UnusableValueError."""
        step = visit.step
        if visit.signs_in or step.needs or self._token is not None or any(self._jar.jar):
            prepared = Prepared.of(self._built(step))
        else:
            prepared = self._ctx.memo.once(step, "request", lambda: Prepared.of(self._built(step)))
        self._hide(prepared.secrets)
        return prepared.request

    def _built(self, step: StepSpec) -> httpx.Request:
        url = fill_url(step.url, self._values, self._last_url)
        headers = httpx.Headers(fill_headers(step.headers, self._values))
        content_type = headers.get("content-type", "").lower()
        body: dict[str, Any] = {}
        if step.body is not None:
            body["content"] = fill_body(step.body, self._values, content_type).encode()
        elif step.json_ is not None:
            body["json"] = fill_json(step.json_, self._values)
        elif step.form:
            body["data"] = fill_form(step.form, self._values)
        request = self._web.request(step.method, url, headers, **body)
        send_cookies(self._jar, request)
        authorization = self._authorization(url, step)
        if authorization is not None and "authorization" not in headers:
            request.headers["authorization"] = authorization
        return request

    async def _exchange(self, visit: Visit, request: httpx.Request) -> None:
        step = visit.step
        terms, redirects = self._terms_for(request, step), step.redirects if step.follow_redirects else None
        left = self._until - asyncio.get_running_loop().time()
        seconds = max(0.001, self._spec.time_of(step, left))
        try:
            try:
                arrival = await follow(self._web.transport, self._jar, request, terms, visit.trail, redirects, seconds)
            finally:
                for asked in visit.trail.asked:
                    self._hide(secrets_of_request(asked))
            await self._read(arrival, visit, request)
        except httpx.TransportError as error:
            visit.findings.append(finding_of(error, step))
            visit.lacks = bool(step.capture)

    def _terms_for(self, request: httpx.Request, step: StepSpec) -> Terms:
        terms = self._ctx.memo.once(step, ("terms", self._family), lambda: terms_of_step(self._terms, step))
        if self._certificate is None or not self._trusted(request.url, step):
            return terms
        return replace(terms, client=self._certificate)

    async def _read(self, arrival: Arrival, visit: Visit, request: httpx.Request) -> None:
        """Read the body and check everything; what breaks off the body leaves the head to be judged."""
        body = bytearray()  # and no list of its pieces, which may be many and tiny
        broken: ExchangeError | None = None
        try:
            async for piece in arrival.body:
                body += piece  # what came before it broke off is evidence
        except ExchangeError as error:
            broken = error
        finally:
            await arrival.body.aclose()
        exchange = arrival.exchange
        visit.answer = answer = Answer(
            asked=request.url,
            url=arrival.url,
            status=arrival.status,
            reason=arrival.reason,
            raw_headers=arrival.headers,
            body=bytes(body),
            seconds=self._ctx.elapsed - visit.started,
            certificates=[c for shown in visit.trail.exchanges for c in self._needed(shown.certificates, visit.step)],
            redaction=self._redaction,
        )
        self._last_url = arrival.url
        self._hide_cookies()
        captures = broken is None and visit.step.capture
        missed = await _searched(answer, lambda: list(self._capture(visit.step, answer))) if captures else []
        visit.lacks = bool(missed if broken is None else visit.step.capture)
        visit.findings += check_version(self._terms, exchange, visit.step)
        visit.findings += check_head(visit.step, answer, self._ctx.clock.now())
        if broken is None:
            visit.findings += await _searched(answer, lambda: check_rest(visit.step, answer))
        else:
            visit.findings.append(finding_of(broken, visit.step))
        if all(
            f.failure in _CAN_GO_ON for f in visit.findings
        ):  # what a wrong answer does not hold only follows from it
            visit.findings += missed

    def _needed(self, certificates: Sequence[Certificate], step: StepSpec) -> Sequence[Certificate]:
        """Return those of the certificates that can be wrong: where one runs out that is not the server's own, only if it is needed."""
        now = self._ctx.clock.now()
        if all(certificate.not_after - now >= step.expect.certificate_left.minor for certificate in certificates[1:]):
            return certificates
        return needed_of(certificates, self._web.connector.trust, as_utc(now))

    def _capture(self, step: StepSpec, answer: Answer) -> Iterator[Finding]:
        """Take what the step captures, before anything of the answer is put in words: most of it is secret."""
        for name, spec in step.capture.items():
            try:
                value = captured(spec, answer, self._jar.jar)
            except UnusableValueError as error:
                value = Finding(Failure.CAPTURE_FAILED, f"nothing to capture as {name}: {error}", step.harm)
            if isinstance(value, Finding):
                yield value
            elif value is None or value == "":
                message = f"nothing to capture as {name}: looked for {spec.looked_for}, there is none"
                yield Finding(Failure.CAPTURE_FAILED, message, step.harm)
            else:
                self._values[name] = Captured(value, spec.secret)
                if spec.secret:
                    self._redaction.hide(self._values[name].text)

    def _hide(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            self._redaction.hide(secret)

    def _hide_cookies(self) -> None:
        for cookie in self._jar.jar:
            if cookie.value is not None and len(cookie.value) >= _COOKIE:
                self._redaction.hide(cookie.value)

    def _settle(self, visit: Visit) -> None:
        """Give each finding its step and its owner, take out of it what nobody may see, and say nothing twice."""
        if not visit.findings:
            return
        said = {(f.failure, f.message) for other in self.visits if other is not visit for f in other.findings}
        settled = [
            self._ctx.hosts.attributed(
                replace(finding, message=self._redaction.text(finding.message), step=visit.name),
                host_of(visit, finding.failure, self._ctx.clock.now()),
            )
            for finding in visit.findings
        ]
        visit.findings = [f for f in settled if f.failure is not Failure.CERTIFICATE_EXPIRING or _key(f) not in said]


async def _searched(answer: Answer, search: Callable[[], list[Finding]]) -> list[Finding]:
    """Return what a search of the body finds; of a long one it takes seconds, and is done beside the loop."""
    return await asyncio.to_thread(search) if is_long(answer.body) else search()


def _key(finding: Finding) -> tuple[Failure, str]:
    return finding.failure, finding.message
