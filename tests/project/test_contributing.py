"""CONTRIBUTING.md says how to add a probe kind and a hook; this walks the folders and finds what was forgotten."""

import re
from pathlib import Path

import pytest
import yaml

from earwitness.config.schema import HookSpec, ProbeSpec
from earwitness.hooks import HOOKS
from earwitness.probes import KINDS

ROOT = Path(__file__).parents[2]
NO_KINDS = {
    "__init__",
    "context",
    "base",
    "endpoint",
    "hosts",
    "leaving",
    "memo",
    "proxies",
    "replies",
}  # what stands beside the kinds
EXAMPLE = (ROOT / "config/earwitness.example.yaml").read_text()


def modules(folder):
    """Return the files of kinds; `http_spec` and the like are parts of the kind `http`."""
    stems = {p.stem for p in (ROOT / "src/earwitness" / folder).glob("*.py")} - NO_KINDS
    return {stem for stem in stems if not any(stem.startswith(f"{other}_") for other in stems)}


def test_every_file_of_a_probe_kind_is_in_the_registry():
    assert modules("probes") == KINDS.keys()


def test_every_file_of_a_hook_is_in_the_registry():
    assert modules("hooks") == HOOKS.keys()
    assert [kind.name for kind in HOOKS.values()] == list(HOOKS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_kind_has_its_section_example_and_page(kind):
    assert kind in ProbeSpec.model_fields
    assert KINDS[kind].spec in ProbeSpec.model_fields[kind].annotation.__args__
    assert any(kind in probe for probe in yaml.safe_load(EXAMPLE)["probes"].values())
    pages = {
        "http": "docs/http-probe.md",
        "call": "docs/calls.md",
        **dict.fromkeys(("tls", "dns", "tcp"), "docs/net-probes.md"),
    }
    page = pages.get(kind, f"docs/{kind}-probe.md")
    assert (ROOT / page).is_file()
    assert page in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_has_its_section_example_and_page(kind):
    assert kind in HookSpec.model_fields
    assert HOOKS[kind].spec in HookSpec.model_fields[kind].annotation.__args__
    needs_an_extra = re.search(rf"^ *# [\w-]+: {{{kind}: .* pip install", EXAMPLE, re.MULTILINE)
    assert needs_an_extra or any(kind in hook for hook in yaml.safe_load(EXAMPLE)["hooks"].values())
    assert re.search(rf"^## {kind}$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_keeps_its_secrets_as_secrets(kind):
    for name, field in HOOKS[kind].spec.model_fields.items():
        if re.search(r"secret|token|password|key", name) and not name.endswith("_file"):
            assert "Secret" in str(field.annotation), f"{kind}.{name} would be shown"
