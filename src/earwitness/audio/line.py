"""What the far end's channel is besides words: tones of the network, hold music, sound at all."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from earwitness.audio.cadences import find_cadences
from earwitness.audio.frames import FRAMES_PER_SECOND, HOP, RATE, Flags, Floats, decibels, flagged, framed, runs
from earwitness.audio.listener import ENOUGH_SPEECH, Listener
from earwitness.audio.music import Span
from earwitness.audio.speech import Segment, level
from earwitness.audio.tones import Tone
from earwitness.audio.wav import Samples

_NO_MEDIA = -76.0  # dBFS of 10 ms: below the faintest noise that G.711 can carry
_EDGE = 0.3  # s at the edges of a stretch that count for nothing
_SHARE = 0.98  # of a stretch's frames that must be without media
_PAUSE = 0.5  # s, the shortest stretch that is judged
_BY_NATURE = 0.25  # s without media before, or between, words that show that the line sends nothing when nobody speaks
_LOST_PACKETS = 0.12  # s without media that a few lost packets in a row may leave
_STOPPED = 0.5  # of a stretch without media up to its end, or the seconds below: media that came at first have stopped
_STOPPED_FOR = 3.0  # s
_TONE_EDGE, _MUSIC_EDGE = 0.06, 1.0  # s beside tones and music that belong to them: neither is found to its very edge
_PURE = 1.5  # Hz that a tone without a name may wander; a voice does more
_SYLLABLE = 0.25  # s, the shortest stretch between such sounds that is a voice
_MURMUR = (0.5, 12.0)  # s, and dB below the loudest speech, under which it is somebody in the background
_FAR_AWAY = 20.0  # dB below the loudest speech, where it is in the background however long it lasts
_HUM = 0.95  # likeness of a hum's spectra 2 s apart; 0.999 was measured, and 0.7 at most of music
_HUM_WIDTH, _HUM_BAND = 1024, slice(6, 192)  # samples; bins of 7.8 Hz: 50 to 1500 Hz


class Line:
    """What a listener hears besides words. Times are seconds into the channel."""

    def __init__(self, listener: Listener) -> None:
        self._samples, self._listener = listener.samples, listener

    @property
    def tones(self) -> tuple[Tone, ...]:
        return self._listener.tones

    @cached_property
    def music(self) -> tuple[Span, ...]:
        """Where music plays. A hum holds its tones as music does, but has no others."""
        found = self._listener.music
        return tuple(s for s in found if not _is_hum(self._samples[round(s.start * RATE) : round(s.end * RATE)]))

    def tones_in(self, start: float, end: float) -> tuple[Tone, ...]:
        return tuple(tone for tone in self.tones if tone.end > start and tone.start < end)

    def pure_tones(self, start: float, end: float) -> int:
        """Return how many bursts that hold their pitch as no voice does lie between `start` and `end`."""
        return sum(start <= b.start and b.end <= end and b.spread < _PURE for b in self._listener.bursts)

    def cadences_in(self, start: float, end: float) -> tuple[Tone, ...]:
        """Return the tones of networks without a table that sound between `start` and `end`, once they were asked for."""
        return tuple(tone for tone in self._cadences if tone.end > start and tone.start < end)

    @cached_property
    def _cadences(self) -> tuple[Tone, ...]:
        return find_cadences(self._listener.bursts, self._listener.keys)

    def without_tones(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return the stretches that are speech, since the detector takes tones for it as well."""
        return [s for s in segments if not self.tones_in(s.start, s.end)]

    def voices(self, segments: Sequence[Segment]) -> tuple[Span, ...]:
        """Return what is left of `segments`, where there was sound, without tones, named or not, and without music."""
        if not segments:
            return ()
        count = int(segments[-1].end * FRAMES_PER_SECOND) + 1
        pure = (burst for burst in self._listener.bursts if burst.spread < _PURE)
        other = flagged((*self.tones, *pure), count, _TONE_EDGE) | flagged(self.music, count, _MUSIC_EDGE)
        voice = flagged(segments, count) & ~other
        spans = (Span(a / FRAMES_PER_SECOND, b / FRAMES_PER_SECOND) for a, b in runs(voice))
        return tuple(span for span in spans if span.duration >= _SYLLABLE or not _borders(span, other))

    def spoken(self, start: float, end: float) -> list[Segment]:
        """Return the speech that goes on after `start` and begins before `end`, without tones and what is murmured in the background.

        Of speech that began before `start`, what is left of it is judged: people in the background may seem to go on with a prompt.
        """
        shortest, below = _MURMUR
        segments = self._listener.segments
        loudest = max((s.level for s in segments), default=0.0)
        near = [(s, self._from(start, s)) for s in segments if s.end > start and s.start < end]
        loud = [(s, left) for s, left in near if left.level > loudest - _FAR_AWAY]
        return self.without_tones([s for s, left in loud if left.duration >= shortest or left.level > loudest - below])

    def _from(self, start: float, segment: Segment) -> Segment:
        """Return what is left of `segment` after `start`, with its own level."""
        if segment.start >= start:
            return segment
        return Segment(start, segment.end, level(self._samples[round(start * RATE) : round(segment.end * RATE)]))

    def voice(self, start: float, end: float) -> Span | None:
        """Return the first of what somebody says that goes on after `start` and begins before `end`; None if it is next to nothing.

        Music and tones are no voice, nor is a click.
        """
        voices = [v for v in self.voices(self.spoken(start, end)) if v.end > start]
        return voices[0] if sum(voice.duration for voice in voices) >= ENOUGH_SPEECH else None

    def music_in(self, start: float, end: float) -> float:
        """Return the seconds of music between `start` and `end`."""
        return sum(max(0.0, min(span.end, end) - max(span.start, start)) for span in self.music)

    @cached_property
    def _empty(self) -> Flags:
        """Which 10 ms frames hold no sound at all."""
        empty: Flags = decibels((framed(self._samples, HOP, HOP).astype(np.float64) ** 2).mean(axis=1)) < _NO_MEDIA
        return empty

    def has_no_media(self, start: float, end: float) -> bool:
        """Whether no sound at all, not even noise, came between `start` and `end`, though the line is not silent by nature.

        Some systems send nothing between their words; on such a line silence says nothing of the path.
        """
        within = self._empty[_frame(start + _EDGE) : _frame(end - _EDGE)]
        if len(within) < _frame(_PAUSE) or self._pauses_are_empty(start):
            return False
        return bool(within.mean() >= _SHARE) or _has_stopped(within)

    def _pauses_are_empty(self, until: float) -> bool:
        """Whether the silences before, and between, words until then were without media as well."""
        before = self._empty[_frame(_EDGE) : _frame(until)]
        sounding = np.flatnonzero(~before)
        if not len(sounding):
            return False  # nothing ever came: that is a path without media
        pauses = [b - a for a, b in runs(before[: sounding[-1] + 1]) if b - a >= _frame(_LOST_PACKETS)]
        return sum(pauses) >= _frame(_BY_NATURE)


def _borders(span: Span, other: Flags) -> bool:
    """Whether `span` is the rest of a stretch that a tone or music takes up."""
    first, last = round(span.start * FRAMES_PER_SECOND), round(span.end * FRAMES_PER_SECOND)
    return bool(other[max(0, first - 1)] or other[min(len(other) - 1, last)])


def _has_stopped(empty: Flags) -> bool:
    """Whether the frames at the end of a stretch, without a break and for long, hold no sound."""
    last = int(np.flatnonzero(~empty)[-1]) + 1
    return len(empty) - last >= max(_STOPPED * len(empty), _frame(_PAUSE)) or len(empty) - last >= _frame(_STOPPED_FOR)


def _is_hum(samples: Samples) -> bool:
    """Whether the spectrum of each second is that of the second after the next, by Bhattacharyya's coefficient."""
    seconds = samples[: len(samples) // RATE * RATE].reshape(-1, RATE)
    if len(seconds) <= 2:
        return False
    spectra = np.stack([_spectrum(second) for second in seconds])
    return float(np.median(np.sqrt(spectra[:-2] * spectra[2:]).sum(axis=1))) > _HUM


def _spectrum(samples: Samples) -> Floats:
    """Return the share of each bin in the power."""
    frames = framed(samples, _HUM_WIDTH, _HUM_WIDTH // 2) * np.hanning(_HUM_WIDTH)
    power = (np.abs(np.fft.rfft(frames, axis=1)[:, _HUM_BAND]) ** 2).mean(axis=0)
    shares: Floats = power / max(float(power.sum()), 1e-12)
    return shares


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
