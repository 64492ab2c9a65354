"""Whom we trust, what certificate a server showed, and in plain words what is wrong with it."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

import certifi

from earwitness.model import Failure
from earwitness.transport.client_certificate import ClientCertificate
from earwitness.transport.errors import ConnectFailedError
from earwitness.transport.exchange import Certificate
from earwitness.transport.x509 import certificate_in

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # BSD, macOS
)
_DAY = 86400.0


class TrustStore:
    """The authorities that are trusted: one file, the system's when none is configured, else certifi's."""

    def __init__(self, ca_file: Path | None = None) -> None:
        found = [Path(path) for path in _SYSTEM_BUNDLES if Path(path).is_file()]
        self._path = ca_file or next(iter(found), Path(certifi.where()))
        self._contexts: dict[float, ssl.SSLContext] = {}

    @property
    def impaired(self) -> str | None:
        """Why no certificate can be verified, or None. It is the monitor's trouble, never a finding of a target."""
        try:
            size = self._path.stat().st_size
        except OSError as error:
            return f"the authorities in {self._path} cannot be read: {error.strerror}"
        return None if size else f"the authorities in {self._path} cannot be read: the file is empty"

    @property
    def changed(self) -> float:
        """When the file was last written, in seconds since the epoch."""
        return self._path.stat().st_mtime

    def bundle(self) -> str:
        """Return the file's path; raises ConnectFailedError (no_trust_store) if it is not there."""
        trouble = self.impaired
        if trouble is not None:
            raise ConnectFailedError(trouble, Failure.NO_TRUST_STORE)
        return str(self._path)

    def context(self, client: ClientCertificate | None = None) -> ssl.SSLContext:
        """Return an OpenSSL context that trusts the file as it is now, and signs in as `client`.

        Raises ConnectFailedError (no_trust_store, client_certificate_unusable).
        """
        if client is not None:
            return self._signing_in(client)
        path = self.bundle()
        changed = self.changed
        if changed not in self._contexts:
            try:
                self._contexts = {changed: ssl.create_default_context(cafile=path)}
            except (ssl.SSLError, OSError) as error:
                message = f"the authorities in {path} cannot be read: {error.strerror or error}"
                raise ConnectFailedError(message, Failure.NO_TRUST_STORE) from error
        return self._contexts[changed]

    def _signing_in(self, client: ClientCertificate) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.bundle())
        try:
            context.load_cert_chain(client.certificate, client.key)
        except (ssl.SSLError, OSError) as error:
            message = f"our certificate in {client.certificate} cannot be used: {error.strerror or error}"
            raise ConnectFailedError(message, Failure.CLIENT_CERTIFICATE_UNUSABLE) from error
        return context


@lru_cache(maxsize=1024)
def read_pem(pem: bytes) -> Certificate | None:
    """Return the facts of a certificate in PEM, or None if the server's bytes are no certificate."""
    with contextlib.suppress(ValueError):
        return certificate_in(pem)
    return None


def read_der(der: bytes) -> Certificate | None:
    return read_pem(ssl.DER_cert_to_PEM_cert(der).encode("ascii"))


async def look(address: str, port: int, host: str, until: float) -> Certificate | None:
    """Return the certificate that a server presents to one who verifies nothing, or None if it presents none by `until` (the loop's clock)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout_at(until):
            _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
    except (OSError, TimeoutError):
        return None
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return read_der(der) if der else None


def _matches(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:]


def covers(certificate: Certificate, host: str) -> bool:
    """Whether the certificate is for `host` (RFC 9525: subject alternative names only, `*` for one whole label)."""
    bare = host.strip("[]")
    try:
        wanted = str(ip_address(bare))
    except ValueError:
        return any(_matches(name, bare) for name in certificate.names)
    return wanted in certificate.names


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _complaints(certificate: Certificate, host: str, now: float) -> Iterator[str]:
    if certificate.not_after < now:
        days = int((now - certificate.not_after) / _DAY)
        yield f"expired on {day(certificate.not_after)}, {days} {'day' if days == 1 else 'days'} ago"
    if certificate.not_before > now:
        yield f"is not valid before {day(certificate.not_before)}"
    if not covers(certificate, host):
        yield f"is for {', '.join(certificate.names) or certificate.subject}, not for {host}"


_BY_CODE = {
    26: "may not be used by a server",  # X509_V_ERR_INVALID_PURPOSE
    66: "has a key that is too short",  # X509_V_ERR_EE_KEY_TOO_SMALL
    67: "has an issuer whose key is too short",  # X509_V_ERR_CA_KEY_TOO_SMALL
    68: "is signed in a way that can be forged",  # X509_V_ERR_CA_MD_TOO_WEAK
}
_NO_ISSUER = frozenset({2, 20, 21})  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT(_LOCALLY), _UNABLE_TO_VERIFY_LEAF_SIGNATURE


def _by_code(leaf: Certificate, others: Sequence[Certificate], said: str, code: int | None) -> str:
    if code in _BY_CODE:
        return f"{_BY_CODE[code]} ({said})"
    sent = any(other.subject == leaf.issuer for other in others)
    if code in _NO_ISSUER and not sent:
        return f"was issued by {leaf.issuer}, who is not trusted here, and whose certificate the server does not send ({said})"
    return f"was issued by {leaf.issuer}, whom nothing here vouches for ({said})"


def diagnose(certificates: Sequence[Certificate], host: str, now: float, said: str, code: int | None = None) -> str:
    """Return one sentence on why the certificate was refused; `said` is what the TLS library had to say, `code` OpenSSL's."""
    if not certificates:
        return f"the certificate of {host} was refused: {said}"
    leaf, *others = certificates
    complaints = list(_complaints(leaf, host, now))
    complaints += [
        f"has an issuer, {c.subject}, that expired on {day(c.not_after)}" for c in others if c.not_after < now
    ]
    if leaf.self_signed:
        complaints.append("is self-signed")
    if not complaints:
        complaints.append(_by_code(leaf, others, said, code))
    return f"the certificate of {host} {' and '.join(complaints)}"
