"""Tones of networks that are in no table, told by their cadence alone.

ITU-T E.180 leaves frequencies to each country but says how tones are timed: ringing sounds for 0.67 to 2.5 s and is silent for longer,
busy and congestion are as long on as off within 1.1 s (in India within 1.5 s), and congestion is the faster of the two.
"""

import itertools
from collections.abc import Iterator, Sequence

from earwitness.audio.frames import Timed
from earwitness.audio.sinusoids import Burst, in_tune
from earwitness.audio.tones import Tone, ToneName

_BAND = (300.0, 700.0)  # Hz
_STEADY = 4.0  # Hz that a network's tone may wander
_ALIKE = 0.2  # of their mean, by which the lengths of bursts may differ
_RING = (0.6, 2.6)  # s that ringing sounds
_RING_PAUSE = (1.4, 5.5)  # s until it sounds again
_DOUBLE = 0.5  # s between the two halves of a double ring
_CYCLE = (0.3, 1.6)  # s from one burst of busy or congestion to the next
_CONGESTION = 0.6  # s, the longest cycle that is congestion's
_RATIO = (0.6, 1.6)  # of on to off
_OTHERS = 0.25  # of the bursts, that other tones may have among them
_AROUND, _NOTE = 1.0, 1.5  # s beside a tone, and Hz that a note may wander
_LONG = 8  # bursts, which no melody repeats by themselves
_FEWEST_RINGS, _FEWEST_BURSTS = 2, 5


def find_cadences(found: Sequence[Burst], keys: Sequence[Timed] = ()) -> tuple[Tone, ...]:
    """Return the ringing, busy and congestion tones among the bursts that were found on a channel, in order; `keys` may sound among them."""
    every = [b for b in found if not any(key.start < b.end and key.end > b.start for key in keys)]
    bursts = [b for b in every if b.spread < _STEADY and all(_BAND[0] < f < _BAND[1] for f in b.tones)]
    alone = [train for train in _trains(bursts) if _is_alone(train, every)]
    named = [tone for train in alone if (tone := _named(train)) is not None]
    return tuple(sorted(named, key=lambda tone: tone.start))


def _trains(bursts: Sequence[Burst]) -> Iterator[list[Burst]]:
    """Yield the bursts in groups of the same tones, without a long pause within a group."""
    left = list(bursts)
    while left:
        train = [left[0]]
        for burst in left[1:]:
            if burst.near(train[0].tones) and burst.start - train[-1].end < _RING_PAUSE[1]:
                train.append(burst)
        left = [burst for burst in left if burst not in train]
        yield from in_tune(train)


def _is_alone(train: Sequence[Burst], every: Sequence[Burst]) -> bool:
    """Whether next to nothing else that is pure sounds then, nor, where it is short, soon before or after: a melody has other notes."""
    inside = [b for b in every if b.start < train[-1].end and b.end > train[0].start]
    around = [b for b in every if b.start < train[-1].end + _AROUND and b.end > train[0].start - _AROUND]
    notes = [b for b in around if b not in inside and b.spread < _NOTE]
    return (not notes or len(train) >= _LONG) and len(inside) <= len(train) * (1 + _OTHERS)


def _named(train: Sequence[Burst]) -> Tone | None:
    rings = _joined(train)
    name = _ringing(rings) or _busy([(burst.start, burst.end) for burst in train])
    if name is None:
        return None
    hertz = "+".join(f"{frequency:.0f}" for frequency in train[0].tones)
    return Tone(name, train[0].start, train[-1].end, f"{hertz} Hz, by its cadence")


def _joined(train: Sequence[Burst]) -> list[tuple[float, float]]:
    """Return where it rings: a double ring is one."""
    rings: list[tuple[float, float]] = []
    for burst in train:
        if rings and burst.start - rings[-1][1] < _DOUBLE:
            rings[-1] = (rings[-1][0], burst.end)
        else:
            rings.append((burst.start, burst.end))
    return rings


def _ringing(rings: Sequence[tuple[float, float]]) -> ToneName | None:
    """The first and the last ring may be cut."""
    lengths = [end - start for start, end in rings]
    pauses = [later[0] - earlier[1] for earlier, later in itertools.pairwise(rings)]
    longest = max(lengths)
    if len(rings) < _FEWEST_RINGS or not _RING[0] <= longest <= _RING[1]:
        return None
    whole = lengths[1:-1] or [longest]
    regular = _are_alike(whole) and _are_alike(pauses) and all(_RING_PAUSE[0] <= p <= _RING_PAUSE[1] for p in pauses)
    return ToneName.RING_BACK if regular and min(pauses) > longest else None


def _busy(bursts: Sequence[tuple[float, float]]) -> ToneName | None:
    if len(bursts) < _FEWEST_BURSTS:
        return None
    lengths = [end - start for start, end in bursts[1:-1]]
    pauses = [later[0] - earlier[1] for earlier, later in itertools.pairwise(bursts)]
    on, off = sum(lengths) / len(lengths), sum(pauses) / len(pauses)
    steady = _are_alike(lengths) and _are_alike(pauses)
    in_twos = all(_are_alike(kind[n::2]) for kind in (lengths, pauses) for n in (0, 1))  # as British congestion is
    if not (steady or in_twos) or not _RATIO[0] <= on / max(off, 1e-3) <= _RATIO[1]:
        return None
    if not _CYCLE[0] <= on + off <= _CYCLE[1]:
        return None
    return ToneName.REORDER if on + off <= _CONGESTION or not steady else ToneName.BUSY


def _are_alike(lengths: Sequence[float]) -> bool:
    """Whether all but one in four, which a lost packet may have spoilt, are about as long."""
    middle = sorted(lengths)[len(lengths) // 2]
    return sum(abs(length - middle) > _ALIKE * middle for length in lengths) <= len(lengths) // 4
