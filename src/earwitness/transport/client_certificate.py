"""The certificate with which we sign in to a server: read, and checked to be usable, before it is offered."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


class UnusableCertificateError(Exception):
    """The files are no certificate that can be offered. `key` names the setting that is to blame."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The PEM files of a certificate (perhaps with its chain) and of its private key; they may be one file."""

    certificate: Path
    key: Path


def read_client_certificate(certificate: Path, key: Path | None, now: float | None = None) -> ClientCertificate:
    """Return the pair once it is known to be usable. `key`: None where the certificate's file holds it.

    `now` is in seconds since the epoch. Raises UnusableCertificateError: a file is missing or unreadable, expired, or the
    key belongs to another certificate.
    """
    moment = time.time() if now is None else now
    key_setting = "client_cert" if key is None else "client_key"
    certified, until = _certified(_read(certificate, "client_cert"), certificate)
    if until <= moment:
        day = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise UnusableCertificateError(f"{certificate} expired on {day}; renew it", "client_cert")
    if _public_key(_read(key or certificate, key_setting), key or certificate, key_setting) != certified:
        raise UnusableCertificateError(
            f"the key in {key or certificate} is not the key of the certificate in {certificate}", key_setting
        )
    return ClientCertificate(certificate, key or certificate)


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}; put the PEM file there, readable for this user"
        raise UnusableCertificateError(message, setting) from error


def _certified(pem: bytes, path: Path) -> tuple[bytes, float]:
    from earwitness.transport.certificates import certified_key  # noqa: PLC0415  Loads cryptography.

    try:
        return certified_key(pem)
    except ValueError as error:
        raise UnusableCertificateError(f"{path} holds no certificate in PEM", "client_cert") from error


def _public_key(pem: bytes, path: Path, setting: str) -> bytes:
    from earwitness.transport.certificates import public_key_of  # noqa: PLC0415  Loads cryptography.

    try:
        return public_key_of(pem)
    except TypeError as error:
        raise UnusableCertificateError(f"the key in {path} has a passphrase; write it without one", setting) from error
    except ValueError as error:
        raise UnusableCertificateError(f"{path} holds no private key in PEM", setting) from error
