"""Alert calls by Twilio: the telephone rings, a voice says what happened, and a key acknowledges it.

The words go into TwiML that is made as XML, so that no title can end the sentence and begin an instruction. Twilio tells us the key at
/callbacks/NAME, signed with the account's token (X-Twilio-Signature) over the address that we gave it. Each attempt is a call that costs
money: the number has to be in `dial.allow`, and the price is taken from the budget, its part for confirmations too.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from pydantic import Field

from earwitness.config.fields import Duration, Flag, Money, Price, SecretValue, WebAddress, WithSecret
from earwitness.hooks.base import (
    Answer,
    Callback,
    Dialling,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reason,
    Said,
    Talk,
    bad_reply,
    basic,
    json_body,
    one_line,
    provider,
    read_answer,
    read_status,
)
from earwitness.hooks.twilio import AccountSid, PhoneNumber, with_refusal
from earwitness.model import Status, TransitionKind

_STATUSES = provider(201)
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
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 15.0

    @property
    def cost(self) -> Money:
        """What is set aside for a call."""
        return Money(self.price_per_minute.amount * _MINUTES, self.price_per_minute.currency)


def render(spec: CallHookSpec, notice: Notice) -> bytes:
    """Return what is to be said, and whether anything is."""
    end = notice.kind in (TransitionKind.ACKNOWLEDGE, TransitionKind.RESOLVE)
    asks = notice.incident.status is Status.OPEN and not notice.told and bool(notice.hook)
    action = f"{notice.home}/callbacks/{quote(notice.hook)}?{urlencode({'incident': notice.incident.id})}"
    twiml = _document(spec, one_line(notice.title, _MOST_SPOKEN), action if asks else None)
    return json_body({"silent": end and not spec.tell_end, "twiml": twiml})


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


def talk(spec: CallHookSpec, parcel: Parcel) -> Talk:
    """Call, unless it is news that nobody is to be called for."""
    told = parcel.json()
    if told["silent"]:
        return HookOutcome("delivered", Reason.OK, "nobody is called for this; tell_end would")
    reply = yield Dialling(_request(spec, told["twiml"]), spec.to, spec.cost)
    outcome = read_status(reply, parcel.now, _STATUSES)
    if outcome.result != "delivered":
        return with_refusal(reply, outcome)
    created = read_answer(reply, _Created)
    if created is None:
        return bad_reply(reply, "Twilio's call")
    return HookOutcome("delivered", Reason.OK, f"called as {created.sid}")


def _request(spec: CallHookSpec, twiml: str) -> HookRequest:
    form = {"To": spec.to, "From": spec.from_, "Twiml": twiml}
    form |= {"Timeout": f"{spec.ring_for:.0f}", "TimeLimit": str(_MINUTES * 60)}
    headers = {
        "authorization": basic(spec.account_sid, spec.auth_token),
        "content-type": "application/x-www-form-urlencoded",
    }
    url = f"{spec.api_url.rstrip('/')}/2010-04-01/Accounts/{quote(spec.account_sid)}/Calls.json"
    return HookRequest(url, headers, urlencode(form).encode())


def hear(spec: CallHookSpec, callback: Callback, _now: float) -> list[Said] | None:
    """Read which key was pressed. The incident is in the address, which the signature covers."""
    from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # noqa: PLC0415  Only where calls are made.

    form = parse_qs(callback.body.decode("utf-8", "replace"), keep_blank_values=True)
    flat = {name: values[0] if len(values) == 1 else values for name, values in form.items()}
    signature = callback.headers.get("x-twilio-signature", "")
    if not signature or not RequestValidator(spec.auth_token.reveal()).validate(callback.url, flat, signature):
        return None
    incident = parse_qs(urlsplit(callback.url).query).get("incident", [""])[0]
    if not incident or flat.get("Digits") != _ACKNOWLEDGES:
        return []
    return [Said(f"{flat.get('CallSid', '')} {incident}", incident, "acknowledge", "somebody by telephone")]


def answer(heard: Sequence[Said]) -> tuple[str, bytes]:
    """Return what the voice says to the key that was pressed."""
    response = ET.Element("Response")
    ET.SubElement(response, "Say").text = "Acknowledged. Goodbye." if heard else "Not acknowledged. Goodbye."
    return "text/xml", ET.tostring(response)


KIND = HookKind(name="call", spec=CallHookSpec, render=render, talk=talk, hear=hear, answer=answer)
