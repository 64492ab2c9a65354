"""What every hook is: a pure function to a request, and a pure function from the reply to an outcome."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from earwitness.config.fields import Spec
from earwitness.model import Incident, TransitionKind


class Reason(StrEnum):
    """Why an attempt ended as it did: a closed list, safe as a metric label."""

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    ADDRESS_REFUSED = "address_refused"
    REDIRECT = "redirect"
    AUTHENTICATION = "authentication"
    REJECTED = "rejected"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NO_HOOK = "no_hook"
    TOO_OLD = "too_old"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told: one transition, with the incident as it is when it is first told."""

    key: str  # idempotency key
    kind: TransitionKind
    at: float
    text: str
    incident: Incident
    url: str  # the incident's page
    evidence_url: str  # its files are below


@dataclass(frozen=True, slots=True)
class HookRequest:
    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """`delivered`, `retry` (not before `retry_after` seconds) or `refused`, which no retry will change."""

    result: str
    reason: Reason
    detail: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class HookKind:
    """`render` makes the body once; `request` wraps it for one attempt at a moment; `read` judges the reply."""

    spec: type[Spec]
    render: Callable[[Any, Notice], bytes]
    request: Callable[[Any, str, bytes, float], HookRequest]
    read: Callable[[Reply, float], HookOutcome]


_REASONS = {401: Reason.AUTHENTICATION, 403: Reason.AUTHENTICATION, 429: Reason.RATE_LIMITED}


def read_status(reply: Reply, now: float) -> HookOutcome:
    """Judge a reply by its status alone, which is all that most providers promise.

    After Standard Webhooks: only 2xx is success, only 410 means never again. A 404 or 401 is what a gateway answers while its
    receiver is being deployed, and an alert must outlive that.
    """
    status, detail = reply.status, f"HTTP {reply.status}"
    if 200 <= status < 300:
        return HookOutcome("delivered", Reason.OK, detail)
    if status == 410:
        return HookOutcome("refused", Reason.GONE, f"{detail}: the receiver wants no more")
    if 300 <= status < 400:
        detail = f"{detail}: a redirect is not followed; configure the final address"
        return HookOutcome("retry", Reason.REDIRECT, detail)
    reason = _REASONS.get(status, Reason.REJECTED if 400 <= status < 500 else Reason.SERVER_ERROR)
    return HookOutcome("retry", reason, detail, retry_after(reply.headers.get("retry-after"), now))


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, given as seconds or as a date; None for what is neither."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - now
    except ValueError:
        return None
    return max(0.0, seconds)
