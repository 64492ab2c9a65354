"""Signing in by the OAuth 2.0 client credentials grant (RFC 6749, 4.4): the section, the token's request, the tokens we hold."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus

from pydantic import BeforeValidator

from earwitness.config.fields import SecretValue, Texts, WithSecret
from earwitness.probes.http_fields import web_url

_SPARE = 60.0  # seconds, or a tenth of its life, that a token must still be good for

_OUR_REQUEST = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request", "unsupported_grant_type"}
)
"""What a token endpoint says of a request that it does not like (RFC 6749, 5.2)."""


class OAuth2Spec(WithSecret):
    """Where the token comes from. `auth_method`: the client's secret goes in the Authorization header, or in the form."""

    token_url: Annotated[str, BeforeValidator(web_url)]
    client_id: str
    client_secret: SecretValue
    client_secret_file: Path | None = None
    scope: Texts = ()
    audience: str | None = None
    auth_method: Literal["basic", "post"] = "basic"

    def form(self) -> dict[str, str]:
        form = {"grant_type": "client_credentials"}
        if self.scope:
            form["scope"] = " ".join(self.scope)
        if self.audience is not None:
            form["audience"] = self.audience
        if self.auth_method == "post":
            form |= {"client_id": self.client_id, "client_secret": self.client_secret.reveal()}
        return form

    def headers(self) -> dict[str, str]:
        headers = {"accept": "application/json"}
        if self.auth_method == "basic":
            headers["authorization"] = basic(quote_plus(self.client_id), quote_plus(self.client_secret.reveal()))
        return headers


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    good_until: float  # on the clock's monotonic time


def read_token(body: bytes, now: float) -> Token | None:
    """Return the token of an answer, or None if there is none. One that does not say how long it lives is used once."""
    found = _object(body)
    token, life = found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        return None
    try:
        seconds = max(0.0, float(life)) if life is not None else 0.0
    except (TypeError, ValueError):
        seconds = 0.0
    return Token(token, now + seconds - min(_SPARE, seconds / 10))


def refused_by(body: bytes) -> str | None:
    """Return the error of an endpoint that refused our request as such, or None: then it failed in some other way."""
    error = _object(body).get("error")
    return error if isinstance(error, str) and error in _OUR_REQUEST else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class TokenCache:
    """The tokens of this process, kept from run to run until shortly before they expire."""

    def __init__(self) -> None:
        self._tokens: dict[OAuth2Spec, Token] = {}

    def get(self, spec: OAuth2Spec, now: float) -> Token | None:
        token = self._tokens.get(spec)
        return token if token is not None and token.good_until > now else None

    def put(self, spec: OAuth2Spec, token: Token) -> None:
        self._tokens[spec] = token

    def forget(self, spec: OAuth2Spec) -> None:
        self._tokens.pop(spec, None)
