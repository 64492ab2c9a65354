"""Cards in Microsoft Teams, by a workflow that was made with "Post to a channel when a webhook request is received".

The card is an Adaptive Card 1.4. A message may have 28 KB. A workflow answers 202 before it posts, and a card stays as it is: a
resolve is a card of its own.
"""

from pathlib import Path
from typing import Any

from pydantic import field_validator

from earwitness.config.fields import Secret, SecretValue, WithSecret
from earwitness.hooks.base import (
    AnswerLimit,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reply,
    check_address,
    cut,
    json_body,
    one_line,
    one_request,
)
from earwitness.hooks.replies import bad_reply, provider, read_status
from earwitness.model import Severity, TransitionKind
from earwitness.presentation import SEVERITY_WORDS, iso_time

_STATUSES = provider(200, 202)
_COLOUR = {Severity.SEV1: "attention", Severity.SEV2: "warning", Severity.SEV3: "accent", Severity.NONPROD: "default"}
_LONGEST_TEXT, _LONGEST_FACT, _LONGEST_TITLE = 4000, 300, 300  # characters; up to four bytes each, and 28 KB in all
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]#<>"})  # Cards read Markdown.


class TeamsSpec(WithSecret):
    """The workflow's address, which is a secret: whoever knows it may post."""

    url: SecretValue
    url_file: Path | None = None
    timeout: AnswerLimit = 20.0

    @field_validator("url")
    @classmethod
    def _address(cls, value: Secret) -> Secret:
        return check_address(value)


def render(_spec: TeamsSpec, notice: Notice) -> bytes:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [_title(notice), _text(notice), {"type": "FactSet", "facts": _facts(notice)}],
        "actions": _actions(notice),
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return json_body({"type": "message", "attachments": [attachment]})


def _title(notice: Notice) -> dict[str, Any]:
    over = notice.kind is TransitionKind.RESOLVE
    return {
        "type": "TextBlock",
        "text": _plain(one_line(notice.title, _LONGEST_TITLE)),
        "weight": "bolder",
        "size": "large",
        "wrap": True,
        "color": "good" if over else _COLOUR[notice.incident.severity],
    }


def _text(notice: Notice) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _plain(cut(notice.text, _LONGEST_TEXT)), "wrap": True}


def _facts(notice: Notice) -> list[dict[str, str]]:
    incident = notice.incident
    facts = {
        "Severity": SEVERITY_WORDS[incident.severity],
        "Journeys": ", ".join(incident.journeys),
        "Environment": incident.environment,
        "Cause": incident.cause.dependency or "not known",
        "Opened": str(iso_time(incident.opened_at)),
    }
    return [{"title": name, "value": _plain(cut(value, _LONGEST_FACT))} for name, value in facts.items()]


def _actions(notice: Notice) -> list[dict[str, str]]:
    recording = notice.recording()
    links = {"Open the incident": notice.url} | ({"Hear the recording": notice.link(recording)} if recording else {})
    links |= {"Acknowledge": notice.ack_url} if notice.ack_url else {}
    return [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links.items()]


def _plain(text: str) -> str:
    return text.translate(_MARKS)


def request(spec: TeamsSpec, parcel: Parcel) -> HookRequest:
    return HookRequest(spec.url.reveal(), {"content-type": "application/json"}, parcel.body)


def read(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result == "delivered" and "html" in reply.headers.get("content-type", ""):
        return bad_reply(reply, "a workflow's answer")
    return outcome


KIND = HookKind(name="teams", spec=TeamsSpec, render=render, talk=one_request(request, read))
