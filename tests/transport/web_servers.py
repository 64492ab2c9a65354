"""Servers to be probed: raw ones on asyncio for bad manners, a name server, and Debian's nginx for good ones."""

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio import serve as serve_quic
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dnslib import AAAA, QTYPE, RCODE, RR, A
from dnslib.server import BaseResolver, DNSLogger, DNSServer

_PATIENCE = 30.0  # seconds in which whatever is told to end does so
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handler: Handler, host: str = "127.0.0.1", port: int = 0, **options) -> AsyncIterator[int]:
    """Yield the port of a server that calls `handler` for each connection and then closes it."""
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    def connected(reader, writer):  # not a coroutine, so that no connection is open and not yet known
        serving[asyncio.create_task(serve(reader, writer))] = writer

    server = await asyncio.start_server(connected, host, port, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in serving.values():
            writer.transport.abort()
        await _ended(serving)


async def _ended(handlers) -> None:
    """Wait until all have ended, and raise what one of them did. Fails where one waits for what will not come any more."""
    if not handlers:
        return
    _, stuck = await asyncio.wait(handlers, timeout=_PATIENCE)
    for task in stuck:
        task.cancel()
    assert not stuck, f"{len(stuck)} connections were closed, and their handlers still wait for something else"
    await asyncio.gather(*handlers)


def answering(*pieces: bytes, then: Handler | None = None) -> Handler:
    """Return a handler that reads a request and sends `pieces`."""

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return handle


async def hang(reader, _writer) -> None:
    """Do nothing until the other side goes away."""
    while await reader.read(65536):
        pass


@dataclass
class WebProxy:
    """A proxy that knows where every name is, and what it was asked; `answer` is what it says to CONNECT instead."""

    port: int = 0
    answer: bytes | None = None
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
            return
        method, target, _ = head.split(b" ", 2)
        port = int(re.search(rb":(\d+)", target)[1])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nx-proxy: yes\r\n\r\n")
        else:
            path = b"/" + target.split(b"/", 3)[3]
            back.write(head.replace(b" " + target + b" ", b" " + path + b" ", 1))
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            back.transport.abort()


async def _pass_on(reader, writer):
    with suppress(OSError):  # whoever is at the other end may have gone, in one way or another
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def web_proxy(answer: bytes | None = None, **options) -> AsyncIterator[WebProxy]:
    """Yield a proxy for http and https that takes every name for this machine."""
    proxy = WebProxy(answer=answer)
    async with raw_server(proxy.serve, **options) as proxy.port:
        yield proxy


class Http3(QuicConnectionProtocol):
    """Answers every request by HTTP/3."""

    _http: H3Connection | None = None

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        for told in self._http.handle_event(event) if self._http else ():
            if isinstance(told, HeadersReceived):
                self._http.send_headers(told.stream_id, [(b":status", b"200")])
                self._http.send_data(told.stream_id, b"over three", end_stream=True)
                self.transmit()


@asynccontextmanager
async def http3_server(pem: Path) -> AsyncIterator[int]:
    """Yield the UDP port of a server with the certificate in `pem`."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(str(pem), str(pem))
    server = await serve_quic("127.0.0.1", 0, configuration=configuration, create_protocol=Http3)
    try:
        yield server._transport.get_extra_info("sockname")[1]
    finally:
        server.close()


class Zone(BaseResolver):
    """A name server's mind: addresses by name, names that fail, names that nobody answers for."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.failing: set[str] = set()
        self.asked = 0
        self.silent_asked = threading.Semaphore(0)
        self.closing = threading.Event()

    def resolve(self, request, _handler):
        name = str(request.q.qname).rstrip(".")
        self.asked += 1
        reply = request.reply()
        if name.endswith("silent.test"):
            self.silent_asked.release()
            self.closing.wait(30)
        if name in self.failing:
            reply.header.rcode = RCODE.SERVFAIL
        elif name not in self.addresses:
            reply.header.rcode = RCODE.NXDOMAIN
        for address in self.addresses.get(name, []):
            kind, data = ("AAAA", AAAA(address)) if ":" in address else ("A", A(address))
            if request.q.qtype == getattr(QTYPE, kind):
                reply.add_answer(RR(request.q.qname, request.q.qtype, rdata=data, ttl=300))
        return reply


@contextmanager
def name_server() -> Iterator[tuple[str, Zone]]:
    """Yield `address:port` of a name server and its zone."""
    zone = Zone()
    server = DNSServer(zone, port=0, address="127.0.0.1", logger=DNSLogger("-request,-reply,-truncated,-error"))
    server.server.daemon_threads = True
    server.start_thread()
    try:
        yield f"127.0.0.1:{server.server.server_address[1]}", zone
    finally:
        zone.closing.set()
        server.stop()
        server.thread.join()
        server.server.server_close()


def self_signed(folder: Path, name: str) -> Path:
    """Write a certificate that vouches for itself, with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def issued(folder: Path, authority, name: str, until: datetime, file: str) -> Path:
    """Write a certificate of the authority for `name`, valid until `until`, with its key, and return the file."""
    certificate = authority.issue_cert(name, not_after=until)
    path = folder / f"{file}.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Below the ports that the system gives to connections going out, and apart from those of other workers and runs.
_PORTS = itertools.count(12_000 + 3_000 * (_WORKER % 6) + os.getpid() % 1_500)


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given until somebody does."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always another port")


_PLAIN = """
location = /ok {{ return 200 "Payment accepted"; }}
location = /down {{ return 503 "Card processor unavailable"; }}
location = /wrong {{ return 200 "Something went wrong"; }}
location = /moved {{ return 302 /ok; }}
location = /loop {{ return 302 /loop; }}
location = /silent {{ proxy_pass http://unix:{folder}/silent; }}
location = /json {{ default_type application/json; return 200 '{{"status": "ok", "queue": [1, 2], "open": true}}'; }}
location = /mended {{ if (-f {folder}/broken) {{ return 500 "broken"; }} return 200 "mended"; }}
"""


def _configuration(folder: Path, plain: int, secure: dict[str, tuple[int, Path]]) -> str:
    locations = _PLAIN.format(folder=folder)
    servers = [f"server {{ listen 127.0.0.1:{plain}; {locations} }}"]
    servers += [
        f"server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem}; {locations} }}"
        for port, pem in secure.values()
    ]
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; default_type text/plain;\n{paths}{' '.join(servers)} }}\n"
    )


def _listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until nginx takes connections, or has ended because a port was taken."""
    give_up = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < give_up:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        time.sleep(0.01)
    return False


class Nginx:
    """A running nginx: `plain` is its HTTP port, `secure` its HTTPS ports by the certificate's name."""

    def __init__(self, folder: Path, plain: int, secure: dict[str, int]) -> None:
        self.folder = folder
        self.plain = plain
        self.secure = secure

    def break_(self) -> None:
        (self.folder / "broken").touch()

    def mend(self) -> None:
        (self.folder / "broken").unlink()


@contextmanager
def nginx(folder: Path, certificates: dict[str, Path]) -> Iterator[Nginx]:
    """Yield a running nginx of the system; without one, skip, or fail in a pipeline."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("nginx is not installed")
    for _ in range(5):
        secure = {name: (free_port(), pem) for name, pem in certificates.items()}
        plain = free_port()
        file = folder / "nginx.conf"
        file.write_text(_configuration(folder, plain, secure))
        process = subprocess.Popen([program, "-c", str(file), "-p", str(folder)], stderr=subprocess.PIPE)
        if _listening(process, plain):
            break
        process.kill()
        trouble = process.communicate(timeout=_PATIENCE)[1]
    else:
        pytest.fail(f"nginx does not start: {trouble.decode()}")
    try:
        yield Nginx(folder, plain, {name: port for name, (port, _) in secure.items()})
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)
