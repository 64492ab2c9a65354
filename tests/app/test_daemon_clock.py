"""A clock that is set back while the daemon runs stops nothing."""

from pathlib import Path

import pytest
from shop_config import web_config
from virtual import until

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@pytest.fixture
def set_clock(tmp_path, monkeypatch):
    """Return a function that sets the clock of processes started from here, by an offset such as -600."""
    assert LIBRARY, "faketime is missing; tests/system_packages.py installs it"
    offset = tmp_path / "offset"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return offset.write_text


async def test_probes_go_on_and_an_incident_resolves_after_the_clock_was_set_back(daemon, set_clock, simulator):
    await _watch_the_card_page(daemon, simulator)
    simulator.faults.turn_on("card-processor-down")
    await until(lambda: _incidents(daemon, "open"), 30)
    set_clock("-600")
    simulator.faults.turn_off("card-processor-down")
    await until(lambda: _incidents(daemon, "resolved"), 30)
    assert (await daemon.api.get("/healthz")).status_code == 200


async def test_slots_that_come_again_are_run_again(daemon, set_clock, simulator):
    """They would all be refused as taken: nobody looks, and nobody says so, for as long as the clock lost."""
    await _watch_the_card_page(daemon, simulator)
    await until(lambda: len(daemon.rows("SELECT 1 FROM observations")) >= 8, 30)
    set_clock("-7")
    ((newest, began),) = daemon.rows("SELECT max(rowid), max(started_at) FROM runs")
    later = "SELECT started_at FROM runs WHERE rowid > ? ORDER BY rowid"
    seen = await until(lambda: daemon.rows(later, newest + 1), 30)  # but for one that had its slot just then
    assert seen[0][0] < began


async def test_no_slot_stays_taken_that_will_come_again_after_a_start(daemon, set_clock, simulator):
    await _watch_the_card_page(daemon, simulator)
    await until(lambda: daemon.rows("SELECT 1 FROM observations"), 30)
    await daemon.stop()
    ((newest,),) = daemon.rows("SELECT max(slot) FROM runs")
    set_clock("-600")
    await daemon.start()
    assert daemon.rows("SELECT 1 FROM runs WHERE slot > ?", newest - 300_000) == []


async def _watch_the_card_page(daemon, simulator):
    daemon.configure(web_config(simulator.url, pages=("card",)))
    await daemon.start()


async def _incidents(daemon, status):
    return (await daemon.api.get("/api/v1/incidents", params={"status": status})).json()
