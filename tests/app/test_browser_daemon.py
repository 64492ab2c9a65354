"""Browser probes in the running daemon: an incident that names the third party, its evidence, the page watch, and a clean end."""

import json
import os
import shutil

import psutil
import pytest
from daemon import Daemon, cli
from virtual import until

from earwitness.simulator.server import Simulator

SECRETS = {"card": "4111111111111111", "name": "Canary Holder"}
MISSING = shutil.which("chromium") is None and os.environ.get("CI") != "true"
pytestmark = pytest.mark.skipif(MISSING, reason="there is no chromium here")


def config(shop):
    steps = [
        {"open": f"{shop}/shop/card"},
        {"fill": {"Name on the card": SECRETS["name"]}},
        {"check": "I accept the terms"},
        {"fill": {"Card number": SECRETS["card"]}, "frame": "card-form"},
        {"click": "Pay now"},
        {"expect_text": "Payment accepted"},
    ]
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8", "::1/128"]},
        "dependencies": {"card-processor": {"title": "Card processor", "third_party": True, "hosts": ["localhost"]}},
        "journeys": {"pay": {"title": "Pay by card", "by": "agent"}},
        "probes": {
            "checkout": {
                "journey": "pay",
                "depends_on": ["card-processor"],
                "every": "7d",
                "browser": {"steps": steps, "step_timeout": "3s", "watch": "payment_page"},
            }
        },
    }


@pytest.fixture
async def stage(tmp_path):
    async with Simulator() as simulator:
        daemon = Daemon(tmp_path)
        daemon.configure(config(simulator.url))
        await daemon.start()
        yield simulator, daemon
        await daemon.close()


async def test_a_card_form_that_fails_is_an_incident_of_the_card_processor(stage):
    simulator, daemon = stage
    passed = await daemon.observation(await daemon.look("checkout"))
    assert passed["outcome"] == "ok", passed["findings"]
    assert passed["channel"] == "browser"
    metrics = (await daemon.api.get("/metrics")).text
    assert 'probe_browser_largest_contentful_paint_seconds{channel="browser"' in metrics
    assert "earwitness_browser_starts_total 1.0" in metrics

    listed = json.loads((await cli("baseline", "list", "--data-dir", daemon.data, "--json")).stdout)
    assert [(row["kind"], row["probe"]) for row in listed] == [("page", "checkout")]
    console = (await daemon.api.get("/")).text
    assert "Payment pages that nobody has accepted" in console
    assert "/processor/card.js, SHA-256" in console, "nobody can accept what is not shown"
    accepted = await cli("baseline", "accept", "--probe", "checkout", "--data-dir", daemon.data)
    assert accepted.stdout.startswith("accepted ")
    assert await daemon.get("baselines") == []

    simulator.faults.turn_on("shop-headers-gone")
    changed = await daemon.observation(await daemon.look("checkout"))
    assert [f["failure"] for f in changed["findings"]] == ["security_headers_changed"]
    (waiting,) = await daemon.get("baselines")
    (await daemon.api.post(f"/api/v1/baselines/{waiting['key']}/accept")).raise_for_status()
    assert (await daemon.observation(await daemon.look("checkout")))["outcome"] == "ok"

    simulator.faults.turn_on("card-form-down")
    await daemon.look("checkout")

    async def opened():
        return await daemon.get("incidents")

    (incident,) = await until(opened, 40)
    assert incident["title"] == "Card processor: agents cannot finish “Pay by card”"
    assert incident["severity"] == "sev1"
    assert {"screenshot", "har", "requests"} <= {e["kind"] for e in incident["evidence"]}
    page = (await daemon.api.get(f"/incidents/{incident['id']}")).text
    assert 'class="picture"' in page

    tree = psutil.Process(daemon.process.pid).children(recursive=True)
    assert any("chrom" in child.name() for child in tree)
    assert await daemon.stop() == 0
    await until(lambda: not any(child.is_running() for child in tree))
    kept = [file for file in daemon.data.rglob("*") if file.is_file()]
    for file in [daemon.log, *kept]:
        for secret in SECRETS.values():
            assert secret.encode() not in file.read_bytes(), file


async def test_a_missing_browser_is_told_at_load_and_impairs_the_monitor(daemon):
    made = config("http://127.0.0.1:9999")
    daemon.configure({**made, "browser": {"executable": "/nowhere/chromium"}})
    told = await cli("validate", "--config", daemon.config)
    assert told.returncode == 0
    assert "/nowhere/chromium cannot be executed" in told.stdout + told.stderr
    await daemon.start()
    seen = await daemon.observation(await daemon.look("checkout"))
    assert (seen["outcome"], seen["findings"][0]["failure"]) == ("unknown", "browser_failed")
    assert 'earwitness_monitor_impaired{component="browser"} 1.0' in (await daemon.api.get("/metrics")).text


async def test_a_browser_probe_that_a_reload_brings_gets_its_browser(daemon):
    made = {**config("http://127.0.0.1:9999"), "browser": {"executable": "/nowhere/chromium"}}
    daemon.configure(
        {**made, "probes": {"port": {"journey": "pay", "every": "7d", "tcp": {"host": "127.0.0.1", "port": 9}}}}
    )
    await daemon.start()
    daemon.reload(made)
    await until(lambda: daemon.events("reloaded"))
    seen = await daemon.observation(await daemon.look("checkout"))
    assert [f["failure"] for f in seen["findings"]] == ["browser_failed"]
    assert seen["findings"][0]["message"].startswith("/nowhere/chromium cannot be executed")
