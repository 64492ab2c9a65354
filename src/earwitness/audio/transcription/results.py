"""What engines answer, as words: the pure part, which needs none of their packages."""

import json
from collections.abc import Iterator, Sequence

from earwitness.audio.alignment import Word

_NEW_WORD = ("▁", " ")  # how those pieces are marked that begin a word
_LAST_PIECE = 0.3  # s that the last piece of a word may take; only beginnings are told


def vosk_words(result: str, start: float) -> list[Word]:
    """Return the words of Vosk's JSON result, for sound that began `start` seconds into the recording."""
    return [
        Word(word["word"], start + word["start"], start + word["end"], word["conf"])
        for word in json.loads(result).get("result", ())
    ]


def words_of_pieces(pieces: Sequence[str], times: Sequence[float], end: float) -> Iterator[Word]:
    """Yield the words made of `pieces` that began at `times`, in a stretch up to `end`, all in seconds of the recording."""
    begins = [n for n, piece in enumerate(pieces) if n == 0 or piece.startswith(_NEW_WORD)]
    for first, following in zip(begins, [*begins[1:], len(pieces)], strict=True):
        text = "".join(pieces[first:following]).strip("".join(_NEW_WORD))
        next_start = times[following] if following < len(times) else end
        if text:
            yield Word(text, times[first], min(next_start, times[following - 1] + _LAST_PIECE))
