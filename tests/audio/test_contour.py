"""A voice that lost its pitch: its prompts are told by their loudness, as distorted, and it is no music; other words stay other words."""

import numpy as np
import pytest
from lines import SPEECH, hiss, vocoded
from murmurs import RATE, keys, murmur, placed, telephone

from earwitness.audio.analysis import analyse
from earwitness.audio.contour import best_likeness, contour
from earwitness.audio.listener import Listener
from earwitness.audio.music import find_music
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.quality import POOR
from earwitness.audio.script import PlannedStep, Result
from earwitness.audio.speech import trimmed
from earwitness.audio.wav import Recording
from earwitness.simulator.line_damage import robotic
from earwitness.simulator.tones import hold_music

LIBRARY = PromptLibrary(tuple(Prompt(name, name, trimmed(sound)) for name, sound in SPEECH.items()))
PROMPTS = {prompt.name: prompt for prompt in LIBRARY.prompts}
SCRIPT = (
    PlannedStep("welcome", "expect", wait=6, expect=("welcome",), major=8.0),
    PlannedStep("press 2", "press", keys="2"),
    PlannedStep("enter_card", "expect", wait=9, expect=("enter_card",), major=8.0),
)
WAYS = {
    "robot": lambda line, _: robotic(line.astype(np.float32)),
    "robot, 20 dB over noise": lambda line, seed: robotic(line.astype(np.float32)) + hiss(line, -36, seed),
    "codec": vocoded,
}


def call(welcome, card, way=WAYS["robot"], seed=1):
    """Return a call on which these sounds are said, the second after our key at 6 s."""
    theirs = telephone(way(placed([(0.6, welcome), (7.0, card)], 16, seed=seed), seed))
    return Recording(RATE, np.stack([theirs, telephone(placed([(6.0, keys("2"))], 16, floor=None))]).astype(np.float32))


def judged(recording):
    return analyse(recording, SCRIPT, LIBRARY, phrases=Phrases(errors=("please try again later",)))


def results(report):
    return [step.result for step in report.steps]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", ["robot", "robot, 20 dB over noise"])
def test_a_prompt_of_a_robot_is_the_expected_one_distorted(way, seed):
    report = judged(call(PROMPTS["welcome"].samples, PROMPTS["enter_card"].samples, WAYS[way], seed))
    assert results(report) == [Result.OK] * 3
    assert [step.method for step in report.steps] == ["loudness", "", "loudness"]
    assert report.steps[0].note == "the voice is distorted"
    assert report.steps[0].at == pytest.approx(0.63, abs=0.05)
    assert "distortion" in report.quality.defects
    assert report.quality.index < POOR
    assert report.measures.hold == 0


@pytest.mark.parametrize("said", [name for name in SPEECH if name != "enter_card"])
def test_another_prompt_of_a_robot_is_not_the_expected_one(said):
    report = judged(call(PROMPTS["welcome"].samples, PROMPTS[said].samples))
    assert results(report)[:2] == [Result.OK, Result.OK]
    assert results(report)[2] is not Result.OK


@pytest.mark.parametrize("seed", range(12))
def test_other_words_and_music_are_no_distorted_prompt(seed):
    other = judged(call(PROMPTS["welcome"].samples, murmur(seed, 3.5), WAYS["robot"], seed))
    assert results(other)[2] is not Result.OK
    music = call(PROMPTS["welcome"].samples, hold_music(8), lambda line, _: line, seed)
    assert results(judged(music))[2] is Result.STILL_HOLDING


def test_a_prompt_with_another_ending_on_a_good_line_is_not_distorted():
    changed = PROMPTS["enter_card"].samples.copy()
    changed[-int(0.9 * RATE) :] = murmur(4, 0.9)
    report = judged(call(PROMPTS["welcome"].samples, changed, lambda line, _: line))
    assert report.steps[0].result is Result.OK
    assert report.steps[2].method != "loudness"


@pytest.mark.parametrize("way", WAYS)
def test_the_loudness_of_a_prompt_is_found_where_it_was_said_and_nowhere_else(way):
    for seed, (name, prompt) in enumerate(PROMPTS.items()):
        line = placed([(2.0, prompt.samples)], prompt.duration + 4, seed=seed)
        heard = Listener(telephone(WAYS[way](line, seed)).astype(np.float32))
        found = heard.likeness(prompt, 0.0, heard.duration)
        assert found.score > 0.85, name
        assert found.start == pytest.approx(2.02, abs=0.05), name
        others = {other.name: heard.likeness(other, 0.0, heard.duration).score for other in LIBRARY.prompts}
        assert max(score for other, score in others.items() if other != name) < 0.8, name


def test_where_there_is_nothing_there_is_no_likeness():
    prompt = PROMPTS["welcome"].contour
    for silent in (np.zeros(8 * RATE), np.zeros(0), np.zeros(100), hiss(np.zeros(8 * RATE), -40, 1)):
        assert best_likeness(prompt, contour(silent.astype(np.float32))).score < 0.3
    assert best_likeness(contour(np.zeros(0, np.float32)), prompt).score == 0


@pytest.mark.parametrize("name", SPEECH)
def test_a_robot_plays_no_music(name):
    sound = np.tile(np.concatenate([PROMPTS[name].samples, np.zeros(RATE // 2, np.float32)]), 3)
    assert find_music(telephone(robotic(placed([(0.5, sound)], len(sound) / RATE + 1).astype(np.float32)))) == ()


def test_music_after_a_robots_words_is_placed():
    robot = robotic(PROMPTS["welcome"].samples)
    (span,) = find_music(telephone(placed([(1.0, robot), (5.0, hold_music(12)), (18.0, robot)], 22)))
    assert span.start == pytest.approx(5.0, abs=1.6)
    assert span.end == pytest.approx(17.0, abs=1.6)
