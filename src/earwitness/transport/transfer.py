"""One request on one libcurl easy handle: what it is told, what it calls back, what it measured."""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address

import httpx
import pycurl

from earwitness.model import Failure
from earwitness.transport.errors import BrokenAnswerError, ExchangeError
from earwitness.transport.exchange import WRITTEN, Address, Exchange, Proxy, Stage, Terms
from earwitness.transport.guard import check
from earwitness.transport.shown import Shown
from earwitness.transport.trust import read_pem

_HIGH_WATER = 128 * 1024  # bytes that may wait for their reader before libcurl is told to pause
_OURS = frozenset({b"connection", b"content-length", b"transfer-encoding"})  # libcurl frames the request itself
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT_FOR = 300  # seconds, then a connection is made anew: whether its certificate is still good is seen at a handshake
_NEVER_MS = 2**31 - 1  # we keep the time ourselves
_VERSIONS = {1: "1.0", 2: "1.1", 3: "2", 30: "3"}
_WANTED = {
    None: pycurl.CURL_HTTP_VERSION_2TLS,
    "1.1": pycurl.CURL_HTTP_VERSION_1_1,
    "2": pycurl.CURL_HTTP_VERSION_2TLS,
    "3": pycurl.CURL_HTTP_VERSION_3ONLY,
}
_STATUS_LINE = re.compile(rb"HTTP/\S+\s+(\d{3})([^\r\n]*)")
_LINE_ENDS = b"\r\n"
_SUPPRESS_CONNECT_HEADERS = 265  # pycurl has no name for this option of libcurl


@lru_cache(maxsize=4096)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, ...]:
    """Return header lines as libcurl wants them: `name;` for an empty value, `name:` to leave its own out."""
    given = {name.lower() for name, _ in headers}
    sent = [(name, value) for name, value in headers if name.lower() not in _OURS]
    for name, value in sent:
        if any(byte in name + value for byte in b"\r\n\0"):
            raise httpx.LocalProtocolError("a header holds a line break")
    lines = [name + b": " + value if value else name + b";" for name, value in sent]
    own = [b"accept", b"user-agent", b"content-type"]
    return (*lines, b"Expect:", *(name + b":" for name in own if name not in given))


def _written(request: httpx.Request) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the request's URL and header lines; those of one that is sent again and again are written once."""
    written: tuple[bytes, tuple[bytes, ...]] | None = request.extensions.get(WRITTEN)
    if written is None:
        url = request.url
        host = url.raw_host.decode("ascii")
        host = f"[{host}]" if ":" in host else host
        port = "" if url.port is None else f":{url.port}"
        written = f"{url.scheme}://{host}{port}".encode() + url.raw_path, _lines(tuple(request.headers.raw))
        if WRITTEN in request.extensions:
            request.extensions[WRITTEN] = written
    return written


@lru_cache(maxsize=4096)
def _address(text: str) -> Address:
    return ip_address(text)


def _status(line: bytes) -> tuple[int, bytes]:
    """Return status and reason of an answer's first line, read as leniently as libcurl does. Raises BrokenAnswerError."""
    found = _STATUS_LINE.match(line)
    if found is None:
        raise BrokenAnswerError("the answer begins with no status line of HTTP", Failure.PROTOCOL_ERROR)
    return int(found[1]), found[2].strip()


def _goes_its_own_way(terms: Terms) -> bool:
    """Whether it matters which of a host's addresses is asked: libcurl takes any connection to the same name for as good."""
    return bool(terms.family or terms.pinned or terms.name_server)


def _connected(opened: socket.socket) -> bool:
    try:
        opened.getpeername()
    except OSError:
        return False
    return True


class Transfer:
    """The state of one request. Only callbacks of libcurl, and the task that owns it, touch it."""

    def __init__(self, request: httpx.Request, body: bytes, terms: Terms, exchange: Exchange, known: Shown) -> None:
        """`known`: what the server's addresses have just shown, and need not write out again; empty if that is not known."""
        self._loop = asyncio.get_running_loop()
        self._terms = terms
        self._exchange = exchange
        self._allow = terms.allow if terms.proxy is None else terms.proxy.allow
        self._tls, self._known = request.url.scheme == "https", known
        self.keeps = not terms.fresh and not _goes_its_own_way(terms)  # whether others may go over its connection later
        self._began = self._loop.time()
        self._ready: float | None = None  # when the connection was there, on the loop's clock
        self.handle = pycurl.Curl()
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.headers_done = False
        self._head: list[bytes] = []  # the lines of an answer, up to the empty one
        self.reason = b""
        self.sized = 0  # bytes of status lines and headers
        self.answered: asyncio.Future[None] = self._loop.create_future()
        self.ended: tuple[int, str] | None = None
        self._waiting = (
            bytearray()
        )  # of the body; a chunk may be a byte, and an object for each would be forty times the body
        self._paused = False
        self._complete = False
        self._arrived = asyncio.Event()
        self._kept: BaseException | None = None
        self._sockets: list[socket.socket] = []
        self._configure(request, body)

    # --- what libcurl is told ---

    def _configure(self, request: httpx.Request, body: bytes) -> None:
        (url, lines), option = _written(request), self.handle.setopt
        option(pycurl.URL, url)
        option(pycurl.PATH_AS_IS, 1)
        option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        option(pycurl.FOLLOWLOCATION, 0)
        option(pycurl.NOSIGNAL, 1)
        option(pycurl.HTTP_VERSION, self._version())
        option(pycurl.HTTPHEADER, lines)
        option(pycurl.CONNECTTIMEOUT_MS, _NEVER_MS)
        # On a kept connection libcurl sends again by itself when the server hangs up: twice dialled, twice paid.
        option(pycurl.FRESH_CONNECT, int(not self.keeps or request.method not in _REPEATABLE))
        option(pycurl.FORBID_REUSE, int(not self.keeps))
        if self.keeps:
            option(pycurl.MAXLIFETIME_CONN, _KEPT_FOR)
        option(pycurl.SSL_SESSIONID_CACHE, 0)
        option(pycurl.OPT_CERTINFO, int(self._tls and not self._known))
        option(pycurl.OPENSOCKETFUNCTION, self._on_open_socket)
        option(pycurl.PREREQFUNCTION, self._on_connected)
        option(pycurl.HEADERFUNCTION, self._on_header)
        option(pycurl.WRITEFUNCTION, self._on_write)
        self._set_method(request.method, body)
        self._set_proxy(self._terms.proxy)
        if self._terms.client is not None:
            option(pycurl.SSLCERT, str(self._terms.client.certificate))
            option(pycurl.SSLKEY, str(self._terms.client.key))

    def _version(self) -> int:
        if self._terms.version == "2" and not self._tls:
            return int(pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
        if self._terms.version == "3" and not self._tls:  # where a redirect led; QUIC is never without TLS
            return int(pycurl.CURL_HTTP_VERSION_1_1)
        return int(_WANTED[self._terms.version])

    def _set_proxy(self, proxy: Proxy | None) -> None:
        option = self.handle.setopt
        option(pycurl.PROXY, "" if proxy is None else str(proxy.url))  # not what the environment says
        option(pycurl.NOPROXY, "")
        option(_SUPPRESS_CONNECT_HEADERS, 1)
        if proxy is not None and proxy.user is not None:
            option(pycurl.PROXYUSERNAME, proxy.user.encode())
            option(pycurl.PROXYPASSWORD, proxy.password.encode())

    def _set_method(self, method: str, body: bytes) -> None:
        if body or method in ("POST", "PUT", "PATCH"):
            self.handle.setopt(pycurl.POST, 1)
            self.handle.setopt(pycurl.POSTFIELDS, body)
        if method == "HEAD":
            self.handle.setopt(pycurl.NOBODY, 1)
        else:
            self.handle.setopt(pycurl.CUSTOMREQUEST, method)

    def pin(self, host: str, port: int, addresses: Sequence[Address]) -> None:
        """Make libcurl connect to `addresses` and to nothing else that `host` may mean by then."""
        listed = ",".join(f"[{a}]" if a.version == 6 else str(a) for a in addresses)
        self.handle.setopt(pycurl.RESOLVE, [f"{host}:{port}:{listed}"])

    # --- what libcurl calls back ---

    def _keep(self, error: BaseException) -> None:
        self._kept = self._kept or error

    def _on_open_socket(self, _purpose: int, where: "pycurl.CurlSockAddr") -> socket.socket | int:
        try:
            self._exchange.address = str(where.addr[0])
            check(_address(where.addr[0]), self._allow, self._terms.deny)
            opened = socket.socket(where.family, where.socktype, where.protocol)
            self._sockets.append(opened)  # pycurl hands a duplicate of it to libcurl when we return
        except Exception as error:  # noqa: BLE001  # Kept, and raised where the transfer is awaited.
            self._keep(error)
            return int(pycurl.SOCKET_BAD)
        return opened

    def _on_connected(self, address: str, _local: str, _port: int, _local_port: int) -> int:
        """Check once more before the request is sent over a connection that may have been opened on someone else's terms."""
        try:
            if self.keeps:
                check(_address(address), self._allow, self._terms.deny)
        except Exception as error:  # noqa: BLE001  # Kept, as above.
            self._keep(error)
            return int(pycurl.PREREQFUNC_ABORT)
        self._ready = self._loop.time()
        return int(pycurl.PREREQFUNC_OK)

    def _on_header(self, line: bytes) -> int | None:
        """Take a line; None takes it whole. What can wait is left to the end of the head, since this is called for each."""
        try:
            self._read_line(line)
        except Exception as error:  # noqa: BLE001  # Kept, as above.
            self._keep(error)
            return -1
        return None

    def _read_line(self, line: bytes) -> None:
        self.sized += len(line)
        if self.sized > self._terms.header_limit:
            limit = self._terms.header_limit
            raise BrokenAnswerError(f"the headers are larger than {limit} bytes", Failure.PROTOCOL_ERROR)
        if self.headers_done:
            return  # a trailer
        if not self._head:
            self.status, self.reason = _status(line)
        self._head.append(line)
        if line[0] in _LINE_ENDS:
            self._read_head()

    def _read_head(self) -> None:
        lines, self._head = self._head[1:-1], []
        if self.status < 200:  # an interim answer; the real one follows
            return
        split = (line.partition(b":") for line in lines)
        self.headers = [(name.strip(), value.strip()) for name, _, value in split]
        self.headers_done = True
        if not self.answered.done():
            self.answered.set_result(None)

    def _on_write(self, data: bytes) -> int:
        if len(self._waiting) >= _HIGH_WATER:
            self._paused = True
            return int(pycurl.WRITEFUNC_PAUSE)
        self._waiting += data
        self._arrived.set()
        return len(data)

    def on_done(self, code: int, text: str) -> None:
        """Take note that libcurl is through with the request. Never called from inside libcurl."""
        self.ended = (code, text)
        self._arrived.set()
        if not self.answered.done():
            self.answered.set_result(None)

    # --- what its owner reads ---

    def error(self, explain: Callable[[int, str], ExchangeError]) -> BaseException | None:
        """Return what went wrong, if anything did: first what a callback kept, then what libcurl says."""
        if self._kept is not None:
            return self._kept
        if self.ended is None or self.ended[0] == 0:
            return None
        return explain(*self.ended)

    def at_hand(self) -> bool:
        """Whether `chunks` goes on without waiting."""
        return bool(self._waiting) or self.ended is not None

    async def chunks(self, explain: Callable[[int, str], ExchangeError]) -> AsyncGenerator[bytes]:
        """Yield the body as it comes; raises ExchangeError when it breaks off."""
        while True:
            while self._waiting:
                chunk = bytes(self._waiting)
                self._waiting.clear()
                yield chunk
            if self.ended is not None:
                break
            self._arrived.clear()
            if self._paused:
                self._paused = False
                self.handle.pause(pycurl.PAUSE_CONT)
            if not self._waiting:
                await self._arrived.wait()
        error = self.error(explain)
        if error is not None:
            raise error

    def measure(self) -> None:
        """Bring the record up to date with what libcurl has measured so far."""
        info, enter = self.handle.getinfo, self._exchange.enter
        enter(Stage.CONNECT, self._began)
        connected, secured = info(pycurl.CONNECT_TIME), info(pycurl.APPCONNECT_TIME)
        if self._tls and connected:
            self._exchange.began[Stage.TLS] = self._began + connected
        elif self._tls and self._terms.version != "3" and any(map(_connected, self._sockets)):
            enter(Stage.TLS, self._loop.time())  # libcurl tells the time only when TLS is through as well
        ready = secured if self._tls else connected
        if ready:
            enter(Stage.PROCESSING, self._began + ready)
        elif self._ready is not None and not connected:  # a kept connection, of which libcurl tells no time
            enter(Stage.PROCESSING, self._ready)
        first_byte = info(pycurl.STARTTRANSFER_TIME)
        if first_byte and self.sized:
            enter(Stage.TRANSFER, self._began + first_byte)
        self._exchange.address = info(pycurl.PRIMARY_IP) or self._exchange.address
        self._exchange.tunnel = info(pycurl.HTTP_CONNECTCODE) or None

    def close(self) -> None:
        """Let go of everything. The handle must be out of the driver."""
        self.handle.close()
        self.release_sockets()

    def release_sockets(self) -> None:
        """Leave the sockets to libcurl alone, so that it ends a connection when it closes its own."""
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()

    def complete(self) -> None:
        """Fill in the record's last entries; the handle is of no use afterwards. Of an answer that had ended, they stand there already."""
        if self.handle.closed or self._complete:
            return
        self._complete = self.ended is not None
        self.measure()
        self.release_sockets()
        self._exchange.ended = self._began + self.handle.getinfo(pycurl.TOTAL_TIME)
        self._exchange.http_version = _VERSIONS.get(self.handle.getinfo(pycurl.INFO_HTTP_VERSION))
        self.read_certificates()

    def read_certificates(self) -> None:
        if not self._tls or self._exchange.certificates:
            return
        if self._known:
            address = self._exchange.address
            if address is not None and Stage.PROCESSING in self._exchange.began:
                self._exchange.certificates = self._known.get(_address(address), ())
            return
        shown = self.handle.getinfo_raw(pycurl.INFO_CERTINFO)
        pems = (value for certificate in shown for name, value in certificate if name == b"Cert")
        self._exchange.certificates = tuple(facts for facts in map(read_pem, pems) if facts is not None)

    @property
    def wrote_out(self) -> bool:
        """Whether the certificates of the record are those that its address has shown in this handshake."""
        return self._tls and not self._known and not self.keeps and self._terms.proxy is None

    @property
    def connection(self) -> int:
        """The number of the connection, among those of the driver."""
        return int(self.handle.getinfo(pycurl.CONN_ID))

    @property
    def os_error(self) -> int:
        return int(self.handle.getinfo(pycurl.OS_ERRNO))

    @property
    def verify_code(self) -> int:
        """OpenSSL's X509_V_ code."""
        return int(self.handle.getinfo(pycurl.SSL_VERIFYRESULT))
