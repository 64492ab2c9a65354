"""A fax machine that answers: its tone of 2100 Hz, and the 300 bit/s that it goes on with.

ITU-T T.30: CED is 2100 Hz within 15 Hz for 2.6 to 4 s; V.25 turns its phase every 0.45 s, and V.8 (ANSam) modulates it at 15 Hz, neither of which
the search for bursts minds. 75 ms later come the flags and the identification (DIS) in V.21, channel 2: 1650 and 1850 Hz by turns. These are
nothing by themselves, since an instrument may play there; after the tone they are the machine.
"""

from collections.abc import Sequence

import numpy as np

from earwitness.audio.frames import RATE, Flags, blocks, framed, runs
from earwitness.audio.sinusoids import Burst
from earwitness.audio.wav import Samples

_ANSWER, _TOLERANCE = (2100.0,), 15.0  # Hz
_SHORTEST = 2.3  # s; from 2.6 a lost packet may be missing at each end
_QUIET_BEFORE = 0.4  # s in which no other tone may have sounded: a melody's does
_WIDTH, _STEP = 512, 160  # samples
_BAND = (1550.0, 1950.0)  # Hz: both of V.21's frequencies, and where most of their modulation lies
_SHARE = 0.75  # of the power, in the band; 10 dB over white noise it is 0.9, and 0.87 where it is clipped
_QUIETEST = 10 ** (-48 / 10)  # mean square of a frame
_BRIDGE = 0.16  # s: a lost packet spoils four frames, two packets six
_LEAST = 0.3  # s of V.21

Stretch = tuple[float, float]  # seconds


def find_answers(samples: Samples, bursts: Sequence[Burst]) -> list[Burst]:
    """Return which of `bursts`, found in `samples` of shape (n,) at 8 kHz, are a fax machine's answer, each with the V.21 right after it."""
    answers = [burst for burst in bursts if _is_answer(burst, bursts)]
    if not answers:
        return []
    data = _data(samples, answers[0].end)
    joined = [_with(burst, data) for burst in answers]
    alone = [each for each in data if not any(b.start <= each[0] <= b.end for b in joined)]
    return sorted([*joined, *(Burst(_ANSWER, *each, joined[0].level, 0.0) for each in alone)], key=lambda b: b.start)


def _is_answer(burst: Burst, bursts: Sequence[Burst]) -> bool:
    if burst.duration < _SHORTEST or not burst.near(_ANSWER, _TOLERANCE):
        return False
    return not any(
        burst.start - _QUIET_BEFORE < b.end < burst.start + burst.duration / 2 for b in bursts if b is not burst
    )


def _with(burst: Burst, data: Sequence[Stretch]) -> Burst:
    following = [end for start, end in data if burst.start < start < burst.end + _QUIET_BEFORE]
    return Burst(burst.tones, burst.start, max([burst.end, *following]), burst.level, burst.spread)


def _data(samples: Samples, after: float) -> list[Stretch]:
    """Return where, after `after`, next to all of the sound lies in V.21's band."""
    first = int(after * RATE)
    frames = framed(np.asarray(samples[first:], np.float32), _WIDTH, _STEP)
    inside = np.concatenate([*(_in_band(part) for part in blocks(frames, 1000)), np.zeros(0, np.bool_)])
    for a, b in runs(~inside):
        if a > 0 and b < len(inside) and b - a <= _BRIDGE * RATE / _STEP:
            inside[a:b] = True
    found = [(after + a * _STEP / RATE, after + ((b - 1) * _STEP + _WIDTH) / RATE) for a, b in runs(inside)]
    return [(start, end) for start, end in found if end - start >= _LEAST]


def _in_band(frames: Samples) -> Flags:
    spectrum = np.fft.rfft(frames * np.hanning(_WIDTH).astype(np.float32), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    low, high = (round(hertz * _WIDTH / RATE) for hertz in _BAND)
    loud = np.einsum("ij,ij->i", frames, frames) > _QUIETEST * _WIDTH
    inside: Flags = loud & (power[:, low : high + 1].sum(axis=1) > _SHARE * power[:, 2:].sum(axis=1))
    return inside
