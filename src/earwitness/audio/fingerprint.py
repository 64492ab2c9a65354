"""The fingerprint of sound that a prompt is recognised by.

J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: one bit for each pair of neighbouring bands
and frames, the sign of how their energy difference changes. Signs survive the telephone's codec, level, noise and loss. Here 32
bits a frame from 33 logarithmic bands of 300-2600 Hz, frames of 256 ms, 10 ms apart.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import HOP, RATE, Flags, Floats, Framewise, centred, framed
from earwitness.audio.wav import Samples

BANDS = 32
_WIDTH = 2048  # samples, 256 ms
_EDGES = np.geomspace(300, 2600, BANDS + 2)  # Hz
_BLOCK = 128  # frames transformed at once: what is at hand fits the processor's cache
_ACTIVE_DB = 35  # below the loudest frame


_BINS = slice(math.ceil(_EDGES[0] * _WIDTH / RATE), math.ceil(_EDGES[-1] * _WIDTH / RATE))


def _band_matrix() -> NDArray[np.float32]:
    frequencies = np.arange(_WIDTH // 2 + 1)[_BINS] * RATE / _WIDTH
    bands = np.stack([(frequencies >= low) & (frequencies < high) for low, high in itertools.pairwise(_EDGES)])
    return np.repeat(bands.T, 2, axis=0).astype(np.float32)  # twice: for the real and the imaginary part


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


def fingerprint(samples: Samples, energies: Floats | None = None) -> Fingerprint:
    """Return the fingerprint of `samples`, shape (n,) at 8 kHz. `energies` is what `band_energies` returns of them, if it is known already."""
    difference = np.diff(band_energies(samples) if energies is None else energies, axis=1)
    signs = np.sign(np.diff(difference, axis=0)).T.astype(np.float32)
    return Fingerprint(np.ascontiguousarray(signs), _active(samples, signs.shape[1]))


def band_energies(samples: Samples) -> NDArray[np.float32]:
    """Return the energy in each band of each frame, shape (frames, 33), frame i centred on sample i * 80.

    Memory is used again from block to block: fetching it anew costs more than the FFT.
    """
    frames = centred(np.asarray(samples, np.float32), _WIDTH)
    energies = np.empty((len(frames), BANDS + 1), np.float32)
    windowed = np.empty((_BLOCK, _WIDTH), np.float32)
    spectrum = np.empty((_BLOCK, _WIDTH // 2 + 1), np.complex64)
    parts = spectrum.view(np.float32)[:, 2 * _BINS.start : 2 * _BINS.stop]
    squares = np.empty(parts.shape, np.float32)
    for at in range(0, len(frames), _BLOCK):
        n = min(_BLOCK, len(frames) - at)
        np.multiply(frames[at : at + n], _WINDOW, out=windowed[:n])
        # numpy's type information knows this only for double precision
        np.fft.rfft(windowed[:n], axis=1, out=spectrum[:n])  # type: ignore[arg-type]
        np.matmul(np.square(parts[:n], out=squares[:n]), _BAND_MATRIX, out=energies[at : at + n])
    return energies


BAND_ENERGIES = Framewise(lambda samples: (band_energies(samples),), HOP, before=_WIDTH // 2, after=_WIDTH // 2)


def _active(samples: Samples, count: int) -> Flags:
    power = np.zeros(count)
    blocks = (framed(samples, HOP, HOP).astype(np.float64) ** 2).mean(axis=1)[:count]
    power[: len(blocks)] = blocks
    smooth = np.convolve(power, np.ones(5) / 5, "same")[:count]
    active: Flags = smooth > max(smooth.max(initial=0.0) * 10 ** (-_ACTIVE_DB / 10), 1e-12)
    return active
