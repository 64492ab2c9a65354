"""A signed webhook, after the Standard Webhooks convention (standardwebhooks.com, version 1).

Headers: `webhook-id` is the idempotency key, the same on every attempt; `webhook-timestamp` is the attempt's time;
`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. A secret that begins with `whsec_`
is base64, any other is taken as it is.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from earwitness.config.fields import Duration, Secret, SecretValue, WebAddress, WithSecret, problem
from earwitness.hooks.base import HookKind, HookRequest, Notice, read_status
from earwitness.presentation import incident_json, iso_time

_PREFIX = "whsec_"


class WebhookSpec(WithSecret):
    """Where to post, and the secret that signs it."""

    url: WebAddress
    secret: SecretValue
    secret_file: Path | None = None
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 15.0

    @field_validator("secret")
    @classmethod
    def _decodable(cls, value: Secret) -> Secret:
        _key(value)
        return value


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError as error:
        raise problem("the secret begins with whsec_ but is not base64 after it; copy it again") from error


def sign(secret: Secret, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def render(_spec: WebhookSpec, notice: Notice) -> bytes:
    """Return the JSON body: `type`, `timestamp` and `data`, as the convention asks."""
    told = {
        "type": f"incident.{notice.kind.value}",
        "timestamp": iso_time(notice.at),
        "data": {
            "text": notice.text,
            "url": notice.url,
            "incident": incident_json(notice.incident, notice.evidence_url),
        },
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def request(spec: WebhookSpec, message_id: str, body: bytes, now: float) -> HookRequest:
    timestamp = int(now)
    headers = {
        "content-type": "application/json",
        "user-agent": "earwitness",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(spec.secret, message_id, timestamp, body),
    }
    return HookRequest(spec.url, headers, body)


KIND = HookKind(spec=WebhookSpec, render=render, request=request, read=read_status)
