"""What a certificate says, read by cryptography. That library is large, so what is not about to read a certificate does not come here."""

from collections.abc import Iterator
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtensionOID

from earwitness.transport.exchange import Certificate

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _subject_names(certificate: x509.Certificate) -> Iterator[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    for name in extension.value:
        if isinstance(name, x509.DNSName | x509.IPAddress):
            yield str(name.value)


def facts_of(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=tuple(_subject_names(certificate)),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def facts_in(pem: bytes) -> Certificate:
    """Return the facts of a certificate in PEM. Raises ValueError if the bytes are none."""
    return replace(facts_of(x509.load_pem_x509_certificate(pem)), pem=pem)


def certified_key(pem: bytes) -> tuple[bytes, float]:
    """Return the public key that a certificate in PEM is for, in DER, and until when, in seconds since the epoch. Raises ValueError."""
    leaf = x509.load_pem_x509_certificates(pem)[0]
    return leaf.public_key().public_bytes(*_PUBLIC), leaf.not_valid_after_utc.timestamp()


def public_key_of(pem: bytes) -> bytes:
    """Return the public half, in DER, of a private key in PEM. Raises ValueError, or TypeError where it has a passphrase."""
    return load_pem_private_key(pem, password=None).public_key().public_bytes(*_PUBLIC)


def authorities_in(pem: bytes) -> list[tuple[bytes, bool]]:
    """Return the certificates in PEM, each in DER and whether it says that it may issue others. Raises ValueError if there is none."""
    read = x509.load_pem_x509_certificates(pem)
    return [(certificate.public_bytes(Encoding.DER), may_issue(certificate)) for certificate in read]


def may_issue(certificate: x509.Certificate) -> bool:
    """Whether a certificate is an authority's, which may issue others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False
