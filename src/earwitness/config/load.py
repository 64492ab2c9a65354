"""From a file, or a folder of files, to a checked configuration, or to every problem in it at once."""

import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from earwitness.config.judging_references import broken_judging_references
from earwitness.config.known_keys import keys_at, nearest
from earwitness.config.name_servers import denied_name_servers
from earwitness.config.reachability import rules_that_never_match, sections_that_mean_nothing
from earwitness.config.references import broken_references
from earwitness.config.rules import rules_of
from earwitness.config.schema import Config
from earwitness.config.yaml import Mark, Problem, Section, UnreadableError, locate, read_file, read_yaml


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Return the configuration. Raises ConfigError."""
    with _collector_paused():
        return _load(path, os.environ if environment is None else environment)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking a tree that only grows: a third of the time at 10,000 probes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load(path: Path, environment: Mapping[str, str]) -> Config:
    problems: list[Problem] = []
    expanded: set[str] = set()
    tree = _read(path, environment, problems, expanded)
    config, found = _validate(tree, path if path.is_dir() else path.parent)
    problems += found
    problems += broken_references(tree)
    problems += broken_judging_references(tree)
    if config is not None:
        problems += denied_name_servers(tree, config)
    if config is not None and not problems:
        rules = rules_of(config)
        problems += rules_that_never_match(tree, config, rules)
        problems += sections_that_mean_nothing(tree, rules)
    if config is None or problems:
        raise ConfigError(_without_values(problems, expanded))
    return config


def _without_values(problems: Iterable[Problem], expanded: set[str]) -> Iterable[Problem]:
    """Take out of the messages what came from the environment: it may be a secret."""
    values = sorted((value for value in expanded if value), key=len, reverse=True)
    for problem in problems:
        message = problem.message
        for value in values:
            message = message.replace(value, "${...}")
        yield Problem(problem.mark, problem.key, message)


def _read(path: Path, environment: Mapping[str, str], problems: list[Problem], expanded: set[str]) -> Section:
    trees = [tree for file in _files(path) if (tree := _read_one(file, environment, problems, expanded))]
    if not trees:
        raise ConfigError(
            problems or [Problem(Mark(str(path), 1, 1), "", "is empty; see config/earwitness.example.yaml")]
        )
    merged = trees[0]
    for other in trees[1:]:
        _merge(merged, other, problems, "")
    return merged


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))
    if not files:
        raise ConfigError([Problem(Mark(str(path), 1, 1), "", "this folder holds no .yaml file")])
    return files


def _read_one(
    file: Path, environment: Mapping[str, str], problems: list[Problem], expanded: set[str]
) -> Section | None:
    try:
        tree = read_yaml(read_file(file), str(file), environment, problems, expanded)
    except UnreadableError as error:
        problems.append(error.problem)
        return None
    if tree is None:
        return None
    if not isinstance(tree, Section):
        problems.append(
            Problem(Mark(str(file), 1, 1), "", "has to be a mapping of sections, such as journeys: and probes:")
        )
        return None
    return tree


def _merge(into: Section, other: Section, problems: list[Problem], path: str) -> None:
    """Join the sections of several files; a key may stand in one of them only."""
    for key, value in other.items():
        mine = into.get(key)
        if key not in into:
            into[key], into.keys_at[key] = value, other.keys_at[key]
        elif isinstance(mine, Section) and isinstance(value, Section) and not path:
            _merge(mine, value, problems, key)
        else:
            first = into.keys_at[key]
            message = f"the key stands in two files, first at {first.file}:{first.line}; keep one"
            problems.append(Problem(other.keys_at[key], f"{path}.{key}" if path else key, message))


def _validate(tree: Section, folder: Path) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.model_validate(tree, context={"folder": folder}), []
    except ValidationError as error:
        return None, [_problem(tree, details) for details in _telling(error)]


def _telling(error: ValidationError) -> list[ErrorDetails]:
    """Leave out what only follows from another error: a list is too short because its one item is wrong."""
    found = error.errors(include_url=False, include_input=False)
    places = [details["loc"] for details in found]

    def follows(details: ErrorDetails) -> bool:
        loc = details["loc"]
        inner = any(len(place) > len(loc) and place[: len(loc)] == loc for place in places)
        return details["type"] == "too_short" and inner

    return [details for details in found if not follows(details)]


def _problem(tree: Section, details: ErrorDetails) -> Problem:
    inner = details.get("ctx", {}).get("at")
    parts = str(inner).split(".") if inner else ()
    path = (*_path_in_tree(tree, details["loc"]), *(int(part) if part.isdecimal() else part for part in parts))
    if details["type"] == "missing":
        path = _path_in_tree(tree, details["loc"][:-1])
        return Problem(locate(tree, path), _dotted((*path, details["loc"][-1])), "is missing; add it")
    return Problem(locate(tree, path), _dotted(path), _message(details, path))


def _path_in_tree(tree: Any, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Drop the parts by which pydantic names the members of unions and the validators, which no user wrote."""
    path: list[int | str] = []
    for part in loc:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path)


def _dotted(path: tuple[int | str, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _message(details: ErrorDetails, path: tuple[int | str, ...]) -> str:
    if details["type"] == "extra_forbidden":
        known = keys_at(Config, path[:-1])
        close = nearest(str(path[-1]), known)
        return (
            f"is not a known key; did you mean {close}?"
            if close
            else f"is not a known key; known are {', '.join(known)}"
        )
    if details["type"] == "string_pattern_mismatch" and details.get("ctx", {}).get("pattern", "").startswith(
        "^[a-z0-9]"
    ):
        return "is not a name; use up to 63 small letters, digits, - and _"
    return _in_our_words.get(details["type"], details["msg"])


_in_our_words = {
    "too_short": "is empty; write at least one",
    "string_type": "has to be a text",
    "dict_type": "has to be a section with keys of its own",
    "model_type": "has to be a section with keys of its own",
    "tuple_type": "has to be a list",
    "int_parsing": "has to be a whole number",
    "float_parsing": "has to be a number",
    "bool_parsing": "has to be true or false",
    "ip_any_network": "is not a network; write one such as 10.0.0.0/8 or 2001:db8::/32",
    "ip_v4_network": "is not a network; write one such as 10.0.0.0/8 or 2001:db8::/32",
    "ip_v6_network": "is not a network; write one such as 10.0.0.0/8 or 2001:db8::/32",
}
