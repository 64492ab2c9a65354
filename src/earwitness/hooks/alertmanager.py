"""Alerts for Prometheus Alertmanager, by its API v2 (`POST /api/v2/alerts`).

An alert is its set of labels. When a label changes, such as the severity, the alert of the old labels is ended in the same request;
which labels those were is remembered as the reference. Alertmanager ends an alert by itself once `endsAt` has passed, and without one
after its `resolve_timeout` (5 minutes), because it expects Prometheus to repeat each alert every minute. We tell once and mean it: an
open incident ends a year from now, and the resolve, whose `endsAt` lies in the past, ends it at once.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from earwitness.config.fields import SecretValue, WebAddress, WithSecret
from earwitness.hooks.base import (
    AnswerLimit,
    HookKind,
    HookOutcome,
    HookRequest,
    Notice,
    Parcel,
    Reply,
    Talk,
    basic,
    bearer,
    json_body,
    matching,
    one_line,
)
from earwitness.hooks.replies import bad_reply, provider, read_status
from earwitness.model import TransitionKind
from earwitness.presentation import iso_time

_FAR_AHEAD = 365 * 86400.0  # seconds
_STATUSES = provider(200)
_LabelName = Annotated[
    str, matching(r"[a-zA-Z_][a-zA-Z0-9_]*", "this is no name of a label; use letters, digits and _, no digit first")
]


class AlertmanagerSpec(WithSecret):
    """One Alertmanager; of a cluster, each member wants a hook of its own, since they are not told by each other."""

    url: WebAddress  # without /api/v2
    labels: dict[_LabelName, str] = Field(default_factory=dict)  # joined to every alert, for routing there
    token: SecretValue | None = None
    token_file: Path | None = None
    username: str | None = None
    password: SecretValue | None = None
    password_file: Path | None = None
    timeout: AnswerLimit = 15.0


def render(spec: AlertmanagerSpec, notice: Notice) -> bytes:
    """Return one alert with its labels, and when it ended."""
    incident = notice.incident
    labels = {
        **spec.labels,
        "alertname": "EarwitnessIncident",
        "severity": incident.severity.value,
        "journey": incident.journeys[0] if incident.journeys else "",
        "environment": incident.environment,
        "incident": incident.id,
    }
    over = notice.kind is TransitionKind.RESOLVE
    alert = {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": one_line(notice.title, 1000), "description": notice.text, **_more(notice)},
        "startsAt": iso_time(incident.opened_at),
        "endsAt": iso_time(notice.at if over else notice.at + _FAR_AHEAD),
        "generatorURL": notice.url,
    }
    return json_body({"alert": alert, "at": iso_time(notice.at)})


def _more(notice: Notice) -> dict[str, str]:
    recording = notice.recording()
    more = {"journeys": ", ".join(notice.incident.journeys), "recording": notice.link(recording) if recording else ""}
    return {name: value for name, value in more.items() if value}


def talk(spec: AlertmanagerSpec, parcel: Parcel) -> Talk:
    told = parcel.json()
    alert, before = told["alert"], json.loads(parcel.reference) if parcel.reference else None
    alerts = [alert]
    if before is not None and before != alert["labels"]:
        alerts.insert(0, {**alert, "labels": before, "endsAt": told["at"]})
    reply = yield HookRequest(f"{spec.url.rstrip('/')}/api/v2/alerts", _headers(spec), json_body(alerts))
    return _read(reply, parcel.now, alert["labels"])


def _headers(spec: AlertmanagerSpec) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if spec.token is not None:
        headers["authorization"] = bearer(spec.token)
    elif spec.username is not None and spec.password is not None:
        headers["authorization"] = basic(spec.username, spec.password)
    return headers


def _read(reply: Reply, now: float, labels: dict[str, Any]) -> HookOutcome:
    outcome = read_status(reply, now, _STATUSES)
    if outcome.result != "delivered":
        return outcome
    if reply.body.strip():
        return bad_reply(reply, "the empty body of Alertmanager's API")
    return HookOutcome("delivered", outcome.reason, outcome.detail, reference=json.dumps(labels, ensure_ascii=False))


KIND = HookKind(name="alertmanager", spec=AlertmanagerSpec, render=render, talk=talk)
