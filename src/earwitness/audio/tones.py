"""The network's own tones: ringing, busy, "all circuits are busy", a fax machine, an answering machine's beep.

Frequencies and cadences after ITU-T E.180 and its Supplement 2 (tones used in national networks), ITU-T T.30 (fax), and Bellcore's codes of
the special information tones. A tone is named only when frequencies, cadence and stillness around it agree: neither speech nor music
has a name here. Measured: `docs/calls.md`.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from earwitness.audio.modem import find_answers
from earwitness.audio.sinusoids import Burst, find_bursts, in_tune
from earwitness.audio.wav import Samples


class ToneName(StrEnum):
    SIT = "sit"  # special information tone: the call cannot be completed
    UNOBTAINABLE = "unobtainable"  # the tone without a pause that says the same
    BUSY = "busy"
    REORDER = "reorder"  # congestion: no path to the number
    RING_BACK = "ring_back"
    DIAL = "dial"
    FAX_CALLING = "fax_calling"  # CNG
    FAX_ANSWER = "fax_answer"  # CED, ANSam
    BEEP = "beep"
    TONE = "tone"  # steady, none of the others


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone, from the first to the last burst of its cadence; seconds. `detail`: which of several, and its frequencies."""

    name: ToneName
    start: float
    end: float
    detail: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """`on` and `off`: the lengths, seconds, that a burst and a pause may have; no `off` means a single burst. Tones in Hz.

    `fewest`: the bursts without which it is not told from something else.
    """

    name: ToneName
    detail: str
    tones: tuple[float, ...]
    on: tuple[float, ...]
    off: tuple[float, ...]
    fewest: int = 2
    tolerance: float = 12.0


_PLANS = (
    _Plan(ToneName.RING_BACK, "US 440+480 Hz", (440, 480), (2.0,), (4.0,), fewest=1),
    _Plan(ToneName.RING_BACK, "UK 400+450 Hz", (400, 450), (0.4,), (0.2, 2.0)),
    _Plan(ToneName.RING_BACK, "European 425 Hz", (425,), (1.0,), (3.0, 4.0, 5.0), fewest=1),
    _Plan(ToneName.RING_BACK, "French 440 Hz", (440,), (1.5,), (3.5,)),
    _Plan(ToneName.BUSY, "US 480+620 Hz", (480, 620), (0.5,), (0.5,)),
    _Plan(ToneName.BUSY, "UK 400 Hz", (400,), (0.375,), (0.375,)),
    _Plan(ToneName.BUSY, "European 425 Hz", (425,), (0.5,), (0.5,)),
    _Plan(ToneName.BUSY, "French 440 Hz", (440,), (0.5,), (0.5,)),
    _Plan(ToneName.REORDER, "US 480+620 Hz", (480, 620), (0.25,), (0.25,), fewest=3),
    _Plan(ToneName.REORDER, "UK 400 Hz", (400,), (0.4, 0.225), (0.35, 0.525), fewest=3),
    _Plan(ToneName.REORDER, "European 425 Hz", (425,), (0.25, 0.2), (0.25, 0.2), fewest=3),
    _Plan(ToneName.FAX_CALLING, "1100 Hz", (1100,), (0.5,), (3.0,), tolerance=38.0),
)
_CONTINUOUS = (
    (ToneName.DIAL, "US 350+440 Hz", (350.0, 440.0), 2.5, 12.0),
    (ToneName.DIAL, "UK 350+450 Hz", (350.0, 450.0), 2.5, 12.0),
    (ToneName.DIAL, "European 425 Hz", (425.0,), 2.5, 12.0),
    (ToneName.DIAL, "French 440 Hz", (440.0,), 4.0, 8.0),  # a note of music lasts less
    (ToneName.UNOBTAINABLE, "UK 400 Hz", (400.0,), 4.0, 8.0),
    (ToneName.FAX_ANSWER, "2100 Hz", (2100.0,), 1.5, 15.0),
)
_SIT_BANDS = ((889.0, 1010.0), (1346.0, 1460.0), (1750.0, 1860.0))  # Hz
_SIT_HIGH = (950.0, 1400.0)  # Hz, above which the first and the second tone are the high ones
_SIT_ITU = (3.0, (950.0, 1400.0, 1800.0))  # Hz
_SIT_LONG = 0.285  # s as measured between the nominal 274 and 380 ms
_SIT_GAP = 0.13  # s
_KEYS = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))  # Hz, ITU-T Q.23
_SPOILT = 4  # one length in four may be wrong: a burst's edge was lost with a packet
_LONGEST_PAUSE = 6.0  # s, within a cadence
_TONE = 1.0  # s from which a tone without a name is told
_BEEP = (0.12, 1.3)  # s
_BEEP_BAND = (380.0, 2600.0)  # Hz
_STILL = 0.4  # s around a beep without another tone
_STEADY = 4.0  # Hz that a network's tone may wander; noise and packet loss included
_BEEP_STEADY = 1.5  # Hz; a beep has no cadence to be known by


def find_tones(samples: Samples, bursts: Sequence[Burst] | None = None) -> tuple[Tone, ...]:
    """Return the tones in `samples`, shape (n,) at 8 kHz, in order. `bursts` are those in it, if they are known already."""
    bursts = _main(find_bursts(samples) if bursts is None else bursts)
    answers = find_answers(samples, bursts)
    bursts = [burst for burst in bursts if not any(a.start - 0.1 < burst.start < a.end for a in answers)]
    sits, rest = _sits(bursts)
    found = [*sits, *(Tone(ToneName.FAX_ANSWER, a.start, a.end, "2100 Hz") for a in answers)]
    for train in _trains(rest):
        found += _named(train, bursts)
    return tuple(sorted(found, key=lambda tone: tone.start))


def _main(bursts: Sequence[Burst]) -> list[Burst]:
    """Return `bursts` without those that are a longer one's edge: most of them lies in it."""
    return [
        burst
        for burst in bursts
        if not any(
            other.duration > burst.duration
            and min(burst.end, other.end) - max(burst.start, other.start) > burst.duration / 2
            for other in bursts
        )
    ]


def _sits(bursts: Sequence[Burst]) -> tuple[list[Tone], list[Burst]]:
    """Return the special information tones, and the bursts that belong to none."""
    found: list[Tone] = []
    used: set[int] = set()
    for place in range(len(bursts) - 2):
        three = bursts[place : place + 3]
        if place not in used and _is_sit(three):
            found.append(Tone(ToneName.SIT, three[0].start, three[2].end, _sit_detail(three)))
            used |= {place, place + 1, place + 2}
    return found, [burst for place, burst in enumerate(bursts) if place not in used]


def _is_sit(three: Sequence[Burst]) -> bool:
    return all(
        len(burst.tones) == 1 and low < burst.tones[0] < high and 0.15 < burst.duration < 0.5
        for burst, (low, high) in zip(three, _SIT_BANDS, strict=True)
    ) and all(-0.1 < later.start - earlier.end < _SIT_GAP for earlier, later in itertools.pairwise(three))


def _sit_detail(three: Sequence[Burst]) -> str:
    """Return what the frequencies and lengths of the first two tones mean."""
    tolerance, standard = _SIT_ITU
    if all(abs(burst.tones[0] - wanted) < tolerance for burst, wanted in zip(three, standard, strict=True)):
        return "unspecified (ITU-T E.180)"
    high = tuple(burst.tones[0] > limit for burst, limit in zip(three[:2], _SIT_HIGH, strict=True))
    long = tuple(burst.duration > _SIT_LONG for burst in three[:2])
    if high == (True, False):
        return "vacant code" if long[0] or not long[1] else "reorder"
    if high == (False, True):
        return "reorder"
    return "no circuit" if all(high) or all(long) else "intercept"


def _trains(bursts: Sequence[Burst]) -> Iterator[list[Burst]]:
    """Yield the bursts in groups of the same tones with pauses between them, as a cadence has."""
    left = list(bursts)
    while left:
        train = [left.pop(0)]
        for burst in list(left):
            if burst.start - train[-1].end < _LONGEST_PAUSE and burst.near(train[0].tones):
                train.append(burst)
                left.remove(burst)
        yield from in_tune(train)


def _named(train: Sequence[Burst], bursts: Sequence[Burst]) -> list[Tone]:
    """Return the train as one tone with a name, else its long bursts as tones without."""
    start, end = train[0].start, train[-1].end
    plan = _plan(train) if _is_alone(train, bursts) else None
    if plan is not None:
        return [Tone(plan.name, start, end, plan.detail)]
    return [tone for burst in train if (tone := _single(burst, bursts, repeated=len(train) > 1)) is not None]


def _is_alone(train: Sequence[Burst], bursts: Sequence[Burst]) -> bool:
    """Say whether no other tone sounds between the first and the last of `train`: a melody's does."""
    own = set(map(id, train))
    inside = [b for b in bursts if id(b) not in own and b.start < train[-1].end and b.end > train[0].start]
    return not inside and all(burst.spread < _STEADY for burst in train)


def _plan(train: Sequence[Burst]) -> _Plan | None:
    """Return the plan with these tones whose cadence the train keeps best."""
    fits = [(misfit, place) for place, plan in enumerate(_PLANS) if (misfit := _misfit(train, plan)) is not None]
    return _PLANS[min(fits)[1]] if fits else None


def _misfit(train: Sequence[Burst], plan: _Plan) -> float | None:
    """Return by how much the lengths of bursts and pauses differ from the plan's (0: not at all), None if it is another tone.

    What was cut by the beginning or the end of the recording, or by an answer, counts only by not being too long.
    """
    if len(train) < plan.fewest or not all(burst.near(plan.tones, plan.tolerance) for burst in train):
        return None
    errors = [_error(later.start - earlier.end, plan.off) for earlier, later in itertools.pairwise(train)]
    errors += [_error(burst.duration, plan.on) for burst in train[1:-1]]
    ends = [_error(train[0].duration, plan.on), _error(train[-1].duration, plan.on)]
    if len(train) == 1:
        errors = ends
    elif any(burst.duration > max(plan.on) * 1.2 + 0.06 for burst in (train[0], train[-1])):
        return None
    else:
        errors.append(min(ends))
    kept = sorted(errors)[: len(errors) - len(errors) // _SPOILT]
    return sum(kept) / len(kept) if kept[-1] <= 1 else None


def _error(length: float, wanted: Sequence[float]) -> float:
    """Return how far `length` is from the nearest of `wanted`, 1 being as far as it may: 60 ms, or 15 %."""
    return min(abs(length - each) / max(0.06, 0.15 * each) for each in wanted)


def _single(burst: Burst, bursts: Sequence[Burst], *, repeated: bool) -> Tone | None:
    """Return the tone that one burst is by itself, if it is one. In a melody, where another tone is near, it is none."""
    near = [b for b in bursts if b is not burst and b.start < burst.end + _STILL and b.end > burst.start - _STILL]
    if near or burst.spread >= _STEADY:
        return None
    for name, detail, tones, shortest, tolerance in _CONTINUOUS:
        if burst.duration >= shortest and burst.near(tones, tolerance):
            return Tone(name, burst.start, burst.end, detail)
    hertz = "+".join(f"{frequency:.0f}" for frequency in burst.tones) + " Hz"
    if not repeated and _is_beep(burst):
        return Tone(ToneName.BEEP, burst.start, burst.end, hertz)
    if burst.duration >= _TONE and not _is_key(burst):
        return Tone(ToneName.TONE, burst.start, burst.end, hertz)
    return None


def _is_beep(burst: Burst) -> bool:
    return (
        len(burst.tones) == 1
        and _BEEP_BAND[0] < burst.tones[0] < _BEEP_BAND[1]
        and _BEEP[0] <= burst.duration <= _BEEP[1]
        and burst.spread < _BEEP_STEADY
    )


def _is_key(burst: Burst) -> bool:
    return len(burst.tones) == 2 and all(
        any(abs(tone - wanted) < 0.02 * wanted for wanted in group)
        for tone, group in zip(burst.tones, _KEYS, strict=True)
    )
