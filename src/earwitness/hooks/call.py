"""Alert calls by Twilio: the telephone rings, a voice says what happened, and a key acknowledges it.

The words go into TwiML that is made as XML, so that no title can end the sentence and begin an instruction. Twilio tells us the key at
/callbacks/NAME, signed with the account's token (X-Twilio-Signature) over the address that we gave it. A call costs money and wakes
people: the number has to be in `dial.allow`, the price is taken from the budget, and after an attempt without an answer the calls between
the two numbers are looked at before another is made.
"""

import re
from collections.abc import Generator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from pydantic import Field

from earwitness.config.fields import Duration, Flag, Money, Price, SecretValue, WebAddress, WithSecret
from earwitness.hooks.base import (
    AnswerLimit,
    Callback,
    Dialling,
    HookKind,
    HookOutcome,
    HookRequest,
    Message,
    Notice,
    Parcel,
    PlacedCall,
    Reason,
    Reply,
    Said,
    Talk,
    basic,
    json_body,
    one_line,
)
from earwitness.hooks.replies import Answer, bad_reply, provider, read_answer, read_status
from earwitness.hooks.twilio import AccountSid, PhoneNumber, is_signed, with_refusal
from earwitness.model import TransitionKind

_STATUSES, _LISTING = provider(201), provider(200)
_SETTLED_AFTER = 15.0  # seconds after an attempt without an answer, by when Twilio surely lists the call that it made
_LISTED = 50  # calls, the newest
_MINUTES = 2  # that a call may last
_MOST_SPOKEN = 600  # characters; a document in a request has at most 4000
_ACKNOWLEDGES = "1"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CallHookSpec(WithSecret):
    """An account, who calls, and the one number that is called."""

    account_sid: AccountSid
    auth_token: SecretValue
    auth_token_file: Path | None = None
    from_: PhoneNumber = Field(alias="from")
    to: PhoneNumber
    price_per_minute: Price  # what a call is taken from the budget for
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en-GB"  # that the voice speaks
    ring_for: Annotated[Duration, Field(ge=5, le=120)] = 30.0
    tell_end: Flag = False  # whether to call for acknowledgements and resolves too
    api_url: WebAddress = "https://api.twilio.com"
    timeout: AnswerLimit = 15.0

    @property
    def cost(self) -> Money:
        """What is set aside for a call."""
        return Money(self.price_per_minute.amount * _MINUTES, self.price_per_minute.currency)


def render(spec: CallHookSpec, notice: Notice) -> bytes:
    """Return what is to be said, and whether anything is."""
    end = notice.kind in (TransitionKind.ACKNOWLEDGE, TransitionKind.RESOLVE)
    action = f"{notice.home}/callbacks/{quote(notice.hook)}?{urlencode({'incident': notice.incident.id})}"
    twiml = _document(spec, one_line(notice.title, _MOST_SPOKEN), action if notice.asks else None)
    asking = {} if end else {"asks": [notice.incident.id, notice.at]}
    return json_body({"silent": end and not spec.tell_end, "twiml": twiml, **asking})


def _document(spec: CallHookSpec, text: str, action: str | None) -> str:
    response = ET.Element("Response")
    speaker = response
    if action is not None:
        text = f"{text}. To acknowledge, press {_ACKNOWLEDGES}."
        asked = {"action": action, "method": "POST", "numDigits": "1", "timeout": "10"}
        speaker = ET.SubElement(response, "Gather", asked)
    _say(speaker, spec, f"This is Earwitness. {text}", loop=2)
    _say(response, spec, "Goodbye.")
    return ET.tostring(response, encoding="unicode")


def _say(parent: ET.Element, spec: CallHookSpec, text: str, loop: int = 1) -> None:
    said = ET.SubElement(parent, "Say", {"language": spec.language, "loop": str(loop)})
    said.text = _NOT_XML.sub(" ", text)


class _Created(Answer):
    sid: str = Field(pattern=r"^CA[0-9a-fA-F]{32}$")
    status: str


class _Listed(Answer):
    sid: str
    date_created: str


class _Calls(Answer):
    calls: list[_Listed]


def talk(spec: CallHookSpec, parcel: Parcel) -> Talk:
    """Call, unless it is news that nobody is to be called for. After an attempt without an answer, first see whether it rang."""
    told = parcel.json()
    if told["silent"]:
        return HookOutcome("delivered", Reason.OK, "nobody is called for this; tell_end would")
    placed = None
    if parcel.doubt is not None:
        found = yield from _look_up(spec, parcel.doubt, parcel.now)
        if isinstance(found, HookOutcome):
            return found
        placed = found
    reply = yield _dialling(spec, parcel, told, placed)
    outcome = read_status(reply, parcel.now, _STATUSES)
    if outcome.result != "delivered":
        return with_refusal(reply, outcome)
    created = read_answer(reply, _Created)
    if created is None:
        return bad_reply(reply, "Twilio's call")
    return HookOutcome("delivered", Reason.OK, f"called as {created.sid}")


def _look_up(
    spec: CallHookSpec, doubt: float, now: float
) -> Generator[Message, Reply, tuple[PlacedCall, ...] | HookOutcome]:
    """Return the newest calls between the two numbers, or why nobody knows them: then nobody is called."""
    if (wait := doubt + _SETTLED_AFTER - now) > 0:
        detail = "an attempt without an answer may have called; Twilio is asked once it is sure to know"
        return HookOutcome("retry", Reason.NOT_YET, detail, wait)
    asked = urlencode({"To": spec.to, "From": spec.from_, "PageSize": str(_LISTED)})
    reply = yield _request(spec, f"?{asked}", None)
    outcome = read_status(reply, now, _LISTING)
    if outcome.result != "delivered":
        return with_refusal(reply, outcome)
    said = read_answer(reply, _Calls)
    if said is None:
        return bad_reply(reply, "Twilio's list of calls")
    return tuple(PlacedCall(one.sid, at) for one in said.calls if (at := _moment(one.date_created)) is not None)


def _moment(date: str) -> float | None:
    """Return an RFC 2822 date as seconds since the epoch."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _dialling(
    spec: CallHookSpec, parcel: Parcel, told: dict[str, Any], placed: tuple[PlacedCall, ...] | None
) -> Dialling:
    form = {"To": spec.to, "From": spec.from_, "Twiml": told["twiml"]}
    form |= {"Timeout": f"{spec.ring_for:.0f}", "TimeLimit": str(_MINUTES * 60)}
    request = _request(spec, "", urlencode(form).encode())
    asks = tuple(told["asks"]) if told.get("asks") else None  # a body that an earlier version froze does not say
    return Dialling(request, spec.to, spec.from_, spec.cost, parcel.key, parcel.owed_since, asks, placed, _sid_of)


def _sid_of(reply: Reply) -> str | None:
    created = read_answer(reply, _Created)
    return created.sid if created else None


def _request(spec: CallHookSpec, query: str, form: bytes | None) -> HookRequest:
    """Return a request that creates a call, or, without a form, lists calls."""
    headers = {"authorization": basic(spec.account_sid, spec.auth_token)}
    if form is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    url = f"{spec.api_url.rstrip('/')}/2010-04-01/Accounts/{quote(spec.account_sid)}/Calls.json{query}"
    return HookRequest(url, headers, form or b"", "GET" if form is None else "POST")


def hear(spec: CallHookSpec, callback: Callback, _now: float) -> list[Said] | None:
    """Read which key was pressed. The incident is in the address, which the signature covers."""
    form = parse_qs(callback.body.decode("utf-8", "replace"), keep_blank_values=True)
    if not is_signed(spec.auth_token, callback.url, form, callback.headers.get("x-twilio-signature", "")):
        return None
    incident = parse_qs(urlsplit(callback.url).query).get("incident", [""])[0]
    if not incident or form.get("Digits") != [_ACKNOWLEDGES]:
        return []
    call = form.get("CallSid", [""])[0]
    return [Said(f"{call} {incident}", incident, "acknowledge", "somebody by telephone")]


def answer(heard: Sequence[Said]) -> tuple[str, bytes]:
    """Return what the voice says to the key that was pressed."""
    response = ET.Element("Response")
    ET.SubElement(response, "Say").text = "Acknowledged. Goodbye." if heard else "Not acknowledged. Goodbye."
    return "text/xml", ET.tostring(response)


KIND = HookKind(name="call", spec=CallHookSpec, render=render, talk=talk, hear=hear, answer=answer)
