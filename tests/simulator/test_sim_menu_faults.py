"""Faults of the menu: what the centre says and does otherwise than it should, and what still works."""

import pytest
from simulated_calls import CARD, PAY_BY_CARD, hears, level, likeness, place, recorded, reference

from earwitness.simulator import CONTACT_CENTRE
from earwitness.simulator.tones import hold_music

LISTEN = '<Response><Pause length="20"/></Response>'


def _pressing(key, at=6, rest=12):
    return f'<Response><Pause length="{at}"/><Play digits="{key}"/><Pause length="{rest}"/></Response>'


@pytest.mark.parametrize("says", ["technical_difficulties", "try_again_later", "application_error"])
def test_an_error_takes_the_place_of_a_prompt_and_the_centre_hangs_up(says):
    call = place(CONTACT_CENTRE, "error-prompt", prompt="enter_card", says=says)
    theirs, _ = recorded(call)
    assert hears(says, theirs)
    assert not hears("enter_card", theirs)
    assert call.prompts_heard(1e6) == ["welcome", "main_menu", says]
    assert (call.plan.ended_by, call.outcome(1e6)) == ("centre", None)


def test_a_reworded_welcome_is_another_voice_and_the_way_is_as_before():
    call = place(CONTACT_CENTRE, "reworded-prompt")
    theirs, _ = recorded(call)
    assert hears("welcome_reworded", theirs)
    assert likeness("welcome", theirs)[0] < 0.5
    assert call.outcome(1e6) == "payment accepted"


def test_a_reworded_menu_still_takes_keys_while_it_is_said():
    call = place(CONTACT_CENTRE, "reworded-prompt", prompt="main_menu")
    assert "main_menu_reworded" in call.prompts_heard(1e6)
    assert call.outcome(1e6) == "payment accepted"
    assert hears(
        "main_menu_reworded", recorded(place(CONTACT_CENTRE, "reworded-prompt", twiml=LISTEN, prompt="main_menu"))[0]
    )


def test_a_reworded_end_is_the_end():
    call = place(CONTACT_CENTRE, "reworded-prompt", prompt="payment_accepted")
    assert call.outcome(1e6) == "payment accepted"
    assert hears("payment_accepted_reworded", recorded(call)[0])


def test_a_holiday_message_comes_first_and_can_be_cut_short():
    call = place(CONTACT_CENTRE, "holiday-message", twiml=LISTEN)
    assert call.prompts_heard(1e6)[:3] == ["holiday_message", "welcome", "main_menu"]
    theirs, _ = recorded(call)
    assert likeness("holiday_message", theirs)[1] < likeness("welcome", theirs)[1]
    assert place(CONTACT_CENTRE, "holiday-message", twiml=_pressing("4", at=1)).outcome(1e6) == "mortgage team"


def test_hold_music_puts_a_prompt_off_by_as_long_as_is_asked():
    theirs, _ = recorded(place(CONTACT_CENTRE, "hold-music", twiml=LISTEN, seconds=8))
    plain = likeness("main_menu", recorded(place(CONTACT_CENTRE, twiml=LISTEN))[0])[1]
    late = likeness("main_menu", theirs)[1]
    assert late - plain == pytest.approx(8, abs=0.3)
    music = theirs[int((plain + 1) * 8000) : int((plain + 6) * 8000)]
    assert level(music) == pytest.approx(level(hold_music(5)), abs=1)


def test_hold_music_before_a_queue_is_heard_once():
    call = place(CONTACT_CENTRE, "hold-music", twiml=_pressing("4", rest=20), before="mortgage_team", seconds=5)
    assert call.outcome(1e6) == "mortgage team"
    assert likeness("mortgage_team", recorded(call)[0])[1] > 11


@pytest.mark.parametrize("queue", ["sales team", "lost cards team"])
def test_a_choice_leads_to_the_queue_that_is_asked_for(queue):
    call = place(CONTACT_CENTRE, "wrong-queue", twiml=_pressing("4"), choice="4", queue=queue)
    assert call.outcome(1e6) == queue
    assert hears(queue.replace(" ", "_"), recorded(call)[0])


def test_the_other_choices_lead_where_they_should():
    assert place(CONTACT_CENTRE, "wrong-queue", choice="4").outcome(1e6) == "payment accepted"
    assert place(CONTACT_CENTRE, "wrong-queue", choice="2", queue="mortgage team").outcome(1e6) == "mortgage team"


def test_slow_keys_are_acted_on_late():
    quick = place(CONTACT_CENTRE, twiml=_pressing("4"))
    slow = place(CONTACT_CENTRE, "dtmf-slow", twiml=_pressing("4"), seconds=2.5)
    assert slow.outcome(1e6) == "mortgage team"
    late = likeness("mortgage_team", recorded(slow)[0])[1] - likeness("mortgage_team", recorded(quick)[0])[1]
    assert late == pytest.approx(2.5, abs=0.01)


SPEAK = '<Response><Pause length="{}"/><Say>mortgages please</Say><Pause length="{}"/></Response>'


@pytest.mark.parametrize("at", [4, 13])
def test_a_menu_that_takes_speech_takes_it_during_the_prompt_and_after(at):
    call = place(CONTACT_CENTRE, "speech-menu", twiml=SPEAK.format(at, 12))
    assert call.outcome(1e6) == "mortgage team"
    assert call.digits_heard(1e6) == ""
    assert place(CONTACT_CENTRE, twiml=SPEAK.format(at, 12)).outcome(1e6) is None


def test_what_is_said_to_the_welcome_is_no_choice_and_keys_work_as_ever():
    call = place(CONTACT_CENTRE, "speech-menu", twiml=SPEAK.format(0, 10))
    assert call.outcome(1e6) is None
    both = SPEAK.format(4, 12).replace("<Say>", '<Play digits="2"/><Say>')
    assert place(CONTACT_CENTRE, "speech-menu", twiml=both).prompts_heard(1e6)[-1] == "enter_card"


def test_speech_stands_for_the_choice_that_is_asked_for():
    call = place(CONTACT_CENTRE, "speech-menu", twiml=SPEAK.format(4, 12), choice="2")
    assert "enter_card" in call.prompts_heard(1e6)


def test_two_faults_at_once_are_both_heard():
    call = place(CONTACT_CENTRE, "holiday-message", "reworded-prompt", twiml=PAY_BY_CARD.replace('"6"', '"12"', 1))
    assert call.prompts_heard(1e6)[:2] == ["holiday_message", "welcome_reworded"]
    assert call.digits_heard(1e6) == "2" + CARD
    assert len(reference("holiday_message")) > 8000
