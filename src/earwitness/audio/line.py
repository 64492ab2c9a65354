"""What the far end's channel is besides words: tones of the network, hold music, sound at all."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from earwitness.audio.frames import HOP, RATE, decibels, framed
from earwitness.audio.music import Span, find_music
from earwitness.audio.speech import Segment
from earwitness.audio.tones import Tone, find_tones
from earwitness.audio.wav import Samples

_NO_MEDIA = -76.0  # dBFS of 10 ms: below the faintest noise that G.711 can carry
_EDGE = 0.3  # s at the edges of a stretch that count for nothing
_SHARE = 0.98  # of a stretch's frames that must be without media
_PAUSE = 0.5  # s, the shortest stretch that is judged
_BY_NATURE = 0.25  # s without media before, or between, words that show that the line sends nothing when nobody speaks


class Line:
    """One channel at 8 kHz, shape (n,). Times are seconds into it."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    @cached_property
    def tones(self) -> tuple[Tone, ...]:
        return find_tones(self._samples)

    @cached_property
    def music(self) -> tuple[Span, ...]:
        return find_music(self._samples)

    def tones_in(self, start: float, end: float) -> tuple[Tone, ...]:
        return tuple(tone for tone in self.tones if tone.end > start and tone.start < end)

    def without_tones(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return the stretches that are speech, since the detector takes tones for it as well."""
        return [s for s in segments if not self.tones_in(s.start, s.end)]

    def music_in(self, start: float, end: float) -> float:
        """Return the seconds of music between `start` and `end`."""
        return sum(max(0.0, min(span.end, end) - max(span.start, start)) for span in self.music)

    @cached_property
    def _empty(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which 10 ms frames hold no sound at all."""
        empty: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
            decibels((framed(self._samples, HOP, HOP).astype(np.float64) ** 2).mean(axis=1)) < _NO_MEDIA
        )
        return empty

    def has_no_media(self, start: float, end: float) -> bool:
        """Whether no sound at all, not even noise, came between `start` and `end`, though the line is not silent by nature.

        Some systems send nothing between their words; on such a line silence says nothing of the path.
        """
        within = self._empty[_frame(start + _EDGE) : _frame(end - _EDGE)]
        if len(within) < _frame(_PAUSE) or within.mean() < _SHARE:
            return False
        return not self._pauses_are_empty(start)

    def _pauses_are_empty(self, until: float) -> bool:
        """Whether the silences before, and between, words until then were without media as well."""
        before = self._empty[_frame(_EDGE) : _frame(until)]
        sounding = np.flatnonzero(~before)
        if not len(sounding):
            return False  # nothing ever came: that is a path without media
        return bool(before[: sounding[-1] + 1].sum() >= _frame(_BY_NATURE))


def _frame(seconds: float) -> int:
    return max(0, int(seconds * RATE / HOP))


def first_silence(sounding: Sequence[Segment], seconds: float, start: float, end: float) -> float | None:
    """Return when the first silence of `seconds` after `start` begins, between stretches of sound; None if there is none before `end`."""
    began = start
    for segment in sounding:
        if segment.end <= began:
            continue
        if segment.start - began >= seconds:
            break
        began = segment.end
    return began if began + seconds <= end else None
