"""The certificate with which we sign in to a server: read, and checked to be usable, before it is offered."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


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
    leaf = _certificate(_read(certificate, "client_cert"), certificate)
    if leaf.not_valid_after_utc.timestamp() <= moment:
        day = datetime.fromtimestamp(leaf.not_valid_after_utc.timestamp(), UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise UnusableCertificateError(f"{certificate} expired on {day}; renew it", "client_cert")
    public = _public_key(_read(key or certificate, key_setting), key or certificate, key_setting)
    if public != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
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


def _certificate(pem: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        raise UnusableCertificateError(f"{path} holds no certificate in PEM", "client_cert") from error


def _public_key(pem: bytes, path: Path, setting: str) -> bytes:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise UnusableCertificateError(f"the key in {path} has a passphrase; write it without one", setting) from error
    except ValueError as error:
        raise UnusableCertificateError(f"{path} holds no private key in PEM", setting) from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
