"""Who spoke when, by energy: the best of the tried detectors for timing, but it takes music and tones for speech."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from earwitness.audio.frames import (
    FRAMES_PER_SECOND,
    HOP,
    RATE,
    SILENCE_DB,
    Flags,
    Floats,
    Framewise,
    Timed,
    blocks,
    decibels,
    flagged,
    framed,
    runs,
)
from earwitness.audio.wav import Samples

_WIDTH = 200  # samples, 25 ms
_BAND = slice(8, 110)  # bins of 31.25 Hz: 250-3440 Hz
WHOLE_BAND = slice(4, 124)  # 125-3875 Hz: all of a voice, without offset and hum
_MARGIN = 8.0  # dB above the noise floor
_BELOW_LOUD = 30.0  # dB below the loudest speech
_LOUDEST = 100  # frames of the loudest speech, however long the silence about it; in short recordings a fiftieth of all
_FLOOR = -58.0  # dBFS: quieter than any prompt
_DIGITAL_SILENCE = -85.0  # dBFS
_STEADY = 6.0  # dB between the loudest and the quietest of what is only noise
_HANGOVER = 20  # frames: pauses within words
_SHORTEST = 8  # frames: clicks
_VOWEL, _LASTING = 7, 0.3  # frames, longer than a crack fills; and the share of those with sound that lie in such runs
_AROUND = 0.03  # s: the frames of 25 ms at a key's edges hold a part of it


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech: seconds into the recording, level in dBFS (rms)."""

    start: float
    end: float
    level: float

    @property
    def duration(self) -> float:
        return self.end - self.start


def speech(samples: Samples, apart_from: Iterable[Timed] = ()) -> tuple[Segment, ...]:
    """Return the stretches of speech in `samples`, shape (n,) at 8 kHz; pauses under 0.2 s do not divide them.

    `apart_from` are keys and the like, which are no speech; where somebody speaks before and after, they are a pause.
    """
    return speech_by_level(band_levels(samples), apart_from)


def speech_by_level(levels: Floats, apart_from: Iterable[Timed] = ()) -> tuple[Segment, ...]:
    """Return what `speech` does, given the level of each 10 ms frame, dBFS."""
    spoken = speech_frames(levels, flagged(apart_from, len(levels), _AROUND))
    power = 10 ** (levels / 10)
    return tuple(
        Segment(a / FRAMES_PER_SECOND, b / FRAMES_PER_SECOND, float(decibels(power[a:b].mean())))
        for a, b in runs(spoken)
    )


def band_levels(samples: Samples, band: slice = _BAND) -> Floats:
    """Return the level of each 10 ms frame in `band`, the telephone's, dBFS, shape (frames,)."""
    frames = framed(np.pad(samples, (HOP, _WIDTH - HOP)), _WIDTH)
    window = np.hanning(_WIDTH).astype(np.float32)
    # Parseval: twice the one-sided sum, over the transform's length and the window's energy
    powers = [(np.abs(np.fft.rfft(part * window, 256, axis=1)[:, band]) ** 2).sum(axis=1) for part in blocks(frames)]
    return decibels(2 * np.concatenate([*powers, np.zeros(0)]) / (256 * float((window**2).sum())))


LEVELS = Framewise(lambda samples: (band_levels(samples),), HOP, before=HOP, after=_WIDTH - HOP)


def speech_frames(levels: Floats, apart: Flags | None = None) -> Flags:
    """Return which 10 ms frames hold speech, given their levels in dBFS. Those of `apart` do not, whatever their level."""
    if apart is not None and apart.any():
        # digital silence in their place would make speech of the noise
        quiet = float(np.percentile(levels[~apart], 10)) if not apart.all() else SILENCE_DB
        levels = np.where(apart, quiet, levels)
    sounding = levels > _DIGITAL_SILENCE
    if sounding.sum() < _SHORTEST:
        return np.zeros(len(levels), np.bool_)
    noise = float(np.percentile(levels[sounding], 10))
    few = min(sounding.sum() // 50, _LOUDEST) + 1
    loud = float(np.partition(levels[sounding], -few)[-few])
    if sounding.mean() < 0.8:  # between digital silences even the quietest frames may be speech
        noise = min(noise, loud - _BELOW_LOUD - _MARGIN)
    if loud - noise < _STEADY:
        return np.zeros(len(levels), np.bool_)
    return _smooth(levels > max(noise + _MARGIN, loud - _BELOW_LOUD, _FLOOR))


def _smooth(spoken: Flags) -> Flags:
    joined = spoken.copy()
    for a, b in runs(~spoken):
        if b - a <= _HANGOVER and a > 0 and b < len(spoken):
            joined[a:b] = True
    for a, b in runs(joined):
        if b - a < _SHORTEST or _is_crackle(spoken[a:b]):
            joined[a:b] = False
    return joined


def _is_crackle(spoken: Flags) -> bool:
    """Whether next to nothing of a stretch lasts as a vowel does: cracks follow each other as closely as syllables."""
    lasting = sum(b - a for a, b in runs(spoken) if b - a >= _VOWEL)
    return lasting < _LASTING * int(spoken.sum())


def trimmed(samples: Samples) -> Samples:
    """Return `samples` without the silence before and after its speech; unchanged when nothing is spoken."""
    segments = speech(samples)
    if not segments:
        return samples
    return samples[int(segments[0].start * RATE) : int(segments[-1].end * RATE)]


def level(samples: Samples) -> float:
    """Return the rms level of `samples`, dBFS."""
    return float(decibels(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else SILENCE_DB
