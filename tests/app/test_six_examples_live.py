"""The six examples that define the levels, from a fault in the contact centre or the shop to the incident in the API.

Examples 3, 4 and 6 and a failure in staging are the demo's, and proved in test_demo.py; here are the others.
"""

import pytest
from daemon import Daemon
from shop_config import CENTRE, PAY_STEPS, carrier
from virtual import until

from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.server import Simulator


def config(url):
    call = {"to": CENTRE, "ring_timeout": "10s", "length_limit": "100s", "steps": PAY_STEPS}
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "carriers": {"main": carrier(url)},
        "dial": {"allow": [CENTRE]},
        "prompts": str(PROMPTS_DIR),
        "dependencies": {"crm": {"title": "CRM"}, "second-site": {"title": "Second site"}},
        "journeys": {
            "self-service": {"title": "Pay in the IVR"},
            "find-customer": {"title": "Open a customer's record", "owner": "agents"},
            "fail-over": {"title": "Pay at the second site", "environment": "load-test"},
        },
        "probes": {
            "ivr": {"journey": "self-service", "every": "10m", "call": call},
            "record": _page(url, "/crm/customers/1001", "find-customer", "crm"),
            "second-site": _page(url, "/staging/shop/pay", "fail-over", "second-site"),
        },
    }


def _page(url, path, journey, dependency):
    http = {"url": url + path, "timeout": "900ms", "expect": {"status": 200}}
    return {"journey": journey, "depends_on": [dependency], "every": "1s", "http": http}


@pytest.fixture
async def stage(tmp_path):
    async with Simulator(speed=40) as simulator:
        daemon = Daemon(tmp_path)
        daemon.configure(config(simulator.url))
        await daemon.start()
        try:
            yield simulator, daemon
        finally:
            await daemon.close()


async def test_prompt_missing_and_crm_down_are_sev1_and_a_failed_fail_over_in_a_load_test_is_a_defect(stage):
    simulator, daemon = stage
    for fault in ("prompt-missing", "crm-down", "staging-down"):
        simulator.faults.turn_on(fault)
    (await daemon.api.post("/api/v1/probes/ivr/run")).raise_for_status()

    async def opened():
        found = (await daemon.api.get("/api/v1/incidents")).json()
        return len(found) == 3 and {i["probes"][0]: i for i in found}

    incidents = await until(opened, 40)
    assert {name: i["severity"] for name, i in incidents.items()} == {
        "ivr": "sev1",
        "record": "sev1",
        "second-site": "nonprod",
    }
    assert incidents["record"]["cause"]["dependency"] == "crm"
    assert "Please enter your card number" in incidents["ivr"]["reason"]
    assert "recording" in {e["kind"] for e in incidents["ivr"]["evidence"]}
    assert "not production" in incidents["second-site"]["reason"]
