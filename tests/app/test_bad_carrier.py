"""What the carrier breaks is the monitor's impairment: it is shown, opens no incident, and is over when it is mended."""

import contextlib

import pytest
from shop_config import call_config, call_probe, carrier

from earwitness.simulator.server import Simulator

UNREACHABLE = ("twilio-down", "twilio-500", "twilio-429", "twilio-html")
FAILURES = {
    **dict.fromkeys(UNREACHABLE, "carrier_api_failed"),
    "twilio-auth": "account_refused",
    "account-suspended": "account_refused",
    "recording-absent": "recording_missing",
    "recording-truncated": "recording_unreadable",
}
COMPONENTS = ("carrier", "recordings")


@pytest.fixture
async def carriers():
    """A simulated carrier for each fault, so that all of them can be broken at once."""
    async with contextlib.AsyncExitStack() as stack:
        yield {fault: await stack.enter_async_context(Simulator(speed=40)) for fault in FAILURES}


@pytest.fixture
async def phones(daemon, carriers):
    """A daemon with a probe for each carrier, and their names."""
    config = call_config("", probes={name: call_probe(carrier=name) for name in carriers})
    config["carriers"] = {name: carrier(simulator.url) for name, simulator in carriers.items()}
    daemon.configure({**config, "incidents": {"open_after": 1}})
    await daemon.start()
    return daemon


async def look_everywhere(daemon):
    """Return what each probe sees now."""
    runs = {name: await daemon.look(name) for name in FAILURES}
    return {name: await daemon.observation(run) for name, run in runs.items()}


async def impaired(daemon):
    metrics = await daemon.metrics()
    return {c for c in COMPONENTS if metrics.value("earwitness_monitor_impaired", component=c) == 1}


async def test_a_broken_carrier_is_unknown_impairs_the_monitor_and_opens_no_incident(phones, carriers):
    for fault, simulator in carriers.items():
        simulator.faults.turn_on(fault)
    for fault, seen in (await look_everywhere(phones)).items():
        assert seen["outcome"] == "unknown", (fault, seen["findings"])
        assert [f["failure"] for f in seen["findings"]] == [FAILURES[fault]], fault
        assert {f["attribution"] for f in seen["findings"]} <= {"monitor", "unknown"}, fault
    assert await impaired(phones) == set(COMPONENTS)
    assert (await phones.metrics()).all("probe_success") == []
    assert {p["outcome"] for p in await phones.get("probes")} == {None}
    assert await phones.get("incidents") == []
    assert "The monitor itself is impaired: carrier, recordings" in (await phones.api.get("/")).text
    assert [len(carriers[fault].carrier.calls) for fault in UNREACHABLE] == [0] * len(UNREACHABLE)

    for fault, simulator in carriers.items():
        simulator.faults.turn_off(fault)
    assert {seen["outcome"] for seen in (await look_everywhere(phones)).values()} == {"ok"}
    assert await impaired(phones) == set()
    assert await phones.get("incidents") == []
