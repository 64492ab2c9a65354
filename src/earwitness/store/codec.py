"""Frozen values to JSON text and back."""

from typing import Any, TypeVar

from pydantic import TypeAdapter

from earwitness.judge.state import ProbeState
from earwitness.model import Incident, Observation, QuietPeriod, Run

T = TypeVar("T")

# What is stored as a document; a kind that is not listed here is not stored.
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (Incident, Observation, ProbeState, QuietPeriod, Run)
}


def encode(value: object) -> str:
    """Return the JSON text of a stored kind of value."""
    return _ADAPTERS[type(value)].serializer.to_json(value).decode()


def decode(kind: type[T], text: str | bytes) -> T:
    """Return the value of this kind. Raises pydantic.ValidationError when the text is not one."""
    value: T = _ADAPTERS[kind].validate_json(text)
    return value
