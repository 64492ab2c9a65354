"""JSON paths, each within a limit of time: on some documents some of them take for ever, and a thread cannot be ended."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any

from earwitness.config.fields import problem

if TYPE_CHECKING:
    from earwitness.probes.http_json_timed import TimedPath

ON_THE_LOOP = 0.25  # seconds that one path may take where every other probe waits for it,
BESIDE_IT = 5.0  # and on a thread
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")  # RFC 8259, 6


class UnsearchableError(Exception):
    """Nobody can tell what a path finds in a document; the text says why."""


@lru_cache(maxsize=4096)
def json_path(text: str) -> "TimedPath":
    """Return the path, to be asked within `values_at` alone. Raises a problem for the configuration."""
    from earwitness.probes.http_json_timed import TimedPath  # noqa: PLC0415  1 MB, where a path is used.

    try:
        return TimedPath(text)
    except ValueError as error:
        raise problem(f"{text!r} is not a JSON path; write one such as $.status") from error


def values_at(path: str, document: Any, seconds: float) -> Iterator[Any]:
    """Yield the values found there. Raises UnsearchableError when that takes longer, or the path asks what it cannot answer."""
    until = monotonic() + seconds
    with _told(path):
        found = json_path(path).find(document, until)
    for match in found:
        with _told(path):
            in_time(until)
        yield match.value


def in_time(until: float) -> None:
    """Raises TimeoutError when that moment of the monotonic clock is over."""
    if monotonic() > until:
        raise TimeoutError


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        message = f"the JSON path {path!r} takes too long on this answer; name the keys on the way, without .. and *"
        raise UnsearchableError(message) from error
    except Exception as error:  # Whatever the library says of a text where it wants a number, and the like.
        message = f"the JSON path {path!r} does not fit this answer: {type(error).__name__}"
        raise UnsearchableError(message) from error
