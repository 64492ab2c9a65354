"""What a fault of the simulator is: its description, and the parameters it takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from earwitness.model import Scalar

Parameters = Mapping[str, Scalar]


class FaultError(ValueError):
    """A fault was asked for in a way that makes no sense."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be broken.

    `defaults` are its parameters: numbers within `limits`, and text that is one of `words` or fits the pattern in `shapes`.
    """

    description: str
    defaults: Parameters = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)

    def parameters(self, given: Mapping[str, object]) -> Parameters:
        """Return the defaults overlaid by what was `given`. Raises FaultError."""
        unknown = sorted(set(given) - set(self.defaults))
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise FaultError(f"unknown parameter {unknown[0]!r}; the parameters of this fault are: {known}")
        return {**self.defaults, **{name: self._checked(name, value) for name, value in given.items()}}

    def _checked(self, name: str, value: object) -> Scalar:
        if isinstance(self.defaults[name], str):
            return self._checked_word(name, value)
        low, high = self.limits[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise FaultError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
        return value

    def _checked_word(self, name: str, value: object) -> str:
        wanted = f"one of: {', '.join(self.words[name])}" if name in self.words else f"text like {self.shapes[name]}"
        fits = name in self.words or (isinstance(value, str) and re.fullmatch(self.shapes[name], value))
        if not isinstance(value, str) or not fits or (name in self.words and value not in self.words[name]):
            raise FaultError(f"{name} is {value!r}; it must be {wanted}")
        return value


def timed(description: str, name: str, default: float, highest: float) -> Fault:
    """Return a fault with one parameter, a number from 0 to `highest`."""
    return Fault(description, {name: default}, {name: (0, highest)})
