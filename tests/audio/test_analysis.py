"""Whole calls, made here: our channel and the far end's, judged from the two alone."""

from dataclasses import replace

import numpy as np
import pytest
from murmurs import RATE, keys, lossy, murmur, noise, placed, telephone

from earwitness.audio.analysis import UNCHECKED, analyse
from earwitness.audio.channels import ChannelError
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.quality import POOR, judge_quality
from earwitness.audio.script import PlannedStep, Result
from earwitness.audio.wav import Recording

TEXTS = {
    "welcome": "Welcome to Acme",
    "menu": "To pay, press two",
    "card": "Please enter your card number",
    "accepted": "Your payment was accepted",
    "refused": "Your payment could not be taken. Please try again later.",
    "mortgages": "Mortgage team",
    "lost": "Lost cards team",
}
SOUNDS = {name: murmur(seed + 40, 2.4).astype(np.float32) for seed, name in enumerate(TEXTS)}
LIBRARY = PromptLibrary(tuple(Prompt(name, text, SOUNDS[name]) for name, text in TEXTS.items()))
CARD = "4242424242424242#"
WELCOME = PlannedStep("welcome", "expect", wait=6, expect=("Welcome to Acme",), minor=2.0, major=6.0)
PAY = (
    WELCOME,
    PlannedStep("press 2", "press", keys="w2"),
    PlannedStep("card", "expect", wait=6, expect=("Please enter your card number",)),
    PlannedStep("press card", "press", keys=CARD),
    PlannedStep("accepted", "expect", wait=13, expect=("Your payment was accepted",), misroute=("Lost cards team",)),
)
FIRST_KEY, CARD_KEYS = 6.5, 12.7  # seconds; the card's keys end 3.4 s later
ANSWER = CARD_KEYS + 3.4
OUR_KEYS = ((FIRST_KEY, keys("2")), (CARD_KEYS, keys(CARD)))


def call(*said, seconds=29.0, ours=OUR_KEYS, swapped=False, line=telephone):
    """Return the recording of a call on which the far end says `said`, pairs of a second and a prompt's name or a sound."""
    sounds = [(at, SOUNDS[what] if isinstance(what, str) else what) for at, what in said]
    theirs = line(placed(sounds, seconds, seed=1))
    mine = telephone(placed(ours, seconds, floor=None))
    channels = [mine, theirs] if swapped else [theirs, mine]
    return Recording(RATE, np.stack(channels).astype(np.float32))


def judged(recording, script=PAY, library=LIBRARY):
    return analyse(recording, script, library, phrases=Phrases(errors=("please try again later",)))


def results(report):
    return [step.result.value for step in report.steps]


GOOD = ((0.5, "welcome"), (FIRST_KEY + 0.6, "card"), (ANSWER + 1.2, "accepted"))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_good_call_is_timed_whichever_channel_is_ours(swapped):
    report = judged(call(*GOOD, swapped=swapped))
    assert results(report) == ["ok"] * 5
    assert report.our_channel == (0 if swapped else 1)
    welcome, key, card, _, accepted = report.steps
    assert welcome.at == pytest.approx(0.5, abs=0.02)
    assert key.at == pytest.approx(FIRST_KEY, abs=0.02)
    assert card.delay == pytest.approx(0.5, abs=0.03)
    assert accepted.delay == pytest.approx(1.3, abs=0.03)
    assert report.quality is not None
    assert report.quality.index > 4.5


def bad_line(sound):
    return lossy(telephone(sound + noise(len(sound) / RATE, -40, 5)), 0.02)


def test_a_bad_line_is_poor_audio_and_nothing_else():
    report = judged(call(*GOOD, line=bad_line))
    assert results(report) == ["ok"] * 5
    assert report.quality is not None
    assert report.quality.index < POOR
    assert "noise" in report.quality.defects


def after(place, *said, **rest):
    """Return the report of a call that goes well up to step `place`, then as `said`."""
    return judged(call(*GOOD[:place], *said, **rest))


@pytest.mark.parametrize(
    ("report", "place", "result", "note"),
    [
        (lambda: after(0), 0, "silent", "nothing was heard"),
        (lambda: after(1), 2, "missing", "the line was silent"),
        (lambda: after(1, (7.2, "mortgages")), 2, "wrong", 'heard "Mortgage team"'),
        (lambda: after(1, (7.2, murmur(99, 2.0))), 2, "wrong", "in no reference recording"),
        (lambda: after(1, (5.2, "menu")), 2, "key_ignored", "went on with"),
        (lambda: after(1, (7.2, "welcome")), 2, "key_ignored", "repeated"),
        (lambda: after(1, (7.2, "card"), seconds=8.5), 2, "hung_up", "before the end"),
        (lambda: after(1, seconds=3.5, ours=()), 1, "hung_up", "hung up after 3.5s"),
        (lambda: after(2, seconds=ANSWER + 3), 4, "hung_up", "into the wait"),
        (lambda: after(2, (ANSWER + 1, "refused")), 4, "wrong", "could not be taken"),
        (lambda: after(2, (ANSWER + 1, "mortgages"), (ANSWER + 4, "refused")), 4, "wrong", "could not be taken"),
        (lambda: after(2, (ANSWER + 1, "lost")), 4, "misrouted", "Lost cards team"),
    ],
)
def test_what_went_wrong_is_told_apart(report, place, result, note):
    report = report()
    assert results(report) == ["ok"] * place + [result] + ["not_judged"] * (4 - place)
    assert note in report.steps[place].note


def test_a_prompt_that_is_left_out_ends_nothing_if_the_next_one_comes():
    report = after(1, (ANSWER + 1, "accepted"))
    assert results(report) == ["ok", "ok", "skipped", "ok", "ok"]
    assert "went straight on" in report.steps[2].note


def test_of_a_prompt_said_three_times_the_first_counts():
    said = [(ANSWER + 1.2 + 4 * n, "accepted") for n in range(3)]
    report = judged(call(*GOOD[:2], *said, seconds=32, line=bad_line))
    assert report.steps[4].result is Result.OK
    assert report.steps[4].delay == pytest.approx(1.3, abs=0.05)


def test_of_a_prompt_said_twice_the_first_counts_even_if_the_second_is_clearer():
    unclear = SOUNDS["accepted"] + noise(2.4, -32, 9)
    report = judged(call(*GOOD[:2], (ANSWER + 1.2, unclear), (ANSWER + 5.2, "accepted")))
    assert report.steps[4].result is Result.OK
    assert report.steps[4].delay == pytest.approx(1.3, abs=0.05)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_another_prompt_that_ends_in_the_same_words_is_not_the_expected_one(share, known):
    tail = SOUNDS["accepted"][int((1 - share) * len(SOUNDS["accepted"])) :]
    apology = np.concatenate([murmur(88, 1.6), tail]).astype(np.float32)
    library = PromptLibrary(
        (*LIBRARY.prompts, Prompt("apology", "Not available", apology)) if known else LIBRARY.prompts
    )
    report = judged(call(*GOOD[:2], (ANSWER + 1, apology)), library=library)
    assert report.steps[4].result in ((Result.WRONG,) if known else (Result.WRONG, Result.TRUNCATED))


def test_slow_prompts_are_measured_against_both_limits():
    report = judged(call((3.1, "welcome"), GOOD[1], (ANSWER + 10.5, "accepted"), seconds=31))
    assert results(report) == ["slow", "ok", "ok", "ok", "too_slow"]
    assert report.steps[0].delay == pytest.approx(3.1, abs=0.02)
    assert report.steps[4].delay == pytest.approx(10.6, abs=0.05)


@pytest.mark.parametrize("then", [(), ((7.1 + 1.3, "mortgages"),)], ids=["silence", "another prompt"])
def test_a_truncated_prompt_is_noticed_and_the_call_goes_on(then):
    half = SOUNDS["card"][: int(1.2 * RATE)]
    report = judged(call(GOOD[0], (7.1, half), *then, GOOD[2]))
    assert results(report) == ["ok", "ok", "truncated", "ok", "ok"]
    assert "missing at its end" in report.steps[2].note


def test_a_prompt_that_our_own_key_interrupts_is_not_truncated():
    report = judged(call(GOOD[0], (11.5, SOUNDS["card"][: int(1.2 * RATE)]), GOOD[2]))
    assert report.steps[2].result is Result.OK
    assert report.steps[2].delay == pytest.approx(4.9, abs=0.05)


def test_without_a_reference_only_speech_is_checked_and_said_so():
    report = judged(call(*GOOD), library=PromptLibrary())
    assert results(report) == ["ok"] * 5
    assert [step.note for step in report.steps if step.step.verb == "expect"] == [UNCHECKED] * 3
    assert report.steps[4].unchecked == ("Your payment was accepted", "Lost cards team")
    assert report.steps[2].delay == pytest.approx(0.5, abs=0.05)


def test_an_error_prompt_is_recognised_where_the_expected_one_has_no_reference():
    library = PromptLibrary(tuple(p for p in LIBRARY.prompts if p.name == "refused"))
    report = judged(call(*GOOD[:2], (ANSWER + 1, "refused")), library=library)
    assert results(report) == ["ok", "ok", "ok", "ok", "wrong"]


@pytest.mark.parametrize(
    ("said", "result", "unchecked"),
    [
        ("accepted", "ok", ()),
        (murmur(99, 2.0), "ok", ("Thank you",)),
        ("refused", "wrong", ()),
        ("lost", "misrouted", ()),
    ],
)
def test_of_two_alternatives_the_one_without_a_reference_may_have_been_said(said, result, unchecked):
    script = (*PAY[:4], replace(PAY[4], expect=(TEXTS["accepted"], "Thank you")))
    report = judged(call(*GOOD[:2], (ANSWER + 1, said)), script)
    assert results(report) == ["ok"] * 4 + [result]
    assert report.steps[4].unchecked == unchecked


def test_silence_is_noticed_without_a_reference_too():
    assert results(judged(call(*GOOD[:2]), library=PromptLibrary()))[4] == "missing"
    assert results(judged(call(), library=PromptLibrary()))[0] == "silent"


def test_listening_wants_somebody_to_speak():
    script = (WELCOME, PlannedStep("listen 4s", "listen", wait=4.0))
    spoken, silent = call((0.5, "welcome"), (7.0, murmur(7, 2)), ours=()), call((0.5, "welcome"), ours=())
    assert results(judged(spoken, script)) == ["ok", "ok"]
    assert results(judged(silent, script)) == ["ok", "missing"]


def test_our_own_words_are_found_on_our_channel():
    script = (
        WELCOME,
        PlannedStep("say representative", "say"),
        PlannedStep("card", "expect", wait=8, expect=(TEXTS["card"],)),
    )
    report = judged(call(GOOD[0], (8.5, "card"), ours=((6.5, murmur(77, 1.0)),), seconds=14), script)
    assert results(report) == ["ok", "ok", "ok"]
    assert report.steps[2].delay == pytest.approx(1.0, abs=0.1)


def test_before_our_words_were_due_the_side_that_speaks_is_theirs():
    """After them it may have been us."""
    script = (WELCOME, PlannedStep("say representative", "say"))
    stranger = [(0.5, murmur(78, 2.0))]
    assert results(judged(call(*stranger, ours=(), seconds=4), script))[0] == "wrong"
    with pytest.raises(ChannelError, match="cannot be told"):
        judged(call(*stranger, ours=(), seconds=9), script)


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (lambda: call(*GOOD, ours=()), "on neither channel"),
        (lambda: replace(call(*GOOD), samples=call(*GOOD).samples[:1]), r"1 channel\(s\)"),
    ],
)
def test_when_our_side_cannot_be_told_nobody_is_judged(recording, said):
    with pytest.raises(ChannelError, match=said):
        judged(recording())


def test_two_channels_that_both_speak_unknown_words_cannot_be_told_apart():
    sound = telephone(placed([(1, murmur(1, 2))], 5))
    both = Recording(RATE, np.stack([sound, sound]).astype(np.float32))
    with pytest.raises(ChannelError, match="cannot be told"):
        analyse(both, (WELCOME,), PromptLibrary())


def test_keys_echoed_by_the_line_are_still_ours():
    echo = keys("2") * 0.1
    report = judged(call(*GOOD, (FIRST_KEY + 0.2, echo), (CARD_KEYS + 0.2, keys(CARD) * 0.1)))
    assert (report.our_channel, report.steps[1].result) == (1, Result.OK)


def test_a_key_that_was_not_sent_is_our_own_fault():
    report = judged(call(*GOOD, ours=((FIRST_KEY, keys("2")), (CARD_KEYS, keys("4242")))))
    assert report.steps[3].result is Result.NOT_SENT


@pytest.mark.parametrize(
    ("spoil", "defect"),
    [
        (lambda s: s + noise(len(s) / RATE, -38, 2), "noise"),
        (lambda s: lossy(s, 0.06, 3), "packet loss"),
        (lambda s: np.clip(s * 12, -1, 1), "clipping"),
        (lambda s: s * 10 ** (-22 / 20), "quiet"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_each_defect_of_the_line_is_named(seed, spoil, defect):
    clean = placed([(1, murmur(seed, 6))], 9, seed=seed)
    good = judge_quality(telephone(clean).astype(np.float32))
    poor = judge_quality(telephone(spoil(clean)).astype(np.float32))
    assert good is not None
    assert poor is not None
    assert (good.index, good.defects) == (5.0, ())
    assert poor.index < POOR
    assert defect in poor.defects


def test_where_nobody_speaks_quality_is_not_judged():
    assert judge_quality(np.zeros(RATE, np.float32)) is None
