"""What telephone lines do to speech. Sounds are 8 kHz, shape (n,), float32 in -1..1; every effect looks only back in time."""

import numpy as np

from earwitness.simulator.tones import RATE, Samples, seconds_to_samples

PACKET = 160  # samples, 20 ms
_CEILING = 0.7  # where an overdriven amplifier stops
_CUTOFF = 900.0  # Hz, of a muffled line
_TAPS = 101
_FRAME, _HOP = 256, 64  # samples: a robot speaks at 8000 / 64 = 125 Hz
_SAME_POWER = 1.18  # what makes the robot as loud as the speech, measured on the prompts


def delayed(sound: Samples, seconds: float) -> Samples:
    """Return `sound` later, and as long as it was."""
    late = min(seconds_to_samples(seconds), len(sound))
    return np.concatenate([np.zeros(late, np.float32), sound[: len(sound) - late]])


def clipped(sound: Samples, gain: float) -> Samples:
    """Return `sound` louder by `gain` (dB), with its peaks cut off."""
    driven: Samples = np.clip(sound * np.float32(10 ** (gain / 20)), -_CEILING, _CEILING)
    return driven


def muffled(sound: Samples) -> Samples:
    """Return `sound` through a low-pass filter at 900 Hz (windowed sinc, 101 taps)."""
    place = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(2 * _CUTOFF / RATE * place) * np.hamming(_TAPS)
    filtered: Samples = np.convolve(sound, taps / taps.sum())[: len(sound)].astype(np.float32)
    return filtered


def robotic(sound: Samples) -> Samples:
    """Return `sound` as a robot would say it, 32 ms later: the spectrum's phases are zero in every frame.

    This is the robotization of U. Zoelzer (ed.), DAFX: Digital Audio Effects, 2nd ed. (Wiley 2011), section 7.4.
    """
    late = np.concatenate([np.zeros(_FRAME, np.float32), sound])
    window = np.hanning(_FRAME)
    spoken = np.zeros(len(late) + _FRAME)
    for start in range(0, len(late) - _FRAME + 1, _HOP):
        frame = np.fft.irfft(np.abs(np.fft.rfft(late[start : start + _FRAME] * window)), _FRAME)
        spoken[start + _FRAME : start + 2 * _FRAME] += np.fft.fftshift(frame) * window
    robot: Samples = (spoken[_FRAME : _FRAME + len(sound)] * _SAME_POWER).astype(np.float32)
    return robot


def with_lost_packets(sound: Samples, share: float, random: np.random.Generator, *, repeat: bool) -> Samples:
    """Return `sound` with a `share` of its packets (20 ms) silent, or replaced by the one that was heard before."""
    received = sound.copy()
    for packet in np.flatnonzero(random.random(len(sound) // PACKET) < share):
        start = packet * PACKET
        before = received[start - PACKET : start] if repeat and packet else np.float32(0)
        received[start : start + PACKET] = before
    return received


def with_dropouts(sound: Samples, every: float, seconds: float, random: np.random.Generator) -> Samples:
    """Return `sound` silent for `seconds` somewhere in every `every` seconds."""
    received, period, gap = sound.copy(), seconds_to_samples(every), seconds_to_samples(min(seconds, every))
    for start in range(0, len(sound), period):
        at = start + int(random.random() * (period - gap))
        received[at : at + gap] = 0
    return received
