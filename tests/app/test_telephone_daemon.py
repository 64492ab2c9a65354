"""The telephone alone, in the running daemon: confirmed from another number, controlled at a known-good one, live and recorded."""

import pytest
from daemon import Daemon
from shop_config import CENTRE, PAY_STEPS, carrier
from virtual import until

from earwitness.simulator import PROMPTS_DIR
from earwitness.simulator.server import Simulator

TEST_LINE = "+12025550100"
SECOND = "+12025550144"


def config(simulator, daemon_url, **call):
    account = carrier(simulator.url, control={"to": TEST_LINE, "expect": "This is the Acme test line"})
    account["twilio"]["from"] = ["+12025550143", SECOND]
    account["twilio"]["public_url"] = daemon_url
    spec = {"to": CENTRE, "ring_timeout": "10s", "length_limit": "100s", "steps": PAY_STEPS, **call}
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "carriers": {"main": account},
        "dial": {"allow": [CENTRE, TEST_LINE]},
        "prompts": str(PROMPTS_DIR),
        "journeys": {"pay-card": {"title": "Pay by card", "budget_per_day": "5 USD"}},
        "probes": {"phone": {"journey": "pay-card", "every": "7d", "call": spec}},
    }


@pytest.fixture
async def stage(tmp_path):
    """Return a function that starts a daemon on the simulator with a call of its own."""
    async with Simulator(speed=30) as simulator:
        daemon = Daemon(tmp_path)

        async def start(**call):
            daemon.configure(config(simulator, daemon.url, **call))
            await daemon.start()
            return simulator, daemon

        yield start
        await daemon.close()


async def look(daemon):
    (await daemon.api.post("/api/v1/probes/phone/run")).raise_for_status()


async def runs(daemon):
    """Return the runs that ended, by why they were made."""
    return {run["why"]: run for run in (await daemon.api.get("/api/v1/runs")).json()}


async def incidents(daemon):
    return (await daemon.api.get("/api/v1/incidents")).json()


async def test_a_busy_number_is_confirmed_from_another_and_controlled_before_it_is_a_sev1(stage):
    simulator, daemon = await stage()
    simulator.faults.turn_on("line-busy")
    await look(daemon)
    await until(lambda: incidents(daemon))
    (incident,) = await incidents(daemon)
    assert incident["severity"] == "sev1"
    assert f"from {SECOND} through main failed (busy)" in incident["reason"]
    assert (
        "the control call to a known-good number passed. The fault lies with the number called." in incident["reason"]
    )
    made = await runs(daemon)
    assert set(made) == {"manual", "confirm", "control"}
    assert made["confirm"]["facts"]["from"] == SECOND
    assert made["control"]["facts"]["to"] == TEST_LINE
    assert made["control"]["facts"]["from"] == made["manual"]["facts"]["from"]


async def test_a_carrier_that_reaches_nobody_is_our_own_trouble_and_no_incident(stage):
    simulator, daemon = await stage()
    simulator.faults.turn_on("carrier-down")
    await look(daemon)

    async def all_made():
        return set(await runs(daemon)) == {"manual", "confirm", "control"}

    await until(all_made)
    assert await incidents(daemon) == []
    metrics = (await daemon.api.get("/metrics")).text
    assert 'earwitness_monitor_impaired{component="carrier"} 1.0' in metrics
    assert 'earwitness_carrier_control_success{carrier="main"} 0.0' in metrics


async def test_a_live_probe_runs_in_the_daemon_through_its_own_web_server(stage):
    _, daemon = await stage(driver="live", steps=PAY_STEPS[:3])
    await look(daemon)
    await until(lambda: runs(daemon))
    made = (await runs(daemon))["manual"]
    assert made["outcome"] == "ok", made["findings"]
    assert made["facts"]["driver"] == "live"
    assert {evidence["kind"] for evidence in made["evidence"]} >= {"conversation", "recording", "transcript"}


async def test_what_calls_teach_is_kept_in_the_data_directory(stage):
    _, daemon = await stage(steps=PAY_STEPS[:1])
    await look(daemon)
    await until(lambda: runs(daemon))
    assert (daemon.data / "baselines" / "timings" / "phone.json").is_file()


async def test_the_page_of_an_incident_shows_the_call_and_where_it_went_wrong(stage):
    simulator, daemon = await stage(steps=PAY_STEPS[:3])
    simulator.faults.turn_on("prompt-missing")
    await look(daemon)
    await until(lambda: incidents(daemon))
    (incident,) = await incidents(daemon)
    page = (await daemon.api.get(f"/incidents/{incident['id']}")).text
    assert '<svg class="waveform"' in page
    assert "3. expect Please enter your card number" in page
    assert "#t=" in page


async def test_a_prompt_in_other_words_is_shown_listened_to_and_accepted(stage):
    simulator, daemon = await stage(steps=PAY_STEPS[:3])
    simulator.faults.turn_on("reworded-prompt")

    async def called(times):
        return len((await daemon.api.get("/api/v1/runs")).json()) == times

    for times in range(1, 5):  # a machine that is held up may make one call sound unlike the one before
        await look(daemon)
        await until(lambda times=times: called(times))
        (proposal,) = (await daemon.api.get("/api/v1/baselines")).json()
        assert proposal["stable"] is (proposal["calls"] >= 2)
        if proposal["stable"]:
            break
    runs = [(run["outcome"], run["findings"]) for run in (await daemon.api.get("/api/v1/runs")).json()]
    assert (proposal["calls"], proposal["probe"]) == (2, "phone"), runs
    assert await incidents(daemon) == []
    page = (await daemon.api.get("/")).text
    assert "Prompts that no recording holds" in page
    sound = await daemon.api.get(proposal["sound"])
    assert sound.headers["content-type"] == "audio/wav"
    assert sound.content.startswith(b"RIFF")

    assert (await daemon.api.post("/api/v1/baselines/nobody/accept")).status_code == 404
    assert (await daemon.api.post("/api/v1/baselines/..%2F..%2Fsecret/accept")).status_code == 404
    assert (await daemon.api.post(f"/api/v1/baselines/{proposal['key']}/burn")).status_code == 404
    (await daemon.api.post(f"/api/v1/baselines/{proposal['key']}/accept")).raise_for_status()
    assert (await daemon.api.get("/api/v1/baselines")).json() == []
    await look(daemon)
    await until(lambda: called(3))
    latest = (await daemon.api.get("/api/v1/runs")).json()[0]
    assert (latest["outcome"], latest["findings"]) == ("ok", [])
