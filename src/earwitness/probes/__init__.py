"""The kinds of probe: one file a kind, one line each in the registry."""

from earwitness.probes import browser, call, dns, http, tcp, tls
from earwitness.probes.context import Kind

KINDS: dict[str, Kind] = {
    "http": http.KIND,
    "tls": tls.KIND,
    "dns": dns.KIND,
    "tcp": tcp.KIND,
    "browser": browser.KIND,
    "call": call.KIND,
}
