"""The library of reference recordings: a folder with NAME.wav, what a prompt sounds like, beside NAME.txt, its words."""

import itertools
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from rapidfuzz import fuzz

from earwitness.audio.fingerprint import Fingerprint, fingerprint
from earwitness.audio.frames import RATE, at_telephone_rate
from earwitness.audio.speech import trimmed
from earwitness.audio.wav import Samples, WavError, read_wav

_SAME_WORD = 80.0  # percent likeness above which two long words are one, spelt differently
_SHORT_WORD = 4  # letters; "can" and "cant", "2" and "3" are never the same
_NUMBERS = {
    word: str(n)
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_SHORTEST = 0.5  # s, below which too few bits remain to recognise a prompt by

Snapshot = tuple[tuple[str, int, int], ...]


class PromptError(ValueError):
    """The library cannot be used; the message names the file."""


@dataclass(frozen=True)
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
    def print(self) -> Fingerprint:
        return fingerprint(self.samples)

    @cached_property
    def words(self) -> str:
        return normalise(self.text)


@dataclass(frozen=True, slots=True)
class PromptLibrary:
    """All prompts, ordered by name."""

    prompts: tuple[Prompt, ...] = ()

    def find(self, text: str) -> tuple[Prompt, ...]:
        """Return the recordings of `text`: of exactly these words, else those that contain them, else of these words spelt differently.

        Several recordings of the same words are alternatives. Empty when there is none.
        """
        words = normalise(text)
        exact = tuple(p for p in self.prompts if p.words == words)
        containing = tuple(p for p in self.prompts if f" {words} " in f" {p.words} ")
        return exact or containing or tuple(p for p in self.prompts if _same(p.words, words))

    def saying(self, phrases: Iterable[str]) -> tuple[Prompt, ...]:
        """Return the prompts whose words contain one of `phrases`."""
        wanted = [f" {normalise(phrase)} " for phrase in phrases]
        return tuple(p for p in self.prompts if any(phrase in f" {p.words} " for phrase in wanted))


def normalise(text: str) -> str:
    """Return the words of `text` in lower case with single spaces, no punctuation, and small numbers as digits."""
    words = re.findall(r"\w+", re.sub("['\u2019]", "", text).casefold())
    return " ".join(_NUMBERS.get(word, word) for word in words)


def _same(left: str, right: str) -> bool:
    pairs = list(itertools.zip_longest(left.split(), right.split(), fillvalue=""))
    return all(a == b or (min(len(a), len(b)) > _SHORT_WORD and fuzz.ratio(a, b) >= _SAME_WORD) for a, b in pairs)


def load_prompts(folder: Path | None) -> PromptLibrary:
    """Return the library in `folder`, empty for None; read again only when a file has changed. Raises PromptError."""
    if folder is None:
        return PromptLibrary()
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
    names = {name for name, _, _ in snapshot}
    return PromptLibrary(tuple(_prompt(folder / name, names) for name in sorted(names) if name.endswith(".wav")))


def _prompt(path: Path, names: set[str]) -> Prompt:
    text_file = path.with_suffix(".txt")
    if text_file.name not in names:
        raise PromptError(f"{path} has no {text_file.name} beside it; write the prompt's words there")
    try:
        text = text_file.read_text().strip()
        recording = at_telephone_rate(read_wav(path.read_bytes()))
    except (OSError, UnicodeDecodeError, WavError) as error:
        raise PromptError(f"cannot read the prompt {path}: {error}") from error
    if not normalise(text):
        raise PromptError(f"{text_file} holds no words; write the prompt's words there")
    samples = trimmed(recording.samples.mean(axis=0))
    if len(samples) < _SHORTEST * RATE:
        raise PromptError(
            f"{path} holds {len(samples) / RATE:.2f}s of sound; a prompt needs {_SHORTEST}s to be recognised"
        )
    return Prompt(path.stem, text, samples)
