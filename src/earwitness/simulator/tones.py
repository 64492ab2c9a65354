"""Sounds made by arithmetic: DTMF, hold music, noise, and the level and rate of a signal. 8 kHz, float32 in -1..1."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 8000  # Hz, of every sound in the simulator
KEY_SECONDS = 0.1  # how long a key sounds
KEY_GAP = 0.1  # seconds of silence after a key
KEYS = "123A456B789C*0#D"
_LOW = (697, 770, 852, 941)  # Hz, ITU-T Q.23, by row
_HIGH = (1209, 1336, 1477, 1633)  # Hz, by column
_KEY_LEVEL = -10.0  # dBFS of each of the two tones' sum
_FADE = 0.005  # seconds


def seconds_to_samples(seconds: float) -> int:
    return round(seconds * RATE)


def silence(seconds: float) -> Samples:
    return np.zeros(seconds_to_samples(seconds), np.float32)


def sine(frequencies: Sequence[float], seconds: float, level: float) -> Samples:
    """Return the sum of sines at `frequencies` (Hz), faded in and out, with an RMS of `level` (dBFS)."""
    time = np.arange(seconds_to_samples(seconds)) / RATE
    waves = np.sum([np.sin(2 * np.pi * hertz * time) for hertz in frequencies], axis=0)
    return with_level(_faded(waves.astype(np.float32)), level)


def key_tone(key: str) -> Samples:
    """Return the DTMF tone of one key. Raises ValueError if there is no such key."""
    place = KEYS.find(key)
    if place < 0 or len(key) != 1:
        raise ValueError(f"{key!r} is not a telephone key; the keys are 0-9, *, # and A-D")
    return sine((_LOW[place // 4], _HIGH[place % 4]), KEY_SECONDS, _KEY_LEVEL)


def hold_music(seconds: float) -> Samples:
    """Return arpeggios of sustained notes, -22 dBFS: nothing that a speech detector should take for words."""
    chords = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))  # Hz: C, A minor, F, G
    bar = 2.0  # seconds
    bars = [sine(chords[n % len(chords)], bar, -22.0) for n in range(int(seconds // bar) + 1)]
    return np.concatenate(bars)[: seconds_to_samples(seconds)]


def noise(samples: int, level: float, random: np.random.Generator) -> Samples:
    """Return white noise with an RMS of `level` (dBFS)."""
    hiss: Samples = random.standard_normal(samples, np.float32)
    return hiss * np.float32(10 ** (level / 20))


def with_level(sound: Samples, level: float) -> Samples:
    """Return `sound` with its active level, the RMS of what is within 35 dB of its loudest 10 ms, at `level` (dBFS)."""
    frame = RATE // 100
    power = (sound[: len(sound) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    if not power.size or not power.max():
        return sound
    active = power[power > power.max() * 10**-3.5].mean()
    scaled: Samples = sound * np.float32(10 ** (level / 20) / np.sqrt(active))
    return scaled


def resampled(sound: Samples, rate: int) -> Samples:
    """Return `sound`, sampled at `rate` (Hz), at 8 kHz, by cutting or padding its spectrum."""
    length = round(len(sound) * RATE / rate)
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(length // 2 + 1, complex)
    shared = min(len(spectrum), len(kept))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, length) * (length / len(sound))).astype(np.float32)


def _faded(sound: Samples) -> Samples:
    ramp = np.linspace(0, 1, seconds_to_samples(_FADE), dtype=np.float32)
    sound[: len(ramp)] *= ramp
    sound[-len(ramp) :] *= ramp[::-1]
    return sound
