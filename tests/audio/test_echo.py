"""Our own echo and talk-over, with what is known of them."""

import numpy as np
import pytest
from lines import SPEECH
from murmurs import RATE, keys, placed, telephone

from earwitness.audio.echo import own_echo, talk_over
from earwitness.audio.speech import Segment

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
