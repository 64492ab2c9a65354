"""Times for words that came without any."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from earwitness.audio.alignment import Word

Span = tuple[float, float]


def spread(words: Sequence[str], spans: Iterable[Span], confidence: float | None = None) -> Iterator[Word]:
    """Yield `words` one after the other over the `spans` in which somebody spoke, seconds; long words take longer.

    Each lasts until the next one begins, even over a pause: which words it lies between is a guess, and must not look like a
    fact. Nothing for no span: where nobody spoke, no word has a place.
    """
    spans = list(spans)
    total = sum(end - start for start, end in spans)
    letters = sum(map(len, words))
    if not letters or total <= 0:
        return
    before = itertools.accumulate(map(len, words), initial=0)
    moments = [_moment(spans, total * said / letters) for said in before]
    for word, (start, end) in zip(words, itertools.pairwise(moments), strict=True):
        yield Word(word, start, end, confidence)


def _moment(spans: Sequence[Span], spoken: float) -> float:
    """Return the second at which `spoken` seconds of speech had been heard, after a pause if there is one then."""
    for start, end in spans:
        if spoken < end - start:
            return start + spoken
        spoken -= end - start
    return spans[-1][1]
