"""Where an expected text lies in what a recogniser heard, and which of its words were missing, replaced or extra.

Loads no numpy. Errors are counted as in the NIST scoring toolkit (SCTK, sclite): words are aligned by edit distance with the
weights 4 for a replaced word and 3 for a missing or an extra one; the word error rate is their number over the expected words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from earwitness.audio.numbers import tokens
from earwitness.audio.words import WILDCARD, expected_words, raw_words, same_word

_REPLACED, _MISSING, _EXTRA = 40, 30, 30
_WILD = 1  # a word under a wildcard: the shortest stretch is taken, and none that is longer than 30 words
_SILENT, _LONG_PAUSE = (
    60,
    2.0,
)  # a silence of so many seconds, outside a wildcard: what follows hardly belongs to the same prompt
_PAUSE = 0.6  # s between words, beyond which what is said does not take the place of a missing word
_NEGATIONS = frozenset({"not", "no", "never", "none", "cannot", "cant", "dont", "wont", "without", "isnt"})
_WEAK = frozenset({"a", "an", "the", "please"})  # may be missing of a phrase: recognisers mishear them


@dataclass(frozen=True, slots=True)
class Word:
    """A word that was heard: `start` and `end` in seconds, `confidence` 0..1 if the recogniser gives one."""

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Alignment:
    """How an expected text was heard. `start` and `end`: seconds from its first to its last word.

    `hits` of `words` expected ones were heard; `replaced` holds pairs of the expected and the heard word. Of the `missing`
    words `head_missing` are at the beginning and `tail_missing` at the end, with nothing said in their place.
    """

    start: float
    end: float
    words: int
    hits: int
    missing: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()
    head_missing: int = 0
    tail_missing: int = 0

    @property
    def errors(self) -> int:
        return len(self.missing) + len(self.replaced) + len(self.extra)

    @property
    def score(self) -> float:
        """Word accuracy, 0..1: one less the word error rate."""
        return max(0.0, 1 - self.errors / self.words)

    @property
    def gain(self) -> int:
        """How many expected words are there beyond the errors."""
        return self.words - self.errors

    @property
    def complete_head(self) -> bool:
        return not self.head_missing

    @property
    def complete_tail(self) -> bool:
        return not self.tail_missing


@dataclass(frozen=True, slots=True)
class BestText:
    """The text that fits best. `margin`: by how much its score is above that of the next text with other words, 0..1."""

    index: int
    text: str
    margin: float
    alignment: Alignment

    @property
    def score(self) -> float:
        return self.alignment.score


@dataclass(frozen=True, slots=True)
class HeardPhrase:
    """A phrase that was heard, seconds."""

    phrase: str
    start: float
    end: float


def align(expected: str, heard: Sequence[Word]) -> Alignment | None:
    """Return how `expected` was heard at the place where it fits best; None if not one word of it was heard there.

    A `*` in it stands for any words, also none. Where several places fit equally well, it is the first.
    """
    return _align(_inner(expected_words(expected)), _heard_tokens(heard))


def best_text(texts: Sequence[str], heard: Sequence[Word]) -> BestText | None:
    """Return which of `texts` was heard, by the highest score; None if no word of any was.

    Whether the score is high enough says little by itself, since texts that nearly agree all score high: look at the margin too.
    A text that lies wholly within another is no rival of it, and loses against it where more words speak for the longer one.
    """
    spoken = _heard_tokens(heard)
    found = {n: a for n, text in enumerate(texts) if (a := _align(_inner(expected_words(text)), spoken))}
    if not found:
        return None
    best = max(found, key=lambda n: (found[n].score, found[n].hits))
    best = max(
        (n for n in found if n == best or _lies_within(texts[best], texts[n])), key=lambda n: (found[n].gain, n == best)
    )
    rivals = [found[n].score for n in found if not _lies_within(texts[n], texts[best])]
    return BestText(best, texts[best], found[best].score - max(rivals, default=0.0), found[best])


def contains_phrase(phrases: Sequence[str], heard: Sequence[Word]) -> HeardPhrase | None:
    """Return the earliest of `phrases` that was heard, for phrases that mean failure.

    All words that matter have to be there, as they are or spelt nearly so; one word more is let pass, but never a "not".
    """
    spoken = _heard_tokens(heard)
    found = [
        HeardPhrase(phrase, a.start, a.end)
        for phrase in phrases
        if (a := _align(_inner(expected_words(phrase)), spoken)) and _says(a)
    ]
    return min(found, key=lambda phrase: phrase.start, default=None)


def _says(found: Alignment) -> bool:
    lost = {*found.missing, *(expected for expected, _ in found.replaced)}
    instead = {*found.extra, *(word for _, word in found.replaced)}
    return _WEAK.issuperset(lost) and len(found.extra) <= 1 and _NEGATIONS.isdisjoint(instead)


def _inner(expected: Sequence[str]) -> Sequence[str]:
    """Leave out the wildcards at the ends: a transcript may go on there anyway."""
    first = 1 if expected[:1] == (WILDCARD,) else 0
    return expected[first : len(expected) - (expected[-1:] == (WILDCARD,))]


def _lies_within(text: str, other: str) -> bool:
    words = [_Token(word, 0.0, 0.0) for word in expected_words(other)]
    found = _align(_inner(expected_words(text)), words)
    return found is not None and not found.errors


class _Token(NamedTuple):
    """A normalised word that was heard, seconds."""

    text: str
    start: float
    end: float


def _heard_tokens(heard: Sequence[Word]) -> list[_Token]:
    pieces = [(piece, word) for word in heard for piece in raw_words(word.text)]
    return [
        _Token(token.text, pieces[token.first][1].start, pieces[token.last][1].end)
        for token in tokens([piece for piece, _ in pieces])
    ]


class _Pair(NamedTuple):
    """One step of an alignment: an expected word, and the one that was heard for it. A missing or an extra word has no partner."""

    expected: str | None
    heard: _Token | None

    @property
    def agrees(self) -> bool:
        return self.expected is not None and self.heard is not None and same_word(self.expected, self.heard.text)


def _align(expected: Sequence[str], heard: Sequence[_Token]) -> Alignment | None:
    if not expected:
        return None
    pairs, first, end = _trace(_costs(expected, heard), expected, heard)
    if not any(pair.agrees for pair in pairs):
        return None
    pairs = _filled(pairs, heard[end:])
    pairs = _filled(pairs[::-1], heard[:first][::-1])[::-1]
    said = [pair.heard for pair in pairs if pair.heard]
    return Alignment(
        start=said[0].start,
        end=said[-1].end,
        words=sum(word != WILDCARD for word in expected),
        hits=sum(pair.agrees for pair in pairs),
        missing=tuple(pair.expected for pair in pairs if pair.expected and not pair.heard),
        replaced=tuple((p.expected, p.heard.text) for p in pairs if p.expected and p.heard and not p.agrees),
        extra=tuple(pair.heard.text for pair in pairs if pair.heard and not pair.expected),
        head_missing=_leading_missing(pairs),
        tail_missing=_leading_missing(pairs[::-1]),
    )


def _costs(expected: Sequence[str], heard: Sequence[_Token]) -> list[list[int]]:
    """Return the least cost of aligning the first i expected words so that they end with the first j heard ones, costs[i][j].

    They may begin anywhere, so costs[0][j] is 0.
    """
    costs = [[0] * (len(heard) + 1)]
    for word in expected:
        above = costs[-1]
        if word == WILDCARD:
            row = [above[0]]
            for j in range(len(heard)):
                row.append(min(above[j + 1], row[j] + _WILD))
        else:
            row = [above[0] + _MISSING]
            for j in range(len(heard)):
                row.append(min(_paired(above, j, word, heard), above[j + 1] + _MISSING, row[j] + _EXTRA))
        costs.append(row)
    return costs


def _paired(above: list[int], j: int, word: str, heard: Sequence[_Token]) -> int:
    """Return the cost when `word` is aligned with the heard word j, and the words before it as `above` says."""
    cost = above[j] + (0 if same_word(word, heard[j].text) else _REPLACED)
    begun = above[j] < above[0]  # else it is as cheap to begin with this word
    return cost + _SILENT if begun and _gap(heard[j - 1], heard[j]) > _LONG_PAUSE else cost


def _gap(one: _Token, other: _Token) -> float:
    """Return the seconds between two words, whichever was first."""
    return max(one.start, other.start) - min(one.end, other.end)


def _trace(costs: list[list[int]], expected: Sequence[str], heard: Sequence[_Token]) -> tuple[list[_Pair], int, int]:
    """Return the cheapest alignment, and the places of the first heard word in it and of the first one after it."""
    end = costs[-1].index(min(costs[-1]))
    pairs: list[_Pair] = []
    i, j = len(expected), end
    while i:
        word, cost = expected[i - 1], costs[i][j]
        if word == WILDCARD:
            i, j = (i - 1, j) if cost == costs[i - 1][j] else (i, j - 1)
        elif j and cost == _paired(costs[i - 1], j - 1, word, heard):
            i, j = i - 1, j - 1
            pairs.append(_Pair(word, heard[j]))
        elif cost == costs[i - 1][j] + _MISSING:
            i -= 1
            pairs.append(_Pair(word, None))
        else:
            j -= 1
            pairs.append(_Pair(None, heard[j]))
    return pairs[::-1], j, end


def _filled(pairs: list[_Pair], following: Sequence[_Token]) -> list[_Pair]:
    """Return `pairs` with what was said right after them as what replaced their last words.

    Without this, a replaced word at the end would look like one that was cut off. Works on the reversed beginning, too.
    """
    kept = pairs[: len(pairs) - _leading_missing(pairs[::-1])]
    filled = list(kept)
    for pair, token in zip(pairs[len(kept) :], following, strict=False):
        last = filled[-1].heard
        if last is None or _gap(last, token) > _PAUSE:
            break
        filled.append(_Pair(pair.expected, token))
    return filled + pairs[len(filled) :]


def _leading_missing(pairs: Sequence[_Pair]) -> int:
    return next((n for n, pair in enumerate(pairs) if pair.heard), len(pairs))
