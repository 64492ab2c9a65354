import os

import pytest
from murmurs import murmur, placed

from earwitness.audio.prompts import load_prompts
from earwitness.audio.wav import write_wav
from earwitness.audio.words import PromptError, normalise


@pytest.fixture
def folder(tmp_path):
    for seed, (name, text) in enumerate(
        {
            "greeting": "Welcome to Acme. To pay a bill, press two.",
            "accepted": "Your payment was accepted.",
            "refused": "We are sorry, your payment could not be taken. Please try again later.",
            "received": "Your payment was accepted",
        }.items()
    ):
        (tmp_path / f"{name}.wav").write_bytes(write_wav(placed([(0.7, murmur(seed, 2.0))], 4), 8000, mulaw=True))
        (tmp_path / f"{name}.txt").write_text(text + "\n")
    return tmp_path


def names(prompts):
    return [prompt.name for prompt in prompts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("your payment was ACCEPTED!", ["accepted", "received"]),
        ("Welcome to Acme", ["greeting"]),
        ("Welcome to Acme, to pay a bill press 2", ["greeting"]),
        ("Welcome to Acme, to pay a bill press 3", []),
        ("Your payment was not accepted", []),
        ("Your payment was rejected", []),
        ("Welcom to Acme. To pay a bill, press two", ["greeting"]),
        ("Please enter your card number", []),
        ("accept", []),
    ],
)
def test_the_reference_is_looked_up_by_its_words(folder, text, found):
    assert names(load_prompts(folder).find(text)) == found


def test_error_prompts_are_found_by_the_phrases_they_say(folder):
    assert names(load_prompts(folder).saying(["Please try again later", "technical difficulties"])) == ["refused"]


def test_references_are_without_the_silence_around_them(folder):
    (prompt,) = load_prompts(folder).find("Welcome to Acme")
    assert prompt.duration == pytest.approx(2.0, abs=0.1)


def test_the_library_is_read_once_and_again_when_a_file_changes(folder):
    first = load_prompts(folder)
    assert all(a is b for a, b in zip(load_prompts(folder).prompts, first.prompts, strict=True))
    (folder / "accepted.txt").write_text("Thank you.")
    os.utime(folder / "accepted.txt", (1, 1))
    assert names(load_prompts(folder).find("Thank you")) == ["accepted"]


def test_no_folder_is_an_empty_library():
    assert load_prompts().find("anything") == ()


def test_words_are_compared_without_case_punctuation_and_spacing():
    assert normalise("  We're  SORRY -- please, try again. ") == "were sorry please try again"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("greeting.txt", None, "no greeting.txt beside it"),
        ("greeting.txt", b" ... ", "holds no words"),
        ("greeting.wav", b"<html>", "web page"),
        ("greeting.txt", b"\xff\xfe\xff", "cannot read the prompt"),
        ("greeting.wav", write_wav(murmur(1, 0.3), 8000), "needs 0.5s"),
    ],
)
def test_a_library_that_cannot_be_used_names_the_file(folder, name, content, said):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(PromptError, match=said):
        load_prompts(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(PromptError, match="No such file"):
        load_prompts(tmp_path / "nowhere")
