"""The words of prompts, and which of them are an expected text's. Loads no numpy, so that a configuration can be checked without."""

import operator
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import regex

from earwitness.audio.numbers import spoken, tokens

WILDCARD = "*"  # in an expected text: any words, also none

_SAME_WORD = (
    80.0  # percent likeness above which two long words are one, spelt differently; Tuesday and Thursday have just this
)
_WIDE, _HANGUL = 3.75, 2.5  # letters: 0.3 s and 0.2 s, where a letter takes 0.08 s
_SHORT_WORD = 4  # letters; "can" and "cant", "less" and "loss" are never the same
_WORD = regex.compile(r"[\w\p{Mn}\p{Mc}]+")
_UNSEEN = regex.compile("['\u2019\u200c\u200d]")  # apostrophes, and what joins letters in writing
_HOMOPHONES = {"to": "2", "too": "2", "for": "4", "fore": "4", "ate": "8", "won": "1"}

T = TypeVar("T")
Place = tuple[int, int]


class PromptError(ValueError):
    """The library of reference recordings cannot be used; the message names the file."""


def raw_words(text: str) -> list[str]:
    """Return the words of `text` in lower case, without punctuation; accents and vowel signs are part of their word.

    However the letters are encoded, composed or not, the words are the same (Unicode's NFKC).
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(unicodedata.normalize("NFKC", _UNSEEN.sub("", plain)))


def normalise(text: str) -> str:
    """Return the words of `text` in lower case with single spaces, no punctuation, and numbers as digits."""
    return " ".join(token.text for token in tokens(raw_words(text)))


def expected_words(text: str) -> tuple[str, ...]:
    """Return the normalised words of an expected text, each of its wildcards as WILDCARD; empty if it holds no word."""
    words: list[str] = []
    for part in text.split(WILDCARD):
        if words[-1:] != [WILDCARD]:
            words.append(WILDCARD)
        words += normalise(part).split()
    inner = words[1:]
    if not any(word != WILDCARD for word in inner):
        return ()
    starts_open = text.lstrip().startswith(WILDCARD)
    return tuple(words if starts_open else inner)


def blanked(text: str, words: Iterable[str]) -> str:
    """Return `text`, normalised, with a wildcard for each of `words`: those that an engine can never hear."""
    unknown = {normalise(word) for word in words}
    return " ".join(WILDCARD if word in unknown else word for word in expected_words(text))


@lru_cache(maxsize=65536)
def same_word(left: str, right: str) -> bool:
    """Say whether two normalised words are one: spelt alike, or sounding alike where one is a number.

    Numbers are never nearly the same, nor is a word and its opposite ("available" and "unavailable").
    """
    left, right = _HOMOPHONES.get(left, left), _HOMOPHONES.get(right, right)
    if left == right:
        return True
    if min(len(left), len(right)) <= _SHORT_WORD or any(map(str.isdigit, left + right)):
        return False
    from rapidfuzz import fuzz  # noqa: PLC0415  3 MB, which only what was heard needs.

    opposite = left.endswith(right) or right.endswith(left)
    return not opposite and fuzz.ratio(left, right) > _SAME_WORD


def having_words(text: str, prompts: Iterable[T], words_of: Callable[[T], str]) -> tuple[T, ...]:
    """Return those of `prompts` with the words of `text`, else those that contain them, else those with the words spelt differently.

    `words_of` gives a prompt's words, normalised. Where `text` has a wildcard, a prompt may have any words, also none.
    """
    prompts, expected = tuple(prompts), expected_words(text)
    if not expected:
        return ()
    spoken_by = [words_of(prompt).split() for prompt in prompts]
    for same, whole in _RANKS:
        found = tuple(
            p for p, words in zip(prompts, spoken_by, strict=True) if _places(expected, words, same, whole=whole)
        )
        if found:
            return found
    return ()


Same = Callable[[str, str], bool]
_RANKS: tuple[tuple[Same, bool], ...] = ((operator.eq, True), (operator.eq, False), (same_word, True))


def constant_spans(expected: str, reference_text: str) -> tuple[tuple[float, float], ...]:
    """Return where the constant parts of `expected` lie in a prompt with `reference_text`, as shares of its length, in order.

    The rest is what a wildcard stands for or what the reference says besides, so its sound cannot be required. The
    shares are estimated from the letters of the spoken words. Empty if the prompt does not have the words.
    """
    words, pattern = normalise(reference_text).split(), expected_words(expected)
    lengths = [sum(map(len, spoken(word))) for word in words]
    total = sum(lengths)
    for same, whole in _RANKS:
        places = _places(pattern, words, same, whole=whole)
        if places:
            return tuple((sum(lengths[:a]) / total, sum(lengths[:b]) / total) for a, b in places)
    return ()


def _places(expected: Sequence[str], words: Sequence[str], same: Same, *, whole: bool) -> list[Place]:
    """Return the leftmost places (first, after the last word) of the constant parts in `words`; none if one is not there.

    `whole`: nothing but what a wildcard stands for may be left over at the beginning or the end.
    """
    parts = _parts(expected)
    places: list[Place] = []
    at = 0
    for part in parts:
        first, last = at, len(words) - len(part)
        if whole and not places and expected[0] != WILDCARD:
            last = min(last, 0)
        if whole and len(places) == len(parts) - 1 and expected[-1] != WILDCARD:
            first = max(first, len(words) - len(part))
        found = next((p for p in range(first, last + 1) if all(map(same, part, words[p:]))), None)
        if found is None:
            return []
        at = found + len(part)
        places.append((found, at))
    return places


def _parts(expected: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in expected:
        if word == WILDCARD:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


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


def spoken_letters(text: str) -> float:
    """Return how many Latin letters take as long to say as `text`: a Chinese or Japanese character is a syllable or two."""
    return sum(_length(character) for character in unicodedata.normalize("NFC", text))


def _length(character: str) -> float:
    if unicodedata.east_asian_width(character) not in "WF" or unicodedata.category(character)[0] != "L":
        return 1.0
    return _HANGUL if unicodedata.name(character, "").startswith("HANGUL") else _WIDE
