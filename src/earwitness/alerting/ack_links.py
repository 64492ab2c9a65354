"""Links that acknowledge one incident once, for people who have no login at hand: signed, expiring, good for that and nothing else.

Following a link changes nothing, since mail scanners and previews do that too: it leads to a page that asks. A link is signed
(HMAC-SHA256) with a key that lies in the data directory, readable for the daemon's user alone; that it was used is kept in the store.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from earwitness.config.fields import Secret
from earwitness.signing import Signer

VALID_FOR = 3 * 86400.0  # seconds
_KEY_SIZE = 32  # bytes
PATH = "/ack/"


@dataclass(frozen=True, slots=True)
class AckLink:
    """What a link is good for."""

    incident: str
    hook: str  # that carried it
    expires: float
    nonce: str


class AckLinks:
    """Makes links and reads them."""

    def __init__(self, key: Secret, base: str) -> None:
        self._signer = Signer(key, "acknowledge")
        self._base = base

    def url(self, incident: str, hook: str, now: float) -> str:
        """Return a link of its own: each is used once."""
        token = self._signer.token([incident, hook, f"{now + VALID_FOR:.0f}", secrets.token_hex(8)])
        return f"{self._base}{PATH}{token}"

    def read(self, token: str) -> AckLink | None:
        """Return what the link is good for, expired or not. None: we never made it."""
        fields = self._signer.read(token)
        if fields is None:
            return None
        incident, hook, expires, nonce = fields
        return AckLink(incident, hook, float(expires), nonce)


def read_or_make_key(path: Path) -> Secret:
    """Return the key of this data directory, made at the first start. Raises OSError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(_KEY_SIZE))
        file.flush()
        os.fsync(file.fileno())
    return _read_key(path)


def _read_key(path: Path) -> Secret:
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if len(text) != 2 * _KEY_SIZE or set(text) - set("0123456789abcdef"):
        raise OSError(f"{path} is damaged; remove it, and links of earlier alerts acknowledge no more")
    path.chmod(0o600)
    return Secret(text)
