"""The fingerprint of sound that a prompt is recognised by.

J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: one bit for each pair of neighbouring bands
and frames, the sign of how their energy difference changes. Signs survive the telephone's codec, level, noise and loss. Here 32
bits a frame from 33 logarithmic bands of 300-2600 Hz, frames of 256 ms, 10 ms apart.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import HOP, RATE, Flags, Floats, centred, framed
from earwitness.audio.wav import Samples

BANDS = 32
_WIDTH = 2048  # samples, 256 ms
_EDGES = np.geomspace(300, 2600, BANDS + 2)  # Hz
_BLOCK = 1000  # frames transformed at once, which bounds the memory to 16 MB
_ACTIVE_DB = 35  # below the loudest frame


def _band_matrix() -> NDArray[np.float32]:
    frequencies = np.arange(_WIDTH // 2 + 1) * RATE / _WIDTH
    bands = [(frequencies >= low) & (frequencies < high) for low, high in itertools.pairwise(_EDGES)]
    return np.stack(bands).T.astype(np.float32)


_BAND_MATRIX = _band_matrix()
_WINDOW = np.hanning(_WIDTH).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """`signs`: shape (32, frames), each -1, 0 or 1, 100 frames a second. `active`: the frames that are not silence."""

    signs: NDArray[np.float32]
    active: Flags

    @property
    def frames(self) -> int:
        return int(self.signs.shape[1])

    def part(self, start: int, end: int) -> "Fingerprint":
        """Return frames start..end (exclusive)."""
        return Fingerprint(self.signs[:, start:end], self.active[start:end])


def fingerprint(samples: Samples) -> Fingerprint:
    """Return the fingerprint of `samples`, shape (n,) at 8 kHz."""
    frames = centred(np.asarray(samples, np.float32), _WIDTH)
    blocks = [_band_energies(frames[at : at + _BLOCK]) for at in range(0, len(frames), _BLOCK)]
    difference = np.diff(np.concatenate(blocks), axis=1)
    signs = np.sign(np.diff(difference, axis=0)).T.astype(np.float32)
    return Fingerprint(np.ascontiguousarray(signs), _active(samples, signs.shape[1]))


def _band_energies(frames: Floats) -> NDArray[np.float32]:
    energies: NDArray[np.float32] = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)).astype(np.float32) ** 2 @ _BAND_MATRIX
    return energies


def _active(samples: Samples, count: int) -> Flags:
    power = np.zeros(count)
    blocks = (framed(samples, HOP, HOP).astype(np.float64) ** 2).mean(axis=1)[:count]
    power[: len(blocks)] = blocks
    smooth = np.convolve(power, np.ones(5) / 5, "same")[:count]
    active: Flags = smooth > max(smooth.max(initial=0.0) * 10 ** (-_ACTIVE_DB / 10), 1e-12)
    return active
