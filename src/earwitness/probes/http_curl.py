"""A request as the curl line that makes it again, for whoever wants to see the failure themselves."""

import shlex
from collections.abc import Iterator

import httpx

from earwitness.transport.redaction import Redaction

_OWN = ("content-length", "host", "connection", "accept-encoding", "transfer-encoding")  # curl sets these itself
_LONGEST = 64 * 1024  # characters of a body; a command line takes 128 KiB


def curl_line(request: httpx.Request, redaction: Redaction) -> str:
    """Return one line. What is secret is masked as everywhere, and has to be filled in before it is run."""
    return " ".join(["curl --include", *map(shlex.quote, _arguments(request, redaction))]) + "\n"


def _arguments(request: httpx.Request, redaction: Redaction) -> Iterator[str]:
    yield from ("--request", request.method, redaction.url(request.url))
    for line in redaction.headers(request.headers, asked=True).splitlines():
        if line.partition(":")[0].lower() not in _OWN:
            yield from ("--header", line)
    if request.content:
        yield from ("--data-raw", redaction.beginning(request.content.decode("utf-8", "replace"), _LONGEST))
