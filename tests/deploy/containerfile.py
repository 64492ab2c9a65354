"""Reads the instructions of a Containerfile: those that ours uses, and no others."""

import re
from dataclasses import dataclass, field
from pathlib import Path

BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_KNOWN = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}


@dataclass
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        return next(text for word, text in reversed(self.steps) if word == instruction)


def read(path: Path) -> list[Stage]:
    """Return the stages. Raises ValueError for an instruction that this reader does not know."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, text = line.partition(" ")
        if word not in _KNOWN:
            raise ValueError(f"{word} is not an instruction that this reader knows")
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].steps.append((word, text))
    return stages


def assignments(text: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the variables of an ENV instruction, with $NAME replaced."""
    pairs = (pair.partition("=") for pair in text.split())
    return {name: re.sub(r"\$(\w+)", lambda m: environment[m[1]], value) for name, _, value in pairs}
