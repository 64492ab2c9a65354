"""Text messages by Twilio's Messages API, one number a hook, so that each has its own queue and outcome.

The text is plain GSM-7 (3GPP TS 23.038): one letter outside it, such as a typographic quote or a non-breaking space, would make
Twilio send all of it as UCS-2, at twice the price. 201 says that Twilio queued the message, not that it arrived.
"""

import re
import unicodedata
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from earwitness.config.fields import Secret, SecretValue, WebAddress, WithSecret, problem
from earwitness.hooks.base import (
    AnswerLimit,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reason,
    Reply,
    basic,
    json_body,
    matching,
    one_line,
    one_request,
)
from earwitness.hooks.replies import Answer, bad_reply, provider, read_answer, read_status

_STATUSES = provider(201)
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€")  # two septets each
_SIMPLER = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "\t": " "})
_MOST_SEPTETS = 3 * 153  # three parts
PhoneNumber = Annotated[
    str, matching(r"\+[1-9]\d{6,14}", "this is no telephone number; write + and the country code, such as +12025550199")
]
AccountSid = Annotated[
    str, matching("AC[0-9a-fA-F]{32}", "this is no account SID; it is AC and 32 digits, from the console")
]
_ServiceSid = Annotated[str, matching("MG[0-9a-fA-F]{32}", "this is no messaging service; it is MG and 32 digits")]


class TwilioSmsSpec(WithSecret):
    """An account, who sends, and the one number that gets the messages."""

    account_sid: AccountSid
    auth_token: SecretValue
    auth_token_file: Path | None = None
    from_: PhoneNumber | None = Field(default=None, alias="from")
    messaging_service_sid: _ServiceSid | None = None
    to: PhoneNumber
    api_url: WebAddress = "https://api.twilio.com"
    timeout: AnswerLimit = 15.0

    @model_validator(mode="after")
    def _one_sender(self) -> Self:
        if (self.from_ is None) is (self.messaging_service_sid is None):
            raise problem("write either from, a number of yours, or messaging_service_sid")
        return self


def render(_spec: TwilioSmsSpec, notice: Notice) -> bytes:
    """Return the text as JSON: what happened, and where to read on."""
    link = f"\n{plain(notice.url)}"
    return json_body(
        {"text": fitting(plain(one_line(notice.title, _MOST_SEPTETS)), _MOST_SEPTETS - septets(link)) + link}
    )


def plain(text: str) -> str:
    """Return the text in GSM-7: the nearest letter where there is one, else a question mark."""
    return "".join(_nearest(letter) for letter in text.translate(_SIMPLER))


def _nearest(letter: str) -> str:
    if letter in _GSM or letter in _GSM_TWICE:
        return letter
    simpler = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return simpler if simpler and set(simpler) <= _GSM else "?"


def septets(text: str) -> int:
    return sum(2 if letter in _GSM_TWICE else 1 for letter in text)


def fitting(text: str, most: int) -> str:
    """Cut the text to so many septets."""
    if septets(text) <= most:
        return text
    used = accumulate(map(septets, text))
    kept = "".join(letter for letter, so_far in zip(text, used, strict=True) if so_far <= most - 3)
    return f"{kept.rstrip()}..."


class _Queued(Answer):
    sid: str = Field(pattern=r"^(SM|MM)[0-9a-fA-F]{32}$")
    status: str


class _Refusal(Answer):
    code: int
    message: str = ""


def request(spec: TwilioSmsSpec, parcel: Parcel) -> HookRequest:
    sender = {"From": spec.from_} if spec.from_ else {"MessagingServiceSid": spec.messaging_service_sid}
    form = {"To": spec.to, **sender, "Body": parcel.json()["text"]}
    headers = {
        "authorization": basic(spec.account_sid, spec.auth_token),
        "content-type": "application/x-www-form-urlencoded",
    }
    url = f"{spec.api_url.rstrip('/')}/2010-04-01/Accounts/{quote(spec.account_sid)}/Messages.json"
    return HookRequest(url, headers, urlencode(form).encode())


def read(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result == "delivered":
        queued = read_answer(reply, _Queued)
        if queued is None:
            return bad_reply(reply, "Twilio's message")
        return HookOutcome("delivered", Reason.OK, f"queued as {queued.sid}")
    return with_refusal(reply, outcome)


def with_refusal(reply: Reply, outcome: HookOutcome) -> HookOutcome:
    """Return the outcome with Twilio's own words, in which no number is."""
    refusal = read_answer(reply, _Refusal)
    if refusal is None:
        return outcome
    said = re.sub(r"\+?\d(?: ?\d){6,}", "<number>", refusal.message)
    return HookOutcome(
        outcome.result, outcome.reason, f"HTTP {reply.status}, error {refusal.code}: {said}", outcome.retry_after
    )


def is_signed(token: Secret, url: str, form: Mapping[str, list[str]], signature: str) -> bool:
    """Whether Twilio signed a request to this address, as we gave it out, with this form (X-Twilio-Signature)."""
    from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # noqa: PLC0415  Only where calls are made.

    flat = {name: values[0] if len(values) == 1 else values for name, values in form.items()}
    return bool(signature) and bool(RequestValidator(token.reveal()).validate(url, flat, signature))


KIND = HookKind(name="twilio", spec=TwilioSmsSpec, render=render, talk=one_request(request, read))
