"""How well each segment of a reference agrees with each place of a recording, and the best way through these places.

Both are fingerprints. The agreement of a segment at all lags is a sum along the diagonals of one matrix product, which for the sizes at
hand costs a third of correlating by FFT, and is exact: the bits are -1, 0 and 1.
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.frames import Floats

_LAGS = 4096  # lags computed at once: what is at hand fits the processor's cache
_JUMP_COST = 0.3  # of the heaviest segment's weight
_NEVER = -9.0  # below any sum of scores

Signs = NDArray[np.float32]


def lag_scores(
    reference: Signs, recording: Signs, segments: list[tuple[int, int]], lags: int, step: int = 1
) -> NDArray[np.float32]:
    """Return the agreement, -1..1, of each of `segments` at each of `lags`, shape (segments, lags).

    Frame i of `reference`, shape (32, n), meets frame lag + i * step of `recording`, shape (32, lags + n * step at least). A segment
    is (first frame, frame after the last).
    """
    cuts = sorted({edge for segment in segments for edge in segment})
    pieces = list(itertools.pairwise(cuts))
    longest = max(last - first for first, last in pieces)
    room = np.empty(longest * (min(lags, _LAGS) + longest * step), np.float32)
    sums = {
        (first, last): _diagonal_sums(reference[:, first:last], recording[:, first * step :], lags, step, room)
        for first, last in pieces
    }
    scores = np.zeros((len(segments), lags), np.float32)
    for place, (first, last) in enumerate(segments):
        for piece, agreement in sums.items():
            if first <= piece[0] and piece[1] <= last:
                scores[place] += agreement
        scores[place] /= len(reference) * (last - first)
    return scores


def _diagonal_sums(
    reference: Signs, recording: Signs, lags: int, step: int, room: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the number of bits that agree less those that do not, by lag, shape (lags,). `room` is for the product."""
    rows = reference.shape[1]
    sums = np.empty(lags, np.float32)
    for at in range(0, lags, _LAGS):
        count = min(_LAGS, lags - at)
        columns = count + (rows - 1) * step
        product = room[: rows * columns].reshape(rows, columns)
        np.matmul(reference.T, recording[:, at : at + columns], out=product)
        down, right = product.strides
        diagonals = np.lib.stride_tricks.as_strided(product, (rows, count), (down + step * right, right))
        diagonals.sum(axis=0, out=sums[at : at + count])
    return sums


def best_path(scores: Floats, weights: Floats, slack: int, jump: int) -> list[int]:
    """Return the lag of each segment that makes the weighted sum of `scores`, shape (segments, lags), largest.

    From one segment to the next the lag stays within `slack`, or it jumps, at a cost: to any later one, or back by `jump` at most.
    """
    totals, stays, jumps = _totals(scores, weights, slack, jump)
    lag = int(np.argmax(totals[-1]))
    path = [lag]
    for before, stay, leap in zip(totals[-2::-1], stays[::-1], jumps[::-1], strict=True):
        if stay[lag] >= leap[lag]:
            first = max(0, lag - slack)
            lag = first + int(np.argmax(before[first : lag + slack + 1]))
        else:
            lag = int(np.argmax(before[: lag + jump + 1]))
        path.append(lag)
    return path[::-1]


def best_sum(scores: Floats, weights: Floats, slack: int, jump: int) -> float:
    """Return the weighted sum of scores along the best path, with the costs of its jumps."""
    return float(_totals(scores, weights, slack, jump)[0][-1].max())


def _totals(scores: Floats, weights: Floats, slack: int, jump: int) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Return the best sums that end at each lag, for each segment, and for each but the first what staying and jumping is worth."""
    cost = np.float32(_JUMP_COST * weights.max())
    totals: list[Floats] = [scores[0] * np.float32(weights[0])]
    stays: list[Floats] = []
    jumps: list[Floats] = []
    for score, weight in zip(scores[1:], weights[1:], strict=True):
        before = totals[-1]
        stays.append(_running_max(before, slack))
        highest = np.maximum.accumulate(before)
        reachable = np.append(highest[jump:], np.full(min(jump, len(before)), highest[-1], np.float32))
        jumps.append(reachable - cost)
        totals.append(np.maximum(stays[-1], jumps[-1]) + score * np.float32(weight))
    return totals, stays, jumps


def _running_max(values: Floats, reach: int) -> Floats:
    """Return the largest of the values within `reach` of each: powers of two first, then two of them overlapped."""
    width = 2 * reach + 1
    padded = np.full(len(values) + 2 * reach, _NEVER, np.float32)
    padded[reach : reach + len(values)] = values
    have = 1
    for _ in range(int(math.log2(width))):
        padded = np.maximum(padded[:-have], padded[have:])
        have *= 2
    rest = width - have
    return np.maximum(padded[: len(padded) - rest], padded[rest:]) if rest else padded
