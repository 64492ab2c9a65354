"""The kinds of probe: one file a kind, one line each in the registry."""

from earwitness.probes import call, http
from earwitness.probes.context import Kind

KINDS: dict[str, Kind] = {
    "http": http.KIND,
    "call": call.KIND,
}
