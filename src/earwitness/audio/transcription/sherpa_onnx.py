"""Sherpa-ONNX with a model folder of the user's: a transducer, Whisper, or NeMo CTC, told by its files."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import sherpa_onnx

from earwitness.audio.alignment import Word
from earwitness.audio.frames import RATE
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.transcription.results import words_of_pieces
from earwitness.audio.transcription.spreading import spread
from earwitness.audio.transcription.stretches import Stretch, stretches
from earwitness.audio.wav import Samples

_LONGEST = 25.0  # s; Whisper hears 30


def make(model: Path, language: str, _texts: Iterable[str]) -> "Engine":
    return Engine(_recogniser(model, language.partition("-")[0]))


def _recogniser(folder: Path, language: str) -> "sherpa_onnx.OfflineRecognizer":
    encoder, decoder, joiner = (_file(folder, f"*{part}*.onnx") for part in ("encoder", "decoder", "joiner"))
    tokens, whole = _file(folder, "*tokens.txt"), _file(folder, "*model*.onnx")
    known = sherpa_onnx.OfflineRecognizer
    if encoder and decoder and joiner:
        return known.from_transducer(encoder=encoder, decoder=decoder, joiner=joiner, tokens=tokens)
    if encoder and decoder:
        return known.from_whisper(
            encoder=encoder, decoder=decoder, tokens=tokens, language=language, enable_token_timestamps=True
        )
    if whole:
        return known.from_nemo_ctc(model=whole, tokens=tokens)
    raise EngineError(
        f"{folder} holds neither a transducer (encoder, decoder and joiner .onnx), nor Whisper (encoder and decoder .onnx), "
        "nor a NeMo CTC model (model.onnx); take one of those for sherpa-onnx"
    )


def _file(folder: Path, pattern: str) -> str:
    """Return the file of this name, the unquantised one if there are two; empty if there is none."""
    found = sorted(folder.glob(pattern), key=lambda path: (".int8." in path.name, path.name))
    return str(found[0]) if found else ""


class Engine:
    def __init__(self, recogniser: "sherpa_onnx.OfflineRecognizer") -> None:
        self._recogniser = recogniser

    def transcribe(self, samples: Samples) -> tuple[Word, ...]:
        return tuple(chain.from_iterable(map(self._words, stretches(samples, _LONGEST))))

    def _words(self, stretch: Stretch) -> list[Word]:
        stream = self._recogniser.create_stream()
        stream.accept_waveform(RATE, stretch.samples)
        self._recogniser.decode_stream(stream)
        found, end = stream.result, stretch.start + len(stretch.samples) / RATE
        if len(found.timestamps) == len(found.tokens):
            return list(words_of_pieces(found.tokens, [stretch.start + at for at in found.timestamps], end))
        return list(spread(found.text.split(), [(stretch.start, end)]))

    def unknown(self, _text: str) -> tuple[str, ...]:
        return ()  # it spells words from pieces
