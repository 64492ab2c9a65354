"""A signed webhook, after the Standard Webhooks convention (standardwebhooks.com, version 1).

Headers: `webhook-id` is the idempotency key, the same on every attempt; `webhook-timestamp` is the attempt's time;
`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. A secret that begins with `whsec_`
is base64, any other is taken as it is. While a secret is being changed there are several, and a signature by each.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from earwitness.config.fields import OneOrMore, Secret, SecretValue, WebAddress, WithSecret, problem
from earwitness.hooks.base import AnswerLimit, HookKind, HookRequest, Notice, Parcel, json_body, one_request
from earwitness.hooks.replies import read_status
from earwitness.presentation import incident_json, iso_time

_PREFIX = "whsec_"


class WebhookSpec(WithSecret):
    """Where to post, and the secrets that sign it: the newest first, the ones before until no receiver knows only them."""

    url: WebAddress
    secret: Annotated[tuple[SecretValue, ...], OneOrMore(), Field(min_length=1)]
    secret_file: Annotated[tuple[Path, ...], OneOrMore()] = ()
    envelope: Literal["standard", "cloudevents"] = "standard"
    timeout: AnswerLimit = 15.0

    @field_validator("secret")
    @classmethod
    def _decodable(cls, value: tuple[Secret, ...]) -> tuple[Secret, ...]:
        for secret in value:
            _key(secret)
        return value


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError as error:
        raise problem("the secret begins with whsec_ but is not base64 after it; copy it again") from error


def sign(secrets: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> str:
    """Return a signature by each secret, with spaces between."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    macs = (hmac.digest(_key(secret), signed, hashlib.sha256) for secret in secrets)
    return " ".join("v1," + base64.b64encode(mac).decode() for mac in macs)


def render(spec: WebhookSpec, notice: Notice) -> bytes:
    """Return the JSON body: `type`, `timestamp` and `data`, as the convention asks; CloudEvents adds its attributes."""
    told: dict[str, Any] = {
        "type": f"incident.{notice.kind.value}",
        "timestamp": iso_time(notice.at),
        "data": {
            "text": notice.text,
            "url": notice.url,
            "incident": incident_json(notice.incident, notice.evidence_url),
        },
    }
    if notice.test:
        told["data"]["test"] = True
    if notice.told:
        told["data"]["incidents"] = list(notice.told)
    if notice.ack_url:
        told["data"]["acknowledge_url"] = notice.ack_url
    return json_body(_event(notice) | told if spec.envelope == "cloudevents" else told)


def _event(notice: Notice) -> dict[str, Any]:
    """Return what CloudEvents 1.0 requires beside `type` and `data`; `timestamp` is a valid extension attribute there."""
    return {
        "specversion": "1.0",
        "id": notice.key,
        "source": notice.home,
        "subject": notice.incident.id,
        "time": iso_time(notice.at),
        "datacontenttype": "application/json",
    }


def request(spec: WebhookSpec, parcel: Parcel) -> HookRequest:
    timestamp = int(parcel.now)
    media = "application/cloudevents+json" if spec.envelope == "cloudevents" else "application/json"
    headers = {
        "content-type": media,
        "user-agent": "earwitness",
        "webhook-id": parcel.key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(spec.secret, parcel.key, timestamp, parcel.body),
    }
    return HookRequest(spec.url, headers, parcel.body)


KIND = HookKind(name="webhook", spec=WebhookSpec, render=render, talk=one_request(request, read_status))
