"""Network tones and what a line does to any sound, made here. Speech is the simulator's recorded prompts."""

import numpy as np
from murmurs import RATE, at_level, lossy, telephone

from earwitness.simulator.voice import recorded_prompts

SPEECH = {name: at_level(sound, -16).astype(np.float32) for name, sound in recorded_prompts().items()}


def cadence(*parts, times=1, level=-16.0):
    """Return the (frequencies, seconds) of `parts` one after the other, `times` over; no frequencies are silence."""
    sounds = []
    for frequencies, seconds in parts * times:
        t = np.arange(int(seconds * RATE)) / RATE
        wave = sum((np.sin(2 * np.pi * f * t) for f in frequencies), np.zeros(len(t)))
        sounds.append(at_level(wave, level) if frequencies else wave)
    return np.concatenate(sounds)


def hiss(sound, level, seed):
    """Return white noise of `level`, dBFS, as long as `sound`."""
    return at_level(np.random.default_rng(seed).normal(size=len(sound)), level)


def band_limited(sound, low=300, high=3400):
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hertz < low) | (hertz > high)] = 0
    return np.fft.irfft(spectrum, len(sound))


def vocoded(sound, seed=1):
    """Return `sound` as a low-rate codec leaves it: the telephone band, and noise 14 dB under the sound that follows its level."""
    limited = band_limited(sound)
    level = np.sqrt(np.convolve(limited**2, np.ones(160) / 160, "same"))
    return limited + 0.2 * level * np.random.default_rng(seed).normal(size=len(sound))


LINES = {
    "clean": lambda sound, _: telephone(sound),
    "snr 20": lambda sound, seed: telephone(sound + hiss(sound, -36, seed)),
    "snr 10": lambda sound, seed: telephone(sound + hiss(sound, -26, seed)),
    "loss 3 %": lambda sound, seed: lossy(telephone(sound), 0.03, seed),
    "codec": lambda sound, seed: vocoded(telephone(sound), seed),
    "quiet": lambda sound, _: telephone(0.1 * sound),
    "clipped": lambda sound, _: np.clip(5 * sound, -0.5, 0.5),
}
