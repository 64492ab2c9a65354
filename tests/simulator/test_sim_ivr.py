import pytest
from simulated_calls import CARD, PAY_BY_CARD, hears, keys_in, level, likeness, place, recorded

from earwitness.simulator import CONTACT_CENTRE, STAGING_CENTRE, TEST_LINE
from earwitness.simulator.wording import WORDING

MORTGAGES = '<Response><Pause length="6"/><Play digits="4"/><Pause length="24"/></Response>'
BALANCE = (
    '<Response><Pause length="6"/><Play digits="1"/><Pause length="5"/><Play digits="1"/><Pause length="9"/></Response>'
)
BANK = '<Response><Pause length="6"/><Play digits="3"/><Pause length="6"/><Play digits="12345678#"/><Pause length="9"/></Response>'


def _hang_up_after(seconds):
    return f'<Response><Pause length="{seconds}"/></Response>'


def test_a_customer_pays_by_card_and_it_is_all_on_the_recording():
    call = place(CONTACT_CENTRE)
    theirs, ours = recorded(call)
    assert call.outcome(1e6) == "payment accepted"
    assert call.digits_heard(1e6) == "2" + CARD
    assert keys_in(ours) == "2" + "42" * 8 + "#"
    assert keys_in(theirs) == ""
    starts = [likeness(prompt, theirs) for prompt in ("welcome", "enter_card", "payment_accepted")]
    assert all(score > 0.9 for score, _ in starts)
    assert starts == sorted(starts, key=lambda start: start[1])
    assert not hears("payment_failed", theirs)


def test_a_key_ends_the_prompt_it_falls_into():
    theirs, _ = recorded(place(CONTACT_CENTRE))
    assert not hears("main_menu", theirs), "the key at 6 s comes in the middle of the menu"
    theirs, _ = recorded(place(CONTACT_CENTRE, twiml=_hang_up_after(14)))
    assert hears("main_menu", theirs)


@pytest.mark.parametrize(
    ("twiml", "outcome"),
    [
        (PAY_BY_CARD, "payment accepted"),
        (MORTGAGES, "mortgage team"),
        (BALANCE, "balance told"),
        (BANK, "bank payment accepted"),
    ],
)
def test_each_way_through_the_menu_leads_to_its_end(twiml, outcome):
    assert place(CONTACT_CENTRE, twiml=twiml).outcome(1e6) == outcome


@pytest.mark.parametrize(
    ("fault", "twiml", "outcome", "heard", "not_heard"),
    [
        ("card-processor-down", PAY_BY_CARD, "payment failed", "payment_failed", "payment_accepted"),
        ("bank-down", BANK, "bank payment failed", "bank_payment_failed", "bank_payment_accepted"),
        ("bank-down", PAY_BY_CARD, "payment accepted", "payment_accepted", "payment_failed"),
        ("crm-down", BALANCE, "balance unavailable", "balance_unavailable", "balance"),
        ("misroute", MORTGAGES, "lost cards team", "lost_cards_team", "mortgage_team"),
        ("prompt-missing", PAY_BY_CARD, None, "welcome", "enter_card"),
        ("dtmf-ignored", PAY_BY_CARD, None, "nothing_heard", "enter_card"),
        ("early-hangup", PAY_BY_CARD, None, "welcome", "enter_card"),
    ],
)
def test_what_a_fault_makes_of_a_call_is_heard(fault, twiml, outcome, heard, not_heard):
    call = place(CONTACT_CENTRE, fault, twiml=twiml)
    theirs, _ = recorded(call)
    assert call.outcome(1e6) == outcome
    assert hears(heard, theirs)
    assert not hears(not_heard, theirs)


def test_no_fault_of_the_centre_touches_staging_or_the_test_line():
    assert place(STAGING_CENTRE, "card-processor-down", "dtmf-ignored").outcome(1e6) == "payment accepted"
    theirs, _ = recorded(place(TEST_LINE, "dead-air", "poor-audio"))
    assert hears("test_line", theirs)


def test_a_missing_prompt_is_dead_air_and_then_the_centre_hangs_up():
    call = place(CONTACT_CENTRE, "prompt-missing")
    theirs, _ = recorded(call)
    assert call.plan.ended_by == "centre"
    assert call.plan.talk == pytest.approx(6 + 0.06 + 0.4 + 10, abs=0.1)
    assert level(theirs[-9 * 8000 :]) < -60


def test_staging_has_technical_difficulties_of_its_own():
    call = place(STAGING_CENTRE, "staging-phone-down")
    assert call.plan.ended_by == "centre"
    assert hears("technical_difficulties", recorded(call)[0])
    assert place(CONTACT_CENTRE, "staging-phone-down").outcome(1e6) == "payment accepted"


def test_dead_air_is_silent_but_our_keys_are_there():
    theirs, ours = recorded(place(CONTACT_CENTRE, "dead-air"))
    assert -68 < level(theirs) < -62, "a line has a noise floor"
    assert keys_in(ours)[0] == "2"


def test_one_way_audio_is_silent_although_the_centre_hears_us():
    call = place(CONTACT_CENTRE, "one-way", after=5)
    theirs, _ = recorded(call)
    assert hears("welcome", theirs)
    assert not theirs[5 * 8000 :].any(), "not even noise arrives"
    assert call.outcome(1e6) == "payment accepted"


def test_slow_prompts_are_late_by_as_much_as_is_asked():
    quick = likeness("welcome", recorded(place(CONTACT_CENTRE))[0])[1]
    slow = likeness("welcome", recorded(place(CONTACT_CENTRE, "slow-prompts", seconds=3))[0])[1]
    assert slow - quick == pytest.approx(3, abs=0.01)


def test_a_truncated_prompt_falls_silent():
    call = place(CONTACT_CENTRE, "prompt-truncated", prompt="welcome", share=0.5)
    theirs, _ = recorded(call)
    assert 0.5 < likeness("welcome", theirs)[0] < 0.85
    assert level(theirs[int(1.9 * 8000) : int(3.0 * 8000)]) < -60


def test_poor_audio_gets_worse_with_its_level_and_is_the_same_each_time():
    scores = [
        likeness("welcome", recorded(place(CONTACT_CENTRE, "poor-audio", level=step))[0])[0] for step in (0, 0.5, 1)
    ]
    assert scores[0] > 0.98
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < 0.85


def test_poor_audio_loses_packets_in_speech():
    theirs, _ = recorded(place(CONTACT_CENTRE, "poor-audio", level=0.5))
    packets = theirs[: len(theirs) // 160 * 160].reshape(-1, 160)
    lost = (packets == 0).all(axis=1).mean()
    assert 0.02 < lost < 0.06


def test_an_early_hangup_is_as_early_as_is_asked():
    call = place(CONTACT_CENTRE, "early-hangup", seconds=2.5)
    assert (call.plan.ended_by, call.plan.talk) == ("centre", 2.5)


def test_a_caller_who_says_nothing_is_asked_again_and_then_let_go():
    call = place(CONTACT_CENTRE, twiml=_hang_up_after(120))
    assert call.plan.ended_by == "centre"
    assert call.prompts_heard(1e6) == ["welcome", *["main_menu", "nothing_heard"] * 3, "goodbye"]


def test_a_wrong_key_and_a_short_card_number_are_refused_in_words():
    wrong = place(CONTACT_CENTRE, twiml='<Response><Pause length="5"/><Play digits="9"/><Pause length="9"/></Response>')
    assert "not_an_option" in wrong.prompts_heard(1e6)
    short = place(CONTACT_CENTRE, twiml=PAY_BY_CARD.replace(CARD, "4242#"))
    assert "card_not_valid" in short.prompts_heard(1e6)


def test_a_card_number_may_be_typed_ahead():
    call = place(
        CONTACT_CENTRE, twiml=f'<Response><Pause length="1"/><Play digits="2{CARD}"/><Pause length="9"/></Response>'
    )
    assert call.outcome(1e6) == "payment accepted"
    assert "enter_card" not in call.prompts_heard(1e6)


def test_the_test_line_sends_back_what_it_hears():
    call = place(TEST_LINE, twiml='<Response><Pause length="8"/><Play digits="159"/><Pause length="4"/></Response>')
    theirs, ours = recorded(call)
    assert keys_in(theirs) == keys_in(ours) == "159"


def test_every_prompt_of_the_table_is_used():
    ways = [
        place(CONTACT_CENTRE),
        place(CONTACT_CENTRE, twiml=_hang_up_after(120)),
        place(CONTACT_CENTRE, "card-processor-down"),
        place(CONTACT_CENTRE, "crm-down", twiml=BALANCE),
        place(CONTACT_CENTRE, "bank-down", twiml=BANK),
        place(CONTACT_CENTRE, "misroute", twiml=MORTGAGES),
        place(STAGING_CENTRE, "staging-phone-down"),
        place(TEST_LINE, twiml=_hang_up_after(30)),
        *(
            place(CONTACT_CENTRE, twiml=twiml)
            for twiml in (MORTGAGES, BALANCE, BANK, PAY_BY_CARD.replace(CARD, "4242#"))
        ),
        place(
            CONTACT_CENTRE,
            twiml=BALANCE.replace('<Pause length="5"/><Play digits="1"/>', '<Pause length="5"/><Play digits="2"/>'),
        ),
        place(CONTACT_CENTRE, twiml='<Response><Pause length="5"/><Play digits="9"/><Pause length="9"/></Response>'),
    ]
    said = {prompt for call in ways for prompt in call.prompts_heard(1e6)}
    assert set(WORDING) - said == {"application_error"}, "which is Twilio's to say"
