"""Which channel of a recording is ours, and which is the far end's.

No page of the carrier promises the order for a call without a second leg, so it is told by content: ours holds the keys that we
pressed; where none was pressed yet, the far end's is the one in which an expected prompt is recognised, or the only one that speaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

from earwitness.audio.dtmf import Key, find_keys
from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.frames import Floats
from earwitness.audio.match import Heard, Verdict, find
from earwitness.audio.prompts import Prompt
from earwitness.audio.speech import band_levels, level, speech
from earwitness.audio.wav import Recording, Samples

_UNLIKE = 0.2  # of correlation
_LEAST_LEVEL = -60.0  # dBFS, below which a line's noise would count
_SAME = 0.01  # of a channel's power, by which the other differs that holds the same sound
_CLEARLY_LOUDER = 6.0  # dB: our own keys against their echo


class ChannelError(Exception):
    """It cannot be told which channel is ours: the recording is no ground to judge anybody on."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """The two channels at 8 kHz, shape (n,) each, and the keys on them: ours, and on theirs the echo of them."""

    ours: Samples
    theirs: Samples
    keys: tuple[Key, ...]
    our_channel: int
    their_keys: tuple[Key, ...] = ()


def tell_sides(
    recording: Recording,
    keys: str,
    first_key_at: float,
    prompts: Sequence[Prompt],
    *,
    we_speak: bool,
    far_end: Samples | None = None,
) -> Sides:
    """Return our side and theirs. `keys` are all that we were to press, the first of them at `first_key_at` seconds at the earliest.

    `far_end` is what a live stream of the far end's sound held, shape (n,) at 8 kHz, if there was one. Raises ChannelError.
    """
    if recording.channels != 2:
        raise ChannelError(
            f"the recording has {recording.channels} channel(s); two are needed to tell the far end from us"
        )
    heard = [find_keys(channel) for channel in recording.samples]
    ours = _by_keys(heard, keys) if keys else None
    if ours is None and far_end is not None:
        ours = _by_likeness(recording, far_end)
    if (
        ours is None
        and keys
        and not any(_in_order(found, keys) for found in heard)
        and recording.duration > first_key_at
    ):
        raise ChannelError("the keys that we pressed are on neither channel of the recording")
    if ours is None:
        ours = _by_content(recording, prompts, heard, we_speak=we_speak)
    return Sides(recording.samples[ours], recording.samples[1 - ours], heard[ours], ours, heard[1 - ours])


def _by_keys(heard: Sequence[Sequence[Key]], keys: str) -> int | None:
    counts = [_in_order(found, keys) for found in heard]
    if min(counts) < max(counts) / 2:
        return counts.index(max(counts))
    if not all(counts):
        return None
    levels = [float(np.median([key.level for key in found])) for found in heard]
    if abs(levels[0] - levels[1]) >= _CLEARLY_LOUDER:
        return levels.index(max(levels))
    return None


def _in_order(found: Sequence[Key], keys: str) -> int:
    """Return how many of `keys` were found, in their order."""
    return int(LCSseq.similarity("".join(key.key for key in found), keys))


def _by_likeness(recording: Recording, far_end: Samples) -> int | None:
    """Return the channel that is less like the far end's own sound, by how their levels rise and fall; None if both are alike."""
    wanted = band_levels(far_end)
    likeness = [_best_correlation(band_levels(channel), wanted) for channel in recording.samples]
    return None if abs(likeness[0] - likeness[1]) < _UNLIKE else likeness.index(min(likeness))


def _best_correlation(levels: Floats, wanted: Floats) -> float:
    """Return the greatest correlation of two courses of levels, shape (frames,), wherever one lies in the other; 1 at best."""
    left, right = (np.maximum(x, _LEAST_LEVEL) - np.maximum(x, _LEAST_LEVEL).mean() for x in (levels, wanted))
    power = float(np.sqrt((left**2).sum() * (right**2).sum()))
    if not power:
        return 0.0
    size = len(left) + len(right)
    course = np.fft.irfft(np.fft.rfft(left, size) * np.conj(np.fft.rfft(right, size)), size)
    return float(course.max()) / power


def _by_content(
    recording: Recording, prompts: Sequence[Prompt], heard: Sequence[Sequence[Key]], *, we_speak: bool
) -> int:
    if _are_the_same(recording.samples):
        raise ChannelError("both channels of the recording hold the same sound: it cannot be told who is who")
    scores = [_best_score(channel, prompts) for channel in recording.samples]
    if max(scores) > 0:
        return 1 - scores.index(max(scores))
    speaking = [_speaks(channel, keys) for channel, keys in zip(recording.samples, heard, strict=True)]
    if not any(speaking):
        levels = [level(channel) for channel in recording.samples]
        if not we_speak and abs(levels[0] - levels[1]) >= _CLEARLY_LOUDER:
            return levels.index(min(levels))  # we send nothing at all, not even noise
        return 1  # both are silent, so both say the same of the far end
    if we_speak or all(speaking):
        raise ChannelError(
            "it cannot be told which channel is ours: no key was pressed and no expected prompt is recognised"
        )
    return speaking.index(False)


def _are_the_same(channels: Samples) -> bool:
    """Whether one sound is on both channels, shape (2, n), equally loud, and more than a line's noise."""
    left, right = (channel.astype(np.float64) for channel in channels)
    if min(level(channel) for channel in channels) < _LEAST_LEVEL:
        return False
    return float(np.square(left - right).mean()) < _SAME * float(np.square(left).mean())


def _speaks(channel: Samples, keys: Sequence[Key]) -> bool:
    """Whether there is speech besides keys, which sound like it to the detector."""
    return any(not any(k.start < s.end and k.end > s.start for k in keys) for s in speech(channel))


def _best_score(channel: Samples, prompts: Sequence[Prompt]) -> float:
    heard = Heard(channel, fingerprint(channel))
    matches = [find(prompt.print, prompt.samples, heard) for prompt in prompts]
    return max((match.score for match in matches if match.verdict is not Verdict.NONE), default=0.0)
