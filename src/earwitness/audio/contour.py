"""A prompt told by how loud it is, from moment to moment, in a few bands: what is left of a voice that a codec robbed of its pitch.

The fingerprint counts on a voice's harmonics. A vocoder at its limits, or one that lost its pitch, keeps how the power of each band rises and
falls, which is what T. Houtgast and H. J. M. Steeneken found intelligibility to rest on ("A review of the MTF concept in room acoustics and its use
for estimating speech intelligibility in auditoria", J. Acoust. Soc. Am. 77, 1985). Another voice, or another take, keeps another time.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import RATE, blocks, decibels, framed
from earwitness.audio.wav import Samples

HOP = 160  # samples: 20 ms
_WIDTH = 256  # samples: 32 ms
_EDGES = (250, 600, 1100, 1900, 3400)  # Hz
_BELOW_LOUD = 35.0  # dB, under which levels count as equal: the noise in the pauses
_FAINTEST = -60.0  # dBFS
_STILL = 4.0  # dB, the least standard deviation of a stretch that may be a prompt

Contour = NDArray[np.float64]  # shape (bands, frames), dBFS


@dataclass(frozen=True, slots=True)
class Likeness:
    """Where a contour fits best: `score` is a correlation, 1 at best; `start` in seconds."""

    score: float
    start: float


def contour(samples: Samples) -> Contour:
    """Return the level of each band of `samples`, shape (n,) at 8 kHz, 50 frames a second."""
    frames = framed(np.pad(samples, (0, _WIDTH)), _WIDTH, HOP)
    window = np.hanning(_WIDTH).astype(np.float32)
    scale = 2 / (_WIDTH * float((window**2).sum()))
    edges = [round(hertz * _WIDTH / RATE) for hertz in _EDGES]
    parts: list[Contour] = []
    for part in blocks(frames):
        spectrum = np.fft.rfft(part * window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        bands = [power[:, low:high].sum(axis=1) for low, high in itertools.pairwise(edges)]
        parts.append(np.asarray(decibels(np.stack(bands) * scale), np.float64))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(_EDGES) - 1, 0))


def best_likeness(reference: Contour, heard: Contour) -> Likeness:
    """Return where in `heard` the `reference` fits best; a score of 0 if nothing there can be it."""
    count = reference.shape[1]
    if not count or heard.shape[1] < count:
        return Likeness(0.0, 0.0)
    wanted, levels = (_shape(each) for each in (reference, heard))
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    size = 1 << (levels.shape[1] + count).bit_length()
    product = np.fft.rfft(levels, size, axis=1) * np.conj(np.fft.rfft(wanted, size, axis=1))
    agree = np.fft.irfft(product.sum(axis=0), size)[: levels.shape[1] - count + 1]
    sums, squares = (_running(each, count) for each in (levels, levels**2))
    varied = (squares - sums**2 / count).sum(axis=0)
    least = _STILL**2 * count * len(levels)
    own = max(float((wanted**2).sum()), least)
    scores = np.where(varied > least, agree / np.sqrt(np.maximum(varied, least) * own), 0.0)
    place = int(scores.argmax())
    return Likeness(float(scores[place]), place * HOP / RATE)


def _shape(levels: Contour) -> Contour:
    """Return `levels` without what is far below the loud ones of its band."""
    loud = np.percentile(levels, 98, axis=1, keepdims=True)
    return np.maximum(levels, np.maximum(loud - _BELOW_LOUD, _FAINTEST))


def _running(values: Contour, count: int) -> Contour:
    """Return the sums of `count` neighbours in each band."""
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    sums: Contour = total[:, count:] - total[:, :-count]
    return sums
