"""What people do to incidents, and when they want quiet: by the API and the commands, on a running daemon."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
from daemon import PATIENCE, Daemon, cli, serve_receiver
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from virtual import until

from earwitness.serving import listen, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("people")]


class Shop:
    """Pages that are fine, except those that are named as broken."""

    def __init__(self):
        self.broken = set()

    async def page(self, request):
        return PlainTextResponse("?", 503 if request.path_params["page"] in self.broken else 200)


@contextlib.asynccontextmanager
async def open_shop():
    shop, listener = Shop(), listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/{page}", shop.page)]), listener, grace=1):
        shop.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield shop


def config(shop, receiver):
    def probe(page, **more):
        return {"journey": page, "every": "1s", "http": {"url": f"{shop.url}/{page}", "timeout": "900ms"}} | more

    pages = ("card", "bank", "crm", "slow", "backup", "well")
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "dependencies": {"cards": {}, "banks": {}, "records": {}},
        "journeys": {page: {"owner": "payments"} for page in pages},
        "probes": {
            "card": probe("card", depends_on=["cards"]),
            "bank": probe("bank", depends_on=["banks"]),
            "crm": probe("crm", depends_on=["records"]),
            "slow": probe("slow", effects={"wrong_status": "nuisance"}),
            "backup": probe("backup"),
            "well": probe("well"),
        },
        "incidents": {"nuisance_open_after": 20, "reopen_within": "0s"},
        "maintenance": {
            "nightly": {"from": "2020-01-01", "until": "2099-01-01", "match": {"probe": "backup"}, "mode": "stop"}
        },
        "severity_rules": [{"match": {"journey": "bank"}, "severity": "sev2", "why": "few pay so"}],
        "hooks": {"on-call": receiver.hook()},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("people"))
    async with serve_receiver() as daemon.receiver, open_shop() as daemon.shop:
        daemon.configure(config(daemon.shop, daemon.receiver))
        await daemon.start()
        await daemon.passes("card", "bank", "crm", "slow", "well")
        yield daemon
        await daemon.close()


async def run(house, *arguments):
    done = await cli(*arguments, "--url", house.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def asks(house, *arguments):
    return json.loads(await run(house, *arguments, "--json"))


async def breaks(house, *pages):
    """Break pages; return their incidents once they are open."""
    house.shop.broken |= set(pages)
    return [await house.incident(page, "open") for page in pages]


async def mends(house, *pages):
    house.shop.broken -= set(pages)
    await house.passes(*pages)
    await until(lambda: nothing_open(house), PATIENCE)


async def nothing_open(house):
    return not [i for i in await house.get("incidents") if i["status"] != "resolved"]


async def test_a_failure_that_is_not_believed_is_suspected(house):
    house.shop.broken.add("slow")

    async def suspected():
        return await house.get("incidents", status="suspected")

    (suspicion,) = await until(suspected, PATIENCE)
    assert (suspicion["status"], suspicion["probes"], suspicion["id"]) == ("suspected", ["slow"], None)
    assert "slow fails" in await run(house, "incidents", "list", "--status", "suspected")
    misspelt = await cli("incidents", "list", "--status", "suspect", "--url", house.url)
    told = "status: Input should be 'open', 'acknowledged', 'resolved' or 'suspected'"
    assert (misspelt.returncode, misspelt.stderr.strip()) == (1, told)
    assert "not believed yet" in (await house.api.get("/")).text
    house.shop.broken.discard("slow")
    await house.passes("slow")
    assert await suspected() == []


async def test_explain_gives_facts_rule_and_what_would_change_it(house):
    (incident,) = await breaks(house, "bank")
    told = await asks(house, "explain", incident["id"])
    argument = told["argument"]
    assert (told["severity"], argument["rule"]) == ("sev2", "severity_rules[0]: journey bank")
    assert argument["journeys"][0]["effect"] == "blocked"
    assert {
        "severity": "sev1",
        "condition": "without that rule, by default: blocked, and no workaround passes",
    } in argument["would_be"]
    lines = (await run(house, "explain", incident["id"])).splitlines()
    assert lines[1:3] == ["  cause   banks, confidence 0.67", "          for it: bank; against it: nothing"]
    assert any(line.startswith("  rule    severity_rules[0]: journey bank: few pay so") for line in lines)
    assert "severity_rules[0]" in (await house.api.get(f"/incidents/{incident['id']}")).text
    await mends(house, "bank")


async def test_a_note_stands_in_the_timeline_and_tells_nobody(house):
    (incident,) = await breaks(house, "card")
    await run(house, "incidents", "note", incident["id"], "called the bank", "--who", "kim")
    noted = await house.get(f"incidents/{incident['id']}")
    assert noted["timeline"][-1]["text"] == "kim: called the bank"
    rows = await house.get("deliveries", incident=incident["id"])
    assert {row["kind"] for row in rows} == {"open"}
    await mends(house, "card")
    await run(house, "incidents", "note", incident["id"], "it was the bank", "--who", "kim")
    over = await house.get(f"incidents/{incident['id']}")
    assert (over["status"], over["timeline"][-1]["text"]) == ("resolved", "kim: it was the bank")


async def test_merge_and_split(house):
    card, crm = await breaks(house, "card", "crm")
    refused = await cli("incidents", "merge", crm["id"], "--into", crm["id"], "--url", house.url)
    assert (refused.returncode, "into itself" in refused.stderr) == (1, True)
    merged = await asks(house, "incidents", "merge", crm["id"], "--into", card["id"], "--who", "kim")
    assert (merged["id"], set(merged["probes"])) == (card["id"], {"card", "crm"})
    absorbed = await house.get(f"incidents/{crm['id']}")
    assert (absorbed["status"], absorbed["merged_into"]) == ("resolved", card["id"])
    assert card["id"] in absorbed["timeline"][-1]["text"]
    rows = await house.get("deliveries", incident=crm["id"])
    assert [row["kind"] for row in rows] == ["resolve", "open"]

    stranger = await cli("incidents", "split", card["id"], "--probe", "well", "--url", house.url)
    assert (stranger.returncode, "well is no probe of" in stranger.stderr) == (1, True)
    everything = await cli("incidents", "split", card["id"], "--probe", "card", "--probe", "crm", "--url", house.url)
    assert (everything.returncode, "leave" in everything.stderr) == (1, True)
    parted = await asks(house, "incidents", "split", card["id"], "--probe", "crm")
    assert (parted["probes"], parted["status"]) == (["crm"], "open")
    assert parted["id"] not in {card["id"], crm["id"]}
    await mends(house, "card", "crm")


async def test_a_silence_mutes_and_its_end_tells(house):
    made = await asks(house, "silence", "add", "--journey", "card", "--for", "1h", "--who", "kim", "--why", "deploying")
    assert made["match"] == {"journey": ["card"]}
    assert made["id"] in await run(house, "silence", "list")
    (incident,) = await breaks(house, "card")
    muted = incident["muted"]
    assert (muted["by"], muted["why"]) == (f"silence {made['id']}", "deploying (kim)")
    assert await house.get("deliveries", incident=incident["id"]) == []
    assert "Muted by silence" in (await house.api.get(f"/incidents/{incident['id']}")).text
    assert "deploying" in (await house.api.get("/")).text
    await run(house, "silence", "end", made["id"])
    rows = await house.get("deliveries", incident=incident["id"])
    assert [row["kind"] for row in rows] == ["unmute"]
    assert await house.get("silences") == []
    await mends(house, "card")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silence", "add", "--for", "1h"), "say what to be silent about"),
        (("silence", "add", "--probe", "crad", "--for", "1h"), "did you mean card?"),
        (("silence", "add", "--probe", "card", "--for", "soon"), "is not a duration"),
        (("silence", "add", "--severity", "sev9", "--for", "1h"), "severity 0: Input should be 'sev1', 'sev2'"),
        (("silence", "add", "--probe", "card", "--for", "400d"), "--for: Input should be less than or equal to"),
        (("silence", "add", "--incident", "inc-0", "--for", "1h"), "inc-0 is no open incident\n"),
        (("silence", "add", "--probe", "card"), "an end is required"),
        (("silence", "add", "--probe", "card", "--for", "1h", "--until", "2099-01-01T00:00Z"), "either how long"),
        (("silence", "add", "--probe", "card", "--until", "2020-01-01T00:00Z"), "over before it begins"),
        (("silence", "add", "--probe", "card", "--until", "2099-01-01T00:00Z"), "more than a year"),
        (("silence", "add", "--probe", "card", "--until", "2020-01-01"), "--until: Input should"),
        (("maintenance", "add", "--for", "1h"), "say which probes are meant"),
        (("maintenance", "add", "--for", "1h", "--all", "--probe", "card"), "say which probes are meant"),
        (("incidents", "list", "--status", "foo"), "status"),
        (("incidents", "share", "inc-0"), "there is no incident inc-0"),
        (("incidents", "share", "inc-0", "--for", "soon"), "is not a duration"),
        (("incidents", "unshare", "nonsense"), "there is no link nonsense"),
        (("silence", "end", "silence-0"), "there is no silence silence-0"),
        (("maintenance", "end", "nightly"), "what the configuration plans is ended there"),
        (("maintenance", "add", "--probe", "card", "--for", "1h", "--mode", "pause"), "stop"),
        (("incidents", "note", "inc-0", "hello"), "there is no incident inc-0"),
    ],
)
async def test_what_cannot_be_done_is_answered(house, arguments, said):
    done = await cli(*arguments, "--url", house.url)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert "{" not in done.stderr, "what a person reads is no JSON"


async def test_maintenance_may_mean_everything_and_end_at_a_time(house):
    ends = datetime.now(UTC) + timedelta(days=2)
    begins = ends - timedelta(days=1)
    times = ("--from", begins.isoformat(), "--until", ends.isoformat())
    made = await asks(house, "maintenance", "add", "--all", *times)
    assert (made["match"], made["active"]) == ({}, False)
    assert [
        datetime.fromisoformat(made[key]) - at < timedelta(seconds=1)
        for key, at in (("begins", begins), ("ends", ends))
    ]
    await run(house, "maintenance", "end", made["id"])


@pytest.mark.parametrize(("key", "longest"), [("who", 200), ("note", 10_000)])
async def test_what_people_say_has_a_limit(house, key, longest):
    (incident,) = await breaks(house, "bank")
    said = {"who": "kim", "note": "fine"}
    too_long = await house.api.post(f"/api/v1/incidents/{incident['id']}/note", json=said | {key: "x" * (longest + 1)})
    assert too_long.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    just = await house.api.post(f"/api/v1/incidents/{incident['id']}/note", json=said | {key: "x" * longest})
    assert just.status_code == httpx.codes.OK
    await mends(house, "bank")


async def test_what_people_say_does_not_steer_a_terminal(house):
    (incident,) = await breaks(house, "crm")
    await run(house, "incidents", "note", incident["id"], "red \x1b[31m and \x9b31m and \u202e backwards")
    shown = await run(house, "incidents", "show", incident["id"])
    assert "red [31m and 31m and  backwards" in shown
    await mends(house, "crm")


async def test_evidence_is_shared_found_again_and_taken_back(house):
    (incident,) = await breaks(house, "card")
    url = (await run(house, "incidents", "share", incident["id"], "--for", "1h")).strip()
    other = await asks(house, "incidents", "share", incident["id"])
    (old,) = [link for link in await asks(house, "incidents", "links", incident["id"]) if link["id"] != other["id"]]
    assert (old["url"], old["state"], old["incident"]) == (url, "good", incident["id"])
    assert (await house.api.get(url)).headers["content-type"] == "application/zip"
    page = (await house.api.get(f"/incidents/{incident['id']}")).text
    assert f"/unshare/{old['id']}" in page
    await run(house, "incidents", "unshare", old["id"])
    assert (await house.api.get(url)).status_code == httpx.codes.GONE
    assert (await house.api.get(other["url"])).status_code == httpx.codes.OK
    listed = await run(house, "incidents", "links")
    assert f"{old['id']}  {incident['id']}  taken back" in listed
    shared = await house.api.post(f"/incidents/{incident['id']}/share")
    assert shared.status_code == httpx.codes.SEE_OTHER
    newest = (await asks(house, "incidents", "links"))[0]
    gone = await house.api.post(f"/incidents/{incident['id']}/unshare/{newest['id']}")
    assert gone.headers["location"] == f"/incidents/{incident['id']}#shared"
    assert (await house.api.get(newest["url"])).status_code == httpx.codes.GONE
    await mends(house, "card")


async def test_a_silence_needs_an_end(house):
    reply = await house.api.post("/api/v1/silences", json={"probe": ["card"]})
    assert reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY


async def test_planned_maintenance_is_listed_and_its_probe_is_not_run(house):
    (planned,) = [m for m in await house.get("maintenance") if m.get("name") == "nightly"]
    assert (planned["mode"], planned["match"], planned["active_until"][:4]) == ("stop", {"probe": ["backup"]}, "2099")
    assert "nightly  stop  until 2099-01-01" in await run(house, "maintenance", "list")

    async def seen():
        return await house.get("runs", probe="backup", limit=5)

    skipped = await until(seen, PATIENCE)
    assert {(o["outcome"], o["skipped"]) for o in skipped} == {("skipped", "maintenance")}
    assert (await house.metrics()).value("earwitness_schedule_missed_total", reason="maintenance") is None


async def test_maintenance_by_hand_stops_a_probe_and_may_begin_later(house):
    made = await asks(house, "maintenance", "add", "--probe", "well", "--for", "1h", "--mode", "stop", "--why", "disk")
    later = await asks(house, "maintenance", "add", "--probe", "crm", "--for", "1h", "--in", "30m")
    assert (made["active"], later["active"]) == (True, False)

    async def skipped():
        latest = await house.get("runs", probe="well", limit=1)
        return latest[0]["skipped"] == "maintenance"

    await until(skipped, PATIENCE)
    for period in (made, later):
        await run(house, "maintenance", "end", period["id"])
    await until(lambda: ran(house), PATIENCE)


async def ran(house):
    await asyncio.sleep(0.2)
    return (await house.get("runs", probe="well", limit=1))[0]["outcome"] == "ok"


async def test_an_acknowledgement_is_measured(house):
    (incident,) = await breaks(house, "crm")
    await run(house, "incidents", "ack", incident["id"])
    count = (await house.metrics()).value("earwitness_incident_acknowledgement_seconds_count", channel="http")
    assert count == 1.0
    await mends(house, "crm")
