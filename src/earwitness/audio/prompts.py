"""The library of reference recordings: a folder with NAME.wav, what a prompt sounds like, beside NAME.txt, its words."""

import hashlib
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from earwitness.audio.contour import Contour, contour
from earwitness.audio.fingerprint import Fingerprint, fingerprint
from earwitness.audio.frames import RATE, at_telephone_rate
from earwitness.audio.speech import trimmed
from earwitness.audio.wav import Samples, WavError, read_wav
from earwitness.audio.words import WILDCARD, PromptError, constant_spans, having_words, normalise, text_of

_EDGE = 0.05  # share of a recording that is left away beside a wildcard
SHORTEST = 0.5  # s, below which too few bits remain to recognise a prompt by

Snapshot = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class Prompt:
    """A reference recording: `samples` of shape (n,) at 8 kHz without the silence around it."""

    name: str
    text: str
    samples: Samples

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / RATE

    @cached_property
    def mark(self) -> str:
        """Its name and what it sounds like: another file under the same name has another mark."""
        return f"{self.name} {hashlib.sha256(self.samples.tobytes()).hexdigest()[:16]}"

    @cached_property
    def print(self) -> Fingerprint:
        return fingerprint(self.samples)

    @cached_property
    def contour(self) -> Contour:
        return contour(self.samples)

    @cached_property
    def words(self) -> str:
        return normalise(self.text)


@dataclass(frozen=True, slots=True)
class PromptLibrary:
    """All prompts, ordered by name."""

    prompts: tuple[Prompt, ...] = ()

    def without(self, marks: Collection[str]) -> "PromptLibrary":
        """Return the library without the prompts that have one of these marks."""
        return PromptLibrary(tuple(p for p in self.prompts if p.mark not in marks)) if marks else self

    def marks(self, text: str) -> tuple[str, ...]:
        """Return the marks of the recordings of `text`."""
        names = {prompt.name for prompt in self.find(text)}
        return tuple(prompt.mark for prompt in self.prompts if prompt.name in names)

    def find(self, text: str) -> tuple[Prompt, ...]:
        """Return the recordings of `text`: of exactly these words, else those that contain them, else of these words spelt differently.

        Several recordings of the same words are alternatives. Where `text` has a wildcard, they are cut to their longest part
        that does not change. Empty when there is none.
        """
        found = having_words(text, self.prompts, lambda prompt: prompt.words)
        if WILDCARD not in text:
            return found
        return tuple(part for prompt in found if (part := _constant_part(prompt, text)) is not None)

    def length(self, text: str) -> float | None:
        """Return how long the recordings of `text` are, at most, in seconds."""
        return max((prompt.duration for prompt in self.find(text)), default=None)

    def saying(self, phrases: Iterable[str]) -> tuple[Prompt, ...]:
        """Return the prompts whose words contain one of `phrases`."""
        wanted = [f" {normalise(phrase)} " for phrase in phrases]
        return tuple(p for p in self.prompts if any(phrase in f" {p.words} " for phrase in wanted))


@lru_cache(maxsize=256)
def _constant_part(prompt: Prompt, text: str) -> Prompt | None:
    """Return the longest part of the recording whose words `text` names; None if it is too short to be recognised."""
    spans = constant_spans(text, prompt.text)
    start, end = max(spans, key=lambda span: span[1] - span[0], default=(0.0, 0.0))
    length = len(prompt.samples)
    first = round((start + (_EDGE if start > 0 else 0.0)) * length)  # what is next to a wildcard is only estimated
    last = round((end - (_EDGE if end < 1 else 0.0)) * length)
    if last - first < SHORTEST * RATE:
        return None
    return Prompt(prompt.name, prompt.text, prompt.samples[first:last])


def load_prompts(*folders: Path) -> PromptLibrary:
    """Return the library in `folders`; each is read again only when a file in it has changed. Raises PromptError."""
    return PromptLibrary(tuple(prompt for folder in folders for prompt in _load_folder(folder).prompts))


def _load_folder(folder: Path) -> PromptLibrary:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in {".wav", ".txt"})
        snapshot = tuple((path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in files)
    except OSError as error:
        raise PromptError(f"cannot read the prompt folder {folder}: {error.strerror}") from error
    with _LOADING:
        return _load(folder, snapshot)


_LOADING = threading.Lock()  # several calls may be judged at once; the library is read by the first


@lru_cache(maxsize=4)
def _load(folder: Path, snapshot: Snapshot) -> PromptLibrary:
    names = sorted(name for name, _, _ in snapshot if name.endswith(".wav"))
    return PromptLibrary(tuple(_prompt(folder / name) for name in names))


def _prompt(path: Path) -> Prompt:
    text = text_of(path)
    try:
        recording = at_telephone_rate(read_wav(path.read_bytes()))
    except (OSError, WavError) as error:
        raise PromptError(f"cannot read the prompt {path}: {error}") from error
    samples = trimmed(recording.samples.mean(axis=0))
    if len(samples) < SHORTEST * RATE:
        raise PromptError(
            f"{path} holds {len(samples) / RATE:.2f}s of sound; a prompt needs {SHORTEST}s to be recognised"
        )
    return Prompt(path.stem, text, samples)
