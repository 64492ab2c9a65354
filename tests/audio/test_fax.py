"""A fax machine that answers or calls, on several lines: it has a name, and is neither music nor speech."""

import numpy as np
import pytest
from lines import LINES, SPEECH, cadence
from murmurs import RATE, at_level, placed

from earwitness.audio.listener import Listener
from earwitness.audio.music import find_music
from earwitness.audio.tones import ToneName, find_tones
from earwitness.simulator.tones import fax_answer


def answer(seconds, hertz=2100, *, reversals=False, depth=0.0):
    """Return ANS (V.25), with its phase reversed every 0.45 s or not, and modulated by 15 Hz (ANSam, V.8) or not."""
    t = np.arange(int(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * hertz * t) * (1 + depth * np.sin(2 * np.pi * 15 * t))
    return at_level(np.where(reversals & ((t // 0.45) % 2 == 1), -wave, wave), -16)


def v21(seconds, seed=1):
    """Return the flags of V.21's channel 2 and, in its second half, anything."""
    flags = np.tile([0, 1, 1, 1, 1, 1, 1, 0], int(seconds * 300) // 8 + 1)[: int(seconds * 300)]
    flags[len(flags) // 2 :] = np.random.default_rng(seed).integers(0, 2, len(flags) - len(flags) // 2)
    bits = flags[np.arange(int(seconds * RATE)) * 300 // RATE]
    return at_level(np.sin(2 * np.pi * np.cumsum(np.where(bits, 1650, 1850)) / RATE), -16)


def pause(seconds):
    return np.zeros(int(seconds * RATE))


ANSWERS = {
    "CED, then silence": answer(2.6),
    "CED of 4 s": answer(4.0, 2088),
    "with phase reversals": answer(3.3, reversals=True),
    "ANSam": answer(3.3, reversals=True, depth=0.2),
    "CED, then V.21": np.concatenate([answer(3.0), pause(0.075), v21(1.7)]),
    "twice": np.tile(np.concatenate([answer(2.8, reversals=True), pause(0.075), v21(1.5), pause(1.5)]), 2),
    "CED, then V.21 again and again": np.concatenate([answer(3), pause(0.075), v21(1.5), pause(2.0), v21(1.5, 2)]),
    "the simulator's": fax_answer(13),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_fax_that_answers_is_named_and_is_neither_music_nor_speech(kind, line):
    sound = ANSWERS[kind]
    heard = np.asarray(LINES[line](placed([(1.3, sound)], 16, seed=len(kind)), 3), np.float32)
    tones = find_tones(heard)
    assert {tone.name for tone in tones} == {ToneName.FAX_ANSWER}
    sounding = np.flatnonzero(sound) / RATE + 1.3
    assert tones[0].start == pytest.approx(sounding[0], abs=0.06)
    assert tones[-1].end == pytest.approx(sounding[-1], abs=0.1)
    assert find_music(heard) == ()
    assert Listener(heard).quality() is None


@pytest.mark.parametrize("line", LINES)
def test_a_fax_that_calls_is_named(line):
    heard = LINES[line](placed([(1.3, cadence(((1100,), 0.5), ((), 3.0), times=3))], 14, seed=5), 4)
    (tone,) = find_tones(np.asarray(heard))
    assert tone.name is ToneName.FAX_CALLING


def test_what_sounds_like_data_is_none_without_an_answer():
    assert ToneName.FAX_ANSWER not in {tone.name for tone in find_tones(placed([(1.0, v21(2.5))], 5))}


def test_a_melody_that_ends_high_is_no_fax():
    melody = cadence(*[((hertz,), 0.3) for hertz in (1047, 1319, 1568)], ((2093,), 2.8))
    assert find_tones(placed([(1.0, melody)], 6)) == ()


def test_who_speaks_after_a_fax_is_judged_by_the_speech():
    heard = placed([(1.0, answer(3.0)), (6.0, SPEECH["main_menu"])], 16).astype(np.float32)
    quality = Listener(heard).quality()
    assert quality is not None
    assert quality.defects == ()
