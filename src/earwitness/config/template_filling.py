"""Templates of people, filled in: compiled once, inside the sandbox, and not for longer than an alert can wait.

Loads Jinja; what only checks a configuration without templates does not come here.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Any

from jinja2 import Template, TemplateSyntaxError
from jinja2.exceptions import TemplateError

from earwitness.config.template_sandbox import BoundedSandbox, TooMuchError, allowance
from earwitness.config.templates import WordingError

_LONGEST_WORDING = 100_000  # characters that are made; more are not even made
_LONGEST_TIME = 1.0  # seconds that filling in may take
_ENVIRONMENT = BoundedSandbox()
_WHAT_TEMPLATES_RAISE = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)


def filled_in(text: str, known: Mapping[str, Any]) -> str:
    """Return the template filled in. Raises WordingError, whatever the template did."""
    try:
        with _time_limit(), allowance():
            return _made(_compiled(text).generate(known)).strip()
    except TemplateSyntaxError as error:
        raise WordingError(f"line {error.lineno} of the template: {error.message}") from error
    except _WHAT_TEMPLATES_RAISE as error:
        line = _line_of(error.__traceback__)
        where = f"line {line} of the template" if line else "the template"
        raise WordingError(f"{where}: {error or type(error).__name__}") from error


def _made(parts: Iterable[str]) -> str:
    """Return the parts as one text, at most as much as an alert may ever have."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part)
        if length >= _LONGEST_WORDING:
            break
    return "".join(kept)[:_LONGEST_WORDING]


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TooMuchError in a template that takes too long. It is looked at with each line of it and each call that it makes."""
    end, before = time.monotonic() + _LONGEST_TIME, sys.gettrace()

    def look(frame: FrameType, _event: str, _arg: object) -> Any:
        if time.monotonic() > end:
            raise TooMuchError(f"it takes longer than {_LONGEST_TIME:g} s to fill in")
        return look if frame.f_code.co_filename == "<template>" else None

    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def _line_of(traceback: TracebackType | None) -> int | None:
    """Return the innermost line of the template; Jinja makes tracebacks speak of its lines."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
