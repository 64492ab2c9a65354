"""The engine that turns speech into words, as the configuration names it; loaded when a call first needs it."""

from collections.abc import Sequence

from earwitness.audio.transcription import make_engine
from earwitness.audio.transcription.base import Engine, Settings


class Transcription:
    """Implements the probe's `Transcriber`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def engine(self, texts: Sequence[str]) -> Engine:
        return make_engine(self._settings, texts)
