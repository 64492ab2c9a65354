"""Sound cut into frames, levels in decibels, and the one sampling rate that all judging happens at."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earwitness.audio.wav import Recording, Samples

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

RATE = 8000  # Hz, the telephone's
HOP = 80  # samples between frames: 10 ms
FRAMES_PER_SECOND = RATE // HOP
SILENCE_DB = -100.0  # dBFS, what digital silence is called


class Timed(Protocol):
    """What has a place in a recording, seconds: a tone, a key, a stretch of speech."""

    @property
    def start(self) -> float: ...

    @property
    def end(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Framewise:
    """What a detector measures of each frame by itself, whatever lies beyond it: `of` returns arrays with a row for each frame of a sound.

    Frame i lies within the samples i * `hop` - `before` .. i * `hop` + `after` (exclusive), zeros beyond the ends of the sound.
    """

    of: Callable[[Samples], tuple[NDArray[Any], ...]]
    hop: int
    before: int
    after: int


def decibels(power: ArrayLike) -> Floats:
    """Return 10 log10 of `power`, never below SILENCE_DB. For a mean square of samples in -1..1 that is dBFS (rms)."""
    return 10 * np.log10(np.maximum(np.asarray(power, np.float64), 10 ** (SILENCE_DB / 10)))


def framed(samples: Floats, width: int, hop: int = HOP) -> Floats:
    """Return the whole frames of `samples`, shape (frames, width), as a view."""
    if len(samples) < width:
        return np.zeros((0, width), samples.dtype)
    view: Floats = np.lib.stride_tricks.sliding_window_view(samples, width)[::hop]
    return view


def centred(samples: Floats, width: int, hop: int = HOP) -> Floats:
    """Return frames of `samples`, shape (frames, width), frame i centred on sample i * hop, zeros beyond the ends."""
    return framed(np.pad(samples, (width // 2, width // 2)), width, hop)


def blocks(frames: Floats, size: int = 4000) -> Iterator[Floats]:
    """Yield `frames` in blocks, which bounds the memory that transforming them takes."""
    for at in range(0, len(frames), size):
        yield frames[at : at + size]


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Return (start, end) of each run of true values; the end is exclusive."""
    padded = np.pad(np.asarray(flags, np.bool_), 1)
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def flagged(sounds: Iterable[Timed], count: int, beside: float = 0.0) -> Flags:
    """Return which of `count` frames of 10 ms lie in one of `sounds`, or within `beside` seconds of it."""
    flags = np.zeros(count, np.bool_)
    for sound in sounds:
        first, last = (sound.start - beside) * FRAMES_PER_SECOND, (sound.end + beside) * FRAMES_PER_SECOND
        flags[max(0, int(first)) : max(0, int(last))] = True
    return flags


def at_telephone_rate(recording: Recording) -> Recording:
    """Return `recording` at 8 kHz, resampled by cutting or padding its spectrum."""
    if recording.rate == RATE:
        return recording
    n = recording.samples.shape[1]
    wanted = max(1, round(n * RATE / recording.rate))
    spectrum = np.fft.rfft(recording.samples, axis=1)[:, : wanted // 2 + 1]
    resampled: Samples = (np.fft.irfft(spectrum, wanted, axis=1) * (wanted / n)).astype(np.float32)
    return Recording(RATE, resampled)
