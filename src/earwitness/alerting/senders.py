"""Carries what hooks say to the outside and brings back the replies. Nothing that is told of a failure holds a secret."""

import asyncio
import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, assert_never
from urllib.parse import urlsplit

import httpx

from earwitness.alerting.announcing import Announcer
from earwitness.alerting.dialling import Dialler
from earwitness.hooks.base import Announcement, Dialling, HookOutcome, HookRequest, Mail, Message, Reason, Reply, cut
from earwitness.logs import secrets_in
from earwitness.model import Failure
from earwitness.transport.errors import ExchangeError

T = TypeVar("T")
_LONGEST_REPLY = 64 * 1024  # bytes read of a reply
_LONGEST_DETAIL = 300  # characters
_MASK = "<secret>"
_TELLING = 8  # characters of an address; shorter paths are words of our own

_REASON = {
    Failure.ADDRESS_REFUSED: Reason.ADDRESS_REFUSED,
    Failure.TLS_FAILED: Reason.TLS,
    Failure.CERTIFICATE_INVALID: Reason.TLS,
    Failure.NO_TRUST_STORE: Reason.TLS,
}


@dataclass(frozen=True, slots=True)
class Senders:
    """The ways out, for one hook."""

    http: httpx.AsyncClient
    files: Callable[[str], Path]  # the file of a piece of evidence, by its SHA-256
    dialler: Dialler | None = None  # without one nothing is dialled
    announcer: Announcer = field(default_factory=Announcer)

    async def send(self, message: Message, seconds: float) -> Reply | HookOutcome:
        """Return the reply, or why there is none."""
        match message:
            case HookRequest():
                return await _ask(self.http, message, seconds)
            case Mail():
                from earwitness.alerting.mail import send_mail  # noqa: PLC0415  1 MB, where mail is sent.

                return await send_mail(message, self.files, seconds)
            case Announcement():
                return await self.announcer.announce(message, seconds)
            case Dialling():
                return await self._dial(message, seconds)
            case _:
                assert_never(message)

    async def _dial(self, call: Dialling, seconds: float) -> Reply | HookOutcome:
        if self.dialler is None:
            return HookOutcome(
                "refused",
                Reason.ADDRESS_REFUSED,
                "only a running daemon calls, as it keeps the budget; name it with --url",
            )
        return await self.dialler.dial(call, lambda: _ask(self.http, call.request, seconds))


async def converse(
    talk: Generator[Message, Reply, T], senders: Senders, section: object, each: float, in_all: float
) -> T | HookOutcome:
    """Hold a talk to its end: at most `each` seconds for a reply and `in_all` for everything.

    `section` is the hook's configuration; its secrets, and what the requests were authorised with, are in no detail.
    """
    hidden, deadline = set(secrets_in(section)), time.monotonic() + in_all
    try:
        message = next(talk)
        while True:
            hidden |= _hidden(message)
            reply = await senders.send(message, min(each, max(0.1, deadline - time.monotonic())))
            if isinstance(reply, HookOutcome):
                talk.close()
                return _without(hidden, reply)
            message = talk.send(_masked(hidden, reply))
    except StopIteration as ended:
        result: T = ended.value
        return _without(hidden, result) if isinstance(result, HookOutcome) else result


def _hidden(message: Message) -> set[str]:
    """Return what a provider could echo: the authorisation as it was sent, and the part of the address that may be a secret."""
    if isinstance(message, Dialling):
        return _hidden(message.request) | {message.to, message.from_}
    if not isinstance(message, HookRequest):
        return set()
    sent = {name.lower(): value for name, value in message.headers.items()}.get("authorization", "")
    parts = urlsplit(message.url)
    return {
        text for text in (message.url, sent, sent.rpartition(" ")[2], parts.path, parts.query) if len(text) >= _TELLING
    }


def _masked(hidden: set[str], reply: Reply) -> Reply:
    """Return the reply without what is hidden: a kind that cuts or rewrites words of it could leave a piece that nobody recognises."""
    body = reply.body
    for text in sorted((t for t in hidden if len(t) >= _TELLING), key=len, reverse=True):
        for written in {text, json.dumps(text)[1:-1], text.replace("/", r"\/")}:
            body = body.replace(written.encode(), _MASK.encode())
    return reply if body == reply.body else replace(reply, body=body)


def _without(hidden: set[str], outcome: HookOutcome) -> HookOutcome:
    """Mask what is hidden, and only then cut."""
    detail = outcome.detail
    for text in sorted(hidden, key=len, reverse=True):
        detail = detail.replace(text, _MASK)
    return replace(outcome, detail=cut(detail, _LONGEST_DETAIL))


async def _ask(http: httpx.AsyncClient, request: HookRequest, seconds: float) -> Reply | HookOutcome:
    try:
        async with asyncio.timeout(seconds):
            async with http.stream(
                request.method, request.url, headers=dict(request.headers), content=request.body, follow_redirects=False
            ) as response:
                return Reply(response.status_code, _lower(response.headers), await _read(response))
    except (TimeoutError, httpx.TimeoutException):
        return HookOutcome("retry", Reason.TIMEOUT, f"no answer within {seconds:g} s")
    except ExchangeError as error:
        return HookOutcome("retry", _REASON.get(error.failure, Reason.CONNECTION), error.failure.value)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return HookOutcome("retry", Reason.CONNECTION, type(error).__name__)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= _LONGEST_REPLY:
            break
    return bytes(body[:_LONGEST_REPLY])
