"""Sound that is gone for a while in the middle of what is said, with a reference and without; and pauses, which are none."""

import numpy as np
import pytest
from lines import LINES, SPEECH, hiss
from murmurs import RATE, murmur, placed, telephone

from earwitness.audio.analysis import analyse
from earwitness.audio.dropouts import find_dropouts, gone
from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.listener import Listener
from earwitness.audio.match import Heard, find
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.quality import POOR
from earwitness.audio.script import PlannedStep, Result
from earwitness.audio.wav import Recording

NAME = "main_menu"
PROMPT = SPEECH[NAME]


def line(sound, seed=1, floor=-65.0):
    return np.asarray(telephone(placed([(1.0, sound)], len(sound) / RATE + 2, seed=seed, floor=floor)), np.float32)


def without(sound, *holes, noise=None):
    """Return `sound` without the `holes`, (start, length) in seconds: digital silence, or noise of that level."""
    torn = sound.copy()
    for start, length in holes:
        first, count = int(start * RATE), int(length * RATE)
        torn[first : first + count] = 0 if noise is None else hiss(torn[first : first + count], noise, 3)
    return torn


def found(reference, recording):
    match = find(fingerprint(reference), reference, Heard(recording, fingerprint(recording)))
    return [(a / RATE, b / RATE) for a, b in gone(reference, recording, match)]


def loud(sound):
    """Return two seconds of `sound`, 1.5 s apart at least, at which both that place and the one 0.4 s later are in a vowel."""
    level = np.sqrt(np.convolve(sound**2, np.ones(400) / 400, "same"))
    both = np.minimum(level[: -int(0.4 * RATE)], level[int(0.4 * RATE) :])
    both[: int(0.6 * RATE)] = both[-RATE:] = 0
    first = int(both.argmax())
    both[max(0, first - int(1.5 * RATE)) : first + int(1.5 * RATE)] = 0
    return first / RATE, int(both.argmax()) / RATE


@pytest.mark.parametrize("noise", [None, -65.0, -52.0])
def test_what_is_gone_is_placed_beside_the_reference(noise):
    at, _ = loud(PROMPT)
    whole = line(PROMPT, floor=-65.0 if noise is None else noise)
    torn = telephone(without(whole, (1.0 + at, 0.4), noise=noise)).astype(np.float32)
    (hole,) = found(PROMPT, torn)
    assert hole[0] == pytest.approx(1.0 + at, abs=0.06)
    assert hole[1] == pytest.approx(1.4 + at, abs=0.06)
    alone = [(a / RATE, b / RATE) for a, b in find_dropouts(torn)]
    assert alone == [pytest.approx((1.0 + at, 1.4 + at), abs=0.01)]


@pytest.mark.parametrize("name", SPEECH)
@pytest.mark.parametrize("way", LINES)
def test_pauses_and_ends_are_no_dropouts(name, way):
    sound = SPEECH[name]
    heard = np.asarray(LINES[way](placed([(1.0, sound)], len(sound) / RATE + 2, seed=4), 4), np.float32)
    assert find_dropouts(heard) == ()
    assert found(sound, heard) == []


@pytest.mark.parametrize("floor", [-65.0, None])
def test_murmurs_are_whole(floor):
    assert [seed for seed in range(20) if find_dropouts(line(murmur(seed, 8), seed, floor))] == []


def test_a_pause_that_the_reference_has_too_is_none():
    paused = without(PROMPT, *((at, 0.4) for at in loud(PROMPT))).astype(np.float32)
    assert found(paused, line(paused)) == []
    assert "dropouts" in Listener(line(paused)).quality().defects
    prompt = Prompt(NAME, "Main menu", paused)
    heard = Listener(line(paused))
    assert heard.quality([heard.best([prompt], 0.0, 60.0)]).dropouts == 0


def test_what_is_missing_at_the_ends_is_no_dropout():
    cut = without(PROMPT, (0.0, 0.5), (len(PROMPT) / RATE - 0.6, 0.6))
    assert found(PROMPT, line(cut)) == []


def test_silence_that_was_inserted_is_no_dropout():
    at = int(loud(PROMPT)[0] * RATE)
    later = np.concatenate([PROMPT[:at], np.zeros(int(0.4 * RATE)), PROMPT[at:]])
    assert found(PROMPT, line(later)) == []


def test_one_abrupt_pause_alone_is_no_poor_line_and_two_are():
    first, second = loud(PROMPT)
    once = without(PROMPT, (first, 0.4))
    assert Listener(line(once)).quality().dropouts == 0
    twice = Listener(line(without(once, (second, 0.4)))).quality()
    assert (twice.defects, twice.index < POOR) == (("dropouts",), True)
    assert twice.dropouts == pytest.approx(0.8, abs=0.1)


def test_a_dropout_at_the_end_of_a_prompt_is_not_told_as_a_truncation_of_it():
    library = PromptLibrary(tuple(Prompt(name, name, SPEECH[name]) for name in ("welcome", NAME)))
    script = tuple(PlannedStep(name, "expect", wait=9, expect=(name,)) for name in ("welcome", NAME))
    end = len(SPEECH["welcome"]) / RATE
    said = [(0.5, SPEECH["welcome"]), (4.0, PROMPT)]
    whole = telephone(placed(said, 18)).astype(np.float32)
    tail = without(whole, (0.5 + end - 0.6, 0.6))
    both = without(tail, (4.0 + loud(PROMPT)[0], 0.4))
    reports = [
        analyse(Recording(RATE, np.stack([theirs, np.zeros(len(theirs), np.float32)])), script, library)
        for theirs in (tail, both)
    ]
    assert [report.steps[0].result for report in reports] == [Result.TRUNCATED, Result.OK]
    assert "the line drops out" in reports[1].steps[0].note
    assert reports[1].quality.defects == ("dropouts",)


def test_where_sound_is_torn_only_the_prompt_that_fits_best_is_asked():
    at, _ = loud(PROMPT)
    akin = PROMPT.copy()
    akin[-int(1.2 * RATE) :] = murmur(5, 1.2)
    prompts = [Prompt("akin", "akin", akin), Prompt(NAME, NAME, PROMPT)]
    assert Listener(line(akin)).best(prompts[1:], 0.0, 60.0)[1].whole
    torn = Listener(line(without(PROMPT, (at, 0.4))))
    assert [prompt.name for prompt, _ in torn.torn_prompts(prompts)] == [NAME]
    assert Listener(line(PROMPT)).torn_prompts(prompts) == []


def crackle(seconds, level, each=6):
    """Return cracks of 2.5 ms, `each` a second, of this level in dBFS."""
    random = np.random.default_rng(3)
    line = np.zeros(int(seconds * RATE))
    for at in random.integers(0, len(line) - 20, int(seconds * each)):
        line[at : at + 20] += random.normal(size=20) * np.exp(-np.arange(20) / 5)
    return line * 10 ** (level / 20) / np.sqrt(np.mean(line**2))


@pytest.mark.parametrize("level", [-50.0, -42.0, -36.0])
def test_cracks_are_no_dropouts(level):
    pauses = [(at, murmur(seed, 2.0)) for seed, at in enumerate((1.0, 4.0, 7.0, 10.0))]
    sound = placed(pauses, 14)
    assert find_dropouts(telephone(sound + crackle(14, level)).astype(np.float32)) == ()
