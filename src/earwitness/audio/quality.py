"""How good the line sounded: level, noise, hum, clipping, lost packets; echo, gaps and distortion where a reference was recognised.

The index is ours: 1 (unusable) to 5 (as the reference), set by the worst defect, 2.6 where a listener begins to complain.
It is no MOS. Without a reference, echo, robotic codecs and jitter go unnoticed; `docs/calls.md` has what was measured.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from earwitness.audio.comparison import Comparison, compare
from earwitness.audio.dropouts import find_dropouts, gone
from earwitness.audio.dtmf import find_keys
from earwitness.audio.echo import Echo
from earwitness.audio.frames import (
    FRAMES_PER_SECOND,
    HOP,
    RATE,
    SILENCE_DB,
    Flags,
    Floats,
    Timed,
    blocks,
    decibels,
    flagged,
    framed,
)
from earwitness.audio.losses import PACKET, Stretch, find_losses, merged
from earwitness.audio.match import Match
from earwitness.audio.speech import WHOLE_BAND, band_levels, speech_frames
from earwitness.audio.tones import find_tones
from earwitness.audio.wav import Samples

BEST, POOR, WORST = 5.0, 2.6, 1.0
_LEAST_SPEECH = 0.5  # s
_DIGITAL_SILENCE = -85.0  # dBFS
_TOP = 0.985  # of the highest sample, above which samples in a row are clipped
_FEWEST_LOSSES = 2  # one lost packet, or one abrupt pause, is no poor line, however short what was said
_CHANCE = 1e-3  # that a line which loses few packets is called poor because of the ones it happened to lose
_SURELY_POOR = 0.025  # share of packets heard to be lost that is poor however little was said; some losses go unheard
_ONSET = 0.1  # s by which a prompt's beginning may be off
_CLEAN = 99.0  # dB
_SLIP = 2  # frames of 10 ms that the time of a prompt may move, by a drifting clock
_BESIDE = 0.15  # s about a tone or key: the pauses between keys lie there
_SPECTRUM = 1024  # samples
_ECHO_IN = 3  # one prompt in so many, that may seem to have an echo by itself
_LATE_ECHO = 0.05  # s; G.131 asks for no echo control where the sound takes 25 ms each way
_OWN_ECHO = (-45.0, -25.0)  # dB, of the caller's own sound over what was sent: unnoticed, poor
_OWN_ECHO_AT_WORST = 2.0  # the index
_HUM, _VOICE, _TREBLE = (40, 80), (300, 1500), (2000, 3400)  # Hz

# defect: the value at which nobody notices, and the one at which the line is poor
_SCALES: Mapping[str, tuple[float, float]] = {
    "quiet": (-30.0, -38.0),  # dBFS of speech
    "loud": (-12.0, -9.0),  # dBFS of speech
    "noise": (30.0, 22.0),  # dB of speech over noise
    "hum": (0.0, 5.0),  # dB of 40-80 Hz over the voice
    "offset": (0.005, 0.02),  # of full scale
    "muffled": (-28.0, -42.0),  # dB of the treble over the voice
    "clipping": (0.003, 0.012),  # share of the speech's samples; a line that does not clip has none
    "packet loss": (0.005, 0.0145),  # share of the speech's time
    "dropouts": (0.15, 0.25),  # s of the call in which sound was gone for longer than packets are lost
    "gaps": (0.05, 0.1),  # s of silence inserted within a prompt
    "jitter": (0.06, 0.25),  # s by which time slipped within a prompt
    "echo": (-26.0, -16.0),  # dB of the far end's own sound, coming back
    "distortion": (0.74, 0.66),  # agreement of the fingerprint with the reference's
}


@dataclass(frozen=True, slots=True)
class Quality:
    """`level` and `noise` in dBFS, `snr` in dB; `clipping` and `loss` are shares of the speech; `defects` names what is poor.

    `hum` and `muffled` in dB: the power at 40-80 Hz and 2-3.4 kHz over that at 0.3-1.5 kHz. `dc`: the mean, -1..1. Where a prompt was
    recognised: `echo` in dB of the sound itself (None: none is clear), `gaps` the longest silence inserted and `jitter` the time that
    slipped, seconds, `distortion` the agreement with the reference, 1 at best. `dropouts`: seconds in which the sound was gone.
    """

    index: float
    defects: tuple[str, ...]
    level: float
    noise: float
    snr: float
    clipping: float
    loss: float
    hum: float = SILENCE_DB
    dc: float = 0.0
    muffled: float = 0.0
    echo: float | None = None
    gaps: float = 0.0
    distortion: float | None = None
    jitter: float = 0.0
    dropouts: float = 0.0


def judge_quality(
    samples: Samples,
    agreement: float | None = None,
    recognised: Sequence[tuple[Samples, Match]] = (),
    apart_from: Iterable[Timed] | None = None,
    torn: Sequence[tuple[Samples, Match]] = (),
) -> Quality | None:
    """Return the quality of `samples`, shape (n,) at 8 kHz, or None where too little is spoken to tell.

    `agreement` is the fingerprint score of the prompts recognised in it, if any: what is recognised was spoken, and where no
    speech stands out all the same, it was drowned in noise. `recognised` are the references of prompts that were heard whole, with
    the places where; each is laid over the recording. `apart_from` are the tones, keys and music in it, which are no speech and whose
    pauses are no lost packets; None means that tones and keys are to be found. `torn` is as
    `recognised`, and only asked where sound is gone.
    """
    if apart_from is None:
        apart_from = [*find_tones(samples), *find_keys(samples)]
    levels = band_levels(samples)
    apart = flagged(apart_from, len(levels), _BESIDE)
    spoken = speech_frames(levels, apart)
    seconds = float(spoken.sum()) / FRAMES_PER_SECOND
    if seconds < _LEAST_SPEECH:
        return None if agreement is None else _drowned(levels)
    compared = [compare(reference, samples, match) for reference, match in recognised]
    holes = _dropouts(samples, [*recognised, *torn], apart)
    alone = _heard_alone(samples, spoken, apart)
    # A clipped waveform repeats itself and has flat edges, which the search for lost packets would take for loss.
    losses = () if alone.clipping > _SCALES["clipping"][1] else _losses(samples, compared, spoken, holes)
    measured = replace(
        alone,
        loss=_seconds(losses) / seconds,
        echo=_echo(compared),
        gaps=max((match.gap for _, match in recognised), default=0.0),
        distortion=agreement,
        jitter=max((_slips(match) for _, match in recognised), default=0.0),
        dropouts=_seconds(holes),
    )
    return _judged(measured, by_chance=_may_be_chance(losses, seconds))


def _echo(compared: Sequence[Comparison]) -> float | None:
    """Return the echo that a third of the prompts at least has, dB; None if there is none: the line's is in all of them, and hardly ever unclear.

    Where prompts are long enough to tell it from a moment that the line inserts, the short ones are not asked.
    """
    told = [each for each in compared if each.lasting] or compared
    levels = sorted((SILENCE_DB if each.echo is None else each.echo for each in told), reverse=True)
    level = levels[len(levels) // _ECHO_IN] if levels else SILENCE_DB
    return None if level == SILENCE_DB else level


def _heard_alone(samples: Samples, spoken: Flags, apart: Flags) -> Quality:
    """Return what the sound tells without a reference, not yet judged."""
    levels = band_levels(samples, WHOLE_BAND)
    level = float(decibels((10 ** (levels[spoken] / 10)).mean()))
    noise = _noise(levels, spoken | apart)
    hum, muffled = _balance(samples, spoken)
    return Quality(
        index=BEST,
        defects=(),
        level=level,
        noise=noise,
        snr=level - noise,
        clipping=_clipping(samples, float(spoken.sum()) / FRAMES_PER_SECOND),
        loss=0.0,
        hum=hum,
        dc=float(samples.mean(dtype=np.float64)),
        muffled=muffled,
    )


def _judged(measured: Quality, *, by_chance: bool) -> Quality:
    """Return `measured` with its index and defects. `by_chance`: so many packets are lost at times where few are."""
    clipped, humming = measured.clipping > _SCALES["clipping"][1], measured.hum > _SCALES["hum"][1]
    values = {
        "quiet": measured.level,
        "loud": measured.level,
        "noise": _CLEAN if humming else measured.snr,
        "hum": measured.hum,
        "offset": 0.0 if clipped else abs(measured.dc),  # what is clipped on one side has a mean
        "muffled": measured.muffled,
        "clipping": measured.clipping,
        "packet loss": 0.0 if by_chance else measured.loss,
        "dropouts": measured.dropouts,
        "gaps": measured.gaps,
        "jitter": measured.jitter,
        "echo": SILENCE_DB if measured.echo is None else measured.echo,
        "distortion": BEST if measured.distortion is None else measured.distortion,
    }
    penalties = {defect: _penalty(value, *_SCALES[defect]) for defect, value in values.items()}
    defects = tuple(defect for defect, penalty in penalties.items() if penalty >= BEST - POOR)
    return replace(measured, index=round(max(WORST, BEST - max(penalties.values())), 2), defects=defects)


def with_own_echo(measured: Quality, echo: Echo) -> Quality:
    """Return `measured` with the echo that the caller hears of their own voice and keys.

    How late an echo must be to be told from one's own voice, and how faint to annoy nobody, is in ITU-T G.131, figure 1. The limits here are milder
    than its limiting case, with which one talker in ten is annoyed. However loud it is, the other side can be understood.
    """
    if echo.delay < _LATE_ECHO:
        return measured
    index = round(max(_OWN_ECHO_AT_WORST, BEST - _penalty(echo.gain, *_OWN_ECHO)), 2)
    defects = (*measured.defects, "echo of the caller") if index <= POOR else measured.defects
    return replace(measured, index=min(measured.index, index), defects=defects)


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
    """Return the share of the speech's samples that stand in a row at the highest level, or at the lowest: with an offset these are two."""
    standing = 0
    for side in (samples, -samples):
        top = side >= max(_TOP * float(side.max()), 1e-6)
        standing += int((top[:-1] & top[1:]).sum())
    return standing / (seconds * RATE)


def _balance(samples: Samples, spoken: Flags) -> tuple[float, float]:
    """Return how far hum and treble lie over the voice while it speaks, dB per Hz."""
    frames = framed(samples, _SPECTRUM, _SPECTRUM // 2)
    middles = (np.arange(len(frames)) + 1) * (_SPECTRUM // 2) * FRAMES_PER_SECOND // RATE
    frames = frames[spoken[np.minimum(middles, len(spoken) - 1)]]
    if not len(frames):
        return SILENCE_DB, 0.0
    window = np.hanning(_SPECTRUM).astype(np.float32)
    power = np.zeros(_SPECTRUM // 2 + 1)
    for part in blocks(frames, 128):
        spectrum = np.fft.rfft(part * window, axis=1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    hum, voice, treble = (float(decibels(_mean(power, band) / len(frames))) for band in (_HUM, _VOICE, _TREBLE))
    return hum - voice, treble - voice


def _mean(power: Floats, band: tuple[int, int]) -> float:
    low, high = (round(hertz * _SPECTRUM / RATE) for hertz in band)
    return float(power[low : high + 1].mean())


def _losses(
    samples: Samples, compared: Sequence[Comparison], spoken: Flags, dropouts: Sequence[Stretch]
) -> tuple[Stretch, ...]:
    """Return where speech was lost. What the reference has as well is no loss, nor is a part of a dropout."""
    speech = [s for s in find_losses(samples) if _is_speech(s, spoken)]
    heard = [s for s in speech if not any(_covers(intact, _inside(s)) for c in compared for intact in c.intact)]
    differing = [lost for c in compared for lost in c.lost if not any(_near(lost, known) for known in heard)]
    lost = tuple(each for each in merged([*heard, *differing]) if not any(_near(each, hole) for hole in dropouts))
    return lost if len(lost) >= _FEWEST_LOSSES else ()


def _is_speech(stretch: Stretch, spoken: Flags) -> bool:
    """Say whether most frames of a stretch, and of its edges, are speech: what a pause lost, nobody misses."""
    return bool(spoken[max(0, stretch[0] // HOP - 1) : stretch[1] // HOP + 1].mean() > 0.5)


def _may_be_chance(losses: Sequence[Stretch], seconds: float) -> bool:
    """Say whether one in a thousand lines that lose no more than nobody notices would lose as often in `seconds`, or oftener: Poisson's law.

    Packets are lost in bursts, which are one chance each.
    """
    usual = _SCALES["packet loss"][0] * seconds * RATE / PACKET
    fewer = sum(math.exp(n * math.log(usual) - usual - math.lgamma(n + 1)) for n in range(len(losses)))
    return _seconds(losses) < _SURELY_POOR * seconds and 1.0 - fewer > _CHANCE


def _seconds(stretches: Sequence[Stretch]) -> float:
    return sum(end - start for start, end in stretches) / RATE


def _dropouts(samples: Samples, recognised: Sequence[tuple[Samples, Match]], apart: Flags) -> tuple[Stretch, ...]:
    """Return where sound was gone for long. Where a prompt was recognised, its reference knows what is a pause, and so does its beginning."""
    beside = [hole for reference, match in recognised for hole in gone(reference, samples, match)]
    places = [(int(match.start * RATE), int(match.end * RATE)) for _, match in recognised]
    alone = [
        hole
        for hole in find_dropouts(samples)
        if not apart[min(hole[0] // HOP, len(apart) - 1)] and not any(_knows(place, hole) for place in places)
    ]
    return merged([*beside, *alone]) if beside or len(alone) >= _FEWEST_LOSSES else ()


def _knows(place: Stretch, hole: Stretch) -> bool:
    """Say whether the hole lies within a recognised prompt, or before its first word."""
    return _covers(place, hole) or abs(place[0] - hole[1]) < _ONSET * RATE


def _inside(stretch: Stretch) -> Stretch:
    """Return `stretch` without its edges, which share frames with the sound beside it."""
    return stretch[0] + HOP // 2, stretch[1] - HOP // 2


def _covers(outer: Stretch, inner: Stretch) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _near(left: Stretch, right: Stretch) -> bool:
    """Say whether two losses are less than a packet apart: they are one, placed a little differently."""
    return left[0] < right[1] + PACKET and right[0] < left[1] + PACKET


def _slips(match: Match) -> float:
    """Return the seconds by which time moved to and fro within the prompt; its one longest gap is another matter."""
    steps = [abs(later[1] - earlier[1]) for earlier, later in itertools.pairwise(match.lags)]
    slips = sorted(step for step in steps if step > _SLIP)
    return sum(slips[:-1]) / FRAMES_PER_SECOND
