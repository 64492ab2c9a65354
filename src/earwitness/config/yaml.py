"""YAML into plain trees that remember where every value stood.

Scalars stay text until the schema types them. Duplicate keys, tags and alias bombs are refused; `<<` merges as everywhere.
`${NAME}` is replaced from the environment; `$${` is a literal `${`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_MOST_NODES = 2_000_000  # of a tree with its aliases written out
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unquoted(str):
    """A scalar that was written without quotes: where types matter, as in a JSON body, it may be a number or a truth."""

    __slots__ = ()


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


class Section(dict[str, Any]):
    """A mapping that knows where it and its keys stand."""

    __slots__ = ("keys_at", "mark", "weight")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.keys_at: dict[str, Mark] = {}
        self.weight = 1


class Sequence(list[Any]):
    """A list that knows where it and its items stand."""

    __slots__ = ("items_at", "mark", "weight")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.items_at: list[Mark] = []
        self.weight = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in the configuration: where, and what to do."""

    mark: Mark
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class UnreadableError(Exception):
    """The file is not YAML that we read; carries the one problem that stops the reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class _Reader:
    """Builds the tree from the parser's events."""

    file: str
    environment: Mapping[str, str]
    problems: list[Problem]
    expanded: set[str]
    anchors: dict[str, Any] = field(default_factory=dict)

    def mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def stop(self, event: Any, message: str) -> UnreadableError:
        return UnreadableError(Problem(self.mark(event), "", message))

    def node(self, event: Any, events: Iterator[Any]) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None and event.tag != "!":
            raise self.stop(event, f"the tag {event.tag} is not supported; write the plain value")
        built = self._build(event, events)
        if event.anchor is not None:
            self.anchors[event.anchor] = built
        return built

    def _build(self, event: Any, events: Iterator[Any]) -> Any:
        if isinstance(event, yaml.MappingStartEvent):
            return self._section(event, events)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, events)
        return self._scalar(event)

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise self.stop(event, f"the alias *{event.anchor} names no anchor before it")
        return self.anchors[event.anchor]

    def _scalar(self, event: Any) -> str | None:
        text: str = event.value
        if _plain(event) and text in ("", "~", "null"):
            return None
        if "${" not in text:
            return Unquoted(text) if _plain(event) else text
        return _VARIABLE.sub(lambda found: self._variable(found, event), text)

    def _variable(self, found: re.Match[str], event: Any) -> str:
        name = found[1]
        if name is None:
            return "${"
        if name not in self.environment:
            message = f"the environment variable {name} is not set; set it, or write $${{{name}}} for the text itself"
            self.problems.append(Problem(self.mark(event), "", message))
            return f"${{{name}}}"
        self.expanded.add(self.environment[name])
        return self.environment[name]

    def _section(self, start: Any, events: Iterator[Any]) -> Section:
        section = Section(self.mark(start))
        merged: list[Section] = []
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise self.stop(event, "a key has to be a plain word")
            value = self.node(next(events), events)
            if event.value == "<<" and _plain(event):
                merged += self._merge(event, value)
            else:
                self._put(section, event, value, start)
        for other in merged:
            for key in other.keys() - section.keys():
                section[key], section.keys_at[key] = other[key], other.keys_at[key]
                section.weight += _weight(other[key])
        return section

    def _put(self, section: Section, event: Any, value: Any, start: Any) -> None:
        if event.value in section:
            first = section.keys_at[event.value].line
            message = f"the key stands here twice, first at line {first}; keep one"
            self.problems.append(Problem(self.mark(event), event.value, message))
        section[event.value] = value
        section.keys_at[event.value] = self.mark(event)
        section.weight += _weight(value)
        self._bound(section.weight, start)

    def _merge(self, event: Any, value: Any) -> list[Section]:
        sections = value if isinstance(value, Sequence) else [value]
        if not all(isinstance(s, Section) for s in sections):
            raise self.stop(event, "<< takes an alias of a mapping, or a list of them")
        return list(sections)

    def _sequence(self, start: Any, events: Iterator[Any]) -> Sequence:
        sequence = Sequence(self.mark(start))
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            sequence.items_at.append(self.mark(event))
            sequence.append(self.node(event, events))
            sequence.weight += _weight(sequence[-1])
            self._bound(sequence.weight, start)
        return sequence

    def _bound(self, weight: int, event: Any) -> None:
        if weight > _MOST_NODES:
            raise self.stop(event, f"aliases make this more than {_MOST_NODES:,} values; write fewer of them")


def _plain(event: Any) -> bool:
    """Whether the scalar was written without quotes."""
    return bool(event.implicit[0])


def _weight(value: Any) -> int:
    return value.weight if isinstance(value, Section | Sequence) else 1


def read_yaml(text: str, file: str, environment: Mapping[str, str], problems: list[Problem], expanded: set[str]) -> Any:
    """Return the tree of the file's one document. Raises UnreadableError.

    Lesser problems are added to `problems`, the values that came from the environment to `expanded`: nobody may print those.
    """
    reader = _Reader(file, environment, problems, expanded)
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        for event in events:
            if isinstance(event, yaml.StreamEndEvent):
                return None
            if isinstance(event, yaml.DocumentStartEvent):
                return reader.node(next(events), events)
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(_syntax_problem(file, error)) from error
    except yaml.reader.ReaderError as error:
        raise UnreadableError(_character_problem(file, text, error)) from error
    except RecursionError as error:
        raise UnreadableError(Problem(Mark(file, 1, 1), "", "nested too deeply to be a configuration")) from error
    return None


def _syntax_problem(file: str, error: yaml.MarkedYAMLError) -> Problem:
    at = error.problem_mark or error.context_mark
    mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)
    return Problem(mark, "", f"this is not YAML: {error.problem or error.context}")


def _character_problem(file: str, text: str, error: yaml.reader.ReaderError) -> Problem:
    before = text[: error.position]
    mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
    return Problem(mark, "", "a character that YAML does not allow; remove it")


def locate(tree: Any, path: tuple[Any, ...]) -> Mark:
    """Return where the value at this path stands, or the innermost section that has a place."""
    mark = tree.mark if isinstance(tree, Section | Sequence) else Mark("<config>", 1, 1)
    for part in path:
        if isinstance(tree, Section) and part in tree.keys_at:
            mark, tree = tree.keys_at[part], tree[part]
        elif isinstance(tree, Sequence) and isinstance(part, int) and part < len(tree):
            mark, tree = tree.items_at[part], tree[part]
    return mark


def read_file(path: Path) -> str:
    """Return the file's text. Raises UnreadableError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableError(Problem(Mark(str(path), 1, 1), "", f"cannot be read: {reason}")) from error
    except UnicodeDecodeError as error:
        raise UnreadableError(Problem(Mark(str(path), 1, 1), "", "is not UTF-8 text")) from error
