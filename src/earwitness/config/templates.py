"""Words of your own for a hook: Jinja templates in a sandbox, tried on a sample incident when the configuration is read."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Annotated, Any

from jinja2 import Template, TemplateSyntaxError
from jinja2.exceptions import TemplateError
from pydantic import AfterValidator, Field

from earwitness.config.fields import Spec, problem
from earwitness.config.template_sandbox import BoundedSandbox, TooMuchError, allowance
from earwitness.model import Cause, Evidence, Incident, TransitionKind
from earwitness.presentation import headline, incident_json, sample_incident

_LONGEST_TEMPLATE = 20_000  # characters
_LONGEST_WORDING = 100_000  # characters that are made; more are not even made
_TOLD = tuple(
    k for k in TransitionKind if k not in (TransitionKind.NOTE, TransitionKind.MUTE)
)  # of which hooks are told
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


class WordingError(Exception):
    """A template cannot be filled in; the text says where and why."""


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)


def worded(text: str, known: Mapping[str, Any]) -> str:
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


def known_to_templates(
    kind: TransitionKind, incident: Incident, text: str, url: str, evidence_url: str
) -> dict[str, Any]:
    """Return the names that a template may use."""
    return {
        "incident": incident_json(incident, evidence_url),
        "change": kind.value,
        "title": headline(kind, incident),
        "text": text,
        "url": url,
    }


def _sample(kind: TransitionKind) -> dict[str, Any]:
    """Return a change of an incident that has everything an incident may have."""
    plain = sample_incident("inc-0123456789ab", 0.0)
    file = Evidence("recording", "audio/wav", "0" * 64, 48_044, "sample.wav")
    cause = Cause("sample-dependency", 0.9, ("test-probe",), ("test-probe",), ("sample-dependency",))
    full = replace(plain, cause=cause, evidence=(file,), acknowledged_by="somebody", resolved_at=60.0)
    url = "https://earwitness.example"
    return known_to_templates(kind, full, full.reason, f"{url}/incidents/{full.id}", f"{url}/api/v1/evidence")


def _checked(text: str) -> str:
    for kind in _TOLD:
        try:
            made = worded(text, _sample(kind))
        except WordingError as error:
            where = "" if kind is TransitionKind.OPEN else f" where change is {kind.value}"
            known = "known are incident, change, title, text and url, see docs/alerts.md"
            raise problem(f"{error}{where}; {known}") from error
        if not made and kind is TransitionKind.OPEN:  # of other changes our own words are told then
            raise problem("the template makes an empty text of a sample incident; leave it out, or write some words")
    return text


_TemplateText = Annotated[str, Field(max_length=_LONGEST_TEMPLATE), AfterValidator(_checked)]


class TemplateSpec(Spec):
    """Which words are your own; without a template they are ours."""

    title: _TemplateText | None = None
    body: _TemplateText | None = None
