import re

import pytest

from earwitness.audio.alignment import Word, align, best_text, contains_phrase
from earwitness.simulator.wording import WORDING
from earwitness.telephony.spec import ERROR_PROMPTS

TEXTS = list(WORDING.values())
FAILURES = {"payment_failed", "technical_difficulties", "bank_payment_failed", "application_error"}


def said(*parts):
    """Words of 0.25 s every 0.3 s; a number among `parts` is when the next part begins."""
    words, at = [], 0.0
    for part in parts:
        if isinstance(part, float):
            at = part
            continue
        for text in part.split():
            words.append(Word(text, at, at + 0.25))
            at += 0.3
    return words


def test_a_text_is_found_inside_a_longer_transcript():
    found = align(
        "Your payment was accepted", said("welcome to acme", 2.0, "your payment was accepted thank you", 9.0, "bye")
    )
    assert (found.score, found.start, found.end) == (1.0, 2.0, pytest.approx(3.15))
    assert found.complete_head
    assert found.complete_tail


def test_of_two_places_that_fit_equally_the_first_is_taken():
    assert align("press two", said("press two to pay", 5.0, "press two to pay")).start == 0.0


def test_the_better_place_is_taken_when_it_comes_later():
    assert align("press two to pay", said("press two or", 5.0, "press two to pay")).start == 5.0


@pytest.mark.parametrize(
    ("expected", "heard", "missing", "replaced", "extra"),
    [
        ("to the mortgage team please", "to the cards team please", (), (("mortgage", "cards"),), ()),
        ("to the mortgage team please", "to the team please", ("mortgage",), (), ()),
        ("to the mortgage team please", "to the new mortgage team please", (), (), ("new",)),
        ("hold for the next adviser", "hold for the next person", (), (("adviser", "person"),), ()),
        ("welcome to acme", "goodbye to acme", (), (("welcome", "goodbye"),), ()),
        ("is available", "is unavailable", (), (("available", "unavailable"),), ()),
        ("open on Tuesday", "open on Thursday", (), (("tuesday", "thursday"),), ()),
        ("code 12345", "code 12346", (), (("5", "6"),), ()),
    ],
)
def test_errors_are_told_apart(expected, heard, missing, replaced, extra):
    found = align(expected, said(heard))
    assert (found.missing, found.replaced, found.extra) == (missing, replaced, extra)
    assert found.score == 1 - 1 / found.words


@pytest.mark.parametrize(
    ("expected", "heard"),
    [
        ("twenty one days", "21 days"),
        ("21 days", "twenty one days"),
        ("twenty-one days", "21 days."),
        ("one hundred and five pounds", "105 pounds"),
        ("call 0800 123", "call zero eight zero zero one two three"),
        ("press two for cards", "press to four cards"),
        ("our payment centre", "our payment center"),
        ("We're sorry!", "were sorry"),
        ("a hundred pounds", "100 pounds"),
        ("a balance of ten", "a balance of 10"),
    ],
)
def test_the_same_words_spelt_differently_agree(expected, heard):
    assert align(expected, said(heard)).score == 1.0


def test_a_word_that_holds_several_numbers_keeps_its_time():
    found = align("42 17", [Word("balance", 0, 1), Word("42.17", 1, 2)])
    assert (found.score, found.start, found.end) == (1.0, 1, 2)


@pytest.mark.parametrize(
    ("heard", "score"),
    [
        ("your balance is forty two dollars and seventeen cents thank you", 1.0),
        ("your balance is dollars and cents thank you", 1.0),
        ("your balance is one million and three dollars and no cents thank you", 1.0),
        ("your balance is forty two pounds and seventeen cents thank you", 0.875),
    ],
)
def test_a_wildcard_stands_for_any_words_also_none(heard, score):
    assert align("Your balance is * dollars and * cents. Thank you.", said(heard)).score == score


def test_wildcards_at_the_ends_take_nothing_away_from_the_place():
    found = align("* payment was accepted *", said("welcome", 3.0, "payment was accepted", 8.0, "goodbye"))
    assert (found.score, found.start, found.end) == (1.0, 3.0, pytest.approx(3.85))


@pytest.mark.parametrize(
    ("expected", "heard"), [("* ", "anything"), ("", "anything"), ("hello", ""), ("hello", "goodbye")]
)
def test_nothing_is_found_where_no_word_agrees(expected, heard):
    assert align(expected, said(heard)) is None


def test_a_cut_end_is_told_from_a_replaced_one():
    cut = align("please hold for the next adviser", said("please hold for"))
    assert (cut.tail_missing, cut.complete_head, cut.complete_tail) == (3, True, False)
    other = align("please hold for the next adviser", said("please hold for a while longer"))
    assert other.complete_tail
    assert len(other.replaced) == 3


def test_a_cut_end_stays_cut_when_another_prompt_follows_after_a_pause():
    found = align("please hold for the next adviser", said("please hold for", 4.0, "all our advisers are busy"))
    assert (found.missing, found.tail_missing) == (("the", "next", "adviser"), 3)
    assert found.end < 1.0


def test_a_cut_beginning_is_told_even_after_another_prompt():
    found = align("please hold for the next adviser", said("welcome", 4.0, "the next adviser"))
    assert (found.head_missing, found.start, found.complete_tail) == (3, 4.0, True)


def test_a_pause_within_a_prompt_does_not_divide_it():
    found = align("your balance is twelve dollars thank you", said("your balance is", 3.5, "twelve dollars thank you"))
    assert (found.score, found.start) == (1.0, 0.0)


@pytest.mark.parametrize("name", WORDING)
def test_the_text_that_was_said_wins_over_all_others(name):
    best = best_text(TEXTS, said(WORDING[name]))
    assert (TEXTS[best.index], best.score) == (WORDING[name], 1.0)
    assert best.margin > 0.1


def test_texts_that_nearly_agree_are_told_by_their_margin():
    texts = ["you will wait less than five minutes", "you will wait more than five minutes"]
    best = best_text(texts, said(texts[1]))
    assert (best.text, best.score) == (texts[1], 1.0)
    assert best.margin == pytest.approx(1 / 7)
    doubtful = best_text(texts, said("you will wait or than five minutes"))
    assert doubtful.score > 0.8
    assert doubtful.margin == 0.0


def test_a_text_within_another_is_no_rival_and_wins_only_alone():
    long, short = "For your balance press one. For opening hours press two.", "For your balance press one"
    best = best_text([short, long], said("for your balance press one for opening hours press to"))
    assert (best.text, best.margin) == (long, 1.0)
    almost = best_text([short, long], said("for your balance press one for opening times press to"))
    assert almost.text == long
    assert best_text([short, long], said(short)).text == short


def test_no_text_is_best_when_nothing_was_heard():
    assert best_text(TEXTS, []) is None
    assert best_text([], said("hello")) is None


@pytest.mark.parametrize("name", WORDING)
def test_phrases_of_failure_are_heard_in_failures_only(name):
    assert (contains_phrase(ERROR_PROMPTS, said(WORDING[name])) is not None) is (name in FAILURES)


@pytest.mark.parametrize("left", WORDING)
def test_no_phrase_of_failure_is_put_together_from_two_prompts(left):
    for right in WORDING.keys() - FAILURES:
        if left not in FAILURES:
            assert contains_phrase(ERROR_PROMPTS, said(WORDING[left], WORDING[right])) is None


@pytest.mark.parametrize(
    ("heard", "phrase"),
    [
        ("we have a technical difficulty today", "technical difficulties"),
        ("no error has occurred", None),
        ("please try it again later", "please try again later"),
        ("try again later", "please try again later"),
        ("please try again", None),
        ("your payment could be taken", None),
        ("an error has not occurred", None),
        ("your adviser is available at the moment", None),
        ("it is unavailable at the moment", None),
        ("it is not available at the moment", "not available at the moment"),
    ],
)
def test_a_phrase_is_heard_in_nearly_these_words_but_never_in_its_opposite(heard, phrase):
    found = contains_phrase(ERROR_PROMPTS, said(heard))
    assert (found and found.phrase) == phrase


def test_the_earliest_phrase_is_told_with_its_time():
    found = contains_phrase(ERROR_PROMPTS, said(2.0, "an error has occurred", 9.0, "please try again later"))
    assert (found.phrase, found.start) == ("an error has occurred", 2.0)


def test_a_long_transcript_is_aligned_word_by_word():
    words = said(" ".join(TEXTS * 8))
    assert len(words) > 1500
    found = align(WORDING["technical_difficulties"], words)
    before = re.split(r"We are experiencing", " ".join(TEXTS))[0]
    assert found.start == pytest.approx(0.3 * len(before.split()))
