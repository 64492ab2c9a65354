"""What the documents say is still so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from earwitness.metrics import Metrics
from earwitness.probe_series import FAMILIES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_metric_is_documented_with_its_labels_and_no_other_is():
    rows = re.findall(r"^\| `(\w+)(?:\{([\w,]*)\})?` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    documented = {(name, labels, kind) for name, labels, kind in rows}
    assert documented == {(m.name, m.labels, m.kind) for m in catalogue()}


class Row:
    def __init__(self, name, kind, labels):
        self.kind, self.name = kind, name
        self.labels = ",".join(labels)


def catalogue():
    kept = Metrics().registry._collector_to_names
    named = [Row(c._name + ("_total" if c._type == "counter" else ""), c._type, c._labelnames) for c in kept]
    return [*named, *(Row(family.name, family.kind, family.labels) for family in FAMILIES)]


def test_no_label_could_hold_a_url_a_number_or_an_error_text():
    closed = {"probe", "journey", "channel", "location", "environment", "phase", "outcome", "reason", "severity"}
    closed |= {"hook", "component", "currency", "carrier", "version"}
    for row in catalogue():
        assert set(row.labels.split(",")) - {""} <= closed


def test_every_command_of_the_readme_exists():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\bearwitness (\w+)", text)) - {"is"}
    told = subprocess.run([sys.executable, "-m", "earwitness", "--help"], capture_output=True, text=True, check=True)
    for command in named:
        assert re.search(rf"\b{command}\b", told.stdout), f"README names earwitness {command}"


def test_every_make_target_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\bmake (\w+)", (ROOT / page).read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_licence_is_there_and_named():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
