"""The daemon's life: how it starts or refuses to, takes up new configurations or refuses them, and ends."""

import asyncio
import gc
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import yaml
from daemon import PATIENCE, cli, run_cli
from shop_config import web_config, web_probe
from virtual import until

from earwitness.app import App
from earwitness.config.rules import rules_of

GOOD_RELOAD = "earwitness_config_last_reload_successful"


def good(simulator, receiver, **more):
    return web_config(simulator.url, hooks={"on-call": receiver.hook()}, **more)


def half_of(path):
    text = path.read_bytes()
    return text[: text.index(b"probes:") + 30]


@pytest.fixture
async def running(daemon, simulator, receiver):
    daemon.configure(good(simulator, receiver))
    await daemon.start()
    await daemon.passes("card-web", "bank-web")
    return daemon


async def refuses(daemon, content):
    """Send SIGHUP with this content on disk, and see that the old configuration goes on."""
    refused = len(daemon.events("reload_refused"))
    if content is None:
        daemon.config.unlink()
    else:
        daemon.config.write_bytes(content)
    daemon.reload()
    await until(lambda: len(daemon.events("reload_refused")) > refused, PATIENCE)
    await daemon.shows(0, GOOD_RELOAD)
    assert {p["name"] for p in await daemon.get("probes")} == {"card-web", "bank-web"}
    newest = (await daemon.get("runs"))[0]["run"]
    await until(lambda: moved_on(daemon, newest), PATIENCE)
    return daemon.events("reload_refused")[-1]["problems"]


async def moved_on(daemon, newest):
    return (await daemon.get("runs"))[0]["run"] != newest


async def test_a_bad_configuration_keeps_the_old_one_running(running, simulator, receiver):
    original = running.config.read_bytes()
    said = {
        name: await refuses(running, content)
        for name, content in {
            "garbage": b"\x7fELF\x02\x01\x01\x00\xff\xfe",
            "not yaml": b"probes: [}",
            "a list": b"- environment: production\n",
            "empty": b"",
            "half": half_of(running.config),
            "gone": None,
            "unknown key": original + b"journies: {}\n",
        }.items()
    }
    assert all(said.values())
    assert any("journies: is not a known key; did you mean journeys" in line for line in said["unknown key"])
    assert "cannot be read" in said["gone"][0]
    running.reload(good(simulator, receiver))
    await running.shows(1, GOOD_RELOAD)


async def test_many_reloads_at_once_end_with_the_last(running, simulator, receiver):
    for pages in (("card",), ("bank",), ("staging", "bank"), ("card", "staging")):
        running.reload(good(simulator, receiver, pages=pages))

    async def last_in_use():
        return {p["name"] for p in await running.get("probes")} == {"card-web", "staging-web"}

    await until(last_in_use, PATIENCE)
    running.reload()
    await running.passes("card-web", "staging-web")


async def test_a_good_one_is_taken_up_and_what_is_gone_is_forgotten(running, simulator, receiver):
    simulator.faults.turn_on("card-processor-down")
    incident = await running.incident("card-web", "open")
    await receiver.hears(incident["id"], "open")

    kept = good(simulator, receiver, pages=("bank", "staging"))
    running.reload({**kept, "hooks": {}})
    await running.passes("staging-web")
    resolved = await resolved_incident(running, incident["id"])
    assert "removed from the configuration" in resolved["timeline"][-1]["text"]
    await receiver.hears(incident["id"], "resolve")
    await until(lambda: running.events("hook_retired"), PATIENCE)
    metrics = await running.metrics()
    assert metrics.names_with(probe="card-web") == set()
    assert metrics.value("probe_success", probe="staging-web") == 1
    assert metrics.value("earwitness_incidents_open", severity="sev1") == 0


async def resolved_incident(daemon, key):
    async def so():
        found = await daemon.get(f"incidents/{key}")
        return found if found["status"] == "resolved" else None

    return await until(so, PATIENCE)


async def test_a_removed_hook_is_told_of_the_end_of_what_it_knows(running, simulator, receiver):
    simulator.faults.turn_on("card-processor-down")
    incident = await running.incident("card-web", "open")
    await receiver.hears(incident["id"], "open")
    running.reload({**good(simulator, receiver), "hooks": {}})
    await until(lambda: running.events("reloaded"), PATIENCE)
    await running.shows(0, "earwitness_alert_queue_depth", hook="on-call")
    await rounds(running)
    assert not running.events("hook_retired")
    simulator.faults.turn_off("card-processor-down")
    await running.incident("card-web", "resolved")
    await receiver.hears(incident["id"], "resolve")
    await until(lambda: running.events("hook_retired"), PATIENCE)


async def test_a_run_that_outlives_its_probe_brings_no_series_back(daemon, simulator):
    slow = web_probe(simulator.url, "card", every="20s", timeout="15s")
    simulator.faults.turn_on("shop-slow", {"seconds": 2})
    config = web_config(simulator.url, pages=("card", "staging"))
    daemon.configure({**config, "probes": {**config["probes"], "card-web": slow}})
    await daemon.start()
    run = await daemon.look("card-web")
    await until(lambda: daemon.is_running(run), PATIENCE)
    daemon.reload(web_config(simulator.url, pages=("staging",)))
    await until(lambda: daemon.events("reloaded"), PATIENCE)
    await daemon.observation(run)
    await rounds(daemon)
    assert (await daemon.metrics()).names_with(probe="card-web") == set()


async def test_a_probe_that_changes_leaves_no_series_behind_and_has_missed_nothing(daemon, simulator):
    config = web_config(simulator.url)
    config["probes"]["bank-web"] = web_probe(simulator.url, "bank", every="1h")
    daemon.configure(config)
    await daemon.start()
    began = time.monotonic()
    await until(lambda: time.monotonic() > began + 3, PATIENCE)  # three slots of the interval to come
    config = web_config(simulator.url)
    config["journeys"]["checkout"] = {"title": "Check out"}
    config["probes"]["card-web"]["journey"] = "checkout"
    daemon.reload(config)
    await daemon.passes("bank-web")  # by a slot of its new interval
    await daemon.shows(1, "probe_success", probe="card-web", journey="checkout")
    metrics = await daemon.metrics()
    assert metrics.names_with(journey="pay-card") == set()
    assert metrics.all("earwitness_schedule_missed_total", reason="not_running") == []


def ignores_hangups(pid):
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return int(status["SigIgn"], 16) & 1


async def test_a_reload_that_is_asked_for_too_early_does_not_end_it(daemon, simulator, receiver):
    daemon.configure(good(simulator, receiver))
    daemon.launch()
    await until(lambda: ignores_hangups(daemon.process.pid), PATIENCE)
    daemon.reload()
    await daemon.ready()


async def rounds(daemon):
    """Wait for some rounds of what the daemon does once a second."""
    lags = set()

    async def enough():
        lags.add((await daemon.metrics()).value("earwitness_event_loop_lag_seconds"))
        return len(lags) > 3

    await until(enough, PATIENCE)


async def test_what_a_hook_is_owed_that_was_removed_between_two_starts_is_refused_on_record(
    running, simulator, receiver
):
    receiver.answer = 500
    simulator.faults.turn_on("card-processor-down")
    incident = await running.incident("card-web", "open")
    await until(lambda: receiver.tried(incident["id"], "open"), PATIENCE)
    assert await running.stop() == 0
    other = {**receiver.hook(), "webhook": {**receiver.hook()["webhook"], "url": receiver.url + "?other"}}
    running.configure({**good(simulator, receiver), "hooks": {"other": other}})
    await running.start()

    async def refused():
        (delivery,) = await running.get("deliveries", incident=incident["id"])
        return delivery["state"] == "refused" and delivery

    assert (await until(refused, PATIENCE))["reason"] == "no_hook"
    await running.shows(None, "earwitness_alert_queue_depth", hook="on-call")


@pytest.fixture
async def missing(running, simulator, receiver):
    """A daemon whose only hook was told of an incident, and was taken out of the configuration between two starts."""
    simulator.faults.turn_on("card-processor-down")
    running.found = (await running.incident("card-web", "open"))["id"]
    await receiver.hears(running.found, "open")

    async def noted():
        return {row["state"] for row in await running.get("deliveries", incident=running.found)} == {"delivered"}

    await until(noted, PATIENCE)
    assert await running.stop() == 0
    running.configure(web_config(simulator.url))
    await running.start()

    async def shown():
        return [i for i in await running.get("impairments") if "deliveries drop on-call" in str(i["details"])]

    await until(shown, PATIENCE)
    simulator.faults.turn_off("card-processor-down")
    await running.incident("card-web", "resolved")
    await rounds(running)
    assert await shown(), "it is owed the end, and there is nobody to tell"
    return running


async def test_a_hook_that_comes_back_is_told_the_end_that_it_was_owed(missing, simulator, receiver):
    missing.reload(good(simulator, receiver))
    await receiver.hears(missing.found, "resolve")
    await missing.shows(0, "earwitness_monitor_impaired", component="alerts")


async def test_people_may_drop_what_is_owed_to_a_hook_that_stays_away(missing):
    named = ("--url", missing.url)
    dropped = await cli("deliveries", "drop", "on-call", *named, "--who", "Ann")
    assert "1 deliveries to on-call dropped" in dropped.stdout
    await missing.shows(0, "earwitness_monitor_impaired", component="alerts")
    rows = await missing.get("deliveries", incident=missing.found)
    assert {row["kind"]: row["state"] for row in rows} == {"open": "delivered", "resolve": "dropped"}
    assert "dropped by Ann" in rows[0]["trail"][-1]["detail"]
    assert (await cli("deliveries", "drop", "on-call", *named)).returncode == 1


async def test_a_hook_that_is_configured_is_not_dropped(running):
    refused = await cli("deliveries", "drop", "on-call", "--url", running.url)
    assert refused.returncode == 1
    assert "on-call is configured" in refused.stdout + refused.stderr


# --- start -----------------------------------------------------------------------------------------------------------


def test_a_bad_configuration_at_start_ends_with_2_and_the_place_of_the_error(tmp_path):
    file = tmp_path / "earwitness.yaml"
    file.write_text("environment: production\njourneys: {pay: {}}\nprobes:\n  web:\n    journey: pay\n    every: 5\n")
    ended = run_cli("run", "--config", file, "--data-dir", tmp_path / "data")
    assert ended.returncode == 2
    assert f"{file}:6:5: probes.web.every: '5' is not a duration" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()


async def test_a_second_daemon_in_the_same_data_directory_is_refused(running, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(running.config.read_text().replace(running.address, "127.0.0.1:0"))
    ended = run_cli("run", "--config", other, "--data-dir", running.data)
    assert ended.returncode == 1
    assert ended.stderr.strip() == (f"another daemon runs in {running.data}; stop it, or give another --data-dir")
    await running.passes("card-web")


def test_a_port_in_use_is_refused_in_plain_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = tmp_path / "earwitness.yaml"
        file.write_text(
            f"http: {{listen: '{address}'}}\nenvironment: production\njourneys: {{pay: {{}}}}\n"
            "probes: {web: {journey: pay, every: 1m, http: {url: 'https://shop.example/'}}}\n"
        )
        ended = run_cli("run", "--config", file, "--data-dir", tmp_path / "data")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cannot listen on {address}: ")
    assert "Traceback" not in ended.stderr


def test_a_damaged_database_is_told_in_plain_words(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "earwitness.db").write_bytes(b"this is no database" * 100)
    file = tmp_path / "earwitness.yaml"
    file.write_text(
        "http: {listen: '127.0.0.1:0'}\nenvironment: production\njourneys: {pay: {}}\n"
        "probes: {web: {journey: pay, every: 1m, http: {url: 'https://shop.example/'}}}\n"
    )
    ended = run_cli("run", "--config", file, "--data-dir", data)
    assert ended.returncode == 1
    assert str(data / "earwitness.db") in ended.stderr
    assert "Traceback" not in ended.stderr


# --- end -------------------------------------------------------------------------------------------------------------


async def test_sigterm_even_twice_lets_runs_end_and_exits_with_0(daemon, simulator):
    simulator.faults.turn_on("shop-slow", {"seconds": 1.5})
    config = web_config(simulator.url, pages=("card",))
    config["probes"]["card-web"] = web_probe(simulator.url, "card", every="1h", timeout="10s")
    daemon.configure(config)
    await daemon.start()
    run = await daemon.look("card-web")
    await until(lambda: daemon.is_running(run), PATIENCE)
    daemon.process.send_signal(signal.SIGTERM)
    await until(lambda: daemon.events("stopping"), PATIENCE)
    daemon.process.send_signal(signal.SIGTERM)
    assert await daemon.ended(10) == 0
    assert daemon.rows("SELECT outcome FROM observations WHERE run = ?", run) == [("ok",)]
    assert daemon.rows("SELECT id FROM runs WHERE state = 'running'") == []


async def test_sigterm_while_it_starts_ends_it_too(daemon, simulator):
    daemon.configure(web_config(simulator.url))
    daemon.launch()
    await until((daemon.data / "lock").exists, PATIENCE)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.process.send_signal(signal.SIGTERM)
    assert await daemon.ended(15) == 0
    assert "Traceback" not in daemon.log.read_text()


async def test_a_new_configuration_is_worked_out_away_from_the_event_loop(tmp_path, simulator, monkeypatch):
    """With thousands of probes it takes a second, which runs in flight would tell as their targets' slowness."""
    worked = []

    def rules(config):
        worked.append(threading.current_thread() is threading.main_thread())
        return rules_of(config)

    monkeypatch.setattr("earwitness.app.rules_of", rules)
    path = tmp_path / "earwitness.yaml"
    path.write_text(yaml.safe_dump({"http": {"listen": "127.0.0.1:0"}, **web_config(simulator.url)}))
    daemon = App(path, tmp_path / "data")
    serving = asyncio.create_task(daemon.serve())
    await daemon.started()
    await daemon.reload()
    daemon.stop()
    await serving
    gc.unfreeze()
    assert worked[1:] == [False], "a reload's"


async def test_what_reloads_replaced_is_closed_when_no_run_can_need_it(tmp_path, simulator, monkeypatch):
    monkeypatch.setattr("earwitness.app._LONGEST_RUN", 0.0)
    daemon, counts = App(tmp_path / "earwitness.yaml", tmp_path / "data"), []

    def configure(number):
        config = web_config(simulator.url)
        config["network"]["allow"] = [*config["network"]["allow"], f"10.{number}.0.0/16"]
        daemon._path.write_text(yaml.safe_dump({"http": {"listen": "127.0.0.1:0"}, **config}))

    configure(0)
    serving = asyncio.create_task(daemon.serve())
    await daemon.started()
    for number in range(1, 8):
        configure(number)
        await daemon.reload()
        counts.append(len(daemon._retired))
    daemon.stop()
    await serving
    gc.unfreeze()
    assert counts == [1] * 7, "the one before, of which a run may still be under way"
