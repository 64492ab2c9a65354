"""What is wrong with a chain of certificates, each fault under a name of its own. Loads cryptography and pyOpenSSL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from earwitness.model import Failure
from earwitness.transport.certificates import may_issue
from earwitness.transport.errors import ConnectFailedError
from earwitness.transport.exchange import Certificate
from earwitness.transport.trust import TrustStore, covers, day
from earwitness.transport.x509 import certificate_in

_TOO_EARLY, _TOO_LATE = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_OUT_OF_DATE = frozenset({_TOO_EARLY, _TOO_LATE})
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name
_SELF_SIGNED = frozenset({18, 19})  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
_NO_ISSUER = frozenset({2, 20, 21})  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT(_LOCALLY), _UNABLE_TO_VERIFY_LEAF_SIGNATURE
_WEAK_HASHES = frozenset({"md5", "sha1"})
_SKEW = timedelta(minutes=5)  # by which a responder's clock may be ahead of ours
_USES = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
}
_RSA_BITS, _EC_BITS = 2048, 224  # CA/Browser Forum baseline requirements 6.1.5 allow no fewer


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a chain; the sentence is for a person."""

    failure: Failure
    message: str


def faults_of(
    chain: Sequence[x509.Certificate], host: str, trust: TrustStore, now: datetime, *, ocsp_says: str = "not stapled"
) -> list[Fault]:
    """Return what a client would refuse the chain for, the server's own certificate first; none: it is good.

    `now` is aware, `ocsp_says` what `revocation` found. Raises ConnectFailedError (no_trust_store).
    """
    if not chain:
        return [Fault(Failure.TLS_FAILED, "the server shows no certificate")]
    return [
        *_out_of_date(chain[0], now),
        *_wrong_name(chain[0], host),
        *_untrusted(chain, trust, now),
        *_for_others(chain[0]),
        *_weak(chain),
        *_revoked(chain, ocsp_says),
    ]


def _out_of_date(leaf: x509.Certificate, now: datetime) -> Iterator[Fault]:
    name = _name(leaf.subject)
    if leaf.not_valid_after_utc < now:
        days = (now - leaf.not_valid_after_utc).days
        ago = f"{days} {'day' if days == 1 else 'days'} ago"
        when = day(leaf.not_valid_after_utc.timestamp())
        yield Fault(Failure.CERTIFICATE_EXPIRED, f"the certificate {name} expired on {when}, {ago}")
    if leaf.not_valid_before_utc > now:
        when = day(leaf.not_valid_before_utc.timestamp())
        yield Fault(Failure.CERTIFICATE_NOT_YET_VALID, f"the certificate {name} is not valid before {when}")


def _wrong_name(leaf: x509.Certificate, host: str) -> Iterator[Fault]:
    facts = facts_of(leaf)
    if not covers(facts, host):
        named = ", ".join(facts.names) or "no name at all"
        yield Fault(Failure.CERTIFICATE_WRONG_NAME, f"the certificate is for {named}, not for {host}")


def _untrusted(chain: Sequence[x509.Certificate], trust: TrustStore, now: datetime) -> Iterator[Fault]:
    """Verify the chain as of now; if only dates are wrong with it, say which: OpenSSL would name one and stop."""
    refused = _verify(chain, trust, now)
    if refused is None:
        return
    if refused[0] in _OUT_OF_DATE:
        refused = _verify(chain, trust, None)
        for issuer in chain[1:]:
            yield from _issuer_out_of_date(issuer, now)
    if refused is not None:
        yield _trust_fault(*refused, chain)


def _for_others(certificate: x509.Certificate) -> Iterator[Fault]:
    """Yield that a certificate is not for servers (RFC 5280, 4.2.1.12): one without the extension is for everything."""
    uses = _uses(certificate)
    if uses and not uses & {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}:
        listed = ", ".join(sorted(_USES.get(use, use.dotted_string) for use in uses))
        message = f"the certificate {_name(certificate.subject)} may not be used by a server, but only for {listed}"
        yield Fault(Failure.CERTIFICATE_UNTRUSTED, message)


def _uses(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return set()


def facts_of(certificate: x509.Certificate) -> Certificate:
    """Return what a certificate says. Raises ValueError where it cannot be read."""
    return certificate_in(certificate.public_bytes(Encoding.PEM))


def needed(chain: Sequence[x509.Certificate], trust: TrustStore, now: datetime) -> Sequence[x509.Certificate]:
    """Return those of the sent certificates that the chain is verified by; all of them where it is not verified.

    A server may send more than are needed, such as an old root's signature for one that is trusted by itself. Raises
    ConnectFailedError (no_trust_store).
    """
    if len(chain) < 2:
        return chain
    store = _store(trust.bundle(), trust.changed, dated=True)
    store.set_time(now)
    leaf, *others = [crypto.X509.from_cryptography(certificate) for certificate in chain]
    try:
        path = [c.to_cryptography() for c in crypto.X509StoreContext(store, leaf, others).get_verified_chain()]
    except crypto.X509StoreContextError:
        return chain
    return [certificate for certificate in chain if certificate in path]


def _verify(chain: Sequence[x509.Certificate], trust: TrustStore, at: datetime | None) -> tuple[int, str] | None:
    """Return OpenSSL's code and words for what is wrong with the chain, or None; `at` None leaves dates aside."""
    store = _store(trust.bundle(), trust.changed, dated=at is not None)
    if at is not None:
        store.set_time(at)
    leaf, *others = [crypto.X509.from_cryptography(certificate) for certificate in chain]
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        code, _depth, said = error.errors
        return int(code), str(said)
    return None


@lru_cache(maxsize=4)
def _store(path: str, _changed: float, *, dated: bool) -> crypto.X509Store:
    """Return the authorities of the file; reading them is a hundred times the work of one verification."""
    store = crypto.X509Store()
    try:
        store.load_locations(path)
    except crypto.Error as error:
        message = f"the authorities in {path} cannot be read: they are no certificates in PEM"
        raise ConnectFailedError(message, Failure.NO_TRUST_STORE) from error
    if not dated:
        store.set_flags(_NO_CHECK_TIME)
    return store


def _issuer_out_of_date(certificate: x509.Certificate, now: datetime) -> Iterator[Fault]:
    name = _name(certificate.subject)
    if certificate.not_valid_after_utc < now:
        when = day(certificate.not_valid_after_utc.timestamp())
        yield Fault(Failure.CERTIFICATE_EXPIRED, f"the certificate of an issuer, {name}, expired on {when}")
    elif certificate.not_valid_before_utc > now:
        when = day(certificate.not_valid_before_utc.timestamp())
        message = f"the certificate of an issuer, {name}, is not valid before {when}"
        yield Fault(Failure.CERTIFICATE_NOT_YET_VALID, message)


def _trust_fault(code: int, said: str, chain: Sequence[x509.Certificate]) -> Fault:
    leaf, last = chain[0], chain[-1]
    if leaf.subject == leaf.issuer:
        return Fault(Failure.CERTIFICATE_SELF_SIGNED, f"the certificate {_name(leaf.subject)} is self-signed")
    if code in _NO_ISSUER and not may_issue(last):
        message = (
            f"the chain is incomplete: {_name(leaf.issuer)} issued the certificate, and the server does not send it"
        )
        return Fault(Failure.CERTIFICATE_CHAIN_INCOMPLETE, message)
    if code in _NO_ISSUER or code in _SELF_SIGNED:
        message = f"the chain leads to {_name(last.issuer)}, whom nothing here vouches for"
        return Fault(Failure.CERTIFICATE_UNTRUSTED, message)
    return Fault(Failure.CERTIFICATE_UNTRUSTED, f"the chain is refused: {said}")


def _weak(chain: Sequence[x509.Certificate]) -> Iterator[Fault]:
    for certificate in chain:
        for what in _weaknesses(certificate):
            yield Fault(Failure.CERTIFICATE_WEAK, f"the certificate {_name(certificate.subject)} has {what}")


def _weaknesses(certificate: x509.Certificate) -> Iterator[str]:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        yield "a key of a kind that hardly any client knows"
        return
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey) and key.key_size < _RSA_BITS:
        yield f"a key of {key.key_size} bits; {_RSA_BITS} are the fewest"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _EC_BITS:
        yield f"a key on {key.curve.name}, of {key.curve.key_size} bits; {_EC_BITS} are the fewest"
    try:
        hashed = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return
    if hashed is not None and hashed.name in _WEAK_HASHES and certificate.subject != certificate.issuer:
        yield f"a signature with {hashed.name.upper()}, which can be forged"


def revocation(chain: Sequence[x509.Certificate], stapled: bytes, now: datetime) -> str:
    """Return what the stapled OCSP answer says of the server's certificate: good, revoked, unknown, unusable, out of date or not stapled."""
    if not stapled:
        return "not stapled"
    try:
        answer = ocsp.load_der_ocsp_response(stapled)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return "unusable"
        ahead = answer.this_update_utc > now + _SKEW
        if ahead or answer.serial_number != chain[0].serial_number or not _vouched_for(answer, chain, now):
            return "unusable"
        if answer.next_update_utc is not None and answer.next_update_utc < now:
            return "out of date"
        return answer.certificate_status.name.lower()
    except (ValueError, UnsupportedAlgorithm):
        return "unusable"


def _vouched_for(answer: ocsp.OCSPResponse, chain: Sequence[x509.Certificate], now: datetime) -> bool:
    """Whether the issuer, or a responder that the issuer names, signed the answer (RFC 6960, 4.2.2.2)."""
    issuer = next((c for c in chain[1:] if c.subject == chain[0].issuer), None)
    if issuer is None:
        return False
    responder = answer.certificates[0] if answer.certificates else issuer
    hashed, key = answer.signature_hash_algorithm, responder.public_key()
    try:
        if responder is not issuer and responder != issuer:
            responder.verify_directly_issued_by(issuer)
            living = responder.not_valid_before_utc <= now <= responder.not_valid_after_utc
            if not living or ExtendedKeyUsageOID.OCSP_SIGNING not in _uses(responder):
                return False
        if isinstance(key, rsa.RSAPublicKey) and hashed is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, PKCS1v15(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and hashed is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(hashed))
        else:
            return False
    except (InvalidSignature, TypeError):
        return False
    return True


def _revoked(chain: Sequence[x509.Certificate], ocsp_says: str) -> Iterator[Fault]:
    if ocsp_says == "revoked":
        message = f"the certificate {_name(chain[0].subject)} is revoked, says the stapled OCSP answer"
        yield Fault(Failure.CERTIFICATE_REVOKED, message)


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "without a name"
