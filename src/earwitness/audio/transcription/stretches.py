"""The parts of a recording that an engine has to hear: stretches of speech of bounded length, at one level."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earwitness.audio.frames import FRAMES_PER_SECOND, RATE
from earwitness.audio.speech import Segment, band_levels, speech
from earwitness.audio.wav import Samples

_PAUSE = 1.0  # s of silence within one stretch, so that a sentence keeps its words together
_EDGE = 0.25  # s of what surrounds a stretch: the first sound may be too faint to count as speech
_LEVEL = -26.0  # dBFS (rms), the active level of ITU-T P.56 test material; quiet calls are brought up to it
_MOST_GAIN = 40.0  # dB
_LAST = 3.0  # s before the greatest length within which a stretch is cut at its quietest moment


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Speech that begins `start` seconds into the recording; `samples` of shape (n,) at 8 kHz."""

    start: float
    samples: Samples


def stretches(samples: Samples, longest: float = 10.0) -> Iterator[Stretch]:
    """Yield the stretches of speech in `samples`, shape (n,) at 8 kHz, each of `longest` seconds at most, brought to one level."""
    segments = speech(samples)
    if not segments:
        return
    levels = band_levels(samples)
    cut = [part for segment in segments for part in _cut(segment, levels, longest)]
    gain = np.float32(_gain(segments))
    for first, last in _joined(cut, longest):
        start, end = max(0.0, first - _EDGE), last + _EDGE
        yield Stretch(start, np.clip(samples[int(start * RATE) : int(end * RATE)] * gain, -1, 1))


def _gain(segments: tuple[Segment, ...]) -> float:
    """Return the factor that brings the speech, by its mean power, to the level."""
    powers = [10 ** (segment.level / 10) for segment in segments]
    level = 10 * np.log10(np.average(powers, weights=[segment.duration for segment in segments]))
    return float(10 ** (min(_LEVEL - level, _MOST_GAIN) / 20))


def _cut(segment: Segment, levels: Samples, longest: float) -> Iterator[tuple[float, float]]:
    """Yield `segment` in parts of `longest` seconds at most."""
    start = segment.start
    while segment.end - start > longest:
        a, b = (int((start + longest - back) * FRAMES_PER_SECOND) for back in (_LAST, 0.0))
        quietest = (a + int(np.argmin(levels[a:b]))) / FRAMES_PER_SECOND
        yield start, quietest
        start = quietest
    yield start, segment.end


def _joined(parts: list[tuple[float, float]], longest: float) -> Iterator[tuple[float, float]]:
    start, end = parts[0]
    for a, b in parts[1:]:
        if a - end > _PAUSE or b - start > longest:
            yield start, end
            start = a
        end = b
    yield start, end


def at_16_khz(samples: Samples) -> Samples:
    """Return `samples`, shape (n,) at 8 kHz, as shape (2n,) at 16 kHz, with nothing above 4 kHz."""
    spectrum = np.fft.rfft(samples)
    return (2 * np.fft.irfft(spectrum, 2 * len(samples))).astype(np.float32)


def pcm16(samples: Samples) -> bytes:
    """Return `samples` in -1..1 as 16-bit little-endian PCM."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
