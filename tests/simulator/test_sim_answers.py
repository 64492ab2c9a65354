"""How a call is answered, if at all: the line's faults, and those of the carrier that decide where a call comes out."""

import numpy as np
import pytest
from simulated_calls import ACCOUNT, FROM, HandClock, form, hears, level, likeness, place, recorded

from earwitness.simulator import CONTACT_CENTRE, STAGING_CENTRE, TEST_LINE
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.faults import FaultBoard

LISTEN = '<Response><Pause length="40"/></Response>'
OTHER_NUMBER, OTHER_ACCOUNT = "+12025550144", "AC" + "b" * 32


def _tone_share(sound, *hertz):
    """Return the share of the sound's power that is within 10 Hz of the given frequencies."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    place_of = np.fft.rfftfreq(len(sound), 1 / 8000)
    return sum(power[np.abs(place_of - f) < 10].sum() for f in hertz) / power.sum()


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("line-busy", "busy", 486), ("line-unanswered", "no-answer", 480), ("line-unobtainable", "failed", 404)],
)
def test_the_centres_number_is_not_answered_and_the_others_are(fault, status, code):
    call = place(CONTACT_CENTRE, fault, twiml=LISTEN)
    assert (call.plan.stages[-1][1], call.plan.sip_code) == (status, code)
    for healthy in (TEST_LINE, STAGING_CENTRE):
        assert place(healthy, fault, twiml=LISTEN).plan.sip_code == 200


def test_a_late_answer_rings_as_long_as_is_asked_and_no_longer_than_we_wait():
    call = place(CONTACT_CENTRE, "late-answer", seconds=25)
    ringing = {status: at for at, status in call.plan.stages}["ringing"]
    assert call.plan.answered_at - ringing == pytest.approx(25)
    assert call.outcome(1e6) == "payment accepted"
    impatient = place(CONTACT_CENTRE, "late-answer", more={"Timeout": "10"}, seconds=25)
    assert impatient.plan.stages[-1][1] == "no-answer"


def test_the_network_says_that_the_number_is_not_known_after_three_rising_tones():
    call = place(CONTACT_CENTRE, "announced-unobtainable", twiml=LISTEN)
    theirs, _ = recorded(call)
    for n, hertz in enumerate((950, 1400, 1800)):
        assert _tone_share(theirs[int((0.33 * n + 0.03) * 8000) : int((0.33 * n + 0.3) * 8000)], hertz) > 0.95
    assert hears("number_unknown", theirs)
    assert (call.plan.ended_by, call.outcome(1e6)) == ("centre", "number not known")


def test_a_busy_tone_after_the_answer():
    theirs, _ = recorded(place(CONTACT_CENTRE, "busy-tone-after-answer", twiml=LISTEN))
    assert _tone_share(theirs[400:3600], 480, 620) > 0.95
    assert level(theirs[4400:7600]) < -60


def test_a_fax_machine_answers():
    call = place(CONTACT_CENTRE, "fax-answers", twiml=LISTEN)
    theirs, _ = recorded(call)
    assert _tone_share(theirs[int(0.6 * 8000) : int(3.4 * 8000)], 2100) > 0.95
    assert call.prompts_heard(1e6) == []
    assert call.plan.talk == pytest.approx(30)


def test_it_still_rings_after_it_was_answered_and_then_the_centre_is_there():
    call = place(CONTACT_CENTRE, "ring-back-after-answer", twiml=LISTEN, seconds=14)
    theirs, _ = recorded(call)
    assert _tone_share(theirs[800:15200], 440, 480) > 0.95
    assert level(theirs[3 * 8000 : 5 * 8000]) < -60
    assert likeness("welcome", theirs)[1] == pytest.approx(14.4, abs=0.1)
    assert hears("main_menu", theirs)


def test_a_person_answers_and_waits_for_us():
    call = place(CONTACT_CENTRE, "number-ported", twiml=LISTEN)
    theirs, _ = recorded(call)
    hello, wonder = likeness("person_answers", theirs), likeness("person_wonders", theirs)
    assert min(hello[0], wonder[0]) > 0.9
    assert wonder[1] - hello[1] > 8
    assert not hears("welcome", theirs)
    assert call.plan.ended_by == "centre"


# --- the carrier's routes --------------------------------------------------------------------------------------------


@pytest.fixture
def faults():
    return FaultBoard()


@pytest.fixture
def ending(faults):
    """Return a function that places a call and returns its final status and SIP code."""
    carrier = Carrier(HandClock(), faults)

    def place_call(to=CONTACT_CENTRE, from_=FROM, account=ACCOUNT):
        plan = carrier.create_call(account, {**form(to, LISTEN), "From": from_}).plan
        return plan.stages[-1][1], plan.sip_code

    return place_call


def test_any_number_and_any_account_may_call(ending):
    assert ending(from_=OTHER_NUMBER, account=OTHER_ACCOUNT) == ("completed", 200)


@pytest.mark.parametrize(("refusal", "code"), [("failed", 403), ("busy", 486)])
def test_a_blocked_number_is_refused_by_the_centres_network_only(faults, ending, refusal, code):
    faults.turn_on("number-blocked", {"number": FROM, "ending": refusal})
    assert ending() == (refusal, code)
    assert ending(from_=OTHER_NUMBER) == ("completed", 200)
    assert ending(TEST_LINE) == ("completed", 200)


def test_a_route_is_down_for_one_account_and_one_number(faults, ending):
    faults.turn_on("route-down", {"account": ACCOUNT})
    assert ending() == ending(from_=OTHER_NUMBER) == ("failed", 503)
    assert ending(account=OTHER_ACCOUNT) == ("completed", 200)
    assert ending(TEST_LINE) == ("completed", 200)
    faults.turn_on("route-down", {"number": TEST_LINE})
    assert ending(TEST_LINE, account=OTHER_ACCOUNT) == ("failed", 503)
    assert ending() == ("completed", 200)


def test_a_carrier_that_is_down_fails_every_call_of_the_account(faults, ending):
    faults.turn_on("carrier-down", {"account": ACCOUNT})
    assert ending() == ending(TEST_LINE) == ending(STAGING_CENTRE) == ("failed", 503)
    assert ending(TEST_LINE, account=OTHER_ACCOUNT) == ("completed", 200)
    faults.turn_on("carrier-down")
    assert ending(TEST_LINE, account=OTHER_ACCOUNT) == ("failed", 503)
