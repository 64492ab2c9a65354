"""Looking for names in the tree of the configuration, before the schema has typed it."""

from collections.abc import Iterator
from typing import Any

from earwitness.config.known_keys import nearest
from earwitness.config.yaml import Problem, Section, Sequence, locate


def unknown_names(
    tree: Section, where: tuple[str | int, ...], names: list[str], known: list[str], what: str
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in known:
            continue
        close = nearest(name, known)
        advice = f"did you mean {close}?" if close else f"define it, or name one of: {', '.join(known) or 'none yet'}"
        yield problem_at(tree, (*where, index), f"{name} is no {what}; {advice}")


def problem_at(tree: Section, where: tuple[str | int, ...], message: str) -> Problem:
    key = ".".join(str(part) for part in where if isinstance(part, str))
    return Problem(locate(tree, where), key, message)


def section(tree: Any, key: str) -> Section:
    found = tree.get(key) if isinstance(tree, Section) else None
    return found if isinstance(found, Section) else Section(locate(tree, ()))


def texts(tree: Any, key: str) -> list[str]:
    """Return the texts at this key, one or a list of them."""
    found = tree.get(key) if isinstance(tree, Section) else None
    if isinstance(found, str):
        return [found]
    return [item for item in found if isinstance(item, str)] if isinstance(found, Sequence) else []
