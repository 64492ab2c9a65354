"""The TLS probe: shakes hands with a server, and says everything that is wrong with its certificates and with what was agreed on.

The handshake itself believes everything; the chain is verified afterwards, so that each fault has its own name.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from earwitness.config.fields import Flag, Limits, OneOrMore, Spec, as_list, problem
from earwitness.model import Channel, Observation
from earwitness.probes.context import Kind, RunContext
from earwitness.probes.endpoint import EndpointSpec, Host, Port
from earwitness.probes.http_fields import Regex
from earwitness.probes.http_spec import TimeLeft
from earwitness.transport.starttls import Starttls

PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
Protocol = Literal["1.0", "1.1", "1.2", "1.3"]
PROTOCOL_NAMES = dict(zip(("1.0", "1.1", "1.2", "1.3"), PROTOCOLS, strict=True))


def _protocol(value: Any) -> str:
    text = str(value).strip().upper().removeprefix("TLSV").removeprefix("TLS").strip()
    if text not in PROTOCOL_NAMES:
        raise problem(f"{value!r} is not a version of TLS; write one of {', '.join(PROTOCOL_NAMES)}")
    return text


def _alpn(value: Any) -> Any:
    listed = as_list(value)
    for text in listed if isinstance(listed, list | tuple) else ():
        if not 0 < len(str(text)) < 256 or not str(text).isascii():  # RFC 7301, 3.1
            raise problem(f"{text!r} is not a protocol of ALPN; write one such as h2 or http/1.1")
    return listed


class TlsExpect(Spec):
    """What must be true of the server. `ciphers` are patterns, one of which the agreed cipher suite must be like."""

    trusted: Flag = True  # the chain, by the authorities of network.ca_file or the system
    name: Flag = True  # the certificate is for the host
    certificate_left: TimeLeft = TimeLeft()
    min_protocol: Annotated[Protocol, BeforeValidator(_protocol)] = "1.2"
    ciphers: Annotated[tuple[Regex, ...], OneOrMore()] = ()
    alpn: str | None = None
    stapled: Flag = False  # an OCSP answer must come with the certificate
    within: Limits = Limits()


class TlsSpec(EndpointSpec):
    """A host and a port that speaks TLS, at once or after the words of `starttls`."""

    port: Port = 443
    server_name: Host | None = None  # asked for, and looked for in the certificate, instead of the host
    starttls: Starttls | None = None
    alpn: Annotated[tuple[str, ...], BeforeValidator(_alpn)] = ()  # what is offered, in this order
    expect: TlsExpect = TlsExpect()

    @model_validator(mode="after")
    def _offered(self) -> Self:
        import earwitness.probes.tls_looking  # noqa: F401, PLC0415  With the first section, so that no run waits for it.

        if self.expect.alpn is not None and self.expect.alpn not in self.alpn:
            raise problem(f"{self.expect.alpn} is expected and not offered; add it to alpn", "expect.alpn")
        return self


async def run(spec: TlsSpec, ctx: RunContext) -> Observation:
    """Shake hands once and judge what was shown. Never raises for what the server did.

    Facts: host, address, tls_version, tls_cipher, alpn, ocsp, chain (subjects, the server's own first), certificate_subject,
    certificate_issuer, certificate_not_after (seconds since the epoch). Measures: duration, phase_resolve, phase_connect,
    phase_processing (with starttls), phase_tls in seconds, cert_expiry (earliest in the chain, seconds since the epoch), tls_version (1.3 and the like).
    """
    from earwitness.probes.tls_looking import observe  # noqa: PLC0415  Loads cryptography and pyOpenSSL.

    return await observe(spec, ctx)


KIND = Kind(channel=Channel.TLS, spec=TlsSpec, run=run, budget=lambda spec: spec.timeout)
