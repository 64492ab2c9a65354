"""Where packets were lost, heard without a reference: silence put in their place, or sound used again.

Silence: samples that are all the same for a multiple of 10 ms, which no line with any noise produces, or holes down to the noise with
abrupt edges on both sides. Sound used again: 8 ms that are an exact copy, of any loudness, of what was 5 to 20 ms before. Repeating the last packet leaves
such copies, and so does the waveform substitution of ITU-T G.711 Appendix I in its first 10 ms; people and speech engines do not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import RATE, Flags, blocks, decibels, framed, runs
from earwitness.audio.wav import Samples

PACKET = 160  # samples: 20 ms
_FRAME = 80  # samples: 10 ms, of which all packets are multiples
_SLIP = 10  # samples by which a hole may be longer or shorter: its neighbours may be as silent
_LONGEST_HOLE = int(0.15 * RATE)
_LOUD = -45.0  # dBFS of the 20 ms beside a hole, or of a copy, that are speech
_LOUD_EDGE = -38.0  # dBFS
_QUIET_EDGE = -50.0  # dBFS, beside a hole that is as long as a packet
_ABRUPT, _LESS_ABRUPT = 0.35, 0.1  # of the power of the 20 ms beside a hole, that its nearest 2.5 ms have
_FAINT, _NOISY = (
    (7e-4, 4e-3),
    (7e-4, 4e-2),
)  # four times the noise's rms is within these, in a hole of any length, and in one of a packet's
_WINDOW, _STEP = 64, 40  # samples: what is compared, and how far apart
_LAGS = (40, 160)  # samples: 5 to 20 ms, the longest pitch period and the longest packet
_EXACT = 10**-3.4  # of its power, that a copy differs by at most; once in 3 minutes of speech a vowel is as steady
_SILENT_SHARE = 0.3  # of a window, above which it is no copy but silence
_LONGEST_COPY = int(0.1 * RATE)  # what is exactly periodic for longer is a tone

Stretch = tuple[int, int]  # first sample, sample after the last


def find_losses(samples: Samples) -> tuple[Stretch, ...]:
    """Return the lost stretches in `samples`, shape (n,) at 8 kHz, each 20 ms at least, in order, none twice."""
    return merged([*_constant(samples), *_dropouts(samples), *_copies(samples)])


def merged(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Return `stretches` in order, each 20 ms at least, those of one packet as one."""
    joined: list[Stretch] = []
    for start, end in sorted(stretches):
        if joined and start < joined[-1][1] + _FRAME // 2:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, max(end, start + PACKET)))
    return tuple(joined)


def _constant(samples: Samples) -> list[Stretch]:
    """Return the runs of equal samples that are as long as packets are, and lie in speech."""
    equal = [(a, b + 1) for a, b in runs(np.diff(samples) == 0) if b - a > _FRAME - _SLIP]
    silent_pauses = any(b - a > _LONGEST_HOLE for a, b in equal)
    return [(a, b) for a, b in equal if b - a <= _LONGEST_HOLE and _is_loss(samples, a, b, silent_pauses=silent_pauses)]


def _is_loss(samples: Samples, start: int, end: int, *, silent_pauses: bool) -> bool:
    """Say whether the run of equal samples is a loss. Where pauses are digital silence, its edges must be abrupt as well."""
    sides = samples[max(0, start - PACKET) : start][::-1], samples[end : end + PACKET]
    abrupt = [is_abrupt(side, _LOUD) for side in sides]
    is_packet = _off_frame(end - start) <= _SLIP
    if silent_pauses:
        return all(abrupt) or (is_packet and any(abrupt))
    return is_packet and any(_level(side) > _LOUD for side in sides)


def _dropouts(samples: Samples) -> list[Stretch]:
    """Return the holes in speech that hold noise only, with an abrupt edge on both sides.

    The silence of a stop consonant decays into it; a lost packet's does not.
    """
    power = (framed(samples, 40, 40) ** 2).mean(axis=1)
    if not len(power):
        return []
    size, noise = np.abs(samples), float(4 * np.sqrt(np.percentile(power, 2)))
    found: list[Stretch] = []
    for floor in {float(np.clip(noise, *_FAINT)), float(np.clip(noise, *_NOISY))}:
        least = max(_QUIET_EDGE, float(decibels(floor**2)) + 3)
        holes = [(a, b) for a, b in runs(size < floor) if 0.008 * RATE <= b - a <= 0.13 * RATE]
        found += [(a, b) for a, b in holes if _is_hole(samples, a, b, least, faint=floor <= _FAINT[1])]
    return found


def _is_hole(samples: Samples, start: int, end: int, least: float, *, faint: bool) -> bool:
    """Say whether a hole is a loss: its edges are abrupt, or less so where it is as long as packets are. `least` in dBFS."""
    sides = samples[max(0, start - PACKET) : start][::-1], samples[end : end + PACKET]
    if faint and all(is_abrupt(side, _LOUD_EDGE) for side in sides):
        return True
    is_packet = end - start >= PACKET - _SLIP and _off_frame(end - start) <= _SLIP
    return is_packet and all(is_abrupt(side, least, _LESS_ABRUPT) for side in sides)


def _off_frame(length: int) -> int:
    """Return by how many samples `length` is no multiple of 10 ms."""
    return min(length % _FRAME, -length % _FRAME)


def is_abrupt(beside: Samples, least: float, share: float = _ABRUPT) -> bool:
    """Say whether the sound beside a hole, nearest sample first, is loud right up to it: above `least`, dBFS, and `share` of its power."""
    if len(beside) < 20:
        return False
    edge, whole = float(np.mean(beside[:20] ** 2)), float(np.mean(beside**2))
    return bool(decibels(edge) > least and edge > share * whole)


def _level(samples: Samples) -> float:
    return float(decibels(np.mean(samples**2))) if len(samples) else -100.0


def _copies(samples: Samples) -> list[Stretch]:
    """Return where the sound is a copy of what was shortly before; longer than 0.1 s it is a tone."""
    windows = framed(samples, _LAGS[1] + _WINDOW, _STEP)
    copied = np.zeros(len(windows), np.bool_)
    loud = np.flatnonzero(_powers(samples, len(windows)) > 10 ** (_LOUD / 10))
    for at in range(0, len(loud), 512):
        places = loud[at : at + 512]
        copied[places] = _are_copies(windows[places])
    found = [(a * _STEP + _LAGS[1], (b - 1) * _STEP + _LAGS[1] + _WINDOW) for a, b in runs(copied)]
    return [(a, b) for a, b in found if b - a <= _LONGEST_COPY]


def _powers(samples: Samples, count: int) -> NDArray[np.float64]:
    """Return the mean square of each of `count` windows, about."""
    parts = [(part**2).mean(axis=1) for part in blocks(framed(samples, _STEP, _STEP))]
    power = np.concatenate([*parts, np.zeros(1)])
    first = _LAGS[1] // _STEP
    mean: NDArray[np.float64] = (power[first : first + count] + power[first + 1 : first + 1 + count]) / 2
    return mean


def _are_copies(windows: NDArray[np.float32]) -> Flags:
    """Say which of `windows`, shape (n, 224), end in 8 ms that are a copy of 8 ms that began 5 to 20 ms earlier."""
    late = windows[:, _LAGS[1] :]
    spectrum = np.fft.rfft(windows, 256, axis=1) * np.conj(np.fft.rfft(late, 256, axis=1))
    product = np.fft.irfft(spectrum, 256, axis=1)[:, : _LAGS[1] - _LAGS[0] + 1]
    sums = np.cumsum(np.pad(windows.astype(np.float64) ** 2, ((0, 0), (1, 0))), axis=1)
    early = sums[:, _WINDOW : _WINDOW + product.shape[1]] - sums[:, : product.shape[1]]
    power = (late.astype(np.float64) ** 2).sum(axis=1)
    alike = (np.maximum(product, 0.0) ** 2 / np.maximum(early, 1e-9)).max(axis=1)
    silent = (np.diff(late, axis=1) == 0).mean(axis=1)
    copies: Flags = (power - alike < _EXACT * power) & (silent < _SILENT_SHARE)
    return copies
