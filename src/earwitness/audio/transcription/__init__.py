"""Engines that turn speech into words: one file an engine, all listed here. Loads none of them, nor numpy, before it is made."""

import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from earwitness.audio.alignment import Word
from earwitness.audio.transcription.base import Engine, EngineError, EngineKind, Settings

if TYPE_CHECKING:
    from earwitness.audio.wav import Samples

ENGINES: Mapping[str, EngineKind] = MappingProxyType(
    {
        "pocketsphinx": EngineKind("pocketsphinx", "pocketsphinx", "speech", languages=("en",), uses_texts=True),
        "vosk": EngineKind("vosk", "vosk", "vosk", ("am/final.mdl|final.mdl", "conf/mfcc.conf|mfcc.conf")),
        "sherpa-onnx": EngineKind(
            "sherpa_onnx", "sherpa_onnx", "sherpa-onnx", ("*tokens.txt", "*encoder*.onnx|*model*.onnx")
        ),
        # Without its tokenizer in the folder, faster-whisper would download one.
        "faster-whisper": EngineKind(
            "faster_whisper", "faster_whisper", "faster-whisper", ("model.bin", "config.json", "tokenizer.json")
        ),
    }
)


BY_CARRIER = "twilio"  # the carrier transcribes while the call goes on: no engine of ours


def trouble_with(settings: Settings) -> tuple[str, str] | None:
    """Return what stands against these settings: the key that is to blame, and what to do; None if they can be used."""
    if settings.engine == BY_CARRIER:
        return ("model", "twilio brings its own model; leave model out") if settings.model else None
    kind = ENGINES.get(settings.engine)
    if kind is None:
        return "engine", f"{settings.engine!r} is not an engine; known are {', '.join((*ENGINES, BY_CARRIER))}"
    if find_spec(kind.package) is None:
        return "engine", f"{settings.engine} is not installed; pip install 'earwitness[{kind.extra}]'"
    if kind.languages and settings.language.partition("-")[0] not in kind.languages:
        known = ", ".join(kind.languages)
        return "language", f"{settings.engine} knows {known} only, not {settings.language}; take another engine"
    trouble = _model_trouble(settings.engine, kind, settings.model)
    return ("model", trouble) if trouble else None


def _model_trouble(engine: str, kind: EngineKind, model: Path | None) -> str | None:
    if not kind.model_files:
        return f"{engine} brings its own model; leave model out" if model else None
    if model is None:
        return f"{engine} needs a model; write model: and the folder that you unpacked it to"
    if not model.is_dir():
        return f"{model} is not a folder; unpack a model for {engine} there (nothing is ever downloaded)"
    absent = [files for files in kind.model_files if not any(any(model.glob(name)) for name in files.split("|"))]
    wanted = " and ".join(files.replace("|", " or ") for files in absent)
    return f"{model} is no model for {engine}: it holds no {wanted}" if absent else None


def make_engine(settings: Settings, texts: Iterable[str] = ()) -> Engine:
    """Return the engine, ready to be used by any thread; the same one for the same arguments. Takes seconds: call it in a worker.

    `texts` are all texts that may be said: expected ones, those of the reference recordings, phrases that mean failure. Raises EngineError.
    """
    trouble = trouble_with(settings)
    if trouble:
        raise EngineError(f"transcription.{trouble[0]}: {trouble[1]}")
    used = tuple(sorted(set(texts))) if ENGINES[settings.engine].uses_texts else ()
    with _MAKING:
        return _made(settings.engine, settings.model, settings.language, used)


_MAKING = threading.Lock()  # models are large; two threads must not load the same one


@lru_cache(maxsize=2)  # the one in use, and the one that a new configuration brings
def _made(name: str, model: Path | None, language: str, texts: tuple[str, ...]) -> Engine:
    try:
        module = import_module(f"{__name__}.{ENGINES[name].module}")
        engine: Engine = module.make(model, language, texts)
    except EngineError:
        raise
    except Exception as error:
        where, again = (f" with the model {model}", "unpack the model again, or ") if model else ("", "")
        install = f"pip install --force-reinstall 'earwitness[{ENGINES[name].extra}]'"
        raise EngineError(f"{name} does not start{where}: {error}; {again}{install}") from error
    return _Shared(name, engine)


class _Shared:
    """An engine behind a lock, since none of them promises to bear two threads; what it raises becomes an EngineError."""

    def __init__(self, name: str, engine: Engine) -> None:
        self._name, self._engine = name, engine
        self._lock = threading.Lock()

    def transcribe(self, samples: "Samples") -> tuple[Word, ...]:
        with self._lock:
            try:
                return self._engine.transcribe(samples)
            except Exception as error:
                raise EngineError(f"{self._name} could not transcribe the recording: {error}") from error

    def unknown(self, text: str) -> tuple[str, ...]:
        with self._lock:
            return self._engine.unknown(text)
