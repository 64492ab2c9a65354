"""Keys heard: DTMF tones found in 22 ms Hann frames, 5 ms apart, each tone's power a Goertzel bin (ITU-T Q.23, Q.24).

A lost packet inside a tone leaves a hole that looks like the gap between two keys; holes of digital silence of 15 to 42 ms are
bridged. Without that rule a loss of 5 % makes 16 % of keys wrong; with it, under 1 %.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from earwitness.audio.frames import RATE, Floats, Framewise, blocks, framed, runs
from earwitness.audio.wav import Samples

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)  # Hz
_KEYS = "123A456B789C*0#D"
_WIDTH, _STEP = 176, 40  # samples: 22 ms, 5 ms
_QUIETEST = 10 ** (-50 / 10)  # mean square of one tone
_TWIST = 8.5  # dB between the two tones
_DOMINANCE = 4.0  # power over the next tone of the same group
_PURITY = 0.65  # share of the frame's power that the two tones hold
_SHORTEST = 0.028  # s, 0.7 of the 40 ms that a key must last
_GAP = 0.020  # s
_LOST_SAMPLE = 3e-4

KeyPowers = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Key:
    """One key heard: when, in seconds, and how loud, in dBFS."""

    key: str
    start: float
    end: float
    level: float


@dataclass(frozen=True, slots=True)
class _Run:
    """Frames first..last (exclusive) that all hold the same key."""

    symbol: int
    first: int
    last: int


def tone(key: str, length: int, rate: int) -> Floats:
    """Return `length` samples of a key's two tones, each of amplitude 1."""
    row, column = divmod(_KEYS.index(key), len(_COLUMNS))
    at = np.arange(length) / rate
    return np.sin(2 * np.pi * _ROWS[row] * at) + np.sin(2 * np.pi * _COLUMNS[column] * at)


def find_keys(samples: Samples, measured: KeyPowers | None = None) -> tuple[Key, ...]:
    """Return the keys in `samples`, shape (n,) at 8 kHz, in order. `measured` is what `key_powers` returns of them, if it is known already."""
    powers, total = key_powers(samples) if measured is None else measured
    if not len(powers):
        return ()
    symbols = _symbols(powers, total)
    merged = _bridge(_symbol_runs(symbols), samples)
    return tuple(key for run in merged if (key := _key(run, powers)).end - key.start >= _SHORTEST)


def key_powers(samples: Samples) -> KeyPowers:
    """Return the mean square of each of the eight tones, shape (frames, 8), and of the whole frame, shape (frames,)."""
    frames = framed(samples, _WIDTH, _STEP)
    window = np.hanning(_WIDTH + 1)[:_WIDTH]
    turns = np.exp(-2j * np.pi * np.outer(np.arange(_WIDTH), _ROWS + _COLUMNS) / RATE) * window[:, None]
    bins = [(part @ turns.real) ** 2 + (part @ turns.imag) ** 2 for part in blocks(frames)]
    total = [((part * window) ** 2).sum(axis=1) for part in blocks(frames)]
    if not bins:
        return np.zeros((0, 8)), np.zeros(0)
    return np.concatenate(bins) * 2 / window.sum() ** 2, np.concatenate(total) / (window**2).sum()


KEY_POWERS = Framewise(key_powers, _STEP, before=0, after=_WIDTH)


def _symbols(powers: Floats, total: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the index of the key in each frame, -1 where there is none."""
    rows, columns = powers[:, :4], powers[:, 4:]
    row, column = np.sort(rows, axis=1), np.sort(columns, axis=1)
    strongest = np.stack((row[:, -1], column[:, -1]))
    twist = 10 * np.log10((strongest[1] + 1e-12) / (strongest[0] + 1e-12))
    found = (
        (strongest.min(axis=0) > _QUIETEST)
        & (np.abs(twist) < _TWIST)
        & (row[:, -1] > _DOMINANCE * row[:, -2])
        & (column[:, -1] > _DOMINANCE * column[:, -2])
        & (strongest.sum(axis=0) > _PURITY * total)
    )
    return np.where(found, rows.argmax(axis=1) * 4 + columns.argmax(axis=1), -1)


def _symbol_runs(symbols: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[_Run]:
    edges = [0, *(np.flatnonzero(np.diff(symbols)) + 1).tolist(), len(symbols)]
    return [_Run(int(symbols[a]), a, b) for a, b in itertools.pairwise(edges) if symbols[a] >= 0]


def _bridge(found: list[_Run], samples: Samples) -> list[_Run]:
    merged: list[_Run] = []
    for run in found:
        if merged and merged[-1].symbol == run.symbol and _is_one_key(merged[-1], run, samples):
            merged[-1] = _Run(run.symbol, merged[-1].first, run.last)
        else:
            merged.append(run)
    return merged


def _is_one_key(before: _Run, after: _Run, samples: Samples) -> bool:
    gap = (after.first - before.last) * _STEP / RATE
    if gap < _GAP:
        return True
    hole = samples[before.last * _STEP : after.first * _STEP + _WIDTH]
    lost = max((b - a for a, b in runs(np.abs(hole) < _LOST_SAMPLE)), default=0) / RATE
    return gap < 0.075 and 0.015 < lost < (0.022 if gap < 0.050 else 0.042)


def _key(run: _Run, powers: Floats) -> Key:
    # A frame is taken for a key when about half of its window lies in the tone.
    start = (run.first * _STEP + _WIDTH * 0.25) / RATE
    end = ((run.last - 1) * _STEP + _WIDTH * 0.75) / RATE
    both = powers[run.first : run.last][:, [run.symbol // 4, 4 + run.symbol % 4]].sum(axis=1)
    return Key(_KEYS[run.symbol], start, end, float(10 * np.log10(both.mean())))
