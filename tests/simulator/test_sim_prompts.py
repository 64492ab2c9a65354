import subprocess
import sys

import numpy as np
import pytest
from simulated_calls import RATE, level, reference

from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.centre import LINES
from earwitness.simulator.menu import Announce, Collect, Hold, Menu
from earwitness.simulator.routing import ANSWERED_BY
from earwitness.simulator.voice import UNFORESEEN_DIR, PromptError, murmur, recorded_prompts
from earwitness.simulator.wording import OTHER_VOICES, REWORDED, UNFORESEEN, WORDING

EVERYTHING = {**WORDING, **UNFORESEEN}


@pytest.mark.parametrize(("folder", "table"), [(PROMPTS_DIR, WORDING), (UNFORESEEN_DIR, UNFORESEEN)])
def test_each_folder_holds_exactly_its_table(folder, table):
    words = {path.stem: path.read_text().strip() for path in folder.glob("*.txt")}
    assert words == dict(table)
    assert {path.stem for path in folder.glob("*.wav")} == set(table)


def test_what_is_unforeseen_is_no_prompt_and_says_something_else():
    assert not set(WORDING) & set(UNFORESEEN)
    assert len(set(EVERYTHING.values())) == len(EVERYTHING)
    assert {f"{name}_reworded" for name in REWORDED} <= set(UNFORESEEN)
    assert set(OTHER_VOICES) <= set(UNFORESEEN)


def test_the_folders_are_small_enough_to_ship():
    assert sum(path.stat().st_size for folder in (PROMPTS_DIR, UNFORESEEN_DIR) for path in folder.iterdir()) <= 1.2e6


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_prompt_is_speech_of_a_plausible_length_and_level(name):
    sound = reference(name)
    assert 0.04 < len(sound) / RATE / len(EVERYTHING[name]) < 0.11
    assert -25 < level(sound) < -18
    assert np.abs(sound).max() < 0.9


def test_no_two_prompts_are_the_same_sound():
    assert len({reference(name).tobytes() for name in EVERYTHING}) == len(EVERYTHING)


def test_every_node_leads_somewhere_and_says_what_the_table_has():
    for centre in [*(line.centre for line in LINES.values() if line.centre), *ANSWERED_BY.values()]:
        for node in centre.nodes.values():
            said = [getattr(node, name) for name in ("prompt", "refusal", "announcement") if hasattr(node, name)]
            assert set(said) <= set(EVERYTHING)
            following = [
                getattr(node, name) for name in ("then", "otherwise", "up", "down", "wrong") if hasattr(node, name)
            ]
            following += list(node.choices.values()) if isinstance(node, Menu) else []
            assert set(following) <= set(centre.nodes)
            assert not isinstance(node, Announce | Menu | Collect | Hold) or said


def test_a_folder_without_prompts_is_refused(tmp_path):
    with pytest.raises(PromptError, match=r"holds no NAME\.wav"):
        recorded_prompts(tmp_path)


def test_a_prompt_that_is_no_wav_is_named(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"<html>")
    with pytest.raises(PromptError, match=r"broken\.wav"):
        recorded_prompts(tmp_path)


def test_a_murmur_lasts_as_long_as_the_words_would():
    text = "I would like to speak to a representative please"
    assert 2.0 < len(murmur(text)) / RATE < 5.0
    assert level(murmur(text)) == pytest.approx(-21, abs=3)


def test_without_an_engine_free_text_is_a_murmur():
    code = (
        "import os, numpy; os.environ['PATH'] = ''\n"
        "from earwitness.simulator.voice import spoken, murmur\n"
        "assert numpy.array_equal(spoken('hello there'), murmur('hello there'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
