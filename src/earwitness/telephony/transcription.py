"""The engine that turns speech into words, as the configuration names it; loaded when a call first needs it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from earwitness.audio.transcription import make_engine
from earwitness.audio.transcription.base import Settings

if TYPE_CHECKING:
    from earwitness.audio.alignment import Word
    from earwitness.audio.wav import Samples


class Transcription:
    """Implements the probe's `Transcriber`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def transcribe(self, samples: "Samples", texts: Sequence[str]) -> "Sequence[Word]":
        return make_engine(self._settings, texts).transcribe(samples)
