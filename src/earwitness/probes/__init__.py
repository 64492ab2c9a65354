"""The kinds of probe: one file a kind, one line each in the registry."""

from earwitness.probes import browser, call, http
from earwitness.probes.context import Kind

KINDS: dict[str, Kind] = {
    "http": http.KIND,
    "browser": browser.KIND,
    "call": call.KIND,
}
