"""Which certificates of a chain count, for those who know them by their facts. What is wrong with them is found in `chain_faults`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from earwitness.transport.exchange import Certificate
from earwitness.transport.trust import TrustStore


def needed_of(certificates: Sequence[Certificate], trust: TrustStore, now: datetime) -> list[Certificate]:
    """Return those of the sent certificates that the chain is verified by; all of them where it is not verified.

    `now` is aware. Raises ConnectFailedError (no_trust_store).
    """
    from cryptography import x509  # noqa: PLC0415  9 MB with pyOpenSSL, which most runs have no need of.

    from earwitness.transport.chain_faults import needed  # noqa: PLC0415

    try:
        read = [x509.load_pem_x509_certificate(certificate.pem) for certificate in certificates]
    except (ValueError, x509.InvalidVersion):  # that library takes less than OpenSSL, which has verified them
        return list(certificates)
    used = needed(read, trust, now)
    return [facts for facts, certificate in zip(certificates, read, strict=True) if certificate in used]


def as_utc(moment: float) -> datetime:
    """Return seconds since the epoch as an aware time."""
    return datetime.fromtimestamp(moment, UTC)
