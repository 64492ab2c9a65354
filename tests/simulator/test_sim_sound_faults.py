"""What the line does to the centre's sound, measured on recordings."""

import numpy as np
import pytest
from simulated_calls import ACCOUNT, PAY_BY_CARD, HandClock, form, keys_in, level, likeness, place, recorded

from earwitness.simulator import CONTACT_CENTRE, TEST_LINE
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.fault_list import SOUND_FAULTS
from earwitness.simulator.faults import FaultBoard
from earwitness.simulator.line_sound import line_sound

LISTEN = '<Response><Pause length="14"/></Response>'
QUIET = slice(0, 3000)  # before the welcome begins


def _heard(fault, **parameters):
    return recorded(place(CONTACT_CENTRE, fault, twiml=LISTEN, **parameters))[0]


@pytest.fixture(scope="module")
def clean():
    return recorded(place(CONTACT_CENTRE, twiml=LISTEN))[0]


def _share_above(sound, hertz):
    power = np.abs(np.fft.rfft(sound)) ** 2
    return power[np.fft.rfftfreq(len(sound), 1 / 8000) > hertz].sum() / power.sum()


@pytest.mark.parametrize("snr", [20, 5])
def test_noise_is_as_far_below_the_speech_as_is_asked(snr):
    assert level(_heard("noise", snr=snr)[QUIET]) == pytest.approx(-20 - snr, abs=0.5)


def test_hum_is_a_low_tone_with_harmonics():
    sound = _heard("hum", hertz=60, level=-25)[QUIET]
    assert level(sound) == pytest.approx(-25, abs=0.7)
    assert _share_above(sound, 330) < 0.01


def test_clipping_is_loud_and_flat():
    sound = _heard("clipping", gain=25)
    speech = sound[4000:16000]
    assert level(speech) > -10
    assert (np.abs(speech) > 0.68).mean() > 0.1
    assert np.abs(sound).max() < 0.72


def test_a_low_level_is_as_low_as_is_asked(clean):
    welcome = slice(4000, 20000)
    assert level(clean[welcome]) - level(_heard("low-level", loss=20)[welcome]) == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize("mode", ["zero", "repeat"])
def test_lost_packets_are_as_many_as_is_asked_and_filled_as_is_asked(mode):
    whole, sound = _same_call(CONTACT_CENTRE), _same_call(CONTACT_CENTRE, "packet-loss", share=0.2, mode=mode)
    wanted, packets = (s[: len(s) // 160 * 160].reshape(-1, 160) for s in (whole, sound))
    lost = (packets != wanted).any(axis=1)
    assert lost.mean() == pytest.approx(0.2, abs=0.05)
    before = np.roll(packets, 1, axis=0) if mode == "repeat" else np.zeros_like(packets)
    assert np.array_equal(packets[1:][lost[1:]], before[1:][lost[1:]])


def test_dropouts_come_once_in_every_period_and_last_as_long_as_is_asked():
    sound = _same_call(CONTACT_CENTRE, "dropouts", every=2, seconds=0.5)
    lost = np.flatnonzero(sound != _same_call(CONTACT_CENTRE))
    for period in range(7):
        within = lost[(lost >= period * 16000) & (lost < (period + 1) * 16000)]
        assert within[-1] - within[0] == pytest.approx(4000, abs=50)
        assert not sound[within].any()


def test_our_own_voice_comes_back_late_and_quieter():
    twiml = '<Response><Pause length="1"/><Play digits="159"/><Pause length="8"/></Response>'
    theirs, ours = recorded(place(CONTACT_CENTRE, "echo-of-caller", "dead-air", twiml=twiml, delay=0.5, loss=10))
    assert keys_in(theirs) == keys_in(ours) == "159"
    assert level(ours) - level(theirs) == pytest.approx(10, abs=0.5)
    onset = [int(np.flatnonzero(np.abs(channel) > 0.05)[0]) for channel in (theirs, ours)]
    assert (onset[0] - onset[1]) / 8000 == pytest.approx(0.5, abs=0.01)


def test_a_robot_has_one_pitch_and_about_the_same_loudness(clean):
    sound = _heard("robotic")
    speech = slice(5000, 20000)
    assert level(sound[speech]) == pytest.approx(level(clean[speech]), abs=2)
    assert _periodicity(sound[speech]) > 0.9 > _periodicity(clean[speech])
    assert likeness("welcome", sound)[0] < 0.5


def _periodicity(sound):
    """Return the correlation of the sound with itself one period of 125 Hz later."""
    return float((sound[64:] * sound[:-64]).sum() / (sound[64:] ** 2).sum())


def test_a_muffled_voice_has_no_treble(clean):
    welcome = slice(4000, 20000)
    assert _share_above(_heard("muffled")[welcome], 1300) < _share_above(clean[welcome], 1300) / 20


@pytest.mark.parametrize("fault", SOUND_FAULTS)
def test_none_of_it_touches_the_test_line(fault):
    assert np.array_equal(_same_call(TEST_LINE), _same_call(TEST_LINE, fault))


def _same_call(to, *faults, **parameters):
    """Return the centre's side of a call that has the same name each time, and so the same noise."""
    call = place(to, *faults, twiml=LISTEN, **parameters)
    call.sid = "the same call"
    call.replan()
    return line_sound(call.plan)[0]


@pytest.mark.parametrize("fault", [*SOUND_FAULTS, "poor-audio"])
def test_what_was_heard_before_a_change_sounds_the_same_after_it(fault):
    clock, board = HandClock(), FaultBoard()
    board.turn_on(fault, {"after": 3} if fault == "one-way" else {})
    carrier = Carrier(clock, board)
    call = carrier.create_call(ACCOUNT, form(CONTACT_CENTRE, PAY_BY_CARD))
    before = line_sound(call.plan)
    clock.seconds += 3 + 7
    carrier.update_call(call, {"Twiml": '<Response><Play digits="9"/><Pause length="60"/></Response>'})
    after = line_sound(call.plan)
    assert after.shape[1] > before.shape[1]
    assert np.array_equal(before[:, : 7 * 8000], after[:, : 7 * 8000])
