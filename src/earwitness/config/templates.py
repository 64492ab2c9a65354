"""Words of your own for a hook: Jinja templates in a sandbox, tried on a sample incident when the configuration is read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from earwitness.config.fields import Spec, problem
from earwitness.model import Cause, Evidence, Incident, TransitionKind
from earwitness.presentation import headline, incident_json, sample_incident

_LONGEST_TEMPLATE = 20_000  # characters
_TOLD = tuple(
    k for k in TransitionKind if k not in (TransitionKind.NOTE, TransitionKind.MUTE)
)  # of which hooks are told


class WordingError(Exception):
    """A template cannot be filled in; the text says where and why."""


def worded(text: str, known: Mapping[str, Any]) -> str:
    """Return the template filled in. Raises WordingError, whatever the template did."""
    from earwitness.config.template_filling import filled_in  # noqa: PLC0415  Jinja and its sandbox are 2 MB, without a template for nothing.

    return filled_in(text, known)


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
