"""Our own sound in what we hear: the echo of our channel in theirs, and the time that both talk at once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import FRAMES_PER_SECOND, RATE, SILENCE_DB, Timed, runs
from earwitness.audio.music import Span
from earwitness.audio.speech import band_levels
from earwitness.audio.wav import Samples

_LATEST = 0.6  # s
_EARLIEST = 0.005  # s
_CLEAR = 8.0  # times the correlation's own spread, that an echo's peak must have
_FAINTEST = -50.0  # dB, below which nobody hears it
_SECTION = (1 << 16) - int(
    _LATEST * RATE
)  # samples correlated at once: with the lags a power of two, and few hold a sound of ours
_NOTHING = 1e-6  # sum of squares, of a side that is silent
_ABOUT = 80  # samples: 10 ms on each side
_FLOOR = 1e-7  # mean square, -70 dBFS, which silence counts as
_AUDIBLE = -62.0  # dBFS of an echo that a detector might take for somebody
_ALONE = 6.0  # dB over the echo as it was sent, above which somebody else speaks as well


@dataclass(frozen=True, slots=True)
class Echo:
    """`delay` in seconds; `gain` in dB, of the echo over what we sent."""

    delay: float
    gain: float


def own_echo(ours: Samples, theirs: Samples) -> Echo | None:
    """Return the echo of our channel in theirs, both of shape (n,) at 8 kHz, or None if none is clear.

    The gain is that of weighted least squares at the delay, 5 to 600 ms, which fits best. What the far end says itself weighs little:
    each sample counts for the inverse of the power about it. Exact for one linear path.
    """
    if float(np.vdot(ours, ours)) < _NOTHING:
        return None
    product, power = _correlated(ours, theirs)
    fit = np.abs(product) / np.sqrt(np.maximum(power, 1e-12))
    fit[: int(_EARLIEST * RATE)] = 0.0
    place = int(fit.argmax())
    gain = float(20 * np.log10(abs(product[place]) / power[place] + 1e-12))
    if fit[place] < _CLEAR * float(np.sqrt(np.mean(fit**2))) or gain < _FAINTEST:
        return None
    return Echo(place / RATE, gain)


def returned(ours: Samples, theirs: Samples, echo: Echo) -> tuple[Span, ...]:
    """Return where their channel holds nothing but our own sound coming back, both of shape (n,) at 8 kHz."""
    late = round(echo.delay * RATE)
    sent = band_levels(np.pad(ours, (late, 0))[: len(theirs)])
    heard = band_levels(theirs)[: len(sent)]
    expected = (
        np.maximum.reduce([sent, np.append(sent[1:], SILENCE_DB), np.insert(sent[:-1], 0, SILENCE_DB)]) + echo.gain
    )
    alone = (expected[: len(heard)] > _AUDIBLE) & (heard < expected[: len(heard)] + _ALONE)
    return tuple(Span(a / FRAMES_PER_SECOND, b / FRAMES_PER_SECOND) for a, b in runs(alone))


def _correlated(ours: Samples, theirs: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, by the lag, the weighted sums of our sound times theirs and of our own power. A section at a time: calls are long."""
    length, lags = min(len(ours), len(theirs)), int(_LATEST * RATE)
    product, power = np.zeros(lags), np.zeros(lags)
    for at in range(0, length, _SECTION):
        sent = ours[at : min(at + _SECTION, length)].astype(np.float64)
        if sent.any():
            before = min(at, _ABOUT)
            heard = theirs[at - before : min(at + _SECTION + lags + _ABOUT, length)].astype(np.float64)
            weight, heard = (side[before : before + len(sent) + lags] for side in (_weights(heard), heard))
            product += _later(sent, heard * weight)
            power += _later(sent**2, weight)
    return product, power


def _weights(heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of the power in the 20 ms about each sample."""
    sums = np.concatenate(([0.0], np.cumsum(heard**2)))
    place = np.arange(len(heard))
    first, last = np.maximum(place - _ABOUT, 0), np.minimum(place + _ABOUT, len(heard))
    weights: NDArray[np.float64] = 1 / ((sums[last] - sums[first]) / (last - first) + _FLOOR)
    return weights


def _later(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of products of `left` with `right` later by 0 to 0.6 s, shape (lags,)."""
    lags = int(_LATEST * RATE)
    size = 1 << (len(left) + lags - 1).bit_length()
    spectrum = np.fft.rfft(right, size) * np.conj(np.fft.rfft(left, size))
    products: NDArray[np.float64] = np.fft.irfft(spectrum, size)[:lags]
    return products


def talk_over(ours: Iterable[Timed], theirs: Iterable[Timed]) -> float:
    """Return the seconds in which one of `ours` and one of `theirs` sound at once; the stretches of one side do not overlap."""
    others = tuple(theirs)
    return math.fsum(max(0.0, min(a.end, b.end) - max(a.start, b.start)) for a in ours for b in others)
