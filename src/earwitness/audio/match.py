"""Where, and how well, a reference prompt is heard in a recording.

The reference's fingerprint is cut into overlapping segments of 0.4 to 1 s. The agreement of each with every place of the recording is
computed, and dynamic programming picks a lag for each segment: the lag of the one before it, within 30 ms (jitter, clock drift), or
any other that is at most 150 ms earlier (silence was inserted, packets were dropped). Other words, another voice and another take of the same words do not match, by design.

Of many references, `search` first tries all on every fourth frame at every second lag, which costs an eighth, and gives only those
that may be there the whole treatment. What it finds is what `find` finds.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from earwitness.audio.fingerprint import BANDS, Fingerprint
from earwitness.audio.frames import FRAMES_PER_SECOND, HOP, Flags, Floats, decibels, framed
from earwitness.audio.lags import Signs, best_path, best_sum, lag_scores
from earwitness.audio.wav import Samples

_SHORTEST_SEGMENT, _LONGEST_SEGMENT = 40, 100  # frames
_SLACK = 3  # frames that the lag may drift from one segment to the next
_JUMP = 15  # frames that a jump may go back: packets dropped by a jitter buffer; forward, any gap may be inserted
_APART = 30  # frames between the lags of segments that lie elsewhere
_SEGMENT_SCORE = 0.22  # a segment at or above it is heard
LONGEST_GAP = 4.0  # s: nothing is inserted into a prompt for so long; hold music within one would be shorter
_STRAY_SHARE = 0.25  # of what was heard, below which segments apart from the others are chance
_STRAY_SCORE = 0.6  # of the main part's score, below which they are as well
_NEEDED_SCORE = 0.25
_CLEAR_SCORE = 0.45
_CLEAR_SHARE = 0.6  # of the coverage
NEEDED_COVERAGE = 0.8
_PARTIAL_COVERAGE = 0.15
_PARTIAL_SHARE = 0.75  # of the needed score
_ACTIVE_SHARE = 0.25  # of a segment's frames, below which it says nothing
_COARSE = 4  # every fourth frame is looked at first, at every second lag
_COARSE_SHARE = (
    0.7  # of the score needed, which the coarse score reaches where the exact one reaches it all; it was 0.73 at least
)
_MISSING_DB = 15  # aligned recording below the reference
_MISSING_REACH = 25  # dB below the reference's loud frames, where its speech is still looked for


class Verdict(StrEnum):
    MATCH = "match"
    PARTIAL = "partial"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Match:
    """`score`: mean agreement of the bits, -1..1, unrelated sound near 0. `coverage`: the share of the reference that was heard.

    `start` and `end` are seconds into the recording of the whole reference's place; `lags` are (first frame in the reference, lag in frames) of
    the segments that were heard. `head` and `tail`: seconds of the reference's
    speech that are missing at its ends, silent or replaced by other sound.
    """

    score: float
    coverage: float
    verdict: Verdict
    start: float = 0.0
    end: float = 0.0
    gap: float = 0.0  # seconds, the longest silence inserted between two segments
    head: float = 0.0
    tail: float = 0.0
    lags: tuple[tuple[int, int], ...] = ()

    @property
    def whole(self) -> bool:
        return self.verdict is Verdict.MATCH

    @property
    def clear(self) -> bool:
        """Whether what is there agrees well; where it does not, noise or a shared voice may be all there is."""
        return self.score >= _CLEAR_SHARE * self.coverage


NO_MATCH = Match(0.0, 0.0, Verdict.NONE)


class Heard:
    """A stretch of a recording that references are searched in."""

    def __init__(self, samples: Samples, print_: Fingerprint, start: float = 0.0, end: float = math.inf) -> None:
        """Search `samples` (whole recording, 8 kHz, with its fingerprint) from `start` to `end` seconds."""
        first = max(0, int(start * FRAMES_PER_SECOND))
        last = min(print_.frames, math.ceil(min(end, 1e6) * FRAMES_PER_SECOND))
        self.samples = samples
        self.offset = first
        self.frames = max(0, last - first)
        self._signs = print_.signs[:, first : first + self.frames]
        self._rows: dict[int, tuple[int, Signs]] = {}

    def padded(self, margin: int, step: int = 1) -> Signs:
        """Return every `step`th frame of the signs with `margin` frames of silence before and after them, a multiple of `step`."""
        have, rows = self._rows.get(step, (-1, self._signs))
        if margin > have:
            have = 2 * margin
            rows = np.zeros((BANDS, -(-(self.frames + 2 * have) // step)), np.float32)
            rows[:, have // step : (have + self.frames - 1) // step + 1] = self._signs[:, ::step]
            self._rows[step] = have, rows
        spare = (have - margin) // step
        return rows[:, spare : rows.shape[1] - spare]


def find(reference: Fingerprint, sound: Samples, heard: Heard) -> Match:
    """Return the best place of the prompt (`reference`, of `sound` at 8 kHz) in what was heard."""
    if heard.frames < _SHORTEST_SEGMENT or reference.frames < _SHORTEST_SEGMENT:
        return NO_MATCH
    width, starts = _segments(reference.frames)
    weights = _weights(reference, width, starts)
    scores = _lag_scores(reference, heard, width, starts)
    path = best_path(scores, weights, _SLACK, _JUMP)
    found = scores[np.arange(len(starts)), path]
    threshold = _SEGMENT_SCORE * max(1.0, math.sqrt(150 / reference.frames))
    counted = _in_place((found >= threshold) & (weights > 0), path, weights, found)
    lags = [(start, int(lag) - reference.frames + heard.offset) for start, lag in zip(starts, path, strict=True)]
    kept = tuple(pair for pair, keep in zip(lags, counted, strict=True) if keep)
    score, coverage = float(weights @ _agreement(found, path, counted)), float(weights[counted].sum())
    needed = _needed(reference)
    if not kept or coverage < _PARTIAL_COVERAGE or score <= _PARTIAL_SHARE * needed:
        return Match(score, coverage, Verdict.NONE)
    head, tail = _missing(sound, heard.samples, kept)
    if found[counted].mean() >= _CLEAR_SCORE:  # what is there is clear, so what is not recognised was replaced
        head = max(head, kept[0][0] / FRAMES_PER_SECOND)
        tail = max(tail, (reference.frames - kept[-1][0] - width) / FRAMES_PER_SECOND)
    whole = coverage >= NEEDED_COVERAGE and score >= needed
    steps = [later[1] - earlier[1] for earlier, later in itertools.pairwise(kept)]
    return Match(
        score=score,
        coverage=coverage,
        verdict=Verdict.MATCH if whole else Verdict.PARTIAL,
        start=kept[0][1] / FRAMES_PER_SECOND,
        end=(kept[-1][1] + reference.frames) / FRAMES_PER_SECOND,
        gap=max([0, *steps]) / FRAMES_PER_SECOND,
        head=head,
        tail=tail,
        lags=kept,
    )


def search(references: Sequence[tuple[Fingerprint, Samples]], heard: Heard) -> list[Match]:
    """Return, for each of `references`, what `find` returns, or NO_MATCH where it would find nothing."""
    return [find(print_, sound, heard) if may_match(print_, heard) else NO_MATCH for print_, sound in references]


def may_match(reference: Fingerprint, heard: Heard) -> bool:
    """Say whether it is worth looking for the prompt closely: False only where `find` would return no match."""
    if heard.frames < _SHORTEST_SEGMENT or reference.frames < _SHORTEST_SEGMENT:
        return False
    return coarse_score(reference, heard) > _COARSE_SHARE * _PARTIAL_SHARE * _needed(reference)


def coarse_score(reference: Fingerprint, heard: Heard) -> float:
    """Return about the score that `find` would give, from a quarter of the frames at half of the lags."""
    width, starts = _segments(reference.frames)
    weights = _weights(reference, width, starts)
    signs = np.ascontiguousarray(reference.signs[:, ::_COARSE])
    segments = [(at // _COARSE, min(signs.shape[1], -(-(at + width) // _COARSE))) for at in starts]
    step = _COARSE // 2
    margin = reference.frames + 2 * _COARSE - reference.frames % step
    lags = (heard.frames + margin) // step
    scores = lag_scores(signs, heard.padded(margin, step), segments, lags, step=_COARSE // step)
    return best_sum(scores, weights, -(-_SLACK // step), _JUMP // step)


def _needed(reference: Fingerprint) -> float:
    """Return the score from which the prompt counts as heard: chance reaches further with a short one."""
    return _NEEDED_SCORE * max(1.0, math.sqrt(300 / reference.frames))


def _segments(frames: int) -> tuple[int, list[int]]:
    """Return the width of the segments, and where each begins, in frames."""
    width = min(frames, int(np.clip(frames // 4, _SHORTEST_SEGMENT, _LONGEST_SEGMENT)))
    starts = list(range(0, frames - width + 1, max(1, width // 2)))
    if starts[-1] + width < frames:
        starts.append(frames - width)
    return width, starts


def _weights(reference: Fingerprint, width: int, starts: list[int]) -> Floats:
    """Return what each segment counts for: its share of speech; the sum is 1."""
    shares = np.array([reference.active[at : at + width].mean() for at in starts])
    shares = np.where(shares > _ACTIVE_SHARE, shares, 0.0)
    return shares / shares.sum() if shares.any() else np.full(len(starts), 1 / len(starts))


def _lag_scores(reference: Fingerprint, heard: Heard, width: int, starts: list[int]) -> Signs:
    """Return the agreement of each segment, by lag of the whole reference: from its whole length before what was heard, to the end."""
    segments = [(at, at + width) for at in starts]
    lags = heard.frames + reference.frames
    return lag_scores(reference.signs, heard.padded(reference.frames), segments, lags)


def _in_place(counted: Flags, path: list[int], weights: Floats, found: Floats) -> Flags:
    """Return `counted` without the segments that lie elsewhere than the rest, few or faint: another prompt's like-sounding words."""
    kept = counted.copy()
    groups = _groups([place for place in range(len(path)) if counted[place]], path)
    main = max(groups, key=lambda group: float(weights[group].sum()), default=[])
    for group in groups:
        few = weights[group].sum() < _STRAY_SHARE * weights[counted].sum()
        far = abs(path[group[0]] - path[main[0]]) > LONGEST_GAP * FRAMES_PER_SECOND
        if few or far or found[group].mean() < _STRAY_SCORE * found[main].mean():
            kept[group] = False
    return kept


def _agreement(found: Floats, path: list[int], counted: Flags) -> Floats:
    """Return `found` without the segments that lie too far from those that were heard: what agrees there is no part of the same prompt."""
    if not counted.any():
        return found
    lags = np.array(path)
    first, last = lags[counted].min(), lags[counted].max()
    reach = LONGEST_GAP * FRAMES_PER_SECOND
    agreement: Floats = np.where((lags >= last - reach) & (lags <= first + reach), found, 0.0)
    return agreement


def _groups(places: list[int], path: list[int]) -> list[list[int]]:
    """Return `places` divided where the lag jumps."""
    groups: list[list[int]] = []
    for place in places:
        if groups and abs(path[place] - path[groups[-1][-1]]) <= _APART:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _missing(sound: Samples, recording: Samples, lags: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    """Return the seconds of the reference's speech, at its head and tail, where the aligned recording is too quiet to hold it."""
    _, quiet = absence(sound, recording, lags)
    return _leading(quiet), _leading(quiet[::-1])


def absence(sound: Samples, recording: Samples, lags: tuple[tuple[int, int], ...]) -> tuple[Flags, Flags]:
    """Return which 10 ms frames of the reference are speech, and in which of these the aligned recording is too quiet to hold it."""
    wanted = decibels((framed(sound, HOP, HOP).astype(np.float64) ** 2).mean(axis=1))
    got = decibels((_aligned(recording, lags, len(wanted)) ** 2).mean(axis=1))
    active = wanted > np.percentile(wanted, 95) - _MISSING_REACH
    both = active & (got > np.percentile(got, 60))
    gain = float(np.median((got - wanted)[both])) if both.any() else 0.0
    near = np.maximum.reduce([got, np.append(got[1:], -100.0), np.insert(got[:-1], 0, -100.0)])
    return active, (wanted + gain - near > _MISSING_DB)[active]


def _aligned(recording: Samples, lags: tuple[tuple[int, int], ...], count: int) -> Floats:
    """Return the recording's 10 ms blocks at the place of each of the reference's, shape (count, 80), zeros beyond its ends."""
    places = np.array([at for at, _ in lags])
    nearest = np.abs(np.arange(count)[:, None] - places[None, :]).argmin(axis=1)
    block = np.arange(count) + np.array([lag for _, lag in lags])[nearest]
    blocks = framed(recording, HOP, HOP).astype(np.float64)
    inside = (block >= 0) & (block < len(blocks))
    aligned = np.zeros((count, HOP))
    aligned[inside] = blocks[block[inside]]
    return aligned


def _leading(quiet: Flags) -> float:
    """Return how long the true values at the beginning last, in seconds."""
    return float(len(quiet) if quiet.all() else np.argmin(quiet)) / FRAMES_PER_SECOND
