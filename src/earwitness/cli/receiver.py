"""The demo's on-call tool: receives webhooks, and believes only those whose signature is right."""

import hmac
import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from earwitness.config.fields import Secret
from earwitness.hooks.webhook import sign


def create_receiver(secret: Secret, on_alert: Callable[[dict[str, Any]], None]) -> Starlette:
    """Return an application that hands each alert on once, by its idempotency key."""
    seen: set[str] = set()

    async def receive(request: Request) -> Response:
        body = await request.body()
        message_id = request.headers.get("webhook-id", "")
        timestamp = request.headers.get("webhook-timestamp", "0")
        expected = sign((secret,), message_id, int(timestamp), body)
        if not hmac.compare_digest(expected, request.headers.get("webhook-signature", "")):
            return Response(status_code=401)
        if message_id not in seen:
            seen.add(message_id)
            on_alert(json.loads(body))
        return Response(status_code=204)

    return Starlette(routes=[Route("/alerts", receive, methods=["POST"])])
