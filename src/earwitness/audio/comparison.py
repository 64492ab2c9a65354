"""A recognised prompt laid over its reference, sample by sample: what of it is gone, and what of it comes back as an echo.

Blocks of 0.25 s of the reference are aligned with the recording to the sample, then each frame of 20 ms is fitted by a filter of five taps,
which takes up a drifting clock. What the filter cannot make of the reference is compared with what it cannot elsewhere on the same line: where
it is much more, sound was lost, however well that was concealed. On a line that does not keep the waveform (a low-rate codec, much noise)
it is much everywhere, and nothing is said.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import HOP, RATE, Flags, decibels, framed, runs
from earwitness.audio.losses import PACKET, Stretch
from earwitness.audio.match import Match
from earwitness.audio.wav import Samples

_F = TypeVar("_F", np.float32, np.float64)
_BLOCK = 2000  # samples of the reference aligned at once: 0.25 s
_REACH = 160  # samples about the matcher's lag, which is exact to 10 ms
_LONG = 8000  # samples aligned first: 1 s
_NEAR = 12  # samples about that second's lag
_DRIFT = 4.0  # samples that the lag of two blocks may differ by, and be a drifting clock
_FEW_JUMPS = 0.25  # of the blocks; more means that nothing was aligned
_FASTEST = 0.001  # of the clock's rate
_BAND = (300.0, 3300.0)  # Hz, compared: what every line lets through
_TAPS = 2  # on each side of the middle one
_EASE = 1e-3  # of the frame's power, added so that the fit exists for a pure tone
_SPEECH = 22.0  # dB below the reference's loud frames, where speech ends
_PAUSE = 30.0  # dB below them, where the reference pauses
_LIKE_NOISE = 3.0  # times the noise's power, below which it is nothing but noise that differs
_LOST = 0.05  # share of its power by which a frame may differ from the reference; clean lines: 0.001
_LONG_LOSS = 5  # frames, from which on a vowel that goes on is no longer alike by chance
_SHIFT, _SAME_SOUND = 400, 0.9  # samples by which it may be beside its place, and its correlation there
_SURELY_LOST = 0.15  # and the most of it, with which one of a loss's frames does; faint sounds differ a little
_TIMES = 8.0  # times what is usual on the line, by which it may
_OVER_NOISE = 6.0  # times the noise's power
_SILENCED = 0.05  # of the power expected, below which it was lost
_NOTHING = 1e-10  # power of a frame, below which it holds nothing
_INTACT = 0.004  # share below which nothing can have been lost
_LOSS = (2, 12)  # frames of 20 ms, 10 ms apart, that a loss touches; what differs for longer is other sound
_TOP = 0.97  # of the highest sample; a frame that reaches it is there, and may be clipped
_HEARD_ECHO = -30.0  # dB, above which the echo is what differs
_ECHO = (0.03, 0.5)  # s after the sound itself
_LEAST_HALF = 6400  # samples of a half in which an echo can be told: 0.8 s
_COHERENT = 25.0  # times the cross-correlation's own noise, that the main peak must have
_CLEAR = 8.0  # and the echo's
_WHITENING = 0.01  # of the mean power, added so that gaps in the reference's spectrum do not blow up


@dataclass(frozen=True, slots=True)
class Comparison:
    """`lost` and `intact`: stretches of the recording, samples; where the reference pauses, nothing can be lost. `echo`: dB, the far end's own sound coming back; None: none is clear.

    `lasting`: it is in both halves, long enough each, if there is one.
    """

    lost: tuple[Stretch, ...]
    intact: tuple[Stretch, ...]
    echo: float | None
    lasting: bool


def compare(reference: Samples, recording: Samples, match: Match) -> Comparison:
    """Return how `recording` differs from `reference` where `match` found it; both of shape (n,) at 8 kHz."""
    lags = _block_lags(reference, recording, match)
    places = np.arange(len(reference)) + _lags(lags, len(reference))
    aligned = _read(recording, places)
    echo, lasting = _lasting_echo(reference, aligned), len(reference) // 2 >= _LEAST_HALF
    if (echo is not None and echo > _HEARD_ECHO) or not _is_steady(lags):
        return Comparison((), (), echo, lasting)
    wanted, got = _in_band(reference), _in_band(aligned)
    level = decibels((framed(wanted, PACKET, HOP) ** 2).mean(axis=1))
    loudest = float(np.percentile(level, 95))
    spoken = level > loudest - _SPEECH
    differs, power, silenced = _differences(wanted, got)
    share = np.where(power > _NOTHING, differs / np.maximum(power, _NOTHING), 1.0)
    silenced &= share > _SURELY_LOST  # what is faint and like the reference is there: a filter took its treble
    usual = float(np.median(share[spoken])) if spoken.any() else 1.0
    noise = float(np.percentile(differs, 20))
    peak = np.abs(framed(aligned, PACKET, HOP)).max(axis=1)
    whole = peak >= _TOP * peak.max()
    unlike = (share > max(_LOST, _TIMES * usual)) & (differs > _OVER_NOISE * noise)
    unlike &= ~_near_jumps(lags, len(unlike))  # the sound that jumped is there, only elsewhere
    lost = spoken & ~whole & (unlike | silenced) & _within(spoken & ~silenced & (share < _LOST))
    intact = ~silenced & ((share < _INTACT) | (differs < _LIKE_NOISE * noise) | (level < loudest - _PAUSE))
    return Comparison(
        tuple(
            _place(a, b - 1, places)
            for a, b in runs(lost)
            if _LOSS[0] <= b - a <= _LOSS[1]
            and (silenced[a:b].any() or share[a:b].max() > _SURELY_LOST)
            and not (b - a >= _LONG_LOSS and _is_beside(wanted, got, a, b))
        ),
        tuple(_whole(a, b, places) for a, b in runs(intact)),
        echo,
        lasting,
    )


def _read(recording: Samples, places: NDArray[np.float64]) -> Samples:
    """Return the recording at `places`, which ascend nearly everywhere, between two samples where they are broken numbers."""
    first = int(places.min())
    piece = _cut(recording, first, int(places.max()) + 2 - first)
    return np.interp(places - first, np.arange(len(piece)), piece).astype(np.float32)


def _in_band(sound: Samples) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(sound, 1 << (len(sound) - 1).bit_length())
    hertz = np.linspace(0, RATE / 2, len(spectrum))
    spectrum[(hertz < _BAND[0]) | (hertz > _BAND[1])] = 0
    return np.fft.irfft(spectrum)[: len(sound)]


def _differences(
    wanted: NDArray[np.float64], got: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Flags]:
    """Return for each frame the power of what no filter makes of `wanted`, the power of `got`, and whether that is gone."""
    shifted = [framed(np.roll(wanted, tap), PACKET, HOP) for tap in range(-_TAPS, _TAPS + 1)]
    taps = np.stack(shifted, axis=1)
    heard = framed(got, PACKET, HOP)
    products = taps @ taps.transpose(0, 2, 1)
    power = np.einsum("ij,ij->i", heard, heard) / PACKET
    ease = _EASE * np.trace(products, axis1=1, axis2=2) / products.shape[1] + 1e-9
    products += ease[:, None, None] * np.eye(products.shape[1])
    fit = np.linalg.solve(products, taps @ heard[:, :, None])
    rest = heard - (fit.transpose(0, 2, 1) @ taps)[:, 0]
    expected = np.einsum("ij,ij->i", shifted[_TAPS], shifted[_TAPS]) / PACKET
    loud = expected >= np.median(expected)
    gain = float(np.median(power[loud] / np.maximum(expected[loud], 1e-12)))
    return np.einsum("ij,ij->i", rest, rest) / PACKET, power, power < _SILENCED * gain * expected


def _block_lags(reference: Samples, recording: Samples, match: Match) -> NDArray[np.float64]:
    """Return how many samples later in the recording each block of the reference lies."""
    count = max(1, len(reference) // _BLOCK)
    lags = np.zeros(count)
    for block in range(count):
        at = block * _BLOCK
        if (
            block % (_LONG // _BLOCK) == 0
        ):  # a second first: in a short block, a pitch period more or less fits about as well
            second = slice(max(0, min(at, len(reference) - _LONG)), at + _LONG)
            lag = _fine_lag(reference, recording, second, _rough_lag(at, match), _REACH)
        lags[block] = _fine_lag(reference, recording, slice(at, at + _BLOCK), lag, _NEAR)
    for block in range(1, count - 1):
        before, after = lags[block - 1], lags[block + 1]
        if abs(before - after) <= 2 * _DRIFT and abs(lags[block] - (before + after) / 2) > _DRIFT:
            lags[block] = (before + after) / 2
    return lags


def _is_steady(lags: NDArray[np.float64]) -> bool:
    """Say whether the alignment can be relied on: it hardly ever jumps, and no clock drifts too fast to follow."""
    steps = np.abs(np.diff(lags))
    jumps = steps > _DRIFT
    drift = float(steps[~jumps].sum()) / max(1, int((~jumps).sum())) / _BLOCK
    return bool(jumps.mean() <= _FEW_JUMPS and drift <= _FASTEST) if len(steps) else True


def _lags(fine: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the lag of each sample: between the middles of two blocks as a clock drifts, unless it jumps."""
    at = np.arange(length)
    smooth = np.interp(at, np.arange(len(fine)) * _BLOCK + _BLOCK / 2, fine)
    stepped = fine[np.minimum(at // _BLOCK, len(fine) - 1)]
    return np.where(np.abs(smooth - stepped) <= _DRIFT, smooth, stepped)


def _near_jumps(lags: NDArray[np.float64], count: int) -> Flags:
    """Say for each frame whether it lies in a block beside which the lag jumps: where in the block it does, nobody knows."""
    jumps = np.abs(np.diff(lags)) > _DRIFT
    beside = np.concatenate((jumps, [False])) | np.concatenate(([False], jumps))
    flags: Flags = beside[np.minimum(np.arange(count) * HOP // _BLOCK, len(beside) - 1)]
    return flags


def _within(there: Flags) -> Flags:
    """Say which frames lie between the first and the last that are `there`: before it was late, and after it was cut off."""
    flags: Flags = np.logical_or.accumulate(there) & np.logical_or.accumulate(there[::-1])[::-1]
    return flags


def _is_beside(wanted: NDArray[np.float64], got: NDArray[np.float64], first: int, last: int) -> bool:
    """Say whether frames `first` to `last` (exclusive) of the reference are there, a moment earlier or later: the line's time jumped twice."""
    piece = wanted[first * HOP : (last - 1) * HOP + PACKET]
    around = _cut(got, first * HOP - _SHIFT, len(piece) + 2 * _SHIFT)
    power = np.convolve(around**2, np.ones(len(piece)), "valid") * float((piece**2).sum())
    likeness = np.correlate(around, piece, "valid") / np.sqrt(np.maximum(power, 1e-12))
    return bool(likeness.max() > _SAME_SOUND)


def _rough_lag(sample: int, match: Match) -> int:
    """Return the matcher's lag, samples, of the segment that `sample` of the reference lies in, or is nearest to."""
    _, lag = min(match.lags, key=lambda pair: abs(pair[0] * HOP + _BLOCK - sample))
    return lag * HOP


def _fine_lag(reference: Samples, recording: Samples, block: slice, rough: int, reach: int) -> int:
    """Return the lag of a block of the reference to the sample, `reach` from `rough` at most; half whitened, so that all pitches count."""
    wanted = reference[block]
    heard = _cut(recording, block.start + rough - reach, len(wanted) + 2 * reach)
    size = 1 << (len(heard) - 1).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size))
    product /= np.sqrt(np.abs(product)) + 1e-9
    return rough - reach + int(np.argmax(np.fft.irfft(product, size)[: 2 * reach + 1]))


def _cut(recording: NDArray[_F], start: int, length: int) -> NDArray[_F]:
    """Return `length` samples from `start`, zeros beyond the recording's ends."""
    piece = recording[max(0, start) : max(0, start + length)]
    before = min(length, max(0, -start))
    return np.pad(piece, (before, length - before - len(piece)))


def _place(first: int, last: int, places: NDArray[np.float64]) -> Stretch:
    """Return frames `first` to `last` (exclusive), 10 ms apart, as samples of the recording.

    A frame is 20 ms long, so that a loss is flagged half a frame early, and as much too late.
    """
    start = int(places[min(first * HOP + HOP // 2, len(places) - 1)])
    return start, start + max(1, last - first) * HOP


def _whole(first: int, last: int, places: NDArray[np.float64]) -> Stretch:
    """Return what frames `first` to `last` (exclusive) hold, from the first one's beginning to the last one's end, as samples of the recording."""
    start = int(places[min(first * HOP, len(places) - 1)])
    return start, start + (last - first - 1) * HOP + PACKET


def _lasting_echo(reference: Samples, aligned: Samples) -> float | None:
    """Return the echo that both halves have, dB: where the line inserts or drops a moment, one half may seem to have one."""
    middle = len(reference) // 2
    if middle < _LEAST_HALF:
        return _echo(reference, aligned)
    halves = [_echo(reference[part], aligned[part]) for part in (slice(middle), slice(middle, None))]
    levels = [level for level in halves if level is not None]
    return min(levels) if len(levels) == len(halves) else None


def _echo(reference: Samples, aligned: Samples) -> float | None:
    """Return how far below the sound its strongest copy after it lies, dB: the peaks of the deconvolved cross-correlation."""
    size = 1 << (2 * len(reference) - 1).bit_length()
    wanted, got = np.fft.rfft(reference, size), np.fft.rfft(aligned, size)
    hertz = np.arange(len(wanted)) * RATE / size
    band = (hertz > _BAND[0]) & (hertz < _BAND[1])
    power = wanted.real**2 + wanted.imag**2
    whitened = np.where(band, got * np.conj(wanted) / (power + _WHITENING * power[band].mean()), 0)
    response = np.abs(np.fft.irfft(whitened, size))
    near = np.concatenate((response[-_REACH:], response[:_REACH]))
    main = int(near.argmax()) - _REACH
    later = response[main + int(_ECHO[0] * RATE) : main + int(_ECHO[1] * RATE)]
    floor = float(np.sqrt(np.mean(later**2))) + 1e-12
    if near.max() < _COHERENT * floor or later.max() < _CLEAR * floor:
        return None
    return float(20 * np.log10(later.max() / near.max()))
