"""A sound that grows is heard as the whole of it is, whatever the pieces in which it came; only what is new is measured."""

import numpy as np
import pytest
from lines import LINES, SPEECH, cadence
from murmurs import RATE, at_level, keys, placed

from earwitness.audio.line import Line
from earwitness.audio.listener import Listener
from earwitness.audio.measured import GRID, Growing
from earwitness.simulator.tones import hold_music

NAMES = sorted(SPEECH)[:4]


def a_call(line, seed):
    parts = [
        (0.7, SPEECH[NAMES[0]]),
        (9.0, keys("42#")),
        (12.0, at_level(hold_music(9), -18)),
        (24.0, SPEECH[NAMES[1]]),
        (33.0, cadence(((440, 480), 2.0), ((), 4.0), times=2)),
        (46.0, SPEECH[NAMES[2]]),
        (54.0, cadence(((480, 620), 0.5), ((), 0.5), times=5)),
    ]
    return np.asarray(
        LINES[line](placed([(at, sound[: 8 * RATE]) for at, sound in parts], 61, seed=seed), seed), np.float32
    )


def heard(listener):
    line = Line(listener)
    return (
        listener.segments,
        listener.keys,
        listener.bursts,
        listener.tones,
        listener.music,
        line.voices(listener.segments),
    )


@pytest.mark.parametrize("line", ["clean", "snr 10", "loss 3 %"])
@pytest.mark.parametrize("pieces", [(0.02,), (0.2,), (3.0,), (0.02, 7.3, 0.2, 0.5), (61.0,)])
def test_a_sound_that_came_in_pieces_is_heard_as_the_whole(line, pieces):
    sound, growing, at, turn = a_call(line, 3), Growing(70.0), 0, 0
    while at < len(sound):
        end = at + round(pieces[turn % len(pieces)] * RATE)
        growing.take(sound[at:end])
        at, turn = end, turn + 1
        if turn % 3 == 0 or at >= len(sound):
            begins, part = growing.since(0.0)
            so_far = Listener(part)
            so_far.segments, so_far.bursts, so_far.music, so_far._print  # noqa: B018 - measured now, not at the end alone
    assert begins == 0.0
    assert np.array_equal(part.samples, sound)
    whole = Listener(sound)
    for ours, theirs in zip(heard(so_far), heard(whole), strict=True):
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-6)
    assert np.mean(so_far._print.signs == whole._print.signs) > 0.9999


@pytest.mark.parametrize("since", [0.0, 20.0, 41.3])
def test_of_a_long_sound_the_latest_part_is_kept_and_heard_as_it_is(since):
    sound = a_call("clean", 5)
    growing = Growing(25.0)
    for at in range(0, len(sound), RATE):
        growing.take(sound[at : at + RATE])
        Listener(growing.since(0.0)[1]).segments  # noqa: B018
    begins, part = growing.since(since)
    assert begins >= max(since, 61 - 25 * 1.25)
    assert begins < max(since, 61 - 25) + GRID / RATE
    ours, whole = Listener(part).segments, Listener(sound[round(begins * RATE) :]).segments
    assert np.array([(s.start, s.end) for s in ours]) == pytest.approx(
        np.array([(s.start, s.end) for s in whole]), abs=0.03
    )


def test_each_frame_is_measured_once():
    sound, growing, most = a_call("clean", 7), Growing(40.0), 0
    for at in range(0, len(sound), 1600):
        before = growing.analysed
        growing.take(sound[at : at + 1600])
        listener = Listener(growing.since(0.0)[1])
        listener.segments, listener.bursts, listener.music, listener._print  # noqa: B018
        most = max(most, growing.analysed - before)
    assert most < 5 * 1600 + 6000, "what is new, and for each detector at most two of its frames before"


def test_of_no_sound_and_of_next_to_none_nothing_is_heard():
    for length in (0, 10, 79, 200, 900):
        growing = Growing(60.0)
        growing.take(np.zeros(length, np.float32))
        begins, part = growing.since(0.0)
        assert (begins, len(part.samples)) == (0.0, length)
        assert heard(Listener(part)) == ((),) * 6
        assert growing.since(5.0)[0] <= length / RATE
