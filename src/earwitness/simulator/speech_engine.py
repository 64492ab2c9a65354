"""Speech from text, by whichever engine this machine has: flite, espeak-ng, or the wheel `espeakng-loader`. None is needed."""

import ctypes
import importlib
import importlib.util
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import structlog

from earwitness.simulator.tones import Samples, resampled

_PROGRAMS = {
    "flite": ("-voice", "rms", "-t", "{text}", "-o", "/dev/stdout"),
    "espeak-ng": ("--stdout", "-v", "en-us", "--", "{text}"),
}
_TIMEOUT = 10  # seconds
_log = structlog.get_logger(__name__)


def engine_speech(text: str) -> Samples | None:
    """Return `text` as speech at 8 kHz, or None where no engine is installed. One that fails is logged, and the next tried."""
    for name, speak in _engines():
        try:
            return speak(text)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            _log.warning("speech_engine_failed", engine=name, error=type(error).__name__)
    return None


def _engines() -> list[tuple[str, Callable[[str], Samples]]]:
    found: list[tuple[str, Callable[[str], Samples]]] = []
    for name, arguments in _PROGRAMS.items():
        path = shutil.which(name)
        if path:
            found.append((name, partial(_by_program, path, arguments)))
    if importlib.util.find_spec("espeakng_loader"):
        found.append(("espeakng-loader", _by_library))
    return found


def _by_program(path: str, arguments: tuple[str, ...], text: str) -> Samples:
    command = [path, *(text if argument == "{text}" else argument for argument in arguments)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=_TIMEOUT).stdout  # noqa: S603 - no shell
    rate = int.from_bytes(made[24:28], "little")
    # The header was written before its end was known, so the sizes in it lie.
    start = made.index(b"data") + 8
    return _at_8_khz(made[start : start + (len(made) - start) // 2 * 2], rate)


def _at_8_khz(pcm16: bytes, rate: int) -> Samples:
    if not pcm16 or not rate:
        raise ValueError("the engine made no sound")
    return resampled(np.frombuffer(pcm16, "<i2").astype(np.float32) / np.float32(32768), rate)


# espeak-ng's C interface, speak_lib.h. The library is one global state, so one thread at a time.
_SYNCHRONOUS, _CHARACTERS, _UTF8 = 2, 1, 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_library_lock = threading.Lock()


def _by_library(text: str) -> Samples:
    loader = importlib.import_module("espeakng_loader")
    parts: list[bytes] = []

    def keep(sound: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if sound and count > 0:
            parts.append(ctypes.string_at(sound, 2 * count))
        return 0

    callback = _Callback(keep)
    with _library_lock:
        library = ctypes.CDLL(loader.get_library_path())
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, loader.get_data_path().encode(), 0)
        if rate <= 0:
            raise OSError("espeak-ng does not start")
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(b"en-us")
        words = text.encode() + b"\0"
        library.espeak_Synth(words, ctypes.c_size_t(len(words)), 0, _CHARACTERS, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        library.espeak_Terminate()
    return _at_8_khz(b"".join(parts), rate)
