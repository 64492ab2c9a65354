"""How good the line sounded: level, noise, clipping, lost packets, and distortion where a reference was recognised.

The index is ours: 1 (unusable) to 5 (as the reference), set by the worst defect, 2.6 where a listener begins to complain.
It is no MOS. Without a reference, echo, robotic codecs and jitter go unnoticed; `docs/calls.md` has what was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earwitness.audio.frames import FRAMES_PER_SECOND, RATE, Flags, Floats, decibels, framed, runs
from earwitness.audio.speech import band_levels, speech_frames
from earwitness.audio.wav import Samples

BEST, POOR, WORST = 5.0, 2.6, 1.0
_LEAST_SPEECH = 0.5  # s
_DIGITAL_SILENCE = -85.0  # dBFS
_PACKET = 160  # samples: 20 ms
_BLOCK = 60 * RATE  # samples searched at once, which bounds the memory
_LOUD_EDGE = -38.0  # dBFS

# defect: the value at which nobody notices, and the one at which the line is poor
_SCALES: Mapping[str, tuple[float, float]] = {
    "quiet": (-30.0, -38.0),  # dBFS of speech
    "loud": (-12.0, -9.0),  # dBFS of speech
    "noise": (30.0, 22.0),  # dB of speech over noise
    "clipping": (0.005, 0.03),  # share of the speech's samples
    "packet loss": (0.002, 0.018),  # share of the speech's time
    "distortion": (0.74, 0.66),  # agreement of the fingerprint with the reference's
}


@dataclass(frozen=True, slots=True)
class Quality:
    """`level` and `noise` in dBFS, `snr` in dB; `clipping` and `loss` are shares of the speech; `defects` names what is poor."""

    index: float
    defects: tuple[str, ...]
    level: float
    noise: float
    snr: float
    clipping: float
    loss: float


def judge_quality(samples: Samples, agreement: float | None = None) -> Quality | None:
    """Return the quality of `samples`, shape (n,) at 8 kHz, or None where too little is spoken to tell.

    `agreement` is the fingerprint score of the prompts recognised in it, if any: what is recognised was spoken, and where no
    speech stands out all the same, it was drowned in noise.
    """
    levels = band_levels(samples)
    spoken = speech_frames(levels)
    seconds = float(spoken.sum()) / FRAMES_PER_SECOND
    if seconds < _LEAST_SPEECH:
        return None if agreement is None else _drowned(levels)
    level = float(decibels((10 ** (levels[spoken] / 10)).mean()))
    noise = _noise(levels, spoken)
    clipping = _clipping(samples, seconds)
    # A clipped waveform repeats itself and has flat edges, which the search for lost packets would take for loss.
    loss = 0.0 if clipping > _SCALES["clipping"][1] else _loss(samples) / seconds
    measured = {"quiet": level, "loud": level, "noise": level - noise, "clipping": clipping, "packet loss": loss}
    if agreement is not None:
        measured["distortion"] = agreement
    penalties = {defect: _penalty(value, *_SCALES[defect]) for defect, value in measured.items()}
    index = max(WORST, BEST - max(penalties.values()))
    defects = tuple(defect for defect, penalty in penalties.items() if penalty >= BEST - POOR)
    return Quality(round(index, 2), defects, level, noise, level - noise, clipping, loss)


def _drowned(levels: Floats) -> Quality:
    noise = float(np.median(levels))
    return Quality(WORST, ("noise",), noise, noise, 0.0, 0.0, 0.0)


def _penalty(value: float, unnoticed: float, poor: float) -> float:
    return max(0.0, (value - unnoticed) / (poor - unnoticed)) * (BEST - POOR)


def _noise(levels: Floats, spoken: Flags) -> float:
    """Return the level of what lies between the words, dBFS; frames within 0.1 s of speech do not count."""
    near = np.convolve(spoken, np.ones(21), "same") > 0
    between = levels[~near & (levels > _DIGITAL_SILENCE)]
    if len(between) >= 20:
        return float(np.median(between))
    sounding = levels[levels > _DIGITAL_SILENCE]
    return float(np.percentile(sounding, 2)) if (levels > _DIGITAL_SILENCE).all() else min(float(sounding.min()), -60.0)


def _clipping(samples: Samples, seconds: float) -> float:
    """Return the share of the speech's samples that stand in a row at the highest level."""
    size = np.abs(samples)
    top = size >= 0.985 * float(size.max())
    return float((top[:-1] & top[1:]).sum() / (seconds * RATE))


def _loss(samples: Samples) -> float:
    """Return the seconds of speech lost with packets that were filled with silence or by repeating the one before."""
    return (
        sum(_dropouts(samples))
        + sum(_repeats(samples[at : at + _BLOCK]) for at in range(0, len(samples), _BLOCK)) * _PACKET / RATE
    )


def _dropouts(samples: Samples) -> list[float]:
    """Return the lengths in seconds of the holes in speech: silence of 8 to 130 ms with an abrupt edge on both sides.

    The silence of a stop consonant decays into it; a lost packet's does not.
    """
    blocks = (framed(samples, 40, 40) ** 2).mean(axis=1)
    if not len(blocks):
        return []
    floor = float(np.clip(4 * np.sqrt(np.percentile(blocks, 2)), 7e-4, 4e-3))
    quiet = np.abs(samples) < floor
    holes = [(a, b) for a, b in runs(quiet) if 0.008 * RATE <= b - a <= 0.13 * RATE]
    return [
        (b - a) / RATE
        for a, b in holes
        if _abrupt(samples[max(0, a - 160) : a][::-1]) and _abrupt(samples[b : b + 160])
    ]


def _abrupt(beside: Samples) -> bool:
    """Say whether the sound beside a hole, nearest sample first, is loud right up to it."""
    if len(beside) < 20:
        return False
    edge, whole = float(np.mean(beside[:20] ** 2)), float(np.mean(beside**2))
    return bool(decibels(edge) > _LOUD_EDGE and edge > 0.35 * whole)


def _repeats(samples: Samples) -> int:
    """Return how many packets are copies of the 20 ms before them, as concealment leaves them; no vowel is as steady as that."""
    width = 150
    if len(samples) < _PACKET + width:
        return 0
    earlier, later = samples[:-_PACKET].astype(np.float64), samples[_PACKET:].astype(np.float64)
    product, power, wanted = (_box(v, width) for v in (earlier * later, earlier**2, later**2))
    residual = 1 - np.clip(product, 0, None) ** 2 / np.maximum(power * wanted, 1e-12)
    same = (decibels(residual) < -26) & (decibels(wanted / width) > -42) & (product > 0.2 * power)
    count, last = 0, -_PACKET
    for at in np.flatnonzero(same):
        if at - last >= _PACKET:
            count, last = count + 1, int(at)
    return count


def _box(values: Floats, width: int) -> Floats:
    sums = np.concatenate(([0.0], np.cumsum(values)))
    boxes: Floats = np.maximum(sums[width:] - sums[:-width], 0.0)
    return boxes
