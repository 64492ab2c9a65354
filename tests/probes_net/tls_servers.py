"""Servers that speak TLS: good, badly certified, outdated, reluctant."""

import socket
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from web_servers import hang, raw_server

DAY = timedelta(days=1)


class Issuer:
    """A certificate with its key, which may issue others."""

    def __init__(self, name, key=None, *, parent=None, host=None, begins=-DAY, ends=90 * DAY, ca=False, uses=()):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(parent.name if parent else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        self.certificate = builder.sign((parent or self).key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, bare)


class House:
    """A root, an issuer between, and the server's certificate; whatever is named is made otherwise."""

    def __init__(self, folder, host, *, leaf=None, between=None, root="Root"):
        self.root = Issuer(root, ca=True)
        self.between = Issuer("Between", parent=self.root, ca=True, **(between or {}))
        self.leaf = Issuer("Server", parent=self.between, **{"host": host, **(leaf or {})})
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(self.root.pem)
        self.folder = folder

    def file(self, *certificates):
        path = self.folder / "server.pem"
        chain = certificates or (self.leaf, self.between)
        path.write_bytes(chain[0].key_pem + b"".join(c.pem for c in chain))
        return path


def server_context(pem, *, newest=None, alpn=(), ciphers="DEFAULT:@SECLEVEL=0"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(pem)
    if newest is not None:
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@asynccontextmanager
async def tls_server(pem, handler=hang, **options):
    """Yield the port of a server with the certificate, key and chain of `pem`."""
    async with raw_server(handler, ssl=server_context(pem, **options)) as port:
        yield port


def ocsp_answer(house, status, signer=None, until=DAY, since=-3 * DAY, shown=()):
    """Return a DER answer about the house's server, signed by its issuer unless another signs."""
    signer = signer or house.between
    now = datetime.now(UTC)
    gone = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=house.leaf.certificate,
            issuer=house.between.certificate,
            algorithm=hashes.SHA256(),
            cert_status=status,
            this_update=now + since,
            next_update=now + until,
            revocation_time=now - 3 * DAY if gone else None,
            revocation_reason=x509.ReasonFlags.key_compromise if gone else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
    )
    if shown:
        builder = builder.certificates([issuer.certificate for issuer in shown])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@contextmanager
def stapling_server(house, answer):
    """Yield the port of a server that staples the OCSP answer to its certificate, for one connection."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(house.file()))
    context.use_privatekey_file(str(house.file()))
    context.set_ocsp_server_callback(lambda *_: answer)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError, SSL.Error):
            accepted, _ = listener.accept()
            connection = SSL.Connection(context, accepted)
            connection.set_accept_state()
            with accepted:
                connection.do_handshake()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(10)


@contextmanager
def starttls_server(pem, exchanges):
    """Yield the port of a server that takes one connection, hears and says these words, and then begins TLS."""
    context = server_context(pem)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            accepted, _ = listener.accept()
            for heard, said in exchanges:
                if heard and accepted.recv(len(heard), socket.MSG_WAITALL) != heard:
                    accepted.close()
                    return
                accepted.sendall(said)
            context.wrap_socket(accepted, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(10)


def rsa_key(bits):
    return rsa.generate_private_key(65537, bits)
