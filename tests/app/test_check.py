"""`earwitness check`, as a pipeline runs it."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from daemon import PATIENCE, PROGRAM, cli
from shop_config import call_config, call_probe, web_config
from web_servers import hang, raw_server


@pytest.fixture
def check(tmp_path):
    """Write a configuration and run the command on it."""

    async def check(config, *arguments):
        file = tmp_path / "earwitness.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        return await cli("check", "--config", file, *arguments)

    return check


def pages(simulator):
    config = web_config(simulator.url, pages=("card", "bank", "staging"))
    config["journeys"]["pay-staging"]["environment"] = "staging"
    return config


async def dialled(simulator, http):
    return len((await http.get(f"{simulator.url}/calls")).json())


async def test_all_passed_is_0_and_a_finding_is_1(check, simulator):
    passed = await check(pages(simulator))
    assert passed.returncode == 0, passed.stderr
    assert all(name in passed.stdout for name in ("card-web", "bank-web", "staging-web"))
    simulator.faults.turn_on("card-processor-down")
    failed = await check(pages(simulator), "--json")
    assert failed.returncode == 1
    outcomes = {o["probe"]: o["outcome"] for o in json.loads(failed.stdout)}
    assert outcomes == {"card-web": "finding", "bank-web": "ok", "staging-web": "ok"}


def is_kept(told, folder):
    """Whether the file is there, as it was told, and nobody else may read it."""
    file = Path(told["url"])
    mine = file.stat().st_mode & 0o077 == 0
    return mine and file == folder / told["name"] and hashlib.sha256(file.read_bytes()).hexdigest() == told["sha256"]


async def test_evidence_is_kept_where_somebody_wants_it(check, simulator, tmp_path):
    simulator.faults.turn_on("card-processor-down")
    without = await check(pages(simulator), "--probe", "card-web")
    assert "--evidence DIR keeps them" in without.stdout
    folder = tmp_path / "evidence"
    told = await check(pages(simulator), "--probe", "card-web", "--json", "--evidence", folder)
    runs = json.loads(told.stdout)
    assert len(runs) == 2
    for run in runs:
        assert run["evidence"]
        assert all(is_kept(file, folder / "card-web" / run["run"]) for file in run["evidence"])
    shown = await check(pages(simulator), "--probe", "card-web", "--evidence", folder)
    assert f"evidence: {folder}/card-web/" in shown.stdout
    assert "--evidence" not in shown.stdout
    (tmp_path / "taken").write_text("")
    refused = await check(pages(simulator), "--probe", "card-web", "--evidence", tmp_path / "taken")
    assert (refused.returncode, "evidence cannot be kept in" in refused.stderr) == (3, True)


async def test_an_address_in_a_narrow_terminal_is_whole(check, simulator):
    config = pages(simulator)
    path = "/a-path-that-is-longer-than-the-column/of-the-table/and-must-not-be-cut"
    config["probes"]["card-web"]["http"] |= {"url": f"{simulator.url}/shop{path}", "expect": {"redirect_to": path}}
    seen = await check(config, "--probe", "card-web")
    assert "…" not in seen.stdout


async def test_what_the_monitor_could_not_tell_is_3_unless_something_was_found(check, simulator):
    config = pages(simulator)
    config["probes"]["bank-web"]["http"]["url"] = "http://10.0.0.1/"  # private, and not allowed
    unknown = await check(config, "--json")
    assert unknown.returncode == 3
    (finding,) = next(o["findings"] for o in json.loads(unknown.stdout) if o["probe"] == "bank-web")
    assert finding["failure"] == "address_refused"
    simulator.faults.turn_on("staging-down")
    assert (await check(config)).returncode == 1


async def test_probes_are_chosen_by_name_and_by_environment_and_repeated(check, simulator):
    async def ran(*arguments):
        ended = await check(pages(simulator), "--json", *arguments)
        assert ended.returncode == 0, ended.stderr
        return sorted(o["probe"] for o in json.loads(ended.stdout))

    assert await ran("--environment", "staging") == ["staging-web"]
    assert await ran("--probe", "bank-web", "--probe", "card-web") == ["bank-web", "card-web"]
    assert await ran("--probe", "bank-web", "--repeat", "3", "--concurrent", "2") == ["bank-web"] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--probe", "nobody"), "there is no probe nobody; there are card-web, bank-web, staging-web"),
        (("--environment", "nowhere"), "no probe belongs to the environment nowhere; there are production, staging"),
        (
            ("--probe", "card-web", "--environment", "staging"),
            "none of these probes belongs to the environment staging",
        ),
        (("--rate", "many"), "'many' is no rate; write runs in a time, such as 5/s"),
        (("--rate", "0/s"), "'0/s' is no rate"),
        (("--fail-on", "sev1"), "--fail-on takes finding, incident, diverted, blocked; not sev1"),
        (("--test-window", "Load test!"), "'Load test!' is no name for a test"),
        (("--max-spend", "much"), "'much' is not an amount of money"),
    ],
)
async def test_a_selection_that_makes_no_sense_is_2(check, simulator, arguments, words):
    ended = await check(pages(simulator), *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_bad_configuration_is_2(check, simulator):
    ended = await check({**pages(simulator), "probs": {}}, "--json")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "probs: is not a known key; did you mean probes?" in ended.stderr


async def test_the_junit_report_tells_failures_from_errors(check, simulator, tmp_path):
    simulator.faults.turn_on("card-processor-down")
    config = pages(simulator)
    config["probes"]["bank-web"]["http"]["url"] = "http://10.0.0.1/"
    ended = await check(config, "--junit", tmp_path / "report.xml")
    assert ended.returncode == 1
    suite = ET.parse(tmp_path / "report.xml").getroot()
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["3", "1", "1", "0"]
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"card-web": ["failure"], "bank-web": ["error"], "staging-web": []}
    assert "502" in suite.find(".//failure").get("message")


def shop(simulator, workaround="pay-bank"):
    """The card can be paid for by bank, too."""
    config = web_config(simulator.url)
    config["journeys"]["pay-card"]["workaround"] = workaround
    return config


async def judgements(check, config, *arguments):
    ended = await check(config, "--json", *arguments)
    return ended.returncode, json.loads(ended.stdout)


async def test_what_fails_is_judged_as_the_daemon_would(check, simulator):
    simulator.faults.turn_on("card-processor-down")
    code, runs = await judgements(check, shop(simulator), "--probe", "card-web")
    assert [(o["probe"], o["why"]) for o in runs] == [
        ("card-web", "manual"),
        ("card-web", "confirm"),
        ("bank-web", "workaround"),
    ]
    said = runs[0]["judgement"]
    assert (code, said["severity"], said["argument"]["rule"]) == (
        1,
        "sev2",
        "default: blocked, but a workaround passes",
    )
    assert "bank-web" in said["reason"]
    assert runs[2]["judgement"] is None
    simulator.faults.turn_on("bank-down")
    _, runs = await judgements(check, shop(simulator), "--probe", "card-web")
    assert runs[0]["judgement"]["severity"] == "sev1"


async def test_a_pipeline_reads_the_severity_and_the_reason(check, simulator, tmp_path):
    simulator.faults.turn_on("card-processor-down")
    ended = await check(shop(simulator), "--junit", tmp_path / "report.xml")
    failure = ET.parse(tmp_path / "report.xml").getroot().find(".//failure")
    assert failure.get("type") == "sev2"
    assert "a workaround passes" in failure.text
    assert "Sev2: " in ended.stdout
    assert failure.text in ended.stdout


async def test_another_environment_makes_a_defect(check, simulator):
    simulator.faults.turn_on("staging-down")
    code, runs = await judgements(check, pages(simulator), "--environment", "staging")
    assert (code, runs[0]["judgement"]["severity"]) == (1, "nonprod")


async def test_what_a_test_finds_is_a_defect_and_names_the_test(check, simulator):
    simulator.faults.turn_on("card-processor-down")
    window = ("--test-window", "recovery-drill", "--repeat", "5", "--probe", "card-web")
    code, runs = await judgements(check, shop(simulator), *window)
    assert code == 1
    assert {o["environment"] for o in runs} == {"recovery-drill"}
    assert {o["judgement"]["severity"] for o in runs if o["probe"] == "card-web"} == {"nonprod"}


@pytest.mark.parametrize("concurrent", [6, 5])
async def test_a_load_test_runs_one_probe_many_times_at_once(check, simulator, concurrent):
    waiting, enough, peak = set(), asyncio.Event(), 0

    async def answer_when_so_many_have_come(reader, writer):
        nonlocal peak
        await reader.readuntil(b"\r\n\r\n")
        waiting.add(writer)
        peak = max(peak, len(waiting))
        if peak >= concurrent:
            enough.set()
        await enough.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        waiting.remove(writer)

    async with raw_server(answer_when_so_many_have_come) as port:
        config = shop(simulator)
        config["probes"]["card-web"] |= {"every": "1m"}
        config["probes"]["card-web"]["http"] |= {"url": f"http://127.0.0.1:{port}/", "timeout": "15s"}
        ended = await check(config, "--probe", "card-web", "--repeat", "6", "--concurrent", str(concurrent))
    assert (ended.returncode, peak) == (0, concurrent), ended.stdout
    assert ended.stdout.count("│ card-web") == 1, "a line a probe, not a line a run"


async def test_a_load_test_is_no_faster_than_it_may_be(check, simulator):
    code, runs = await judgements(check, shop(simulator), "--probe", "card-web", "--repeat", "3", "--rate", "2/s")
    began = sorted(datetime.fromisoformat(o["started_at"]) for o in runs)
    assert (code, len(began)) == (0, 3)
    assert (began[-1] - began[0]).total_seconds() > 0.5


@pytest.mark.parametrize(("fail_on", "code"), [("finding", 1), ("incident", 0), ("blocked", 0)])
async def test_a_nuisance_once_need_not_stop_a_pipeline(check, simulator, fail_on, code):
    config = shop(simulator)
    simulator.faults.turn_on("card-processor-down")
    config["effects"] = {"wrong_status": "nuisance"}
    ended = await check(config, "--fail-on", fail_on)
    assert ended.returncode == code
    assert "not confirmed by further runs" in ended.stdout


async def test_what_failed_and_passes_again_during_the_runs_was_an_incident(check, simulator):
    left = iter(range(1000))

    async def fail_six_times(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        status = b"503 Busy" if next(left) < 6 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()

    config = shop(simulator)
    async with raw_server(fail_six_times) as port:
        config["probes"]["card-web"]["http"] |= {"url": f"http://127.0.0.1:{port}/"}
        many = ("--probe", "card-web", "--repeat", "12", "--concurrent", "1", "--fail-on", "incident")
        ended = await check(config, *many)
    assert ended.returncode == 1, ended.stdout
    assert "not confirmed" not in ended.stdout


async def test_a_workaround_that_telephones_is_not_called_without_leave(check, simulator, http):
    config = call_config(simulator.url, probes={"card-phone": call_probe()})
    config["probes"]["web"] = web_config(simulator.url)["probes"]["card-web"] | {"journey": "shop"}
    config["journeys"]["shop"] = {"workaround": ["card-phone"]}
    simulator.faults.turn_on("card-processor-down")
    code, runs = await judgements(check, config, "--probe", "web")
    assert (code, [o["why"] for o in runs]) == (1, ["manual", "confirm"])
    assert await dialled(simulator, http) == 0
    _, runs = await judgements(check, config, "--probe", "web", "--max-spend", "1 USD")
    assert [(o["probe"], o["why"]) for o in runs[2:]] == [("card-phone", "workaround"), ("card-phone", "confirm")]
    assert await dialled(simulator, http) == 2


async def test_a_report_that_cannot_be_written_is_no_finding(check, simulator, tmp_path):
    ended = await check(pages(simulator), "--junit", tmp_path / "none" / "report.xml")
    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr


async def test_calls_need_to_be_told_what_they_may_cost(check, simulator, http):
    ended = await check(call_config(simulator.url))
    assert ended.returncode == 2
    assert "card-phone telephones, which costs money; give --max-spend" in ended.stderr
    assert await dialled(simulator, http) == 0


async def test_calls_are_made_within_what_they_may_cost(check, simulator, http):
    config = call_config(simulator.url, probes={"card-phone": call_probe()})
    refused = await check(config, "--max-spend", "0.01 USD", "--json")
    assert refused.returncode == 3
    assert [o["skipped"] for o in json.loads(refused.stdout)] == ["over_budget"]
    assert await dialled(simulator, http) == 0
    allowed = await check(config, "--max-spend", "0.03 USD", "--json")
    assert allowed.returncode == 0, allowed.stdout
    assert await dialled(simulator, http) == 1
    other_money = await check(config, "--max-spend", "5 EUR", "--json")
    assert (other_money.returncode, await dialled(simulator, http)) == (3, 1)


async def test_calls_spend_from_the_ledger_of_the_daemon(check, daemon, simulator, http):
    budget = {"budget": {"per_day": "0.03 USD", "keep_for_confirmation": "0%"}}
    config = call_config(simulator.url, probes={"card-phone": call_probe()}, **budget)
    daemon.configure(config)
    await daemon.start()
    first = await check(config, "--data-dir", daemon.data, "--json")
    assert first.returncode == 0, first.stderr
    await daemon.shows(0.016, "earwitness_call_budget_remaining", currency="USD")
    second = await check(config, "--data-dir", daemon.data, "--json")
    assert second.returncode == 3
    assert await dialled(simulator, http) == 1
    run = await daemon.observation(await daemon.look("card-phone"))
    assert (run["outcome"], run["skipped"]) == ("skipped", "over_budget")
    await daemon.shows(1, "earwitness_monitor_impaired", component="budget")
    assert await dialled(simulator, http) == 1
    assert await daemon.get("incidents") == []


async def test_a_damaged_ledger_is_told_in_plain_words(check, simulator, http, tmp_path):
    (tmp_path / "earwitness.db").write_bytes(b"this is no database" * 100)
    config = call_config(simulator.url, probes={"card-phone": call_probe()})
    ended = await check(config, "--data-dir", tmp_path)
    assert ended.returncode == 3
    assert str(tmp_path / "earwitness.db") in ended.stderr
    assert "Traceback" not in ended.stderr
    assert await dialled(simulator, http) == 0


def _http(url):
    steps = [{"name": "pay", "url": f"{url}/pay"}, {"name": "logout", "url": f"{url}/logout", "always": True}]
    return {"http": {"steps": steps, "allow": ["127.0.0.0/8"], "timeout": "30s"}}


def _browser(url):
    steps = [{"open": f"{url}/pay", "timeout": "30s"}, {"open": f"{url}/logout", "always": True}]
    return {"browser": {"steps": steps, "allow": ["127.0.0.0/8"]}}


BROWSER = pytest.param(
    _browser,
    marks=pytest.mark.skipif(
        shutil.which("chromium") is None and os.environ.get("CI") != "true", reason="there is no chromium here"
    ),
)


@pytest.mark.parametrize("kind", [_http, BROWSER])
async def test_a_check_that_is_interrupted_cleans_up_after_its_flows(tmp_path, kind):
    heard, paying = [], asyncio.Event()

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        heard.append(path)
        if path == b"/pay":
            paying.set()
            await hang(reader, writer)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()

    async with raw_server(serve) as port:
        probe = {"journey": "pay", "every": "7d", **kind(f"http://127.0.0.1:{port}")}
        config = tmp_path / "earwitness.yaml"
        config.write_text(
            yaml.safe_dump({"environment": "production", "journeys": {"pay": {}}, "probes": {"p": probe}})
        )
        process = await asyncio.create_subprocess_exec(PROGRAM, "check", "--config", config, stderr=subprocess.PIPE)
        try:
            async with asyncio.timeout(PATIENCE):
                await paying.wait()
                process.send_signal(signal.SIGINT)
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.wait_for(process.wait(), PATIENCE)
    assert [path for path in heard if path in (b"/pay", b"/logout")] == [b"/pay", b"/logout"], said.decode()
    assert b"Traceback" not in said
