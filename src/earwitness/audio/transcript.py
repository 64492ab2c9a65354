"""What the far end said in words, where an engine is configured: transcribed once, and only if somebody asks."""

from collections.abc import Callable, Sequence
from functools import cached_property

from earwitness.audio.alignment import Word
from earwitness.audio.wav import Samples

Transcribe = Callable[[Samples], Sequence[Word]]


class Transcript:
    """The words of one channel at 8 kHz, shape (n,). Raises what the engine raises. Empty without an engine."""

    def __init__(self, samples: Samples, transcribe: Transcribe | None) -> None:
        self._samples, self._transcribe = samples, transcribe

    @property
    def available(self) -> bool:
        return self._transcribe is not None

    def words(self, start: float, end: float) -> tuple[Word, ...]:
        """Return the words that lie between `start` and `end` for the most part; seconds."""
        return tuple(word for word in self._words if start <= (word.start + word.end) / 2 <= end)

    def text(self, start: float, end: float) -> str:
        return " ".join(word.text for word in self.words(start, end))

    @cached_property
    def _words(self) -> tuple[Word, ...]:
        return () if self._transcribe is None else tuple(self._transcribe(self._samples))
