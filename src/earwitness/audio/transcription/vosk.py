"""Vosk (Kaldi) with a model that the user unpacked. The model decides the language."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import vosk

from earwitness.audio.alignment import Word
from earwitness.audio.frames import RATE
from earwitness.audio.transcription.results import vosk_words
from earwitness.audio.transcription.stretches import Stretch, pcm16, stretches
from earwitness.audio.wav import Samples
from earwitness.audio.words import raw_words

_SILENT = -1  # Kaldi's messages go to standard error otherwise


def make(model: Path, _language: str, _texts: Iterable[str]) -> "Engine":
    vosk.SetLogLevel(_SILENT)
    return Engine(vosk.Model(str(model)))


class Engine:
    def __init__(self, model: "vosk.Model") -> None:
        self._model = model

    def transcribe(self, samples: Samples) -> tuple[Word, ...]:
        return tuple(chain.from_iterable(map(self._words, stretches(samples, longest=30.0))))

    def _words(self, stretch: Stretch) -> list[Word]:
        recogniser = vosk.KaldiRecognizer(self._model, float(RATE))
        recogniser.SetWords(True)
        parts = []
        if recogniser.AcceptWaveform(pcm16(stretch.samples)):  # it heard an end; its words come now or never
            parts.append(recogniser.Result())
        parts.append(recogniser.FinalResult())
        return [word for part in parts for word in vosk_words(part, stretch.start)]

    def unknown(self, text: str) -> tuple[str, ...]:
        return tuple(word for word in dict.fromkeys(raw_words(text)) if self._model.vosk_model_find_word(word) < 0)
