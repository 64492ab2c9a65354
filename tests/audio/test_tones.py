"""The network's tones, each on several lines; and what is none."""

import numpy as np
import pytest
from lines import LINES, SPEECH, cadence
from murmurs import RATE, keys, murmur, placed, telephone

from earwitness.audio.tones import ToneName, find_tones
from earwitness.simulator.tones import hold_music

REST = ()
TONES = {
    "us ring back": (ToneName.RING_BACK, cadence(((440, 480), 2), (REST, 4), times=2)),
    "one us ring": (ToneName.RING_BACK, cadence(((440, 480), 2))),
    "uk ring back": (
        ToneName.RING_BACK,
        cadence(((400, 450), 0.4), (REST, 0.2), ((400, 450), 0.4), (REST, 2), times=2),
    ),
    "european ring back": (ToneName.RING_BACK, cadence(((425,), 1), (REST, 4), times=2)),
    "us busy": (ToneName.BUSY, cadence(((480, 620), 0.5), (REST, 0.5), times=4)),
    "uk busy": (ToneName.BUSY, cadence(((400,), 0.375), (REST, 0.375), times=5)),
    "european busy": (ToneName.BUSY, cadence(((425,), 0.48), (REST, 0.48), times=4)),
    "us reorder": (ToneName.REORDER, cadence(((480, 620), 0.25), (REST, 0.25), times=8)),
    "uk reorder": (
        ToneName.REORDER,
        cadence(((400,), 0.4), (REST, 0.35), ((400,), 0.225), (REST, 0.525), times=3),
    ),
    "european reorder": (ToneName.REORDER, cadence(((425,), 0.25), (REST, 0.25), times=8)),
    "us dial": (ToneName.DIAL, cadence(((350, 440), 4))),
    "european dial": (ToneName.DIAL, cadence(((425,), 4))),
    "fax calling": (ToneName.FAX_CALLING, cadence(((1100,), 0.5), (REST, 3), times=2)),
    "fax answer": (ToneName.FAX_ANSWER, cadence(((2100,), 3))),
    "beep": (ToneName.BEEP, cadence(((1000,), 0.4))),
    "test tone": (ToneName.TONE, cadence(((1004,), 3))),
}
LOW, HIGH = (913.8, 1370.6), (985.2, 1428.5)  # Hz
SHORT, LONG = 0.274, 0.38  # s
SITS = {
    "intercept": cadence(((LOW[0],), SHORT), ((LOW[1],), SHORT), ((1776.7,), LONG)),
    "vacant code": cadence(((HIGH[0],), LONG), ((LOW[1],), SHORT), ((1776.7,), LONG)),
    "no circuit": cadence(((HIGH[0],), LONG), ((HIGH[1],), LONG), ((1776.7,), LONG)),
    "reorder": cadence(((LOW[0],), SHORT), ((HIGH[1],), LONG), ((1776.7,), LONG)),
    "unspecified (ITU-T E.180)": cadence(((950,), 0.33), ((1400,), 0.33), ((1800,), 0.33)),
}


def heard_on(line, sound, at, seed):
    return find_tones(np.asarray(LINES[line](placed([(at, sound)], at + len(sound) / RATE + 2, seed=seed), seed)))


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", TONES)
def test_a_tone_is_named_and_timed_on_any_line(kind, line):
    name, sound = TONES[kind]
    (tone,) = heard_on(line, sound, 1.3, len(kind))
    assert tone.name is name
    assert tone.start == pytest.approx(1.3, abs=0.06)
    last = np.flatnonzero(sound)[-1] / RATE
    assert tone.end == pytest.approx(1.3 + last, abs=0.06)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("detail", SITS)
def test_a_special_information_tone_says_what_it_means(detail, line):
    (tone,) = heard_on(line, SITS[detail], 0.7, len(detail))
    assert (tone.name, tone.detail) == (ToneName.SIT, detail)


def test_an_inter_exchange_reorder_is_told_by_its_lengths():
    sound = cadence(((HIGH[0],), SHORT), ((LOW[1],), LONG), ((1776.7,), LONG))
    (tone,) = heard_on("clean", sound, 0.5, 1)
    assert tone.detail == "reorder"


def test_tones_of_one_call_come_in_order():
    ring, sit = TONES["us ring back"][1], SITS["vacant code"]
    line = telephone(placed([(0.5, ring), (9.6, sit), (11.0, SPEECH["goodbye"])], 15))
    assert [tone.name for tone in find_tones(line)] == [ToneName.RING_BACK, ToneName.SIT]


@pytest.mark.parametrize("beside", [391.5, 408.5])
@pytest.mark.parametrize("kind", ["uk reorder", "uk busy"])
def test_a_vowel_of_nearly_the_same_pitch_before_a_tone_is_no_part_of_it(kind, beside):
    name, sound = TONES[kind]
    vowel = cadence(((beside,), 0.12), (REST, 0.05), ((beside, 488.7), 0.12))
    found = find_tones(telephone(placed([(0.5, vowel), (1.8, sound)], 12)))
    assert [tone.name for tone in found if tone.start > 1.5] == [name]


def test_a_ring_cut_by_the_answer_is_still_ringing():
    line = telephone(placed([(0.0, cadence(((440, 480), 1.9), (REST, 4), ((440, 480), 0.6)))], 9))
    assert [tone.name for tone in find_tones(line)] == [ToneName.RING_BACK]


@pytest.mark.parametrize("line", LINES)
def test_speech_has_no_tones(line):
    for seed, sound in enumerate(SPEECH.values()):
        assert heard_on(line, sound, 0.5, seed) == ()
    for seed in range(10):
        assert heard_on(line, murmur(seed, 4), 0.5, seed) == ()


def test_keys_and_silence_are_no_tones():
    assert find_tones(telephone(keys("0123456789*#ABCD" * 3))) == ()
    assert find_tones(telephone(keys("159", on=1.5, off=0.4))) == ()
    assert find_tones(np.zeros(RATE, np.float32)) == ()
    assert find_tones(np.zeros(10, np.float32)) == ()


def test_a_melody_has_no_tone_with_a_name():
    notes = (262, 330, 392, 440, 392, 330)
    melody = cadence(*[((note,), 0.3) for note in notes], times=8)
    assert find_tones(telephone(melody)) == ()
    assert {tone.name for tone in find_tones(telephone(hold_music(20)))} <= {ToneName.TONE}


@pytest.mark.parametrize("offset", [-0.0038, 0.01, 0.05])
def test_an_offset_is_no_tone_and_hides_none(offset):
    silent = telephone(np.full(20 * RATE, offset) + np.random.default_rng(1).normal(0, 1e-5, 20 * RATE))
    assert find_tones(silent) == ()
    busy = np.zeros(8 * RATE)
    sound = cadence(((480, 620), 0.5), (REST, 0.5), times=4)
    busy[RATE:][: len(sound)] += sound
    assert [tone.name for tone in find_tones(telephone(busy + offset))] == [ToneName.BUSY]
