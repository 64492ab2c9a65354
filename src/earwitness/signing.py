"""Tokens that only we can have made: some fields and an HMAC-SHA256 over them, fit for an address. They hide nothing."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from earwitness.config.fields import Secret


class Signer:
    """Makes and reads tokens for one purpose; those of another are not taken, whatever their fields say."""

    def __init__(self, key: Secret, purpose: str) -> None:
        self._key = hmac.digest(bytes.fromhex(key.reveal()), purpose.encode(), hashlib.sha256)

    def token(self, fields: Sequence[str]) -> str:
        """Return the token of `fields`, none of which holds a line break."""
        told = "\n".join(fields).encode()
        return f"{_text(told)}.{_text(self._sign(told))}"

    def read(self, token: str) -> list[str] | None:
        """Return the fields. None: we never made it."""
        told, _, signature = token.partition(".")
        try:
            signed, given = _bytes(told), _bytes(signature)
        except ValueError:
            return None
        return signed.decode().split("\n") if hmac.compare_digest(self._sign(signed), given) else None

    def _sign(self, told: bytes) -> bytes:
        return hmac.digest(self._key, told, hashlib.sha256)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
