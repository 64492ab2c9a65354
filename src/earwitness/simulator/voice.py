"""What can be said: the recorded prompts, and free text for `<Say>`.

A folder of prompts holds `NAME.wav` (8 kHz, mono) with `NAME.txt` (its words) beside it.
"""

import shutil
import subprocess
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from earwitness.audio.wav import WavError, read_wav
from earwitness.simulator.tones import RATE, Samples, resampled, seconds_to_samples, silence, with_level

PROMPTS_DIR = Path(__file__).with_name("prompts")
SPEECH_LEVEL = -20.0  # dBFS, active
_ENGINES: Mapping[str, tuple[str, ...]] = {
    "flite": ("-voice", "rms", "-t", "{text}", "-o", "/dev/stdout"),
    "espeak-ng": ("--stdout", "-v", "en-us", "--", "{text}"),
}
_ENGINE_TIMEOUT = 10  # seconds
_LETTERS_PER_SECOND = 14.0


class PromptError(Exception):
    """A folder of prompts cannot be used; the message names the file and says why."""


@cache
def recorded_prompts(folder: Path = PROMPTS_DIR) -> Mapping[str, Samples]:
    """Return the prompts of `folder` by name, at 8 kHz. Raises PromptError."""
    prompts = {path.stem: _read_prompt(path) for path in sorted(folder.glob("*.wav"))}
    if not prompts:
        raise PromptError(f"{folder} holds no NAME.wav")
    return prompts


def _read_prompt(path: Path) -> Samples:
    try:
        recording = read_wav(path.read_bytes())
    except WavError as error:
        raise PromptError(f"{path}: {error}") from error
    return resampled(recording.samples[0], recording.rate) if recording.rate != RATE else recording.samples[0]


@lru_cache(maxsize=64)
def spoken(text: str) -> Samples:
    """Return `text` as speech by flite or espeak-ng if one is installed, else as a murmur of about the right length."""
    for engine, arguments in _ENGINES.items():
        program = shutil.which(engine)
        if program:
            return _by_engine(program, arguments, text)
    return murmur(text)


def _by_engine(program: str, arguments: tuple[str, ...], text: str) -> Samples:
    command = [program, *(text if a == "{text}" else a for a in arguments)]
    made = subprocess.run(command, capture_output=True, check=True, timeout=_ENGINE_TIMEOUT)  # noqa: S603 - no shell
    rate, sound = _streamed_wav(made.stdout)
    return with_level(resampled(sound, rate), SPEECH_LEVEL)


def _streamed_wav(data: bytes) -> tuple[int, Samples]:
    """Return rate (Hz) and samples of a 16-bit mono WAV whose header, written before its end was known, lies about sizes."""
    rate = int.from_bytes(data[24:28], "little")
    start = data.index(b"data") + 8
    body = data[start : start + (len(data) - start) // 2 * 2]
    return rate, np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768)


def murmur(text: str) -> Samples:
    """Return syllables of a hummed voice, as long as `text` would take to say; it carries no words."""
    words = [_syllable(len(word), pitch) for word, pitch in zip(text.split(), _melody(), strict=False)]
    return with_level(np.concatenate([silence(0.05), *words]), SPEECH_LEVEL)


def _melody() -> list[float]:
    return [120.0 + 15.0 * np.sin(n * 1.7) for n in range(4000)]  # Hz, one a word; TwiML has at most 4000 letters


def _syllable(letters: int, pitch: float) -> Samples:
    time = np.arange(seconds_to_samples((letters + 1) / _LETTERS_PER_SECOND)) / RATE
    hum = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return (hum * np.sin(np.pi * np.arange(len(time)) / len(time))).astype(np.float32)
