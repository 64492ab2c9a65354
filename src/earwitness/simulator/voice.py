"""What can be said: the recorded prompts, and free text for `<Say>`.

A folder of prompts holds `NAME.wav` (8 kHz, mono) with `NAME.txt` (its words) beside it.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from earwitness.audio.wav import WavError, read_wav
from earwitness.simulator.speech_engine import engine_speech
from earwitness.simulator.tones import RATE, Samples, resampled, seconds_to_samples, silence, with_level

PROMPTS_DIR = Path(__file__).with_name("prompts")  # what the centre says, and a daemon may compare with
UNFORESEEN_DIR = Path(__file__).with_name("unforeseen")  # what nobody expects to hear
SPEECH_LEVEL = -20.0  # dBFS, active
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


def all_prompts() -> Mapping[str, Samples]:
    """Return everything that can be heard on the simulator's lines, by name."""
    return {**recorded_prompts(), **recorded_prompts(UNFORESEEN_DIR)}


def _read_prompt(path: Path) -> Samples:
    try:
        recording = read_wav(path.read_bytes())
    except WavError as error:
        raise PromptError(f"{path}: {error}") from error
    return resampled(recording.samples[0], recording.rate) if recording.rate != RATE else recording.samples[0]


@lru_cache(maxsize=64)
def spoken(text: str) -> Samples:
    """Return `text` as speech if this machine has an engine for it, else as a murmur of about the right length."""
    speech = engine_speech(text)
    return murmur(text) if speech is None else with_level(speech, SPEECH_LEVEL)


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
