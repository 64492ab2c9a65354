"""Reading replies: what a provider's statuses and its JSON mean, strictly as its documents say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from earwitness.hooks.base import HookOutcome, Reason, Reply


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a provider's HTTP statuses mean; what is in neither list is tried again."""

    delivered: frozenset[int] = frozenset(range(200, 300))
    refused: Mapping[int, Reason] = field(default_factory=lambda: {410: Reason.GONE})


_ANY_SUCCESS = Statuses()
_FAULTY = {400: Reason.REJECTED, 410: Reason.GONE, 413: Reason.REJECTED}  # the request is at fault, or nobody is there


def provider(*delivered: int) -> Statuses:
    """Return the statuses of a provider whose documents say which it succeeds with."""
    return Statuses(frozenset(delivered), _FAULTY)


_REASONS = {401: Reason.AUTHENTICATION, 403: Reason.AUTHENTICATION, 429: Reason.RATE_LIMITED}


def read_status(reply: Reply, now: float, statuses: Statuses = _ANY_SUCCESS) -> HookOutcome:
    """Judge a reply by its status alone, which is all that some providers promise.

    After Standard Webhooks: only 2xx is success, only 410 means never again. A 404 or 401 is what a gateway answers while its
    receiver is being deployed, or a provider until the token is renewed, and an alert must outlive that.
    """
    status, detail = reply.status, f"HTTP {reply.status}"
    if status in statuses.delivered:
        return HookOutcome("delivered", Reason.OK, detail)
    if status in statuses.refused:
        reason = statuses.refused[status]
        said = "the receiver wants no more" if reason is Reason.GONE else "the receiver will never take this request"
        return HookOutcome("refused", reason, f"{detail}: {said}")
    if 300 <= status < 400:
        detail = f"{detail}: a redirect is not followed; configure the final address"
        return HookOutcome("retry", Reason.REDIRECT, detail)
    reason = _REASONS.get(status, _reason(status))
    return HookOutcome("retry", reason, detail, retry_after(reply.headers.get("retry-after"), now))


def _reason(status: int) -> Reason:
    if status < 300:
        return Reason.BAD_REPLY
    return Reason.REJECTED if status < 500 else Reason.SERVER_ERROR


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, given as seconds or as a date; None for what is neither."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds)


class Answer(BaseModel):
    """What we read of a provider's JSON: every field of the declared type, others ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


_AnswerT = TypeVar("_AnswerT", bound=Answer)


def read_answer(reply: Reply, wanted: type[_AnswerT]) -> _AnswerT | None:
    """Return the reply as the provider's documents say it looks, or None when it is anything else."""
    try:
        return wanted.model_validate_json(reply.body)
    except ValidationError:
        return None


def bad_reply(reply: Reply, expected: str) -> HookOutcome:
    """Say that something answered which is not the provider, such as a proxy's page. It is not quoted: it may hold our secret."""
    return HookOutcome("retry", Reason.BAD_REPLY, f"HTTP {reply.status} without {expected}; is the address right?")
