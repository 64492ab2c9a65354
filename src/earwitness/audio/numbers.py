"""Spoken numbers as digits and digits as spoken numbers, in English, so that "twenty one" and "21" are the same word."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# fmt: off
_BELOW_TWENTY = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
# fmt: on
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: n for n, word in enumerate(_BELOW_TWENTY)}
_TEN_VALUES = {word: 10 * n for n, word in enumerate(_TENS, start=2)}


class Token(NamedTuple):
    """A word or a number, and the places of the first and the last of the words that it was made of."""

    text: str
    first: int
    last: int


def tokens(words: Sequence[str]) -> Iterator[Token]:
    """Yield `words` with spoken numbers below a thousand as digits.

    Numbers of three digits and more are yielded digit by digit: 105 may be read as "one oh five" or as "one hundred and five".
    """
    at = 0
    while at < len(words):
        value, used = _number(words, at)
        text = str(value) if used else words[at]
        last = at + max(used, 1) - 1
        if text.isdecimal() and len(text) > 2:
            yield from (Token(digit, at, last) for digit in text)
        else:
            yield Token(text, at, last)
        at = last + 1


def _number(words: Sequence[str], at: int) -> tuple[int, int]:
    """Return the number that is spoken from `at` on and how many words it takes; none for no number."""
    value, used = _below_hundred(words, at)
    if words[at] == "a":
        value, used = 1, 1
    if used == 1 and 0 < value < 10 and words[at + 1 : at + 2] == ["hundred"]:
        joint = 1 if words[at + 2 : at + 3] == ["and"] else 0
        rest, more = _below_hundred(words, at + 2 + joint)
        return (100 * value + rest, 2 + joint + more) if more else (100 * value, 2)
    return (0, 0) if words[at] == "a" else (value, used)


def _below_hundred(words: Sequence[str], at: int) -> tuple[int, int]:
    word, following = (*words[at : at + 2], "", "")[:2]
    if word in _VALUES:
        return _VALUES[word], 1
    if word not in _TEN_VALUES:
        return 0, 0
    unit = _VALUES.get(following, 0)
    return (_TEN_VALUES[word] + unit, 2) if 0 < unit < 10 else (_TEN_VALUES[word], 1)


def spoken_value(word: str) -> int | None:
    """Return what a single word says: 0 to 19, or a multiple of ten below a hundred; None for any other word."""
    return _VALUES.get(word, _TEN_VALUES.get(word))


def spoken(token: str) -> list[str]:
    """Return the words by which a token of `tokens` is said: "21" is "twenty one"."""
    if not token.isdecimal() or len(token) > 2:
        return [token]
    value = int(token)
    if value < 20:
        return [_BELOW_TWENTY[value]]
    tens, unit = _TENS[value // 10 - 2], value % 10
    return [tens, _BELOW_TWENTY[unit]] if unit else [tens]
