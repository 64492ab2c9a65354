"""The demo keeps its promises, in front of scripts and of people."""

import json
import subprocess
import sys


def demo(*arguments):
    command = [sys.executable, "-m", "earwitness", "demo", "--exit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def test_the_story_passes_and_prints_json_and_nothing_else():
    played = demo("--json")
    told = json.loads(played.stdout)
    assert (played.returncode, told["scenario"], told["passed"]) == (0, "black-friday", True), played.stderr
    by_severity = {i["severity"]: i for i in told["incidents"]}
    assert by_severity.keys() == {"sev1", "sev2", "sev3", "nonprod"}
    assert all(i["status"] == "resolved" for i in told["incidents"])
    sev1 = by_severity["sev1"]
    assert sev1["cause"]["dependency"] == "card-processor"
    assert set(sev1["probes"]) == {"pay-on-web", "pay-by-phone"}
    assert {"recording", "transcript", "request", "response"} <= {e["kind"] for e in sev1["evidence"]}


def test_a_scenario_that_is_not_there_is_an_error():
    played = demo("--scenario", "white-saturday")
    assert played.returncode == 1
    assert "black-friday" in played.stderr
