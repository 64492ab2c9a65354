"""Alerts for PagerDuty, by its Events API v2 (developer.pagerduty.com, "Send an alert event").

`trigger`, `acknowledge` and `resolve` belong together by `dedup_key`, the incident's id. 202 means that PagerDuty took the event in,
not that anybody was paged. 400 is never right later; 429 and 5xx are tried again. An event has at most 512 KB.
"""

import hashlib
import hmac
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from earwitness.config.fields import SecretValue, WebAddress, WithSecret
from earwitness.hooks.base import (
    AnswerLimit,
    Callback,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reply,
    Said,
    cut,
    json_body,
    one_line,
    one_request,
)
from earwitness.hooks.replies import Answer, bad_reply, provider, read_answer, read_status
from earwitness.model import Severity, TransitionKind
from earwitness.presentation import incident_json, iso_time

_LARGEST = 500_000  # bytes, of the 512 KB that an event may have; the rest is for the routing key and their counting
_LONGEST_KEY = 255
_LONGEST_SUMMARY = 1024
_SEVERITY = {
    Severity.SEV1: "critical",
    Severity.SEV2: "error",
    Severity.SEV3: "warning",
    Severity.NONPROD: "info",
}
_ACTION = {TransitionKind.ACKNOWLEDGE: "acknowledge", TransitionKind.RESOLVE: "resolve"}
_HEARD: dict[str, Literal["acknowledge", "resolve"]] = {
    "incident.acknowledged": "acknowledge",
    "incident.resolved": "resolve",
}
_PEOPLE = ("user", "user_reference")
_STATUSES = provider(202)


class PagerDutySpec(WithSecret):
    """The integration key of a service ("Events API v2")."""

    routing_key: SecretValue
    routing_key_file: Path | None = None
    webhook_secret: SecretValue | None = None  # of a webhook subscription (v3) that leads to /callbacks/NAME
    webhook_secret_file: Path | None = None
    url: WebAddress = "https://events.pagerduty.com"  # https://events.eu.pagerduty.com for accounts in Europe
    timeout: AnswerLimit = 15.0


def render(_spec: PagerDutySpec, notice: Notice) -> bytes:
    """Return the event without its routing key, which is a secret."""
    event: dict[str, Any] = {
        "event_action": _ACTION.get(notice.kind, "trigger"),
        "dedup_key": notice.incident.id[:_LONGEST_KEY],
    }
    if event["event_action"] != "trigger":
        return json_body(event)
    details = incident_json(notice.incident, notice.evidence_url)
    event |= {"payload": _payload(notice, details), "links": _links(notice), "images": _images(notice)}
    event |= {"client": "Earwitness", "client_url": notice.url}
    body = json_body(event)
    while len(body) > _LARGEST and _shorten(details):
        body = json_body(event)
    return body


def _payload(notice: Notice, details: dict[str, Any]) -> dict[str, Any]:
    incident = notice.incident
    return {
        "summary": one_line(notice.title, _LONGEST_SUMMARY),
        "source": incident.cause.dependency or (incident.journeys[0] if incident.journeys else incident.environment),
        "severity": _SEVERITY[incident.severity],
        "timestamp": iso_time(incident.opened_at),
        "component": ", ".join(incident.probes)[:1000],
        "group": ", ".join(incident.journeys)[:1000],
        "class": incident.severity.value,
        "custom_details": {"text": cut(notice.text, 20_000), "incident": details},
    }


def _links(notice: Notice) -> list[dict[str, str]]:
    recording = notice.recording()
    links = [{"href": notice.url, "text": "The incident in Earwitness"}]
    links += [{"href": notice.ack_url, "text": "Acknowledge"}] if notice.ack_url else []
    return [*links, {"href": notice.link(recording), "text": "The recording"}] if recording else links


def _images(notice: Notice) -> list[dict[str, str]]:
    shown = [file for file in notice.incident.evidence if file.media_type.startswith("image/")]
    return [{"src": notice.link(f), "href": notice.url, "alt": f.name} for f in shown[-3:]]


def _shorten(details: dict[str, Any]) -> bool:
    """Leave out half of the longest thing, oldest first. False: nothing is left to leave out."""
    longest = max(
        ("timeline", "evidence", "probes", "journeys", "reason"), key=lambda key: len(json_body(details[key]))
    )
    value = details[longest]
    details[longest] = cut(value, len(value) // 2) if isinstance(value, str) else value[-(len(value) // 2) :]
    return len(value) > 1


class _Said(Answer):
    status: str
    message: str = ""
    errors: list[str] = Field(default_factory=list)


def request(spec: PagerDutySpec, parcel: Parcel) -> HookRequest:
    body = json_body({"routing_key": spec.routing_key.reveal(), **parcel.json()})
    return HookRequest(f"{spec.url.rstrip('/')}/v2/enqueue", {"content-type": "application/json"}, body)


def read(reply: Reply, now: float) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    said = read_answer(reply, _Said)
    if outcome.result == "delivered":
        return outcome if said and said.status == "success" else bad_reply(reply, "PagerDuty's success")
    if outcome.result == "refused" and said:
        words = re.sub(r"\s+", " ", "; ".join([said.message, *said.errors]))
        return HookOutcome("refused", outcome.reason, f"HTTP {reply.status}: {words}")
    return outcome


class _Agent(Answer):
    type: str = ""
    summary: str = ""


class _Incident(Answer):
    incident_key: str


class _Event(Answer):
    id: str
    event_type: str
    occurred_at: str = ""
    agent: _Agent | None = None
    data: _Incident


class _Told(Answer):
    event: _Event


def hear(spec: PagerDutySpec, callback: Callback, _now: float) -> list[Said] | None:
    """Read a webhook (v3): `X-PagerDuty-Signature` holds `v1=` and the hex HMAC-SHA256 of the body, one for each secret."""
    if spec.webhook_secret is None:
        return None
    mac = hmac.digest(spec.webhook_secret.reveal().encode(), callback.body, hashlib.sha256).hex()
    given = callback.headers.get("x-pagerduty-signature", "").split(",")
    if not any(hmac.compare_digest(f"v1={mac}".encode(), one.strip().encode()) for one in given):
        return None
    told = read_answer(Reply(200, body=callback.body), _Told)
    return [] if told is None else _said(told.event)


def _said(event: _Event) -> list[Said]:
    """Return what people did. What an integration did, we did ourselves; a service resolves by a timer of its own."""
    action = _HEARD.get(event.event_type)
    if action is None or event.agent is None or event.agent.type not in _PEOPLE:
        return []
    try:
        at = datetime.fromisoformat(event.occurred_at).timestamp()
    except ValueError:
        return []  # an event of this version says when it happened
    who = f"{one_line(event.agent.summary, 80) or 'somebody'} in PagerDuty"
    return [Said(event.id, event.data.incident_key, action, who, at=at)]


KIND = HookKind(name="pagerduty", spec=PagerDutySpec, render=render, talk=one_request(request, read), hear=hear)
