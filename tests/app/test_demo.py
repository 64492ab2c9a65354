"""The demo keeps its promises, in front of scripts and of people."""

import json
import os
import shutil
import subprocess
import sys

import pytest

BROWSER = shutil.which("chromium") is not None or os.environ.get("CI") == "true"


def demo(*arguments, **environment):
    command = [sys.executable, "-m", "earwitness", "demo", "--exit", *arguments]
    known = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=known)


def test_the_story_passes_and_prints_json_and_nothing_else():
    played = demo("--json")
    told = json.loads(played.stdout)
    assert (played.returncode, told["scenario"], told["passed"]) == (0, "black-friday", True), played.stderr
    assert {i["severity"] for i in told["incidents"]} == {"sev1", "sev2", "sev3", "nonprod"}
    assert all(i["status"] == "resolved" for i in told["incidents"])
    founding = caused_by(told, "card-processor")
    assert founding["severity"] == "sev1"
    assert set(founding["probes"]) == {"pay-on-web", "pay-by-phone"}
    assert {"recording", "transcript", "request", "response"} <= {e["kind"] for e in founding["evidence"]}
    if BROWSER:
        assert "left_out" not in told, told
        in_browser = caused_by(told, "card-form")
        assert (in_browser["severity"], in_browser["probes"]) == ("sev1", ["checkout-in-browser"])
        assert "Card form provider" in in_browser["title"]
        assert "/processor/card.js (HTTP 503)" in in_browser["reason"]
        assert {"screenshot", "har", "requests"} <= {e["kind"] for e in in_browser["evidence"]}


def caused_by(told, dependency):
    (incident,) = [i for i in told["incidents"] if i["cause"]["dependency"] == dependency]
    return incident


@pytest.mark.parametrize(
    ("browser", "told"),
    [
        (None, "The browser's part is left out: there is no Chromium or Chrome on this machine; install one (apt-get"),
        ("#!/bin/sh\nexit 1\n", "The browser's part is left out: the browser did not start: "),
    ],
    ids=["none", "one that does not start"],
)
def test_without_a_browser_the_story_passes_and_says_what_it_leaves_out(tmp_path, browser, told):
    if browser is not None:
        (tmp_path / "chromium").write_text(browser)
        (tmp_path / "chromium").chmod(0o755)
    played = demo(PATH=str(tmp_path), PLAYWRIGHT_BROWSERS_PATH=str(tmp_path), COLUMNS="200")
    assert played.returncode == 0, played.stdout + played.stderr
    assert told in played.stdout
    assert played.stdout.count("left out") == 1
    assert "SEV1  opened  Card processor: customers cannot finish" in played.stdout
    assert "namespaces" not in played.stdout, "nothing said that it was for want of a sandbox"
    assert "card form" not in played.stdout
    assert "Every incident is resolved." in played.stdout


def test_a_scenario_that_is_not_there_is_an_error():
    played = demo("--scenario", "white-saturday")
    assert played.returncode == 1
    assert "black-friday" in played.stderr
