"""Sounds made by arithmetic: DTMF, the network's signals, hold music, noise, and the level and rate of a signal.

All are 8 kHz, float32 in -1..1.
"""

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
_SIGNAL_LEVEL = -20.0  # dBFS of the network's tones


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


def special_information_tones() -> Samples:
    """Return the three rising tones before an announcement that a call cannot be connected (ITU-T E.180, section 7)."""
    tones = [sine((hertz,), 0.33, _SIGNAL_LEVEL) for hertz in (950, 1400, 1800)]
    return np.concatenate([*tones, silence(1.0)])


def busy_tone(seconds: float) -> Samples:
    """Return the North American busy tone: half a second on, half a second off."""
    return _repeated(np.concatenate([sine((480, 620), 0.5, _SIGNAL_LEVEL), silence(0.5)]), seconds)


def ring_back(seconds: float) -> Samples:
    """Return the North American ringing tone: two seconds on, four seconds off."""
    return _repeated(np.concatenate([sine((440, 480), 2.0, _SIGNAL_LEVEL), silence(4.0)]), seconds)


def fax_answer(seconds: float) -> Samples:
    """Return what a fax machine answers with (ITU-T T.30): 2100 Hz for three seconds, then V.21 flags at 300 bit/s."""
    bits = np.tile([0, 1, 1, 1, 1, 1, 1, 0], 56)
    hertz = np.repeat(np.where(bits, 1650.0, 1850.0), RATE // 300)
    flags = with_level(np.sin(2 * np.pi * np.cumsum(hertz) / RATE).astype(np.float32), _SIGNAL_LEVEL)
    answer = [silence(0.5), sine((2100,), 3.0, _SIGNAL_LEVEL), silence(0.075), flags, silence(1.5)]
    return _repeated(np.concatenate(answer), seconds)


def hum(samples: int, hertz: float, level: float) -> Samples:
    """Return mains hum and its first four harmonics, weaker each, with an RMS of `level` (dBFS)."""
    time = np.arange(samples) / RATE
    waves = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6))
    power = sum(1 / (2 * k * k) for k in range(1, 6))
    scaled: Samples = (np.asarray(waves) * 10 ** (level / 20) / np.sqrt(power)).astype(np.float32)
    return scaled


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


def _repeated(sound: Samples, seconds: float) -> Samples:
    """Return `sound` over and over, `seconds` long."""
    return np.resize(sound, seconds_to_samples(seconds))
