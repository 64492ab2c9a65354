"""Who may speak to the console and the API.

With a token, everyone needs it: as a bearer token, or as the password of HTTP Basic, which browsers can ask for. Without one we
listen on localhost only, and refuse what a page of another site could make a local browser send: a foreign Host (DNS rebinding)
or a foreign Origin (cross-site requests).
"""

import base64
import hmac

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from earwitness.config.fields import Secret

_OPEN = ("/healthz", "/readyz")
_SIGNED = ("/twilio/", "/callbacks/", "/ack/", "/shared/")  # what comes here is signed, which its routes check
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, token: Secret | None) -> None:
        self._app = app
        self._token = token.reveal().encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN or scope["path"].startswith(_SIGNED):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), scope["method"])
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers, method: str) -> PlainTextResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._token is None and _name(host) not in _LOCAL:
            return PlainTextResponse("unknown Host; open it as http://127.0.0.1 or http://localhost\n", 421)
        if method not in ("GET", "HEAD") and origin is not None and origin.split("://")[-1] != host:
            return PlainTextResponse("requests from other sites are refused\n", 403)
        if self._token is not None and not self._knows(headers.get("authorization", "")):
            challenge = {"www-authenticate": 'Basic realm="Earwitness", charset="UTF-8"'}
            return PlainTextResponse("a token is needed: Authorization: Bearer TOKEN\n", 401, challenge)
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        given = value.strip().encode() if scheme.lower() == "bearer" else _password(scheme, value)
        return self._token is not None and hmac.compare_digest(given, self._token)


def _name(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _password(scheme: str, value: str) -> bytes:
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except ValueError:  # also for what is not ASCII
        return b""
