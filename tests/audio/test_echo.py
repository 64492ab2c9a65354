"""Our own echo and talk-over, with what is known of them."""

from dataclasses import replace

import numpy as np
import pytest
from lines import SPEECH
from murmurs import RATE, keys, placed, telephone

from earwitness.audio.echo import Echo, own_echo, returned, talk_over
from earwitness.audio.listener import Listener
from earwitness.audio.quality import POOR, Quality, with_own_echo
from earwitness.audio.speech import Segment, speech

OURS = telephone(placed([(1.0, keys("12")), (3.0, SPEECH["goodbye"]), (7.5, keys("3#"))], 14, floor=None))
THEIRS = placed([(0.2, SPEECH["welcome"]), (8.5, 0.7 * SPEECH["enter_card"])], 14)


def with_echo(delay, gain):
    echo = np.zeros(len(OURS))
    at = int(delay * RATE)
    echo[at:] = OURS[:-at] * 10 ** (gain / 20)
    return telephone(THEIRS + echo)


@pytest.mark.parametrize("delay", [0.02, 0.18, 0.45])
@pytest.mark.parametrize("gain", [-12.0, -24.0, -36.0])
def test_an_echo_is_measured_though_the_far_end_speaks(delay, gain):
    echo = own_echo(OURS, with_echo(delay, gain))
    assert echo is not None
    assert echo.delay == pytest.approx(delay, abs=0.001)
    assert echo.gain == pytest.approx(gain, abs=1.0)


def test_a_long_call_is_measured_in_sections():
    ours, theirs = np.tile(OURS, 4), np.tile(with_echo(0.2, -20), 4)
    echo = own_echo(ours, theirs)
    assert echo is not None
    assert echo.delay == pytest.approx(0.2, abs=0.001)


def test_without_an_echo_none_is_heard():
    assert own_echo(OURS, telephone(THEIRS)) is None
    assert own_echo(OURS, np.zeros(len(OURS))) is None
    assert own_echo(np.zeros(len(OURS)), telephone(THEIRS)) is None
    assert own_echo(np.zeros(0), np.zeros(0)) is None


def test_talk_over_is_the_time_that_both_speak():
    ours = [Segment(1.0, 3.0, -20.0), Segment(6.0, 7.0, -20.0)]
    theirs = [Segment(0.0, 1.5, -20.0), Segment(2.0, 6.25, -20.0)]
    assert talk_over(ours, theirs) == pytest.approx(0.5 + 1.0 + 0.25)
    assert talk_over(ours, []) == 0


@pytest.mark.parametrize("pressed", ["2", "22", "4242424242424242#"])
@pytest.mark.parametrize("gain", [-6.0, -12.0, -25.0])
def test_keys_alone_are_enough_to_measure_an_echo(pressed, gain):
    ours = telephone(placed([(3.0, keys(pressed))], 14, floor=None))
    at = int(0.3 * RATE)
    echo = np.pad(ours, (at, 0))[: len(ours)] * 10 ** (gain / 20)
    found = own_echo(ours, telephone(placed([(0.2, SPEECH["welcome"]), (9.0, SPEECH["goodbye"])], 14) + echo))
    assert found is not None
    assert (found.delay, found.gain) == (pytest.approx(0.3, abs=0.001), pytest.approx(gain, abs=1.0))


@pytest.mark.parametrize("gain", [-6.0, -12.0, -24.0])
@pytest.mark.parametrize(
    "sound", [keys("4242424242424242#"), SPEECH["goodbye"], keys("2", on=0.5)], ids=["keys", "words", "key"]
)
def test_our_own_echo_is_nobody_who_speaks_and_no_music(sound, gain):
    ours = telephone(placed([(4.0, sound)], 14, floor=None)).astype(np.float32)
    back = np.pad(ours, (2400, 0))[: len(ours)] * 10 ** (gain / 20)
    theirs = telephone(placed([(0.5, SPEECH["welcome"])], 14) + back).astype(np.float32)
    echo = own_echo(ours, theirs)
    listener = Listener(theirs, our_echo=returned(ours, theirs, echo))
    assert all(segment.end < 4.0 for segment in listener.segments)
    assert len(listener.segments) == len(speech(telephone(placed([(0.5, SPEECH["welcome"])], 14))))
    assert listener.music == ()


def test_who_speaks_while_our_keys_come_back_is_heard():
    ours = telephone(placed([(1.0, keys("42424242"))], 8, floor=None)).astype(np.float32)
    back = np.pad(ours, (2400, 0))[: len(ours)] * 10 ** (-12 / 20)
    alone = placed([(0.5, SPEECH["enter_card"])], 8)
    theirs = telephone(alone + back).astype(np.float32)
    heard = Listener(theirs, our_echo=returned(ours, theirs, own_echo(ours, theirs))).segments
    expected = speech(telephone(alone))
    assert heard[0].start == pytest.approx(expected[0].start, abs=0.05)
    assert heard[-1].end == pytest.approx(expected[-1].end, abs=0.05)
    assert sum(s.duration for s in heard) == pytest.approx(sum(s.duration for s in expected), abs=0.5)


FINE = Quality(5.0, (), -20.0, -65.0, 45.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("delay", "gain", "poor"),
    [(0.3, -12.0, True), (0.06, -24.0, True), (0.3, -30.0, False), (0.04, -12.0, False), (0.5, 0.0, True)],
)
def test_a_late_and_loud_echo_of_the_caller_is_a_nuisance_and_no_more(delay, gain, poor):
    judged = with_own_echo(FINE, Echo(delay, gain))
    assert judged.defects == (("echo of the caller",) if poor else ())
    assert (judged.index <= POOR) is poor
    assert judged.index >= 2.0
    assert with_own_echo(replace(FINE, index=1.2, defects=("noise",)), Echo(delay, gain)).index == 1.2
