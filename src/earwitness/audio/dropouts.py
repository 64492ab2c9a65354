"""Sound that is gone for longer than packets are lost in a row: 0.13 s and more, in the middle of what somebody says.

Beside the reference: it speaks where the recording, at the same place, is quiet, before and after which the prompt keeps its time. What is missing at
a prompt's head or tail is a truncation, and where time moved, something was inserted. Alone: speech that stops and starts within 2.5 ms. A
voice that pauses decays, and one that begins rises.
"""

import itertools

import numpy as np

from earwitness.audio.frames import HOP, RATE, decibels, framed, runs
from earwitness.audio.losses import PACKET, Stretch, is_abrupt
from earwitness.audio.match import Match, absence
from earwitness.audio.wav import Samples

_SHORTEST, LONGEST = 0.13, 0.7  # s; longer than that, the next prompt may have begun after one that we interrupted
_LOUD_EDGE = -38.0  # dBFS of the 2.5 ms beside it
_FRAME = 40  # samples: 5 ms
_BESIDE, _LASTING = 8, 5  # frames before and after it, and how many of them must sound: a crack lasts for one or two
_QUIET = (7e-4, 1e-2)  # four times the noise's rms is taken to be within these
_LEAST_SPEECH = 12  # frames of 10 ms, of the reference's speech, that are gone
_LEAST_LOUD, _LOUD = (
    8,
    15.0,
)  # frames of these, and dB below the reference's loud ones, that are more than a faint consonant
_LEAST_BESIDE = 6  # loud frames that are there before it and after it; else the prompt began late, or was cut off
_SAME_LAG = 3  # frames
_SEGMENT = 100  # frames of the reference, at most, that were placed as one: a jump may be anywhere in it


def find_dropouts(samples: Samples, *, edges: int = 2) -> tuple[Stretch, ...]:
    """Return where speech in `samples`, shape (n,) at 8 kHz, stops abruptly and goes on as abruptly; with 1 of `edges`, does either."""
    power = (framed(samples, _FRAME, _FRAME) ** 2).mean(axis=1)
    if not len(power):
        return ()
    quiet = float(np.clip(4 * np.sqrt(np.percentile(power, 2)), *_QUIET))
    is_quiet = power < quiet**2 / 2
    found = (
        _between(samples, a, b, quiet)
        for a, b in runs(is_quiet)
        if a > 0
        and b < len(power)
        and _SHORTEST * RATE <= (b - a) * _FRAME <= LONGEST * RATE
        and all(
            np.count_nonzero(~beside) >= _LASTING
            for beside in (is_quiet[max(0, a - _BESIDE) : a], is_quiet[b : b + _BESIDE])
        )
    )
    return tuple(hole for hole in found if _torn(samples, hole) >= edges)


def _between(samples: Samples, first: int, last: int, quiet: float) -> Stretch:
    """Return from the last loud sample before to the first one after the quiet frames `first` to `last` (exclusive)."""
    before, after = ((place - 1) * _FRAME for place in (first, last))
    sounding = [np.flatnonzero(np.abs(samples[at : at + 2 * _FRAME]) >= quiet) for at in (before, after)]
    start = before + int(sounding[0][-1]) + 1 if len(sounding[0]) else first * _FRAME
    end = after + int(sounding[1][0]) if len(sounding[1]) else last * _FRAME
    return start, end


def _torn(samples: Samples, hole: Stretch) -> int:
    """Return how many of the two edges are abrupt."""
    start, end = hole
    sides = samples[max(0, start - PACKET) : start][::-1], samples[end : end + PACKET]
    return sum(is_abrupt(side, _LOUD_EDGE) for side in sides)


def gone(reference: Samples, recording: Samples, match: Match) -> tuple[Stretch, ...]:
    """Return where `recording` is quiet while `reference`, found in it as `match` says, speaks; both of shape (n,) at 8 kHz."""
    speaks, quiet = absence(reference, recording, match.lags)
    level = decibels((framed(reference, HOP, HOP).astype(np.float64) ** 2).mean(axis=1))
    loud = level > np.percentile(level, 95) - _LOUD
    places = np.flatnonzero(speaks)
    there = loud[places] & ~quiet
    holes = [
        (a, b)
        for a, b in runs(quiet)
        if b - a >= _LEAST_SPEECH and min(there[:a].sum(), there[b:].sum()) >= _LEAST_BESIDE
    ]
    found = [(int(places[a]), int(places[b - 1]) + 1) for a, b in holes if loud[places[a:b]].sum() >= _LEAST_LOUD]
    lags = [_lag(start, end, match) for start, end in found]
    return tuple(
        ((start + lag) * HOP, (end + lag) * HOP)
        for (start, end), lag in zip(found, lags, strict=True)
        if lag is not None
    )


def _lag(start: int, end: int, match: Match) -> int | None:
    """Return the lag before and after frames `start` to `end` of the reference, if it is the same."""
    first, last = start - _SEGMENT, end + _SEGMENT
    beside = [(left, right) for left, right in itertools.pairwise(match.lags) if left[0] < last and right[0] > first]
    if not beside or match.lags[0][0] > start or any(abs(left[1] - right[1]) > _SAME_LAG for left, right in beside):
        return None
    return beside[0][0][1]
