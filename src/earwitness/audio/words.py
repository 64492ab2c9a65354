"""The words of prompts, and which of them are an expected text's. Loads no numpy, so that a configuration can be checked without."""

import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from rapidfuzz import fuzz

_SAME_WORD = 80.0  # percent likeness above which two long words are one, spelt differently
_SHORT_WORD = 4  # letters; "can" and "cant", "2" and "3" are never the same
_NUMBERS = {
    word: str(n)
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}

T = TypeVar("T")


class PromptError(ValueError):
    """The library of reference recordings cannot be used; the message names the file."""


def normalise(text: str) -> str:
    """Return the words of `text` in lower case with single spaces, no punctuation, and small numbers as digits."""
    words = re.findall(r"\w+", re.sub("['\u2019]", "", text).casefold())
    return " ".join(_NUMBERS.get(word, word) for word in words)


def having_words(text: str, prompts: Iterable[T], words_of: Callable[[T], str]) -> tuple[T, ...]:
    """Return those of `prompts` with the words of `text`, else those that contain them, else those with the words spelt differently.

    `words_of` gives a prompt's words, normalised.
    """
    prompts, words = tuple(prompts), normalise(text)
    exact = tuple(p for p in prompts if words_of(p) == words)
    containing = tuple(p for p in prompts if f" {words} " in f" {words_of(p)} ")
    return exact or containing or tuple(p for p in prompts if _same(words_of(p), words))


def _same(left: str, right: str) -> bool:
    pairs = list(itertools.zip_longest(left.split(), right.split(), fillvalue=""))
    return all(a == b or (min(len(a), len(b)) > _SHORT_WORD and fuzz.ratio(a, b) >= _SAME_WORD) for a, b in pairs)


def text_of(recording: Path) -> str:
    """Return the text in NAME.txt beside NAME.wav, the recording. Raises PromptError."""
    file = recording.with_suffix(".txt")
    try:
        text = file.read_text("utf-8").strip()
    except FileNotFoundError as error:
        raise PromptError(f"{recording} has no {file.name} beside it; write the prompt's words there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"cannot read the prompt {file}: {error}") from error
    if not normalise(text):
        raise PromptError(f"{file} holds no words; write the prompt's words there")
    return text


def texts_in(folder: Path | None) -> list[str]:
    """Return the texts of all recordings in `folder`, ordered by name; none for None. Raises PromptError."""
    if folder is None:
        return []
    try:
        recordings = sorted(path for path in folder.iterdir() if path.suffix == ".wav")
    except OSError as error:
        raise PromptError(f"cannot read the prompt folder {folder}: {error.strerror}") from error
    return [text_of(recording) for recording in recordings]
