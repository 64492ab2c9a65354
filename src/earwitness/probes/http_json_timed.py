"""JSON paths whose every part looks at the clock: the library's own search for as long as the document makes them.

Loaded where a path is used.
"""

import re
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

from earwitness.probes.http_json import in_time

_until: ContextVar[float] = ContextVar("until")  # when the search under way has to end, on the monotonic clock


class TimedPath:
    """A path. Raises ValueError if the text is none."""

    def __init__(self, text: str) -> None:
        try:
            self._path: JSONPath = parse(text)
            _time(self._path)
        except (JSONPathError, ValueError, TypeError, DefintionInvalid, re.error, regex.error) as error:
            raise ValueError(str(error)) from error

    def find(self, document: Any, until: float) -> list[DatumInContext]:
        """Return what it finds. Raises TimeoutError at that moment of the monotonic clock, and whatever the library does."""
        token = _until.set(until)
        try:
            return self._path.find(document)
        finally:
            _until.reset(token)


class _Timed(JSONPath):
    """A part of a path that looks at the clock before it is asked, as often as the document makes it."""

    def find(self, data: Any) -> Any:
        in_time(_until.get())
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
