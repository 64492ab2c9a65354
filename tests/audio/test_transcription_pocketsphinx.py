"""The real recogniser on the simulator's prompts, which are spoken by a synthetic voice."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import earwitness.simulator
from earwitness.audio.alignment import align, best_text, contains_phrase
from earwitness.audio.frames import RATE
from earwitness.audio.speech import speech
from earwitness.audio.transcription import make_engine
from earwitness.audio.wav import read_wav
from earwitness.config.transcription import TranscriptionSpec
from earwitness.simulator.wording import WORDING
from earwitness.telephony.spec import ERROR_PROMPTS

PROMPTS = Path(earwitness.simulator.__file__).parent / "prompts"
TEXTS = list(WORDING.values())
FAILURES = {"payment_failed", "technical_difficulties", "bank_payment_failed", "application_error"}
SPEC = TranscriptionSpec(engine="pocketsphinx")


def prompt(name, noise=None):
    """The prompt between two seconds of silence; `noise`: dB by which white noise is below its speech."""
    sound = read_wav((PROMPTS / f"{name}.wav").read_bytes()).samples[0]
    sound = np.pad(sound, RATE)
    if noise is not None:
        level = np.mean([segment.level for segment in speech(sound)])
        sound = sound + np.random.default_rng(1).normal(0, 10 ** ((level - noise) / 20), len(sound))
    return sound.astype(np.float32)


@pytest.fixture(scope="module")
def engine():
    return make_engine(SPEC, [*TEXTS, *ERROR_PROMPTS])


@pytest.fixture(scope="module")
def heard(engine):
    return {name: engine.transcribe(prompt(name)) for name in WORDING}


def test_few_words_are_wrong(heard):
    found = [align(text, heard[name]) for name, text in WORDING.items()]
    assert sum(a.errors for a in found) / sum(a.words for a in found) < 0.05


def test_the_right_text_of_all_is_the_best(heard):
    best = {name: best_text(TEXTS, words) for name, words in heard.items()}
    assert {name for name in WORDING if best[name].text != WORDING[name]} == set()
    assert min(found.margin for found in best.values()) > 0.1


def test_failure_is_heard_in_the_prompts_that_tell_it_and_in_no_other(heard):
    assert {name for name in WORDING if contains_phrase(ERROR_PROMPTS, heard[name])} == FAILURES


def test_words_have_their_times(heard):
    for name, words in heard.items():
        segments = speech(prompt(name))
        assert words[0].start == pytest.approx(segments[0].start, abs=0.2)
        assert words[-1].end == pytest.approx(segments[-1].end, abs=0.2)
        assert all(a.end <= b.start + 0.01 for a, b in itertools.pairwise(words))
        assert all(0 <= word.confidence <= 1 for word in words)


def test_another_prompt_than_the_expected_one_is_told(heard):
    expected = align(WORDING["mortgage_team"], heard["lost_cards_team"])
    assert expected is None or expected.score < 0.4
    assert best_text([WORDING["mortgage_team"], WORDING["lost_cards_team"]], heard["lost_cards_team"]).margin > 0.4


def test_a_prompt_that_was_not_foreseen_is_taken_for_no_other():
    unforeseen = [text for name, text in WORDING.items() if name != "mortgage_team"]
    words = make_engine(SPEC, [*unforeseen, *ERROR_PROMPTS]).transcribe(prompt("mortgage_team"))
    best = best_text(unforeseen, words)
    assert best is None or best.score < 0.5
    assert contains_phrase(ERROR_PROMPTS, words) is None


@pytest.mark.parametrize("name", ["mortgage_team", "payment_accepted", "goodbye"])
def test_in_noise_of_10_db_the_score_is_low(engine, name):
    found = align(WORDING[name], engine.transcribe(prompt(name, noise=10)))
    assert found is None or found.score <= 0.5


def test_a_cut_end_is_told(engine):
    found = align(WORDING["opening_hours"], engine.transcribe(prompt("opening_hours")[: int(3.7 * RATE)]))
    assert found.complete_head
    assert found.tail_missing >= 2


def test_a_varying_part_is_let_pass(heard):
    found = align("The balance of your account is * dollars and * cents.", heard["balance"])
    assert found.score == 1.0


def test_a_prompt_late_in_a_long_silence_has_its_time(engine):
    words = engine.transcribe(np.concatenate([np.zeros(65 * RATE, np.float32), prompt("welcome")]))
    found = align(WORDING["welcome"], words)
    assert found.score == 1.0
    assert found.start == pytest.approx(66.2, abs=0.3)


def test_the_same_sound_gives_the_same_words_in_whatever_order_and_thread(engine, heard):
    names = ["welcome", "goodbye", "card_not_valid"]
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(engine.transcribe, map(prompt, reversed(names))))
    assert again == [heard[name] for name in reversed(names)]


def test_nothing_is_heard_in_silence(engine):
    assert engine.transcribe(np.zeros(3 * RATE, np.float32)) == ()
    assert engine.transcribe(np.zeros(0, np.float32)) == ()


def test_words_outside_the_dictionary_are_told(engine):
    assert engine.unknown("Welcome to Contoso, we're * open 24/7 at 0800 123; Contoso!") == ("contoso",)


def test_without_any_text_it_hears_the_commonest_words_only():
    assert make_engine(SPEC).transcribe(prompt("payment_accepted"))


def test_an_expected_text_of_unknown_words_only_is_borne():
    assert make_engine(SPEC, ["Contoso", "", "*"]).transcribe(np.zeros(RATE, np.float32)) == ()


def test_the_same_texts_share_an_engine():
    assert make_engine(SPEC, ["welcome", "goodbye"]) is make_engine(SPEC, ["goodbye", "welcome", "goodbye"])
