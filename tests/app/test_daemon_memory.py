"""What a daemon holds in memory for nothing: the packages that its configuration does not need."""

import re

import pytest
import yaml
from daemon import SECRET, run_cli
from nginx_shop import nginx_shop
from shop_config import web_config

_FOR_OTHERS = {
    "alembic": "older databases",
    "sqlalchemy.orm": "nobody",
    "sqlalchemy.dialects.postgresql": "PostgreSQL",
    "dns": "DNS probes",
    "cryptography": "TLS probes, and certificates of our own",
    "OpenSSL": "TLS probes",
    "selectolax": "forms",
    "phonenumbers": "calls",
    "rapidfuzz": "calls, and configurations with slips",
    "numpy": "calls",
    "scipy": "calls",
    "twilio": "calls",
    "playwright": "browser probes",
    "jinja2": "templates, and pages that somebody looks at",
    "apprise": "announcements",
    "holidays": "calendars with public holidays",
    "greenlet._greenlet": "browser probes",
    "rich.text": "commands in a terminal",
    "pygments.util": "commands in a terminal",
}


@pytest.fixture
def told_of_imports(monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")


@pytest.fixture
def secure_shop(tmp_path):
    with nginx_shop(tmp_path, ["card"]) as running:
        yield running


def imported(log):
    """The modules that a program has imported, or tried to, as Python itself tells."""
    return set(re.findall(r"^import time: .*\| +(\S+)$", log, re.MULTILINE))


@pytest.mark.usefixtures("told_of_imports")
async def test_a_daemon_with_web_probes_alone_loads_no_package_of_other_probes(daemon, secure_shop):
    probe = {
        "journey": "pay",
        "every": "1s",
        "http": {"url": secure_shop.url("card"), "resolve": "127.0.0.1", "timeout": "900ms"},
    }
    network = {"allow": ["127.0.0.0/8"], "ca_file": str(secure_shop.ca_file)}
    probes = {"card-web": probe}
    daemon.configure({"environment": "production", "network": network, "journeys": {"pay": {}}, "probes": probes})
    await daemon.start()
    await daemon.passes("card-web")
    loaded = imported(daemon.log.read_text())
    assert {"httpx", "sqlalchemy", "earwitness.probes.http"} <= loaded
    assert {name: whose for name, whose in _FOR_OTHERS.items() if name in loaded} == {}


@pytest.mark.usefixtures("told_of_imports")
async def test_what_was_not_loaded_is_there_when_somebody_looks(daemon, simulator):
    daemon.configure(web_config(simulator.url, pages=("card",)))
    await daemon.start()
    assert (await daemon.api.get("/")).status_code == 200
    assert "jinja2" in imported(daemon.log.read_text())


WITH_THEIR_SECTION = {
    "a TLS probe": ({"tls": {"host": "shop.example", "timeout": "500ms"}}, {}, "earwitness.probes.tls_looking"),
    "a capture from a form": (
        {
            "http": {
                "timeout": "500ms",
                "steps": [
                    {"url": "http://shop.example/", "name": "open", "capture": {"token": {"form": "csrf"}}},
                    {"url": "http://shop.example/pay", "name": "pay", "headers": {"x-token": "{{ token }}"}},
                ],
            }
        },
        {},
        "selectolax.lexbor",
    ),
    "a DNS probe": ({"dns": {"name": "shop.example", "timeout": "500ms"}}, {}, "earwitness.probes.dns_asking"),
    "a template": (
        {"http": {"url": "http://shop.example/", "timeout": "500ms"}},
        {
            "on-call": {
                "webhook": {"url": "http://alerts.example/", "secret": SECRET},
                "template": {"title": "{{ title }}"},
            }
        },
        "jinja2",
    ),
}


@pytest.mark.usefixtures("told_of_imports")
@pytest.mark.parametrize("case", WITH_THEIR_SECTION)
def test_no_run_and_no_alert_waits_for_what_its_section_needs(case, tmp_path):
    probe, hooks, module = WITH_THEIR_SECTION[case]
    config = {
        "environment": "production",
        "journeys": {"pay": {}},
        "probes": {"one": {"journey": "pay", "every": "1s", **probe}},
        "hooks": hooks,
    }
    (tmp_path / "earwitness.yaml").write_text(yaml.safe_dump(config))
    done = run_cli("validate", "--config", tmp_path / "earwitness.yaml")
    assert done.returncode == 0, done.stderr
    assert module in imported(done.stderr)
