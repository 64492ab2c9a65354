"""The fault switches over HTTP, and the ways in which the carrier's API breaks."""

import re
from pathlib import Path

import httpx
import pytest
from simulated_calls import API, form

from earwitness.simulator import CONTACT_CENTRE, TEST_LINE
from earwitness.simulator.fault import FaultError
from earwitness.simulator.fault_list import FAULTS
from earwitness.simulator.faults import ActiveFaults, FaultBoard, UnknownFaultError


async def test_all_faults_are_listed_with_what_they_do(http):
    listed = (await http.get("/faults")).json()
    assert [fault["name"] for fault in listed] == list(FAULTS)
    assert all(fault["description"].endswith(".") and fault["on"] is False for fault in listed)


async def test_a_fault_is_turned_on_with_parameters_and_off_again(http):
    on = (await http.put("/faults/poor-audio", json={"level": 0.8})).json()
    assert (on["on"], on["parameters"]) == (True, {"level": 0.8})
    assert [f["name"] for f in (await http.get("/faults")).json() if f["on"]] == ["poor-audio"]
    off = (await http.delete("/faults/poor-audio")).json()
    assert (off["on"], off["parameters"]) == (False, {"level": 0.5})
    assert (await http.delete("/faults/poor-audio")).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_unknown_fault_is_404_with_the_nearest_names(http, method):
    reply = await http.request(method, "/faults/card-procesor-down")
    assert reply.status_code == 404
    assert reply.json()["nearest"][0] == "card-processor-down"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("poor-audio", b'{"level": 2}'),
        ("poor-audio", b'{"level": "high"}'),
        ("poor-audio", b'{"level": true}'),
        ("poor-audio", b'{"lvl": 1}'),
        ("poor-audio", b"[1]"),
        ("poor-audio", b"{"),
        ("create-lost", b'{"answer": "maybe"}'),
        ("crm-down", b'{"level": 1}'),
        ("prompt-missing", b'{"prompt": "welcom"}'),
        ("slow-prompts", b'{"seconds": -1}'),
        ("number-blocked", b'{"number": "0199"}'),
        ("number-blocked", b'{"number": 12025550143}'),
        ("carrier-down", b'{"account": "mine"}'),
    ],
)
async def test_parameters_that_make_no_sense_are_refused(http, name, body):
    reply = await http.put(f"/faults/{name}", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert not any(fault["on"] for fault in (await http.get("/faults")).json())


def test_every_fault_accepts_its_own_defaults():
    board = FaultBoard()
    for name, fault in FAULTS.items():
        assert board.turn_on(name, fault.defaults) == fault.defaults
    assert set(board.now().active) == set(FAULTS)


def test_asking_for_a_fault_that_does_not_exist_is_an_error():
    with pytest.raises(UnknownFaultError):
        _ = "card-reader-on-fire" in ActiveFaults()
    with pytest.raises(FaultError, match="number from 0 to 1"):
        FaultBoard().turn_on("poor-audio", {"level": 7})


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("twilio-500", 500, 20500), ("twilio-429", 429, 20429), ("twilio-auth", 401, 20003)],
)
async def test_the_api_refuses_as_asked_while_the_shop_goes_on(http, fault, status, code):
    await http.put(f"/faults/{fault}")
    reply = await http.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE))
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert (await http.get("/shop/pay")).status_code == 200
    assert (await http.get("/calls")).json() == []


async def test_the_api_answers_with_a_web_page(http):
    await http.put("/faults/twilio-html")
    reply = await http.get(f"{API}/Balance.json")
    assert (reply.status_code, reply.headers["content-type"]) == (503, "text/html; charset=utf-8")


async def test_the_api_closes_the_connection_without_an_answer(wire):
    await wire.put("/faults/twilio-down")
    with pytest.raises(httpx.RemoteProtocolError):
        await wire.get(f"{API}/Balance.json")
    await wire.delete("/faults/twilio-down")
    assert (await wire.get(f"{API}/Balance.json")).status_code == 200


async def test_a_create_whose_answer_is_500_has_dialled_once(http, clock):
    await http.put("/faults/create-lost")
    reply = await http.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE))
    assert (reply.status_code, reply.json()["code"]) == (500, 20500)
    clock.seconds += 60
    (call,) = (await http.get("/calls")).json()
    assert (call["to"], call["outcome"]) == (CONTACT_CENTRE, "payment accepted")
    assert len((await http.get(f"{API}/Calls.json")).json()["calls"]) == 1


@pytest.mark.parametrize(("answer", "error"), [("never", httpx.ReadTimeout), ("closed", httpx.RemoteProtocolError)])
async def test_a_create_without_an_answer_has_dialled_once(wire, answer, error):
    await wire.put("/faults/create-lost", json={"answer": answer})
    with pytest.raises(error):
        await wire.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE), timeout=0.3)
    assert len((await wire.get("/calls")).json()) == 1


async def test_a_create_that_is_refused_anyway_is_not_lost(http):
    await http.put("/faults/create-lost")
    assert (await http.post(f"{API}/Calls.json", data=form(""))).json()["code"] == 21201


async def test_the_calls_tell_what_the_far_end_heard_so_far(http, clock):
    sid = (await http.post(f"{API}/Calls.json", data=form(CONTACT_CENTRE))).json()["sid"]
    await http.put("/faults/crm-down")
    await http.post(f"{API}/Calls.json", data=form(TEST_LINE))
    clock.seconds += 3 + 7
    first, second = (await http.get("/calls")).json()
    assert (first["sid"], first["status"], first["digits_heard"], first["outcome"]) == (sid, "in-progress", "2", None)
    assert first["prompts"] == ["welcome", "main_menu", "enter_card"]
    assert first["ended_by"] is None
    assert second["line"] == "Test line with echo"
    clock.seconds += 60
    first, _ = (await http.get("/calls")).json()
    assert (first["status"], first["outcome"], first["ended_by"]) == ("completed", "payment accepted", "centre")


def test_the_documentation_names_every_fault_and_its_defaults():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    rows = [row for row in page.split("## Faults")[1].split("## How")[0].splitlines() if row.startswith("| `")]
    named = {name: row for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    assert set(named) == set(FAULTS)
    for name, fault in FAULTS.items():
        assert all(f"`{parameter}`" in named[name] for parameter in fault.defaults), name
        assert all(f"= {'any' if value == '' else value}" in named[name] for value in fault.defaults.values()), name
