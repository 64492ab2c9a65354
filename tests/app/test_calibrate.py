"""`earwitness calibrate`, `baseline` and `listen`, as people use them on the simulator."""

import json
import shlex
import shutil

import pytest
import yaml
from daemon import cli
from shop_config import call_config

from earwitness.audio.wav import read_wav
from earwitness.simulator import PROMPTS_DIR


@pytest.fixture
def desk(tmp_path, simulator):
    """A person's folder: a configuration without any reference recording, and the commands."""
    config = call_config(simulator.url, prompts=None)
    del config["prompts"], config["probes"]["card-web"]
    file = tmp_path / "earwitness.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))

    async def desk(*arguments, data=True):
        options = ["--data-dir", tmp_path / "data"] if data else []
        return await cli(*arguments, *options)

    desk.config, desk.folder = file, tmp_path
    return desk


async def test_one_call_fills_in_prompts_and_pauses_and_the_next_one_is_right(desk, simulator):
    first = await desk("calibrate", "--config", desk.config, "--probe", "card-phone", "--json")
    told = json.loads(first.stdout)
    assert first.returncode == 0, first.stderr
    assert len(told["proposed"]) == 3
    assert {p["probe"] for p in told["proposed"]} == {"card-phone"}
    assert {"0", "2", "4"} == set(told["timings"])
    assert 0 < told["timings"]["0"]["delay"] < 2

    listed = json.loads((await desk("baseline", "list", "--json")).stdout)
    assert len(listed) == 3
    accepted = await desk("baseline", "accept", "--probe", "card-phone")
    assert accepted.stdout.count("accepted") >= 3
    assert "no prompt or page waits" in (await desk("baseline", "list")).stdout

    second = await desk("calibrate", "--config", desk.config, "--probe", "card-phone", "--json")
    told = json.loads(second.stdout)
    assert second.returncode == 0
    assert told["observation"]["outcome"] == "ok"
    assert told["proposed"] == []
    first_call, second_call = simulator.carrier.calls.values()
    assert second_call.plan.talk < first_call.plan.talk  # the pauses are what was measured, not what was guessed


async def test_the_table_tells_what_to_do_next(desk):
    shown = await desk("calibrate", "--config", desk.config, "--probe", "card-phone")
    told = next(line for line in shown.stdout.splitlines() if "the new prompts the baseline: " in line)
    command = shlex.split(told.partition(": earwitness ")[2])
    assert "accepted" in (await cli(*command)).stdout
    assert "press ************1111#" in shown.stdout
    assert "4111111111111111" not in shown.stdout + shown.stderr


async def test_a_call_that_fails_is_said_so(desk, simulator):
    simulator.faults.turn_on("dead-air")
    failed = await desk("calibrate", "--config", desk.config, "--probe", "card-phone")
    assert failed.returncode == 1
    assert "dead_air" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("calibrate", "--config", "{config}", "--probe", "nobody"),
            2,
            "there is no call probe nobody; there are card-phone",
        ),
        (("baseline", "accept", "--probe", "card-phone"), 1, "no prompt or page of card-phone waits"),
        (("listen", "{folder}/none.wav", "--config", "{config}", "--probe", "card-phone"), 3, "cannot be read"),
        (("listen", "{config}", "--config", "{config}", "--probe", "card-phone"), 3, "cannot be judged"),
    ],
)
async def test_what_cannot_be_done_is_said_plainly(desk, arguments, code, words):
    filled = [a.format(config=desk.config, folder=desk.folder) for a in arguments]
    ended = await desk(*filled)
    assert ended.returncode == code
    assert words in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


async def test_a_recording_is_judged_apart_from_any_call(desk, simulator):
    shutil.copytree(PROMPTS_DIR, desk.folder / "prompts")
    config = yaml.safe_load(desk.config.read_text()) | {"prompts": "prompts"}
    config["probes"]["card-phone"]["call"]["steps"] = config["probes"]["card-phone"]["call"]["steps"][:3]
    desk.config.write_text(yaml.safe_dump(config))
    simulator.faults.turn_on("prompt-missing")
    failed = await desk("calibrate", "--config", desk.config, "--probe", "card-phone", "--json")
    (recording,) = [e for e in json.loads(failed.stdout)["observation"]["evidence"] if e["kind"] == "recording"]
    file = desk.folder / "data" / "evidence" / recording["sha256"][:2] / recording["sha256"]
    file = file if file.exists() else next((desk.folder / "data" / "evidence").rglob(f"*{recording['sha256']}*"))
    assert read_wav(file.read_bytes()).channels == 2
    judged = await desk("listen", file, "--config", desk.config, "--probe", "card-phone", "--json")
    assert judged.returncode == 1
    told = json.loads(judged.stdout)
    assert [f["failure"] for f in told["findings"]] == ["prompt_missing"]
    assert [step["result"] for step in told["steps"]] == ["ok", "ok", "missing"]
    shown = await desk("listen", file, "--config", desk.config, "--probe", "card-phone")
    assert "quality index" in shown.stdout


async def kept_of_a_call(desk):
    """Make one call, and save its recording and transcript as a bundle of evidence names them."""
    called = await desk("calibrate", "--config", desk.config, "--probe", "card-phone", "--json")
    kept = {}
    for evidence in json.loads(called.stdout)["observation"]["evidence"]:
        file = next((desk.folder / "data" / "evidence").rglob(f"*{evidence['sha256']}*"))
        kept[evidence["kind"]] = desk.folder / f"{called.returncode}-{evidence['kind']}.{evidence['media_type'][-3:]}"
        shutil.copy(file, kept[evidence["kind"]])
    return kept["recording"], kept["transcript"]


@pytest.mark.parametrize(
    ("fault", "alone", "code", "failures"),
    [(None, 3, 0, []), ("reworded-prompt", 1, 0, ["prompt_changed"]), ("card-processor-down", 3, 1, ["wrong_prompt"])],
)
async def test_what_was_kept_is_judged_by_the_keys_that_its_transcript_says_were_sent(
    desk, simulator, fault, alone, code, failures
):
    shutil.copytree(PROMPTS_DIR, desk.folder / "prompts")
    desk.config.write_text(yaml.safe_dump(yaml.safe_load(desk.config.read_text()) | {"prompts": "prompts"}))
    if fault:
        simulator.faults.turn_on(fault)
    recording, transcript = await kept_of_a_call(desk)
    listen = ("listen", recording, "--config", desk.config, "--probe", "card-phone", "--json")
    assert (
        await desk(*listen)
    ).returncode == alone  # the card's keys were silenced, and are not known to have been sent
    judged = await desk(*listen, "--transcript", transcript)
    assert ([f["failure"] for f in json.loads(judged.stdout)["findings"]], judged.returncode) == (failures, code)
    shutil.copy(transcript, desk.folder / "1234567890ab-call-transcript.json")
    beside = await desk(*listen)
    assert (beside.returncode, beside.stdout) == (code, judged.stdout)


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not JSON"), ("[]", "not a JSON object"), ('{"steps": []}', "no transcript of such a call")],
)
async def test_a_transcript_that_is_none_is_said_so(desk, content, words):
    recording, _ = await kept_of_a_call(desk)
    wrong = desk.folder / "wrong.json"
    wrong.write_text(content)
    ended = await desk("listen", recording, "--config", desk.config, "--probe", "card-phone", "--transcript", wrong)
    assert (ended.returncode, words in ended.stderr.replace("\n", " ")) == (3, True)
