"""Bursts of one or two steady sinusoids: what every network tone is made of, and speech is not.

Frames of 64 ms, 20 ms apart, are transformed; a frame counts when its one or two strongest peaks hold most of its power. Frames with the
same frequencies in a row are a burst. 64 ms tell 440 from 480 Hz, and a lost packet spoils four frames, which are bridged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from earwitness.audio.frames import RATE, Flags, Floats, Framewise, decibels, framed
from earwitness.audio.wav import Samples

_WIDTH, _STEP, _SIZE = 512, 160, 1024  # samples: of a frame, between frames, of the transform
_BIN = RATE / _SIZE  # Hz
_BAND = slice(round(200 / _BIN), round(3400 / _BIN))
_LOBE = 4  # bins on each side of a peak that belong to it: the main lobe of the Hann window
_BLOCK = 2000  # frames transformed at once, which bounds the memory to 16 MB
_QUIETEST = 10 ** (-48 / 10)  # mean square of a frame
_ONE = 0.72  # share of the power that a single tone holds; 10 dB over noise it is 0.9
_TWO = 0.70  # and two
_SECOND = 0.12  # of the stronger one's power, that the weaker of two must have; a clipped tone's harmonic has less
_IN_TUNE = 4.0  # Hz by which the bursts of one tone may differ
_CHOIR = 4  # bursts from which on most of them say what the tone is
_SAME = 12.0  # Hz
_BRIDGE = 6  # frames from one to the next of a burst: a lost packet spoils four
_FEWEST = 4  # frames
_FILLED = 0.5  # of a burst's frames, that must hold the tone
_STEEPEST = 2.0  # between neighbouring bins' logarithms of power, near the top of a lobe
_INSIDE = 0.3  # of a frame may lie outside the tone before it does not count
_WINDOW = np.hanning(_WIDTH + 1)[:_WIDTH].astype(np.float32)

PureTones = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Burst:
    """`tones`: the one or two frequencies, Hz, ascending. Seconds; `level` in dBFS; `spread`: Hz that the frequencies wander (rms)."""

    tones: tuple[float, ...]
    start: float
    end: float
    level: float
    spread: float

    @property
    def duration(self) -> float:
        return self.end - self.start

    def near(self, tones: tuple[float, ...], tolerance: float = _SAME) -> bool:
        """Say whether it has these frequencies, give or take `tolerance` Hz."""
        return _alike(self.tones, tones, tolerance)


def in_tune(train: Sequence[Burst]) -> list[list[Burst]]:
    """Return the bursts of one tone, and apart from them each at either end that is out of tune with most: a vowel before a network's tone."""
    if len(train) < _CHOIR:
        return [list(train)]
    middle = tuple(sorted(each)[len(train) // 2] for each in zip(*(burst.tones for burst in train), strict=True))
    fits = [place for place, burst in enumerate(train) if burst.near(middle, _IN_TUNE)]
    first, last = (fits[0], fits[-1]) if fits else (0, len(train) - 1)
    return [list(train[first : last + 1]), *([burst] for burst in (*train[:first], *train[last + 1 :]))]


@dataclass(slots=True)
class _Open:
    """A burst that may go on: its frames, and the frequencies in each."""

    frames: list[int] = field(default_factory=list)
    tones: list[tuple[float, ...]] = field(default_factory=list)
    power: list[float] = field(default_factory=list)


def find_bursts(samples: Samples, measured: PureTones | None = None) -> tuple[Burst, ...]:
    """Return the bursts of 0.1 s and more in `samples`, shape (n,) at 8 kHz, ordered by their start.

    `measured` is what `pure_tones` returns of them, if it is known already.
    """
    tones, power = pure_tones(samples) if measured is None else measured
    bursts: list[Burst] = []
    opened: list[_Open] = []
    for frame in np.flatnonzero(~np.isnan(tones[:, 0])):
        pure = tuple(float(f) for f in tones[frame] if not np.isnan(f))
        opened = _grown(opened, bursts, int(frame), pure, float(power[frame]))
    bursts += _closed(opened)
    kept = [burst for burst in bursts if burst.duration > 0]
    return tuple(sorted(kept, key=lambda burst: burst.start))


def pure_tones(samples: Samples) -> PureTones:
    """Return the one or two frequencies that stand alone in each frame, Hz, shape (frames, 2), NaN where there is none; and its mean square."""
    frames = framed(np.asarray(samples, np.float32), _WIDTH, _STEP)
    offset = frames.mean(axis=1)
    power = np.einsum("ij,ij->i", frames, frames) / _WIDTH - offset**2
    tones = np.full((len(frames), 2), np.nan)
    loud = np.flatnonzero(power > _QUIETEST)
    for at in range(0, len(loud), _BLOCK):
        places = loud[at : at + _BLOCK]
        tones[places] = _pure(frames[places] - offset[places, None])  # beside silence, its edges would be tones
    return tones, power


PURE_TONES = Framewise(pure_tones, _STEP, before=0, after=_WIDTH)


def _grown(opened: list[_Open], bursts: list[Burst], frame: int, tones: tuple[float, ...], power: float) -> list[_Open]:
    """Return the open bursts after `frame`; those that ended before it are appended to `bursts`."""
    bursts += _closed([burst for burst in opened if frame - burst.frames[-1] > _BRIDGE])
    opened = [burst for burst in opened if frame - burst.frames[-1] <= _BRIDGE]
    burst = next((b for b in opened if _alike(b.tones[len(b.tones) // 2], tones, _SAME)), None)
    if burst is None:
        burst = _Open()
        opened.append(burst)
    burst.frames.append(frame)
    burst.tones.append(tones)
    burst.power.append(power)
    return opened


def _closed(opened: list[_Open]) -> list[Burst]:
    """Return the finished bursts of those that have enough frames."""
    return [_burst(burst) for burst in opened if len(burst.frames) >= _FEWEST]


def _burst(burst: _Open) -> Burst:
    """Return the finished burst; one of no length if too few of its frames hold the tone."""
    first, last, count = burst.frames[0], burst.frames[-1], len(burst.frames)
    start = (first * _STEP + _INSIDE * _WIDTH) / RATE
    end = (last * _STEP + (1 - _INSIDE) * _WIDTH) / RATE
    if count < _FILLED * (last - first + 1):
        end = start
    tones = np.array(burst.tones)
    middle = np.median(tones, axis=0)
    spread = float(np.sqrt(np.mean((tones - middle) ** 2)))
    return Burst(tuple(float(f) for f in middle), start, end, float(decibels(np.median(burst.power))), spread)


def _alike(left: tuple[float, ...], right: tuple[float, ...], tolerance: float) -> bool:
    return len(left) == len(right) and all(abs(a - b) <= tolerance for a, b in zip(left, right, strict=True))


def _pure(frames: Floats) -> Floats:
    """Return the frequencies of the one or two tones that stand alone in each frame, ascending, shape (frames, 2); NaN for what is not there."""
    spectrum = np.fft.rfft(frames * _WINDOW, _SIZE, axis=1)[:, _BAND]
    power = spectrum.real**2 + spectrum.imag**2
    # Parseval over the band; a sinusoid of mean square p has a peak of p / 2 times the squared sum of the window
    total = np.maximum(power.sum(axis=1) * (2 / (_SIZE * float((_WINDOW**2).sum()))), 1e-12)
    scale = 2 / float(_WINDOW.sum()) ** 2
    first, strongest = _peak(power)
    _without_lobe(power, first)
    second, next_one = _peak(power)
    one, two = strongest * scale / total, next_one * scale / total
    pair = (two > _SECOND * one) & (one + two > _TWO)
    single: Flags = ~pair & (one > _ONE)
    lower = np.where(pair, np.minimum(first, second), np.where(single, first, np.nan))
    return np.stack((lower, np.where(pair, np.maximum(first, second), np.nan)), axis=1)


def _peak(power: Floats) -> tuple[Floats, Floats]:
    """Return the frequency, Hz, and the height of each frame's highest peak, by a parabola through the logarithms of its three bins."""
    rows = np.arange(len(power))
    top = np.clip(power.argmax(axis=1), 1, power.shape[1] - 2)
    low, mid, high = (np.log(power[rows, top + step] + 1e-20) for step in (-1, 0, 1))
    # beside a lobe that was taken out there is nothing, which no parabola goes through
    low, high = np.maximum(low, mid - _STEEPEST), np.maximum(high, mid - _STEEPEST)
    curve = np.minimum(low - 2 * mid + high, -1e-6)
    offset = np.clip(0.5 * (low - high) / curve, -0.5, 0.5)
    height = np.exp(mid - 0.25 * (low - high) * offset)
    return (top + offset + _BAND.start) * _BIN, height


def _without_lobe(power: Floats, frequencies: Floats) -> None:
    """Set the main lobes at `frequencies`, one a frame, to zero."""
    centre = np.rint(frequencies / _BIN).astype(np.intp) - _BAND.start
    columns = np.clip(centre[:, None] + np.arange(-_LOBE, _LOBE + 1), 0, power.shape[1] - 1)
    power[np.arange(len(power))[:, None], columns] = 0.0
