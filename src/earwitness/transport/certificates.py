"""Keys and authorities in files of ours, read by cryptography. That library is large: who reads no such file does not come here."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


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
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
