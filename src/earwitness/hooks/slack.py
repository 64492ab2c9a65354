"""Messages in Slack: by an incoming webhook, or by a bot's token with `chat.postMessage` (docs.slack.dev).

With a token an incident is one thread: its first message always shows how things are (`chat.update`), what follows is below it, and a
resolve is shown in the channel too. Slack answers 200 to most failures; what happened is in `ok` and `error`.
"""

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from pydantic import Field, field_validator, model_validator

from earwitness.config.fields import Secret, SecretValue, WebAddress, WithSecret, problem
from earwitness.hooks.base import (
    AnswerLimit,
    Callback,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reason,
    Reply,
    Said,
    Talk,
    bearer,
    check_address,
    cut,
    json_body,
    one_line,
)
from earwitness.hooks.replies import Answer, bad_reply, provider, read_answer, read_status, retry_after
from earwitness.model import Severity, TransitionKind

_LONGEST_HEADER, _LONGEST_SECTION, _LONGEST_FIELD = 150, 3000, 2000  # characters, by Block Kit's reference
_STATUSES = provider(200)
_ACKNOWLEDGE = "acknowledge"  # the button's action_id
_REPLAY_WINDOW = 300  # seconds
_ICON = {
    Severity.SEV1: ":red_circle:",
    Severity.SEV2: ":large_orange_circle:",
    Severity.SEV3: ":large_yellow_circle:",
    Severity.NONPROD: ":white_circle:",
}
_FAULTY = frozenset(
    {
        "invalid_arguments",
        "invalid_blocks",
        "invalid_blocks_format",
        "message_limit_exceeded",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
_NOBODY = frozenset({"channel_not_found", "is_archived"})
_FIXED = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})  # our first message is as it is
_LOCKED_OUT = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_authed",
        "not_in_channel",
        "token_expired",
        "token_revoked",
    }
)


class SlackSpec(WithSecret):
    """Either the address of an incoming webhook, which is a secret, or a bot's token and a channel."""

    url: SecretValue | None = None
    url_file: Path | None = None
    token: SecretValue | None = None
    token_file: Path | None = None
    channel: str | None = None
    signing_secret: SecretValue | None = None  # of the app whose interactivity leads to /callbacks/NAME
    signing_secret_file: Path | None = None
    api_url: WebAddress = "https://slack.com/api"
    timeout: AnswerLimit = 15.0

    @field_validator("url")
    @classmethod
    def _address(cls, value: Secret | None) -> Secret | None:
        return value and check_address(value)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) is (self.token is None):
            raise problem("write either the url of an incoming webhook, or the token of a bot")
        if (self.token is None) is not (self.channel is None):
            raise problem("a bot's token and the channel belong together", "channel" if self.channel else "token")
        return self


def render(spec: SlackSpec, notice: Notice) -> bytes:
    """Return the message: a text for notifications, and its blocks."""
    over = notice.kind is TransitionKind.RESOLVE
    icon = ":large_green_circle:" if over else _ICON[notice.incident.severity]
    header = f"{icon} {one_line(notice.title, _LONGEST_HEADER - len(icon) - 1)}"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}},
        {"type": "section", "text": _words(notice.text, _LONGEST_SECTION)},
        {"type": "section", "fields": [_words(text, _LONGEST_FIELD) for text in _facts(notice)]},
        {"type": "actions", "elements": [*_acknowledge(spec, notice), *_buttons(notice)]},
    ]
    return json_body({"text": _escaped(one_line(notice.title, 300)), "blocks": blocks, "broadcast": over})


def _facts(notice: Notice) -> list[str]:
    incident = notice.incident
    facts = {
        "Journeys": ", ".join(incident.journeys),
        "Probes": ", ".join(incident.probes),
        "Environment": incident.environment,
        "Cause": incident.cause.dependency or "not known",
    }
    return [f"{name}: {value}" for name, value in facts.items()]


def _buttons(notice: Notice) -> list[dict[str, Any]]:
    recording = notice.recording()
    links = {"Open the incident": notice.url} | ({"Hear the recording": notice.link(recording)} if recording else {})
    return [
        {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url, "action_id": f"link-{number}"}
        for number, (text, url) in enumerate(links.items())
    ]


def _acknowledge(spec: SlackSpec, notice: Notice) -> list[dict[str, Any]]:
    """Return the button that acknowledges: of our own where Slack may call us, else a link to the page that asks.

    A digest has the link, which says what came of it; nothing would change in its message.
    """
    button = {"type": "button", "style": "primary", "text": {"type": "plain_text", "text": "Acknowledge"}}
    if not notice.asks:
        return []
    if spec.signing_secret is not None and not notice.told:
        return [{**button, "action_id": _ACKNOWLEDGE, "value": notice.incident.id}]
    return [{**button, "action_id": "link-acknowledge", "url": notice.ack_url}] if notice.ack_url else []


def _words(text: str, longest: int) -> dict[str, str]:
    """Return text in which nothing is a command: names of probes and replies of targets are other people's words."""
    return {"type": "mrkdwn", "text": _escaped_to(text, longest)}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped_to(text: str, longest: int) -> str:
    """Cut the text so that it is short enough once it is escaped."""
    shown = cut(text, longest)
    while len(escaped := _escaped(shown)) > longest:
        shown = cut(shown, len(shown) - max(1, (len(escaped) - longest) // 5))
    return escaped


def talk(spec: SlackSpec, parcel: Parcel) -> Talk:
    told = parcel.json()
    broadcast = told.pop("broadcast")
    if spec.url is not None:
        headers = {"content-type": "application/json"}
        return _read_webhook((yield HookRequest(spec.url.reveal(), headers, json_body(told))), parcel.now)
    if parcel.reference is None:
        return _read_call((yield _call(spec, "chat.postMessage", {"channel": spec.channel, **told})), parcel.now)
    channel, thread = parcel.reference.split()
    updated = _read_call((yield _call(spec, "chat.update", {"channel": channel, "ts": thread, **told})), parcel.now)
    if updated.result == "retry":
        return updated
    reply = {"channel": channel, "thread_ts": thread, "reply_broadcast": broadcast, **told}
    outcome = _read_call((yield _call(spec, "chat.postMessage", reply)), parcel.now)
    return HookOutcome(
        outcome.result, outcome.reason, outcome.detail, outcome.retry_after
    )  # the thread stays the first


def _call(spec: SlackSpec, method: str, arguments: dict[str, Any]) -> HookRequest:
    assert spec.token is not None
    headers = {"content-type": "application/json; charset=utf-8", "authorization": bearer(spec.token)}
    return HookRequest(f"{spec.api_url.rstrip('/')}/{method}", headers, json_body(arguments))


def _read_webhook(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result == "delivered" and reply.body.strip() != b"ok":
        return bad_reply(reply, "Slack's ok")
    return outcome


class _Said(Answer):
    ok: bool
    error: str = ""
    channel: str = ""
    ts: str = ""


def _read_call(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    said = read_answer(reply, _Said)
    if said is None or (said.ok and not (said.channel and said.ts)):
        return bad_reply(reply, "what Slack's API answers")
    if said.ok:
        return HookOutcome("delivered", Reason.OK, outcome.detail, reference=f"{said.channel} {said.ts}")
    return _read_error(said.error, reply, now)


def _read_error(error: str, reply: Reply, now: float) -> HookOutcome:
    detail = f"Slack says {error if re.fullmatch('[a-z_]{1,60}', error) else 'what it never did before'}"
    if error in _FAULTY:
        return HookOutcome("refused", Reason.REJECTED, detail)
    if error in _NOBODY | _FIXED:
        return HookOutcome("refused", Reason.GONE, detail)
    if error in _LOCKED_OUT:
        return HookOutcome("retry", Reason.AUTHENTICATION, detail)
    reason = Reason.RATE_LIMITED if error == "ratelimited" else Reason.SERVER_ERROR
    return HookOutcome("retry", reason, detail, retry_after(reply.headers.get("retry-after"), now))


class _User(Answer):
    id: str
    username: str = ""


class _Action(Answer):
    action_id: str = ""
    value: str = ""


class _Interaction(Answer):
    type: str
    user: _User
    actions: list[_Action] = Field(default_factory=list)


def hear(spec: SlackSpec, callback: Callback, now: float) -> list[Said] | None:
    """Read a press of our button. `v0=` and the hex HMAC-SHA256 of `v0:timestamp:body`; older than five minutes is a replay."""
    signature, stamp = (callback.headers.get(f"x-slack-{name}", "") for name in ("signature", "request-timestamp"))
    if (
        spec.signing_secret is None
        or not (stamp.isascii() and stamp.isdigit())
        or abs(now - int(stamp)) > _REPLAY_WINDOW
    ):
        return None
    signed = f"v0:{stamp}:".encode() + callback.body
    mac = hmac.digest(spec.signing_secret.reveal().encode(), signed, hashlib.sha256).hex()
    if not hmac.compare_digest(f"v0={mac}".encode(), signature.encode()):
        return None
    payload = parse_qs(callback.body.decode("utf-8", "replace")).get("payload", [""])[0]
    pressed = read_answer(Reply(200, body=payload.encode()), _Interaction)
    if pressed is None or pressed.type != "block_actions":
        return []
    who = f"{one_line(pressed.user.username, 80) or pressed.user.id} in Slack"
    return [Said(signature, a.value, "acknowledge", who) for a in pressed.actions if a.action_id == _ACKNOWLEDGE]


KIND = HookKind(name="slack", spec=SlackSpec, render=render, talk=talk, hear=hear, shows_answers=False)
