import re
import shutil
import subprocess

import pytest
import yaml
from deploy_needs import DEPLOY, REPOSITORY, program

PROMETHEUS = DEPLOY / "prometheus"
RULES = PROMETHEUS / "earwitness.rules.yml"
UNIT_TESTS = REPOSITORY / "tests/deploy/earwitness.rules.test.yml"


def promtool(*words):
    return subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False)


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def test_promtool_takes_the_rules_and_the_example_configuration():
    for words in (("check", "rules", str(RULES)), ("check", "config", str(PROMETHEUS / "prometheus.yml"))):
        checked = promtool(*words)
        assert checked.returncode == 0, checked.stderr + checked.stdout


def test_each_alert_fires_when_it_should():
    tested = promtool("test", "rules", str(UNIT_TESTS))
    assert tested.returncode == 0, tested.stderr


@pytest.mark.parametrize("mistake", ["vector(1) < 0", "vector(1)"], ids=["never fires", "always fires"])
def test_the_unit_tests_find_a_mistake_in_any_alert(mistake, tmp_path):
    copy = tmp_path / "deploy/prometheus" / RULES.name
    shutil.copytree(PROMETHEUS, copy.parent)
    written = yaml.safe_load(copy.read_text())
    for group in written["groups"]:
        for rule in group["rules"]:
            rule["expr"] = mistake if "alert" in rule else rule["expr"]
    copy.write_text(yaml.safe_dump(written))
    (tmp_path / "tests/deploy").mkdir(parents=True)
    tested = promtool("test", "rules", shutil.copy(UNIT_TESTS, tmp_path / "tests/deploy"))
    assert tested.returncode == 1
    found = set(re.findall(r'expr: "ALERTS\{alertname=\\"(\w+)\\"', tested.stderr + tested.stdout))
    assert found == {rule["alert"] for rule in alerts()}


def test_each_alert_says_what_is_wrong_and_what_to_do():
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"Earwitness\w+", alert["alert"])
