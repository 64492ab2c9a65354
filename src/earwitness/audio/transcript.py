"""What the far end said in words, where an engine is configured: transcribed once, and only if somebody asks."""

from collections.abc import Callable
from functools import cached_property

from earwitness.audio.alignment import Word
from earwitness.audio.transcription.base import Engine
from earwitness.audio.wav import Samples
from earwitness.audio.words import WILDCARD, blanked, expected_words

MakeEngine = Callable[[], Engine]


class Transcript:
    """The words of one channel at 8 kHz, shape (n,). Raises EngineError. Empty without an engine, which is made when it is needed."""

    def __init__(self, samples: Samples, make_engine: MakeEngine | None) -> None:
        self._samples, self._make_engine = samples, make_engine

    @property
    def available(self) -> bool:
        return self._make_engine is not None

    def words(self, start: float, end: float) -> tuple[Word, ...]:
        """Return the words that lie between `start` and `end` for the most part; seconds."""
        return tuple(word for word in self._words if start <= (word.start + word.end) / 2 <= end)

    def text(self, start: float, end: float) -> str:
        return " ".join(word.text for word in self.words(start, end))

    def hearable(self, text: str) -> str:
        """Return `text` with a wildcard for each word that the engine can never hear."""
        return text if self._engine is None else blanked(text, self._engine.unknown(text))

    def can_hear(self, text: str) -> bool:
        """Whether there is an engine, and it knows at least one word of `text`."""
        return self.available and any(word != WILDCARD for word in expected_words(self.hearable(text)))

    @property
    def written(self) -> bool:
        """Whether the words are known already."""
        return "_words" in self.__dict__

    @cached_property
    def _engine(self) -> Engine | None:
        return None if self._make_engine is None else self._make_engine()

    @cached_property
    def _words(self) -> tuple[Word, ...]:
        return () if self._engine is None else self._engine.transcribe(self._samples)
