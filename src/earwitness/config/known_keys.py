"""Which keys the schema knows at a path, so that a typing slip can be answered with the word that was meant."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

_CLOSE = 60  # of 100, by rapidfuzz's weighted ratio


def keys_at(schema: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a section at this path may have; none if the schema names none there."""
    found: list[Any] = [schema]
    for part in path:
        found = [inner for kind in found for inner in _below(kind, part)]
    return [key for kind in found for model in _models(kind) for key in _fields(model)]


def nearest(word: str, known: list[str]) -> str | None:
    from rapidfuzz import process  # noqa: PLC0415  3 MB, which a configuration without slips has no need of.

    best = process.extractOne(word, known, score_cutoff=_CLOSE)
    return best[0] if best else None


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) not in (dict, tuple, list):
        for inner in _members(annotation):
            yield from _models(inner)


def _members(annotation: Any) -> tuple[Any, ...]:
    arguments = get_args(annotation)
    return arguments[:1] if get_origin(annotation) is Annotated else arguments


def _below(annotation: Any, part: int | str) -> Iterator[Any]:
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from (f.annotation for n, f in annotation.model_fields.items() if part in (n, f.alias))
    elif origin is dict:
        yield get_args(annotation)[1]
    elif origin in (tuple, list):
        yield get_args(annotation)[0]
    else:
        for inner in _members(annotation):
            yield from _below(inner, part)
