"""Every kind of mistake, with the exact words it is answered with."""

from pathlib import Path

import pytest

from earwitness.config.load import ConfigError, load_config

CASES = sorted((Path(__file__).parent / "invalid").glob("*.yaml"))


def told_about(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={"SHOP_HOST": "user:hunter2@shop.example"} if "environment" in path.stem else {})
    return str(caught.value).replace(str(path.parent) + "/", "") + "\n"


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_each_mistake_is_answered_with_its_place_and_what_to_do(path):
    assert told_about(path) == path.with_suffix(".txt").read_text()


def test_every_file_of_the_folder_is_a_pair():
    folder = Path(__file__).parent / "invalid"
    assert {p.stem for p in folder.glob("*.txt")} == {p.stem for p in CASES}
    assert len(CASES) > 40


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_no_answer_repeats_a_secret(path):
    assert "hunter2" not in told_about(path)
