"""Times for words that came without any."""

from collections.abc import Iterable, Iterator, Sequence

from earwitness.audio.alignment import Word

Span = tuple[float, float]


def spread(words: Sequence[str], spans: Iterable[Span], confidence: float | None = None) -> Iterator[Word]:
    """Yield `words` one after the other over the `spans` in which somebody spoke, seconds; long words take longer.

    Nothing for no span: where nobody spoke, no word has a place.
    """
    spans = list(spans)
    total = sum(end - start for start, end in spans)
    letters = sum(map(len, words))
    if not letters or total <= 0:
        return
    said = 0
    for word in words:
        start = _moment(spans, total * said / letters)
        said += len(word)
        yield Word(word, start, _moment(spans, total * said / letters, at_end=True), confidence)


def _moment(spans: Sequence[Span], spoken: float, *, at_end: bool = False) -> float:
    """Return the second at which `spoken` seconds of speech had been heard: before a pause for an end, else after it."""
    for start, end in spans:
        length = end - start
        if spoken < length or (at_end and spoken <= length):
            return start + spoken
        spoken -= length
    return spans[-1][1]
