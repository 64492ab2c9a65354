"""Hold music told from speech: notes stay on their frequency, a voice never does.

Each window of 4 s is judged by which share of its spectral peaks stays for 0.24 s in its bin of 8 Hz, or for 0.36 s in it or the ones beside it,
as a note with vibrato does. Of a robot's voice 0.05 and 0.12 stayed at most, of people's 0.02 and 0.05; of music a fifth to a third.
Ringing and busy tones are no music.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.dtmf import find_keys
from earwitness.audio.frames import HOP, RATE, Flags, Floats, Framewise, Timed, blocks, framed, runs
from earwitness.audio.speech import band_levels
from earwitness.audio.tones import find_tones
from earwitness.audio.wav import Samples

_WIDTH, _STEP = 1024, 320  # samples: 128 ms, 40 ms
_BIN = RATE / _WIDTH  # Hz
_BAND = slice(round(150 / _BIN), round(3400 / _BIN))
_OVER_MEDIAN = 16.0  # power of a peak over the frame's median
_QUIETEST = 1e-3  # power of a peak, about -75 dBFS
_BELOW_LOUD = 10**-2.5  # of the loud frames' power; hum in the pauses is no music
_PER_SECOND = RATE / _STEP
_WINDOW = int(4 * _PER_SECOND)  # frames
_FEWEST = 20  # peaks in a window
_STEADY = (6, 0.052)  # frames in the same bin, and the share of peaks that make music of a window
_WAVERING = (9, 0.125)  # the same with the bins beside it
_SHORTEST = 2.0  # s
_NEIGHBOURHOOD = int(_PER_SECOND)  # frames about the edge of music in which notes must be held
_FAINTEST = -60.0  # dBFS, at which levels are called equal
_SMOOTH = 5  # frames of 10 ms
_RISE = 12.0  # dB
_VOICE_WINDOW = int(3 * _PER_SECOND)  # frames
_FEWEST_SYLLABLES = 5  # in it; of speech 6 were measured, of music 2 on average
_DENSE = 1.0  # times the window's share

SpectralPeaks = tuple[Flags, Floats]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a recording, seconds."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


def find_music(samples: Samples, apart_from: Iterable[Timed] | None = None) -> tuple[Span, ...]:
    """Return where music plays in `samples`, shape (n,) at 8 kHz.

    `apart_from` are the tones and keys in it, which are no music; None means that they are to be found.
    """
    if apart_from is None:
        apart_from = [*find_tones(samples), *find_keys(samples)]
    return music_by_peaks(spectral_peaks(samples), band_levels(samples), apart_from)


def music_by_peaks(measured: SpectralPeaks, levels: Floats, apart_from: Iterable[Timed]) -> tuple[Span, ...]:
    """Return what `find_music` does, given the frames' peaks, and the level of each 10 ms frame of `band_levels`, dBFS."""
    peaks, power = measured
    if not len(peaks):
        return ()
    loud = power >= np.percentile(power, 95) * _BELOW_LOUD
    peaks = _without(peaks & loud[:, None], apart_from)
    music = _music(peaks, *_STEADY, reach=0) | _music(peaks, *_WAVERING, reach=1)
    if music.any():
        music &= ~_syllables(levels, len(music))
    spans = [Span(a * _STEP / RATE, (b * _STEP + _WIDTH - _STEP) / RATE) for a, b in runs(_closed(music))]
    return tuple(span for span in spans if span.duration >= _SHORTEST)


def spectral_peaks(samples: Samples) -> SpectralPeaks:
    """Return the bins that are peaks of the spectrum, shape (frames, bins), and the power of each frame."""
    frames = framed(np.asarray(samples, np.float32), _WIDTH, _STEP)
    window = np.hanning(_WIDTH).astype(np.float32)
    parts, powers = [np.zeros((0, _BAND.stop - _BAND.start - 2), np.bool_)], [np.zeros(0, np.float32)]
    for part in blocks(frames, 1000):
        spectrum = np.fft.rfft(part * window, axis=1)[:, _BAND]
        power = spectrum.real**2 + spectrum.imag**2
        floor = np.maximum(_OVER_MEDIAN * np.median(power[:, ::4], axis=1), _QUIETEST)
        inner = power[:, 1:-1]
        parts.append((inner > power[:, :-2]) & (inner > power[:, 2:]) & (inner > floor[:, None]))
        powers.append(power.sum(axis=1))
    return np.concatenate(parts), np.concatenate(powers)


SPECTRAL_PEAKS = Framewise(spectral_peaks, _STEP, before=0, after=_WIDTH)


def _without(peaks: Flags, known: Iterable[Timed]) -> Flags:
    for sound in known:
        first, last = int((sound.start * RATE - _WIDTH) / _STEP), int(sound.end * RATE / _STEP) + 1
        peaks[max(0, first) : last] = False
    return peaks


def _music(peaks: Flags, count: int, share: float, *, reach: int) -> Flags:
    """Return the frames of music: `share` of the peaks in 4 s begin to stay for `count` frames within `reach` bins."""
    held, of_all = _held(peaks, count, reach).sum(axis=1), peaks.sum(axis=1)
    in_window = _sums(of_all, _WINDOW)
    flagged = (in_window >= _FEWEST) & (_sums(held, _WINDOW) >= share * in_window)
    near = np.convolve(flagged, np.ones(_WINDOW), "same")[: len(held)] > 0
    # a window reaches beyond the music; within it, music is where notes are held and are no rare chance
    dense = _sums(held, _NEIGHBOURHOOD) >= _DENSE * share * _sums(of_all, _NEIGHBOURHOOD)
    sounding = np.convolve(held, np.ones(count))[: len(held)] > 0
    music: Flags = near & dense & sounding
    return music


def _syllables(levels: Floats, count: int) -> Flags:
    """Return in which of `count` frames the level, dBFS each 10 ms, rises and falls as a voice's does, whose pitch may stay: a robot's does.

    Syllables come 3 to 8 times a second (T. Houtgast and H. J. M. Steeneken, 1985), and most of them begin 12 dB above a gap. Sustained
    notes do that never, and decaying ones over a bass seldom.
    """
    levels = np.convolve(np.maximum(levels, _FAINTEST), np.ones(_SMOOTH) / _SMOOTH, "same")
    starts = np.zeros(count, np.int64)
    places = np.array(_rises(levels.tolist()), np.int64) * HOP // _STEP
    np.add.at(starts, places[places < count], 1)
    syllables: Flags = _sums(starts, _VOICE_WINDOW) >= _FEWEST_SYLLABLES
    return syllables


def _rises(levels: list[float]) -> list[int]:
    """Return where the level has risen by 12 dB since it fell by as much."""
    found: list[int] = []
    extreme, falls = levels[0] if levels else 0.0, False
    for place, level in enumerate(levels):
        extreme = min(extreme, level) if falls else max(extreme, level)
        if abs(level - extreme) > _RISE:
            if falls:
                found.append(place)
            extreme, falls = level, not falls
    return found


def _held(peaks: Flags, count: int, reach: int) -> Flags:
    """Return the peaks that are there in each of the next `count` frames, in the bin or up to `reach` beside it."""
    held = peaks.copy()
    wide = peaks.copy()
    for step in range(1, reach + 1):
        wide[:, step:] |= peaks[:, :-step]
        wide[:, :-step] |= peaks[:, step:]
    for ahead in range(1, count):
        held[:-ahead] &= wide[ahead:]
    held[len(held) - count + 1 :] = False
    return held


def _sums(counts: NDArray[np.integer], width: int) -> NDArray[np.integer]:
    """Return the sum of the `width` values about each, shape as `counts`."""
    total = np.concatenate(([0], np.cumsum(counts)))
    place = np.arange(len(counts))
    first, last = np.maximum(place - width // 2, 0), np.minimum(place + width - width // 2, len(counts))
    sums: NDArray[np.integer] = total[last] - total[first]
    return sums


def _closed(music: Flags) -> Flags:
    """Return `music` with the gaps filled that are shorter than a window: between two notes, or in a quiet bar."""
    closed = music.copy()
    for a, b in runs(~music):
        if a > 0 and b < len(music) and b - a < _WINDOW:
            closed[a:b] = True
    return closed
