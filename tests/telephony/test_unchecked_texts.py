import subprocess
import sys

import pytest

from earwitness.audio.words import PromptError
from earwitness.probes.call import CallSpec
from earwitness.telephony.references import unchecked_texts

SPEC = CallSpec.model_validate(
    {
        "to": "+12025550199",
        "steps": [
            {"expect": ["Welcome to Acme", "Good evening"]},
            {"press": "2"},
            {"expect": "You are through to mortgages", "misroute": ["Lost cards", "Welcome to Acme"]},
            {"listen": "5s"},
        ],
    }
)


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "welcome": "Welcome to ACME, to pay press two.",
        "mortgages": "you are thru to mortgages",
    }.items():
        (tmp_path / f"{name}.wav").write_bytes(b"")  # only the words are looked at
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "lost.txt").write_text("Lost cards")  # words alone are no recording
    return tmp_path


def test_the_texts_that_no_recording_holds_are_named_once_in_order(folder):
    assert unchecked_texts(SPEC, folder) == ["Good evening", "You are through to mortgages", "Lost cards"]


def test_the_same_words_spelt_differently_are_a_reference(folder):
    (folder / "mortgages.txt").write_text("You are throuhg to mortgages!")
    assert unchecked_texts(SPEC, folder) == ["Good evening", "Lost cards"]


def test_without_a_folder_nothing_can_be_checked():
    assert unchecked_texts(SPEC, None) == [
        "Welcome to Acme",
        "Good evening",
        "You are through to mortgages",
        "Lost cards",
    ]


def test_a_folder_that_cannot_be_read_is_named(folder):
    (folder / "welcome.txt").unlink()
    with pytest.raises(PromptError, match=r"welcome\.wav has no welcome\.txt beside it"):
        unchecked_texts(SPEC, folder)
    with pytest.raises(PromptError, match="nowhere: No such file"):
        unchecked_texts(SPEC, folder / "nowhere")


def test_it_loads_no_numpy():
    program = "import sys, earwitness.telephony.references; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
