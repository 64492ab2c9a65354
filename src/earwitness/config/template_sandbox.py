"""The sandbox in which templates of people are filled in: a slip of the pen makes no gigabytes there.

What a step will make is reckoned before it is made, where it can be more than it is given: what repeats, pads, joins and replaces. The
length of everything that steps have made is added up over one filling, so that many small steps make no more than a large one may.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper, wraps
from string import Formatter
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter

_LARGEST = 1_000_000  # characters, or items, that one step may make
_MOST_MADE = 10_000_000  # that all steps of one filling may make
_LARGEST_NUMBER = 10_000  # bits
_PRINTF = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|\d+)?(?:\.(\*|\d+))?")
_KEPT_AWAY = frozenset(  # methods that lead to bytes, which no alert has need of, or that make any letter a long text
    ["encode", "to_bytes", "from_bytes", "translate", "maketrans"]
)
_made: ContextVar[list[int]] = ContextVar("made")


class TooMuchError(TemplateError):
    """A template asks for more than an alert has room or time for."""


@contextmanager
def allowance() -> Iterator[None]:
    """Begin to add up what a filling makes."""
    token = _made.set([0])
    try:
        yield
    finally:
        _made.reset(token)


def _count(size: int) -> None:
    """Add so many characters or items to what was made. Raises TooMuchError, also where they are only about to be made."""
    made = _made.get()
    made[0] += size
    if size > _LARGEST or made[0] > _MOST_MADE:
        raise TooMuchError("it makes more text, or longer lists, than an alert has room for")


def _text_size(value: Any) -> int:
    """Return about how many characters the value has as text; no more than a little above what one step may make."""
    size, left = 0, [value]
    while left and size <= _LARGEST:
        one = left.pop()
        if isinstance(one, str | bytes):
            size += len(one)
            continue
        size += 4 + (one.bit_length() // 3 if isinstance(one, int) else 0)
        if isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            left += one
    return size


def _number_in(more: Sequence[Any]) -> int:
    """Return the largest number among the arguments, such as a width."""
    return max((abs(one) for one in more if isinstance(one, int)), default=0)


def _longest_in(more: Sequence[Any]) -> int:
    return max((len(one) for one in more if isinstance(one, str)), default=1)


def _joined(items: Any, more: Sequence[Any]) -> int:
    return _text_size(items) + len(items) * _longest_in(more)


def _replaced(text: str, more: Sequence[Any]) -> int:
    words = [str(one) for one in more[:2]]
    return text.count(words[0]) * len(words[1]) if len(words) == 2 else 0


def _printed(text: str, told: Sequence[Any] | Mapping[str, Any]) -> int:
    """Return how long what `%` makes of the text may be."""
    size, fields = 0, list(_PRINTF.finditer(text))
    values = list(told.values()) if isinstance(told, Mapping) else list(told)
    for field in fields:
        size += sum(_number_in(values) if n == "*" else int(n) for n in field.groups() if n)
    most = max(map(_text_size, values), default=0)
    return size + most * len(fields)


_MAKES: dict[
    str, Callable[[Any, Sequence[Any]], int]
] = {  # filters and methods, of which each may make more than it is given
    **dict.fromkeys(("center", "ljust", "rjust", "zfill", "batch", "slice"), lambda _value, more: _number_in(more)),
    "expandtabs": lambda text, more: text.count("\t") * (_number_in(more) or 8),
    "indent": lambda text, more: (str(text).count("\n") + 1) * max(_number_in(more), _longest_in(more)),
    "wordwrap": lambda text, more: len(str(text)) * _longest_in(more),
    "replace": lambda text, more: _replaced(str(text), more),
    "round": lambda _value, more: (
        _number_in(more) * _LARGEST // _LARGEST_NUMBER
    ),  # digits: it raises ten to their power
    "tojson": lambda value, more: _text_size(value) * max(1, _number_in(more)),
    "format": lambda text, more: _printed(str(text), more),
    **dict.fromkeys(("sum", "pprint", "urlencode", "xmlattr"), lambda value, _more: _text_size(value)),
}
_SPOKEN = frozenset(  # filters that first make text of what is none
    [
        "capitalize",
        "center",
        "e",
        "escape",
        "forceescape",
        "format",
        "indent",
        "lower",
        "replace",
        "string",
        "striptags",
        "title",
        "trim",
        "truncate",
        "upper",
        "urlize",
        "wordcount",
        "wordwrap",
    ]
)


class _CountingFormatter(SandboxedFormatter):
    """Does what `str.format` does, and reckons with the widths of its fields."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        _count(max(map(int, re.findall(r"\d+", format_spec)), default=0) + _text_size(value))
        return super().format_field(value, format_spec)


class _CountingGenerator(CodeGenerator):
    """Lets `~` count what it makes."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802  Jinja's own name.
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


def _shown(value: Any) -> Any:
    """Reckon with what a list or a map is as text, which may name the same part many times."""
    if not isinstance(value, str):
        _count(_text_size(value))
    return value


def _concat(parts: Iterable[str]) -> str:
    """Join what a block or a macro wrote."""
    written = list(parts)
    _count(sum(map(len, written)))
    return "".join(written)


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """Compiles templates that can make only so much."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})
    code_generator_class = _CountingGenerator
    concat = staticmethod(_concat)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, finalize=_shown)
        self.filters = {name: _counting(name, plain) for name, plain in self.filters.items()}
        self.globals.pop("lipsum")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in _KEPT_AWAY and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > _LARGEST_NUMBER:
                raise TooMuchError("it reckons with larger numbers than an alert has room for")
        elif operator == "*":
            for some, times in ((left, right), (right, left)):
                if isinstance(some, str | list | tuple) and isinstance(times, int):
                    _count(len(some) * max(0, times))
        elif operator == "%" and isinstance(left, str):
            _count(_printed(left, right if isinstance(right, tuple | Mapping) else (right,)))
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            _count(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        subject, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(subject, str | int):
            if name == "join" and args:
                args = (list(args[0]), *args[1:])
                _count(_joined(args[0], [subject]))
            elif name in _MAKES:
                _count(_MAKES[name](subject, [*args, *kwargs.values()]))
        return _counted(super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text, named = str(value.__self__), value.__name__ == "format_map"

        def made(*args: Any, **kwargs: Any) -> str:
            given, names = ((), args[0]) if named else (args, kwargs)
            return Formatter.vformat(_CountingFormatter(self), text, given, names)

        return update_wrapper(made, value)

    def concatenated(self, parts: Sequence[Any]) -> str:
        """Return what `~` makes."""
        _count(_text_size(parts))
        return "".join(map(str, parts))


def _counting(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter, which counts what it makes."""
    first = 0 if getattr(plain, "jinja_pass_arg", None) is None else 1  # where what is filtered stands

    @wraps(plain)
    def counting(*args: Any, **kwargs: Any) -> Any:
        value, more = args[first], [*args[first + 1 :], *kwargs.values()]
        if name in _SPOKEN:
            _shown(value)
        if name == "join":
            value = list(value)
            _count(_joined(value, more))
        elif name in _MAKES:
            _count(_MAKES[name](value, more))
        return _counted(plain(*args[:first], value, *args[first + 1 :], **kwargs))

    return counting


def _counted(made: Any) -> Any:
    """Count what a step made, as long as it is text or a list."""
    if isinstance(made, str | bytes | list | tuple | dict):
        _count(len(made))
    return made
