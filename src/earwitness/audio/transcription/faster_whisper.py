"""Whisper through faster-whisper (CTranslate2), with a model folder of the user's. Its tokenizer has to lie there, too."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import faster_whisper

from earwitness.audio.alignment import Word
from earwitness.audio.transcription.stretches import Stretch, at_16_khz, stretches
from earwitness.audio.wav import Samples


def make(model: Path, language: str, _texts: Iterable[str]) -> "Engine":
    loaded = faster_whisper.WhisperModel(
        str(model), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )
    return Engine(loaded, language.partition("-")[0])


class Engine:
    def __init__(self, model: "faster_whisper.WhisperModel", language: str) -> None:
        self._model, self._language = model, language

    def transcribe(self, samples: Samples) -> tuple[Word, ...]:
        return tuple(chain.from_iterable(map(self._words, stretches(samples, longest=30.0))))

    def _words(self, stretch: Stretch) -> list[Word]:
        # Without the text before it, and at one temperature: it invents less, and the same sound gives the same words.
        segments, _ = self._model.transcribe(
            at_16_khz(stretch.samples),
            language=self._language,
            word_timestamps=True,
            condition_on_previous_text=False,
            temperature=0.0,
        )
        return [
            Word(word.word.strip(), stretch.start + word.start, stretch.start + word.end, word.probability)
            for segment in segments
            for word in segment.words or ()
        ]

    def unknown(self, _text: str) -> tuple[str, ...]:
        return ()  # it spells words from pieces
