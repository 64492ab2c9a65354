"""What the line did instead of saying the expected prompt: tones, music, silence of two kinds, other words."""

from dataclasses import replace

import numpy as np
import pytest
from murmurs import RATE, at_level, keys, murmur, noise, placed, telephone

from earwitness.audio.alignment import Word
from earwitness.audio.analysis import analyse
from earwitness.audio.channels import ChannelError
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.script import PlannedStep, Result
from earwitness.audio.wav import Recording

TEXTS = {
    "holiday": "We are closed on Monday",
    "welcome": "Welcome to Acme",
    "card": "Please enter your card number",
    "agent": "You are through to the mortgage team",
    "lost": "Lost cards department",
}
SOUNDS = {name: murmur(seed + 60, 2.4).astype(np.float32) for seed, name in enumerate(TEXTS)}
LIBRARY = PromptLibrary(tuple(Prompt(name, text, SOUNDS[name]) for name, text in TEXTS.items()))
WELCOME = PlannedStep("welcome", "expect", wait=6, expect=(TEXTS["welcome"],), major=8.0)
PRESS = PlannedStep("press 2", "press", keys="2")
CARD = PlannedStep("card", "expect", wait=9, expect=(TEXTS["card"],), major=8.0)
SCRIPT = (WELCOME, PRESS, CARD)
HOLD = PlannedStep("hold", "hold", wait=33, expect=(TEXTS["agent"],), minor=10.0, major=30.0)
KEY = 6.0  # seconds
OUR_KEY = ((KEY, keys("2")),)


def line(*said, seconds=16.0, floor=-65.0, ours=OUR_KEY):
    """Return a recording on which the far end says `said`, pairs of a second and a prompt's name or a sound."""
    sounds = [(at, SOUNDS[what] if isinstance(what, str) else what) for at, what in said]
    theirs = telephone(placed(sounds, seconds, floor=floor, seed=3))
    mine = telephone(placed(ours, seconds, floor=None))
    return Recording(RATE, np.stack([theirs, mine]).astype(np.float32))


def judged(recording, script=SCRIPT, library=LIBRARY, **more):
    return analyse(recording, script, library, phrases=Phrases(errors=("please try again later",)), **more)


def results(report):
    return [step.result for step in report.steps]


def tone(*frequencies, on, off=0.0, times=1, level=-16.0):
    t = np.arange(int(on * RATE)) / RATE
    wave = at_level(sum(np.sin(2 * np.pi * f * t) for f in frequencies), level)
    return np.tile(np.concatenate([wave, np.zeros(int(off * RATE))]), times)


def sit():
    return np.concatenate([tone(f, on=on) for f, on in ((985.2, 0.38), (1428.5, 0.274), (1776.7, 0.38))])


def music(seconds):
    chords = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))
    return np.concatenate([tone(*chords[n % 4], on=2.0, level=-22) for n in range(int(seconds // 2))])


@pytest.mark.parametrize(
    ("sound", "result", "note"),
    [
        (np.concatenate([sit(), np.zeros(2000), murmur(5, 3.0)]), Result.UNOBTAINABLE, "special information tones"),
        (tone(480, 620, on=0.5, off=0.5, times=10), Result.BUSY, "busy tone"),
        (tone(480, 620, on=0.25, off=0.25, times=20), Result.CONGESTED, "congestion"),
        (tone(440, 480, on=2.0, off=4.0, times=3), Result.STILL_RINGING, "went on ringing"),
        (tone(2100, on=3.3), Result.FAX, "fax machine answering"),
        (tone(350, 440, on=8.0), Result.HUNG_UP, "dial tone"),
    ],
)
def test_the_networks_tones_are_named(sound, result, note):
    report = judged(line((0.6, sound), seconds=18))
    assert report.steps[0].result is result
    assert note in report.steps[0].note


def test_special_information_tones_with_an_announcement_are_not_a_prompt_in_other_words():
    report = judged(line((0.6, np.concatenate([sit(), murmur(5, 3.0)])), (KEY + 1, "card")))
    assert report.steps[0].result is Result.UNOBTAINABLE


def test_a_prompt_that_our_key_interrupted_and_that_is_said_again_was_heard_in_time():
    begun = SOUNDS["welcome"][: int(1.3 * RATE)]
    report = judged(line((KEY - 1.2, begun), (KEY + 1.5, "welcome")))
    assert results(report) == [Result.OK, Result.OK, Result.KEY_IGNORED]
    assert report.steps[0].at == pytest.approx(KEY - 1.2, abs=0.05)


def test_a_prompt_of_which_next_to_nothing_came_before_our_key_is_late():
    begun = SOUNDS["welcome"][: int(0.5 * RATE)]
    script = (replace(WELCOME, major=20.0), PRESS, CARD)
    report = judged(line((KEY - 0.3, begun), (KEY + 1.5, "welcome")), script)
    assert report.steps[0].at == pytest.approx(KEY + 1.5, abs=0.05)


@pytest.mark.parametrize("before", [0.8, 1.0, 1.2, 1.6])
def test_what_was_said_again_before_our_key_is_no_answer_to_it(before):
    again = SOUNDS["welcome"][: int((before + 0.2) * RATE)]
    report = judged(line((0.6, "welcome"), (KEY - before, again), (KEY + 1.5, "lost")))
    assert results(report) == [Result.OK, Result.OK, Result.WRONG]
    assert "Lost cards" in report.steps[2].note


def test_busy_after_our_key_is_busy():
    report = judged(line((0.6, "welcome"), (KEY + 0.8, tone(480, 620, on=0.5, off=0.5, times=8))))
    assert results(report) == [Result.OK, Result.OK, Result.BUSY]


BUSY, CONGESTION = tone(480, 620, on=0.5, off=0.5, times=8), tone(480, 620, on=0.25, off=0.25, times=16)


@pytest.mark.parametrize(("sound", "result"), [(BUSY, Result.BUSY), (CONGESTION, Result.CONGESTED)])
@pytest.mark.parametrize("replies", [True, False])
def test_a_tone_in_place_of_a_later_prompt_is_what_the_call_was_put_through_to_or_its_end(sound, result, replies):
    script, ours = (SCRIPT, OUR_KEY) if replies else ((WELCOME, CARD), ())
    report = judged(line((0.6, "welcome"), (KEY + 0.8, sound), ours=ours), script)
    assert report.steps[-1].result is result
    assert "the far end had spoken before" in report.steps[-1].note


@pytest.mark.parametrize("sound", [BUSY, CONGESTION])
def test_a_tone_that_began_before_our_key_is_no_answer_to_it_but_a_hang_up(sound):
    report = judged(line((0.6, "welcome"), (3.9, sound)))
    assert results(report) == [Result.OK, Result.OK, Result.HUNG_UP]
    assert "the far end had hung up" in report.steps[2].note


@pytest.mark.parametrize("sound", [BUSY, CONGESTION, tone(350, 440, on=8.0)])
def test_a_tone_that_cuts_into_a_prompt_is_a_hang_up(sound):
    broken = np.concatenate([SOUNDS["card"][: int(1.2 * RATE)], sound])
    report = judged(line((0.6, "welcome"), (KEY + 0.8, broken)))
    assert results(report) == [Result.OK, Result.OK, Result.HUNG_UP]
    assert "broke off" in report.steps[2].note


def test_an_expected_prompt_is_not_taken_for_one_that_means_failure_and_sounds_like_it():
    alike = np.concatenate([murmur(99, 0.45), SOUNDS["welcome"]]).astype(np.float32)
    library = PromptLibrary((*LIBRARY.prompts, Prompt("failed", "please try again later", alike)))
    report = judged(line((1.2, "welcome"), (KEY + 0.8, "card")), library=library)
    assert results(report) == [Result.OK] * 3


@pytest.mark.parametrize(("below", "result"), [(26.0, Result.MISSING), (3.0, Result.WRONG)])
def test_people_in_the_background_do_not_go_on_with_a_prompt(below, result):
    behind = murmur(7, 1.4) * 10 ** (-below / 20)
    script = (WELCOME, CARD)
    report = judged(line((0.6, "welcome"), (2.95, behind), ours=()), script)
    assert report.steps[1].result is result


def test_a_truncated_prompt_before_music_is_no_hang_up():
    broken = np.concatenate([SOUNDS["card"][: int(1.2 * RATE)], music(6)])
    report = judged(line((0.6, "welcome"), (KEY + 0.8, broken)))
    assert results(report)[2] is Result.TRUNCATED


def test_a_busy_tone_between_a_prompt_and_our_key_is_a_hang_up():
    busy = tone(480, 620, on=0.5, off=0.5, times=2)
    late = (replace(WELCOME, wait=12), PRESS, CARD)
    report = judged(line((0.6, "welcome"), (3.6, busy), ours=(), seconds=6.5), late)
    assert results(report)[:2] == [Result.OK, Result.HUNG_UP]
    assert "busy tone" in report.steps[1].note


@pytest.mark.parametrize(
    ("floor", "said", "place", "result"),
    [
        (-65.0, (), 0, Result.SILENT),
        (None, (), 0, Result.NO_MEDIA),
        (-65.0, ((0.6, "welcome"),), 2, Result.MISSING),
        (None, ((0.6, "welcome"),), 2, Result.MISSING),  # a line that sends nothing between its words
    ],
)
def test_a_line_without_media_is_told_from_one_that_says_nothing(floor, said, place, result):
    assert judged(line(*said, floor=floor)).steps[place].result is result


def test_media_that_stops_in_the_middle_is_one_way():
    recording = line((0.6, "welcome"))
    recording.samples[0, int(5.0 * RATE) :] = 0.0
    assert results(judged(recording)) == [Result.OK, Result.OK, Result.NO_MEDIA]


def test_hold_music_where_a_prompt_was_due_is_being_on_hold():
    report = judged(line((0.6, "welcome"), (KEY + 0.8, music(10)), seconds=18))
    assert results(report) == [Result.OK, Result.OK, Result.STILL_HOLDING]
    assert report.measures.hold == pytest.approx(10, abs=1.5)


@pytest.mark.parametrize(
    ("at", "result"),
    [(9.0, Result.OK), (20.0, Result.HELD_LONG), (38.5, Result.HELD_TOO_LONG), (None, Result.STILL_HOLDING)],
)
def test_holding_has_limits_of_its_own(at, result):
    waits = music(36.0 if at is None else at - KEY - 1.0)
    said = [(0.6, "welcome"), (KEY + 0.6, waits)] + ([(at, "agent")] if at else [])
    report = judged(line(*said, seconds=44), (WELCOME, PRESS, HOLD))
    assert report.steps[2].result is result
    if at:
        assert report.steps[2].delay == pytest.approx(at - KEY - 0.1, abs=0.05)


def test_an_optional_prompt_may_come_or_stay_away():
    optional = PlannedStep("holiday", "expect", wait=3, expect=(TEXTS["holiday"],), optional=True)
    script = (optional, replace(WELCOME, wait=7), PRESS, CARD)
    ours = ((9.0, keys("2")),)
    with_it = judged(line((0.5, "holiday"), (3.4, "welcome"), (9.8, "card"), ours=ours), script)
    without = judged(line((0.5, "welcome"), (9.8, "card"), ours=ours), script)
    assert results(with_it) == [Result.OK] * 4
    assert results(without) == [Result.LEFT_OUT, Result.OK, Result.OK, Result.OK]
    assert with_it.steps[1].delay == pytest.approx(0.5, abs=0.05)
    assert without.steps[1].delay == pytest.approx(0.5, abs=0.05)


def test_the_place_that_a_call_was_misrouted_to_is_named():
    step = replace(CARD, misroute=(TEXTS["lost"],), places={TEXTS["lost"]: "lost-cards"})
    report = judged(line((0.6, "welcome"), (KEY + 0.8, "lost")), (WELCOME, PRESS, step))
    assert report.steps[2].result is Result.MISROUTED
    assert report.steps[2].note.startswith("put through to lost-cards")


def test_a_menu_that_is_said_again_and_again_after_our_key_heard_no_key():
    """Also while we wait on hold: what was said before the key is no comfort for who waits."""
    menu = replace(WELCOME, major=8.0)
    said = ((0.6, "welcome"), (KEY + 1.5, "welcome"), (KEY + 12, "welcome"), (KEY + 22, "welcome"))
    assert results(judged(line(*said, seconds=44), (menu, PRESS, HOLD)))[2] is Result.KEY_IGNORED
    said = ((0.6, "welcome"), (KEY + 1.5, "holiday"), (KEY + 12, "holiday"), (KEY + 22, "holiday"))
    assert results(judged(line(*said, seconds=44), (menu, PRESS, HOLD)))[2] is Result.STILL_HOLDING


@pytest.mark.parametrize(("silent", "result"), [(True, Result.OK), (False, Result.NOISY_LINE)])
def test_silence_can_be_waited_for(silent, result):
    step = PlannedStep("silence 2s", "silence", wait=6, silence=2.0, major=5.0)
    talk = [] if silent else [(3.0 + 1.2 * n, murmur(9, 1.0)) for n in range(10)]
    report = judged(line((0.6, "welcome"), *talk, ours=()), (WELCOME, step))
    assert report.steps[1].result is result


def test_a_prompt_in_other_words_is_a_change_when_the_call_reaches_its_goal():
    report = judged(line((0.6, murmur(99, 2.2)), (KEY + 0.8, "card")))
    assert results(report) == [Result.CHANGED, Result.OK, Result.OK]
    assert report.steps[0].at == pytest.approx(0.6, abs=0.05)
    assert report.steps[0].end == pytest.approx(2.8, abs=0.1)


class HearsThem:
    """An engine that hears other words for the welcome, a word that belongs to no prompt, and the next prompt."""

    said = ((0.7, "good"), (1.2, "day"), (1.8, "and"), (2.3, "hello"), (3.5, "please"), (4.0, "enter"), (4.6, "number"))

    def transcribe(self, _samples):
        return tuple(Word(word, at, at + 0.3) for at, word in self.said)

    def unknown(self, _text):
        return ()


def test_other_words_do_not_quote_the_prompt_that_follows():
    script = (WELCOME, replace(CARD, wait=9))
    report = judged(line((0.6, murmur(99, 2.2)), (3.2, "card"), ours=()), script, make_engine=HearsThem)
    assert report.steps[0].result is Result.CHANGED
    assert (report.steps[0].words, report.steps[0].note) == ("good day and hello", 'heard "good day and hello"')


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (((0.6, murmur(99, 2.2)),), "the goal is not reached"),
        (((0.6, murmur(99, 2.2)), (KEY + 0.8, "lost")), "the goal is another prompt"),
        (((0.6, "welcome"), (KEY + 0.8, murmur(99, 2.2))), "the goal itself is said in other words"),
    ],
)
def test_other_words_are_a_wrong_prompt_when(said, why):
    found = results(judged(line(*said)))
    assert Result.CHANGED not in found, why
    assert Result.WRONG in found, why


def test_music_instead_of_a_prompt_is_no_change():
    report = judged(line((0.6, music(4)), (KEY + 0.8, "card")))
    assert report.steps[0].result is not Result.CHANGED


def test_a_wildcard_matches_whatever_stands_in_its_place():
    head, tail = murmur(71, 1.6).astype(np.float32), murmur(72, 1.2).astype(np.float32)
    reference = Prompt("balance", "Your balance is forty two dollars", np.concatenate([head, tail]))
    script = (replace(WELCOME, expect=("Your balance is *",)),)
    said = np.concatenate([head, murmur(73, 2.5)])
    report = judged(line((0.6, said), ours=()), script, PromptLibrary((reference,)))
    assert report.steps[0].result is Result.OK
    assert report.steps[0].at == pytest.approx(0.6, abs=0.05)
    other = judged(line((0.6, murmur(74, 3.0)), ours=()), script, PromptLibrary((reference,)))
    assert other.steps[0].result is Result.WRONG


def test_match_limits_are_held_against_the_share_that_was_recognised():
    cut = SOUNDS["card"].copy()
    cut[int(0.9 * RATE) : int(1.5 * RATE)] = murmur(98, 0.6)
    whole = judged(line((0.6, "welcome"), (KEY + 0.8, "card")), (WELCOME, PRESS, replace(CARD, match_minor=0.9)))
    strict = judged(line((0.6, "welcome"), (KEY + 0.8, cut)), (WELCOME, PRESS, replace(CARD, match_major=0.95)))
    assert results(whole)[2] is Result.OK
    assert results(strict)[2] is Result.WRONG


def test_keys_are_measured_from_sent_to_accepted():
    report = judged(line((0.6, "welcome"), (KEY + 0.8, "card")))
    measures = report.measures
    assert (measures.keys_sent, measures.keys_heard, measures.keys_accepted) == (1, 1, 1)
    assert measures.key_delay == pytest.approx(0.7, abs=0.05)
    assert measures.dead_air == pytest.approx(16 - KEY - 3.2, abs=4)


def test_talking_over_each_other_is_measured():
    words = ((1.0, murmur(81, 2.0)),)
    report = judged(line((0.6, "welcome"), ours=words), (WELCOME,))
    assert report.measures.talk_over == pytest.approx(2.0, abs=0.3)


def test_noise_alone_is_neither_music_nor_words():
    report = judged(line((0.0, noise(16, -45, 4)), ours=()), (WELCOME,))
    assert report.steps[0].result in (Result.SILENT, Result.UNINTELLIGIBLE)


LISTEN = PlannedStep("listen 5s", "listen", wait=5)


@pytest.mark.parametrize(
    ("sound", "result", "note"),
    [
        (music(6), Result.STILL_HOLDING, "music"),
        (noise(0.2, seed=4, level=-25.0), Result.SILENT, "nothing was heard"),
        (tone(440, 480, on=2.0), Result.SILENT, "nothing but ring back"),
        (tone(1004, on=5.0), Result.WRONG, "a steady tone of 1004 Hz"),
        (murmur(5, 3.0), Result.OK, "someone spoke"),
    ],
)
def test_only_a_voice_is_somebody_who_speaks(sound, result, note):
    (heard,) = judged(line((0.6, sound), ours=(), seconds=6.0), (LISTEN,)).steps
    assert heard.result is result
    assert note in heard.note


def test_music_is_no_prompt_without_a_reference():
    step = replace(WELCOME, expect=("A prompt that nobody recorded",))
    assert judged(line((0.6, music(8)), ours=(), seconds=9.0), (step,)).steps[0].result is Result.STILL_HOLDING


@pytest.mark.parametrize(
    ("sound", "result"),
    [
        (tone(400, on=9.0), Result.UNOBTAINABLE),  # United Kingdom
        (tone(440, on=9.0, level=-25.0), Result.HUNG_UP),  # the French dial tone
        (tone(1004, on=9.0), Result.WRONG),
        (tone(400, on=0.75, off=0.75, times=6), Result.BUSY),  # India
    ],
)
def test_a_tone_is_neither_noise_nor_silence(sound, result):
    assert judged(line((0.6, sound), ours=(), seconds=10.0), (WELCOME,)).steps[0].result is result


def test_a_recording_with_one_sound_on_both_channels_judges_nobody():
    recording = line((0.6, "welcome"), (KEY + 0.8, "card"))
    both = np.stack([recording.samples.sum(axis=0)] * 2)
    with pytest.raises(ChannelError, match="the same sound"):
        judged(Recording(RATE, both))


@pytest.mark.parametrize("each", [2, 6])
def test_a_dead_line_that_cracks_is_dead(each):
    random = np.random.default_rng(5)
    cracks = np.zeros(15 * RATE)
    for at in random.integers(0, len(cracks) - 20, 15 * each):
        cracks[at : at + 20] += random.normal(size=20) * np.exp(-np.arange(20) / 5)
    assert judged(line((0.5, at_level(cracks, -50.0)))).steps[0].result is Result.SILENT
