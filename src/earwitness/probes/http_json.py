"""JSON paths, each within a limit of time: on some documents some of them take for ever, and a thread cannot be ended."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from time import monotonic
from typing import Any

import regex
from jsonpath_ng import DatumInContext, JSONPath
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.parser import parse
from jsonpath_ng.ext.string import DefintionInvalid, Sub

from earwitness.config.fields import problem

ON_THE_LOOP = 0.25  # seconds that one path may take where every other probe waits for it,
BESIDE_IT = 5.0  # and on a thread
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")  # RFC 8259, 6
_until: ContextVar[float] = ContextVar("until")  # when the search under way has to end, on the monotonic clock


class UnsearchableError(Exception):
    """Nobody can tell what a path finds in a document; the text says why."""


@lru_cache(maxsize=4096)
def json_path(text: str) -> JSONPath:
    """Return the path, to be asked within `values_at` alone. Raises a problem for the configuration."""
    try:
        path = parse(text)
        _time(path)
    except (JSONPathError, ValueError, TypeError, DefintionInvalid, re.error, regex.error) as error:
        raise problem(f"{text!r} is not a JSON path; write one such as $.status") from error
    return path


def values_at(path: str, document: Any, seconds: float) -> Iterator[Any]:
    """Yield the values found there. Raises UnsearchableError when that takes longer, or the path asks what it cannot answer."""
    until = monotonic() + seconds
    with _told(path):
        token = _until.set(until)
        try:
            found = json_path(path).find(document)
        finally:
            _until.reset(token)
    for match in found:
        with _told(path):
            _check(until)
        yield match.value


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


def _check(until: float) -> None:
    if monotonic() > until:
        raise TimeoutError


class _Timed(JSONPath):
    """A part of a path that looks at the clock before it is asked, as often as the document makes it."""

    def find(self, data: Any) -> Any:
        _check(_until.get())
        return super().find(data)


class _TimedMatch(_Timed):
    """A comparison with a pattern, which the library would search for without an end."""

    def find(self, data: Any) -> Any:
        assert isinstance(self, Expression)
        found = self.target.find(DatumInContext.wrap(data))
        return [match for match in found if isinstance(match.value, str) and _searched(self.value, match.value)]


class _TimedPattern:
    """What the library takes for a compiled pattern."""

    def __init__(self, text: str) -> None:
        self._pattern = regex.compile(text)

    def sub(self, replacement: str, text: str) -> str:
        return self._pattern.sub(replacement, text, timeout=_left())


def _searched(pattern: str, text: str) -> bool:
    return regex.search(pattern, text, timeout=_left()) is not None


def _left() -> float:
    return max(0.001, _until.get() - monotonic())


def _time(part: Any) -> None:
    """Have all parts of the path timed. They keep their kind, by which the library tells them apart."""
    if isinstance(part, list | tuple):
        for inner in part:
            _time(inner)
    elif isinstance(part, JSONPath) and not isinstance(part, _Timed):
        for inner in vars(part).values():
            _time(inner)
        _time_patterns(part)
        kind: Any = type(part)
        part.__class__ = _timed_kind(kind, isinstance(part, Expression) and part.op == "=~")


def _time_patterns(part: JSONPath) -> None:
    """Raises regex.error for what is no pattern."""
    if isinstance(part, Sub):
        vars(part)["regex"] = _TimedPattern(part.expr)
    elif isinstance(part, Expression) and part.op == "=~":
        regex.compile(part.value)


@lru_cache(maxsize=64)
def _timed_kind(kind: type, matches: bool) -> type[JSONPath]:
    return type(kind.__name__, (_TimedMatch if matches else _Timed, kind), {})
