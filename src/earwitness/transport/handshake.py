"""A TLS handshake that believes everything and remembers all of it, so that what is wrong can be said afterwards.

OpenSSL's own verdict ends at the first error and at the handshake; here the chain is verified when it is known in full.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from earwitness.model import Failure
from earwitness.transport.connection import Connection, no_tls
from earwitness.transport.errors import ConnectFailedError, UnreadableCertificateError
from earwitness.transport.resolver import literal
from earwitness.transport.x509 import certificate_in

_CHUNK = 16 * 1024  # bytes
_OLDEST = b"ALL:@SECLEVEL=0"  # so that what is weak is seen, instead of ending the handshake


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the server showed and agreed to."""

    protocol: str  # TLSv1.3
    cipher: str
    alpn: str  # empty where nothing was agreed on
    chain: tuple[x509.Certificate, ...]  # as sent, the server's own first
    ocsp: bytes  # the stapled answer, DER; empty without one

    @property
    def pem(self) -> bytes:
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)


async def shake_hands(connection: Connection, server_name: str, alpn: Sequence[str] = ()) -> Handshake:
    """Do the handshake over an open connection. Raises ConnectFailedError (tls_failed, certificate_invalid); time limits are the caller's."""
    stapled: list[bytes] = []
    tls = SSL.Connection(_context(stapled), None)
    if literal(server_name) is None:
        tls.set_tlsext_host_name(server_name.encode("idna"))
    if alpn:
        tls.set_alpn_protos([protocol.encode("ascii") for protocol in alpn])
    tls.request_ocsp()
    tls.set_connect_state()
    await _pump(tls, connection)
    return Handshake(
        protocol=tls.get_protocol_version_name(),
        cipher=tls.get_cipher_name() or "",
        alpn=tls.get_alpn_proto_negotiated().decode("ascii", "replace"),
        chain=_chain(tls),
        ocsp=b"".join(stapled),
    )


def _chain(tls: SSL.Connection) -> tuple[x509.Certificate, ...]:
    """Return the certificates that were shown, all of which can be read. Raises UnreadableCertificateError."""
    try:
        chain = tuple(tls.get_peer_cert_chain(as_cryptography=True) or ())
        for certificate in chain:
            certificate_in(certificate.public_bytes(Encoding.PEM))
    except (ValueError, x509.InvalidVersion) as error:
        message = f"the server shows a certificate that cannot be read here, though some clients may: {error}"
        raise UnreadableCertificateError(message, Failure.CERTIFICATE_INVALID) from error
    return chain


def _context(stapled: list[bytes]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_OLDEST)

    def staple(_connection: SSL.Connection, answer: bytes, _data: object) -> bool:
        stapled.append(answer)
        return True

    context.set_ocsp_client_callback(staple)
    return context


async def _pump(tls: SSL.Connection, connection: Connection) -> None:
    """Carry bytes between OpenSSL and the connection until both sides have what they need."""
    while True:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            await _flush(tls, connection)
            data = await connection.reader.read(_CHUNK)
            if not data:
                raise ConnectFailedError("no TLS connection: the server hung up", Failure.TLS_FAILED) from None
            tls.bio_write(data)
        except SSL.Error as error:
            raise no_tls(ValueError(_said(error))) from error
        else:
            await _flush(tls, connection)
            return


async def _flush(tls: SSL.Connection, connection: Connection) -> None:
    try:
        while data := tls.bio_read(_CHUNK):
            connection.writer.write(data)
    except SSL.WantReadError:
        await connection.writer.drain()


def _said(error: SSL.Error) -> str:
    """OpenSSL's reasons, which it stacks as (library, function, reason)."""
    stacked = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in stacked) or "the server hung up"
