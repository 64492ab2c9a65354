"""Long numbers taken out of what a line said: a card number may be read back, in digits or in words, whatever an engine writes.

A number is a run of 12 digits and more: digits with separators, single words ("four two", "oh"), tens ("forty two"), "double four",
and words that engines write for digits ("for", "to") where digits stand beside them; in six more languages as well, and with hesitations in it. Loads no numpy.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from earwitness.audio.digit_words import AMBIGUOUS, VALUES
from earwitness.audio.numbers import spoken_value

_LEAST_DIGITS = 12  # of the shortest card numbers; telephone numbers have fewer for the most part
_LONGEST_TELEPHONE_NUMBER = 15  # digits after the plus, ITU-T E.164
_SHOWN = 4  # digits at the end
_WORD = re.compile(r"\d|[^\W\d_]+")
_DASHES = "\u058a\u05be\u1806\u2010-\u2015\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"
_SEPARATOR = re.compile(rf"[\s.,;:/_*|\\·•…{_DASHES}-]{{0,4}}")
_TIMES = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}
_ZEROS = {"hundred": "00", "thousand": "000"}
_MEANT = {"oh": "0", "o": "0", "to": "2", "too": "2", "for": "4", "fore": "4", "ate": "8", "won": "1"}
_AND = frozenset({"and", "und", "et", "y", "e", "en", "dash", "hyphen", "space", "point", "dot"})
_HESITATIONS = frozenset(
    {"um", "uh", "er", "erm", "hm", "hmm", "mm", "ah", "eh", "äh", "ähm", "euh", "ehm", "este", "so", "ok", "okay"}
)
_HESITATIONS |= {"then", "next", "dann", "puis", "luego", "poi", "dan", "depois"}
_BETWEEN = _AND | _HESITATIONS | _TIMES.keys()


class _Piece(NamedTuple):
    """A word that may be part of a number, or a digit: where it stands, the digits that it stands for, and whether it is surely one."""

    start: int
    end: int
    digits: str
    sure: bool


def mask_numbers(words: str) -> str:
    """Return `words` with all but the last four digits hidden of each number of 12 digits and more, such as a card's."""
    masked, at = [], 0
    for run in map(_trimmed, _runs(words, list(_pieces(words)))):
        sure = [place for place, piece in enumerate(run) if piece.sure]
        digits = "".join(piece.digits for piece in run[sure[0] : sure[-1] + 1]) if sure else ""
        telephone = words[: run[0].start].endswith("+") and len(digits) <= _LONGEST_TELEPHONE_NUMBER
        if len(digits) < _LEAST_DIGITS or telephone:
            continue
        masked += [words[at : run[0].start], "*" * 4 + digits[-_SHOWN:]]
        at = run[-1].end
    return "".join((*masked, words[at:]))


def _trimmed(run: Sequence[_Piece]) -> Sequence[_Piece]:
    """Return `run` without the words at its end that stand for no digit; as it is, if none does."""
    said = [place for place, piece in enumerate(run) if piece.digits]
    return run[: said[-1] + 1] if said else run


def _pieces(words: str) -> Iterator[_Piece]:
    """Yield the words that may belong to numbers, in order."""
    found = list(_WORD.finditer(words))
    times = 1
    for place, match in enumerate(found):
        word = match[0].casefold()
        after = found[place + 1][0].casefold() if place + 1 < len(found) else ""
        digits, sure = _digits(word, after)
        if digits or word in _BETWEEN:
            yield _Piece(match.start(), match.end(), digits * times, sure)
        times = _TIMES.get(word, 1)


def _digits(word: str, after: str) -> tuple[str, bool]:
    """Return the digits that `word` stands for before the word `after`, and whether it surely stands for them."""
    value = int(word) if word.isdecimal() else _spoken(word)
    if value is not None and word in AMBIGUOUS:
        return str(value), False
    if value is None:
        meant = _ZEROS.get(word) or _MEANT.get(word, "")
        return meant, False
    unit = _spoken(after)
    tens_go_on = value >= 20 and unit is not None and 0 < unit < 10
    return (str(value // 10) if tens_go_on else str(value)), True


def _spoken(word: str) -> int | None:
    value = spoken_value(word)
    return VALUES.get(word) if value is None else value


def _runs(words: str, pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yield the pieces that stand beside each other, with nothing but separators between them."""
    run = list(pieces[:1])
    for left, right in pairwise(pieces):
        if not _SEPARATOR.fullmatch(words, left.end, right.start):
            yield run
            run = []
        run.append(right)
    if run:
        yield run
