"""Builds the image of a Containerfile without a container engine: its COPY and RUN steps in clean roots."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import run

from clean_root import Command, copy_into, copy_root, host_access
from containerfile import BASE_PATH, Stage, assignments


@dataclass
class Image:
    """What a stage has become so far: its files, and how commands run in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    folder: str = "/"
    user: str = "0:0"
    start: list[str] = field(default_factory=list)  # its entry point and command

    def inside(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / str(Path("/", self.folder, path)).lstrip("/")

    def command(self, *words: str, mounts: dict[Path, str] | None = None) -> list[str]:
        """Return the words that run a command in the image as its user, with nothing but /tmp and `mounts` to write to."""
        how = Command(list(words), self.environment, self.user, self.folder, read_only=True, mounts=mounts or {})
        return how.inside(self.root)


class Builder:
    """Builds stage after stage, each in a copy of `base`."""

    def __init__(self, base: Path, context: Path, work: Path) -> None:
        self._base, self._context, self._work = base, context, work
        self._access = host_access()
        self._built: dict[str, Image] = {}

    def build(self, stages: list[Stage]) -> Image:
        for number, stage in enumerate(stages):
            image = Image(copy_root(self._base, self._work / f"stage{number}"))
            for word, text in stage.steps:
                getattr(self, f"_{word.lower()}")(image, text)
            self._built[stage.name] = image
        return image

    def _env(self, image: Image, text: str) -> None:
        image.environment |= assignments(text, image.environment)

    def _workdir(self, image: Image, text: str) -> None:
        image.inside(text).mkdir(parents=True, exist_ok=True)
        image.folder = text

    def _user(self, image: Image, text: str) -> None:
        image.user = text

    def _copy(self, image: Image, text: str) -> None:
        *sources, target = text.split()
        source_root = self._context
        if sources[0].startswith("--from="):
            source_root = self._built[sources.pop(0).removeprefix("--from=")].root
        for source in (source_root / name.lstrip("/") for name in sources):
            into = image.inside(target) / source.name if target.endswith("/") else image.inside(target)
            copy_into(source, into)

    def _run(self, image: Image, text: str) -> None:
        mounts = {path: str(path) for path in self._access.paths}
        words = ["/bin/sh", "-c", text]
        step = Command(words, image.environment, image.user, image.folder, mounts=mounts)
        environment = {**self._access.environment, **image.environment}
        done = run(step.inside(image.root), env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"RUN {text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def _entrypoint(self, image: Image, text: str) -> None:
        image.start = json.loads(text)

    def _cmd(self, image: Image, text: str) -> None:
        image.start = [*image.start, *json.loads(text)]

    def _expose(self, image: Image, text: str) -> None:
        """Of no effect on what the image does."""
