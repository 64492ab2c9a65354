"""The record of one exchange with a web server, filled in while it happens, and the terms it happens on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx

from earwitness.transport.client_certificate import ClientCertificate

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

TERMS = "earwitness.terms"  # key of the request's extensions
WRITTEN = "earwitness.written"  # in those of a request that nothing changes any more: what it is on the wire, once that is known
EXCHANGE = "earwitness.exchange"  # key of the response's extensions


def values_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return what the headers of this name (in lower case) say, in their order."""
    return [value for named, value in headers if named.lower() == name]


class Stage(StrEnum):
    """The phases of an exchange, in their order, under the names that blackbox_exporter gives them."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    PROCESSING = "processing"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy of an exchange. It looks names up, and so only its own address can be guarded, by its own `allow`."""

    url: httpx.URL
    allow: tuple[Network, ...] = ()
    user: str | None = None
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an exchange may do. How long it may take in all is no part of them: of a flow it is what is left."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()  # whatever is allowed, by a proxy too
    fresh: bool = True  # a connection of its own, used once
    limits: Mapping[Stage, float] = field(default_factory=dict)  # seconds
    body_limit: int = 1024**2  # bytes after decompression
    header_limit: int = 64 * 1024  # bytes of the status line and all headers
    version: str | None = None  # of HTTP: 1.1, 2 or 3; None is what server and transport agree on
    family: int | None = None  # version of IP: 4 or 6; None is either
    pinned: Mapping[str, Address] = field(default_factory=dict)  # hosts that are not looked up
    name_server: str | None = None  # asked instead of the configured ones, and of /etc/hosts
    proxy: Proxy | None = None
    client: ClientCertificate | None = None  # that we sign in with, to the origin of the request


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as the server presented it. Names are RFC 4514 text, times seconds since the epoch."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    pem: bytes = field(default=b"", repr=False, compare=False)

    @property
    def self_signed(self) -> bool:
        return self.subject == self.issuer


@dataclass(slots=True)
class Exchange:
    """What was seen of one request and its answer; complete once the body was read or an error was raised."""

    host: str = ""
    limit: float | None = None  # seconds that all of it may take, name lookup to last byte
    until: float | None = None  # when they are over, on the loop's clock
    began: dict[Stage, float] = field(default_factory=dict)  # on the loop's clock
    ended: float | None = None
    address: str | None = None
    http_version: str | None = None
    certificates: tuple[Certificate, ...] = ()  # the server's own first
    verified: bool | None = None  # None: no TLS, or it never came to that
    headers: tuple[tuple[bytes, bytes], ...] = ()  # as they came, content-encoding included
    size: int = 0  # bytes of body after decompression
    tunnel: int | None = None  # the proxy's status for CONNECT

    def enter(self, stage: Stage, at: float) -> None:
        self.began.setdefault(stage, at)

    @property
    def stage(self) -> Stage:
        return next(reversed(self.began), Stage.RESOLVE)

    @property
    def phases(self) -> dict[Stage, float]:
        """Seconds spent in each phase that was entered and left."""
        stages = list(self.began.items())
        ends = [at for _, at in stages[1:]] + ([] if self.ended is None else [self.ended])
        return {stage: max(0.0, end - at) for (stage, at), end in zip(stages, ends, strict=False)}
