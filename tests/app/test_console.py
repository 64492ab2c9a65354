"""The console, the API and the commands that use it, on a running daemon."""

import contextlib
import hashlib
import io
import json
import zipfile

import httpx
import pytest
import pytest_asyncio
from daemon import PATIENCE, Daemon, cli, serve_receiver
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from virtual import until

from earwitness.serving import listen, served

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console")]

NASTY = "<script>alert('owned')</script><img src=x onerror=alert(1)> [/red] [bold]closed"


async def says_nasty_things(_request):
    return HTMLResponse(NASTY, 503)


@contextlib.asynccontextmanager
async def nasty_shop():
    """A shop that answers with what a careless page would run, and a careless terminal would obey."""
    listener = listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/pay", says_nasty_things)]), listener, grace=1):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/pay"


def nasty_config(url, receiver):
    probe = {
        "journey": "pay",
        "every": "1s",
        "http": {"url": url, "timeout": "900ms", "expect": {"status": 503, "body": "Payment accepted"}},
    }
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "journeys": {"pay": {"title": "Pay <b>now</b> [/i]"}},
        "probes": {"web": probe},
        "incidents": {"reopen_within": "0s"},  # each test has an incident of its own
        "hooks": {"on-call": receiver.hook()},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watching(tmp_path_factory):
    """One daemon for all of these tests; its only page never passes."""
    daemon = Daemon(tmp_path_factory.mktemp("console"))
    async with serve_receiver() as daemon.receiver, nasty_shop() as url:
        daemon.configure(nasty_config(url, daemon.receiver))
        await daemon.start()
        yield daemon
        await daemon.close()


@pytest_asyncio.fixture(loop_scope="module")
async def broken(watching):
    """The daemon with an open incident that nobody has touched, and that somebody was told of."""
    for touched in await watching.get("incidents", status="acknowledged"):
        await watching.api.post(f"/api/v1/incidents/{touched['id']}/resolve")
    watching.found = (await watching.incident("web", "open"))["id"]
    await watching.receiver.hears(watching.found, "open")
    return watching


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_other_sites_cannot_speak_to_it_through_a_local_browser(broken):
    resolve = f"/api/v1/incidents/{broken.found}/resolve"
    for host in ("evil.example", f"evil.example:{broken.address.split(':')[1]}", "", "127.0.0.1.evil.example"):
        reply = await broken.api.get("/api/v1/incidents", headers={"host": host})
        assert reply.status_code in (400, 421), host
    assert (await broken.api.get("/", headers={"host": "localhost:1"})).status_code == 200
    for origin in ("http://evil.example", "null", f"http://{broken.address}.evil.example"):
        assert (await broken.api.post(resolve, headers={"origin": origin})).status_code == 403, origin
    page = f"/incidents/{broken.found}/resolve"
    assert (await broken.api.post(page, headers={"origin": "http://evil.example"})).status_code == 403
    assert (await broken.get(f"incidents/{broken.found}"))["status"] == "open"


async def test_browsers_are_told_to_send_the_origin_that_its_buttons_need(broken):
    """With the policy no-referrer, browsers send `Origin: null` with a form, which is refused as another site's."""
    page = await broken.api.get(f"/incidents/{broken.found}")
    assert page.headers["referrer-policy"] == "same-origin"
    acknowledge = f"/incidents/{broken.found}/acknowledge"
    reply = await broken.api.post(acknowledge, headers={"origin": broken.url})
    assert (reply.status_code, reply.headers["location"]) == (303, f"/incidents/{broken.found}")
    assert (await broken.get(f"incidents/{broken.found}"))["acknowledged_by"] == "console"
    assert (await broken.api.post(f"/incidents/{broken.found}/delete")).status_code == 404


# --- incidents -------------------------------------------------------------------------------------------------------


async def test_people_acknowledge_and_resolve_through_the_api(broken):
    path = f"/api/v1/incidents/{broken.found}"
    reply = await broken.api.post(f"{path}/acknowledge", json={"who": "ann", "note": "on it"})
    assert (reply.status_code, reply.json()["status"], reply.json()["acknowledged_by"]) == (200, "acknowledged", "ann")
    assert "on it" in reply.json()["timeline"][-1]["text"]
    await broken.receiver.hears(broken.found, "acknowledge")
    assert (await broken.api.post(f"{path}/resolve", json={"whom": "ann"})).status_code == 422
    reply = await broken.api.post(f"{path}/resolve")
    assert (reply.status_code, reply.json()["status"]) == (200, "resolved")
    await broken.receiver.hears(broken.found, "resolve")
    assert (await broken.api.post(f"{path}/resolve")).status_code == 409
    assert (await broken.api.post("/api/v1/incidents/inc-none/resolve")).status_code == 404


async def test_the_commands_list_show_explain_acknowledge_resolve_and_save(broken, tmp_path):
    at = ("--url", broken.url)
    listed = await cli("incidents", "list", *at, "--json")
    assert json.loads(listed.stdout)[0]["id"] == broken.found
    table = await cli("incidents", "list", *at, env={"COLUMNS": "200"})
    assert (table.returncode, broken.found in table.stdout) == (0, True), table.stderr
    shown = await cli("incidents", "show", broken.found, *at)
    assert shown.returncode == 0, shown.stderr
    assert "Pay <b>now</b> [/i]" in shown.stdout
    file = (await broken.get(f"incidents/{broken.found}"))["evidence"][0]
    assert any(line.endswith(f"{broken.url}{file['url']}") for line in shown.stdout.splitlines()[-3:])
    explained = await cli("explain", broken.found, *at)
    reason = (await broken.get(f"incidents/{broken.found}"))["reason"]
    assert explained.stdout.startswith(reason + "\n")
    assert "  rule    default: blocked, and no workaround passes" in explained.stdout
    assert json.loads((await cli("explain", broken.found, *at, "--json")).stdout)["reason"] == reason
    acknowledged = await cli("incidents", "ack", broken.found, *at, "--who", "bob")
    assert acknowledged.stdout == f"{broken.found} is acknowledged\n"
    saved = await cli("incidents", "evidence", broken.found, *at, "--output", tmp_path / "all.zip")
    assert (saved.returncode, zipfile.is_zipfile(tmp_path / "all.zip")) == (0, True)
    resolved = await cli("incidents", "resolve", broken.found, *at, "--json")
    assert json.loads(resolved.stdout)["status"] == "resolved"


async def test_the_commands_fail_in_plain_words(broken, tmp_path):
    for arguments, words in (
        (("show", "inc-none", "--url", broken.url), "there is no incident inc-none"),
        (("list", "--url", "http://127.0.0.1:1"), "no daemon answers at http://127.0.0.1:1"),
        (("list", "--url", "nonsense"), "nonsense"),
        (("list", "--url", broken.url, "--token-file", tmp_path / "none"), f"{tmp_path / 'none'}"),
        (("evidence", broken.found, "--url", broken.url, "--output", tmp_path / "no" / "x.zip"), f"{tmp_path / 'no'}"),
    ):
        ended = await cli("incidents", *arguments)
        assert ended.returncode == 1, arguments
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr


# --- evidence --------------------------------------------------------------------------------------------------------


async def test_the_bundle_holds_every_file_under_its_hash(broken):
    reply = await broken.api.get(f"/api/v1/incidents/{broken.found}/evidence.zip")
    assert reply.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))["files"]
        assert {f["name"] for f in manifest} == set(archive.namelist()) - {"manifest.json"}
        for file in manifest:
            data = archive.read(file["name"])
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["size"])
        incident = json.loads(archive.read("incident.json"))
        argument = archive.read("argument.txt").decode()
        seen = json.loads(archive.read("observations.json"))
        script = archive.read("reproduce.sh").decode()
    assert incident["id"] == broken.found
    assert incident["reason"] in argument
    assert incident["timeline"][0]["text"] in argument
    assert {run["outcome"] for run in seen} == {"finding"}
    assert all(run["steps"][0]["duration_seconds"] >= 0 for run in seen)
    assert script.startswith("#!/bin/sh")
    assert f"curl --include --request GET {seen[0]['facts']['url']} --header " in script
    assert {e["sha256"] for e in incident["evidence"]} <= {f["sha256"] for f in manifest}


async def test_evidence_is_served_so_that_no_browser_runs_it_and_nothing_else_is(broken):
    incident = await broken.get(f"incidents/{broken.found}")
    for file in incident["evidence"]:
        reply = await broken.api.get(file["url"])
        assert hashlib.sha256(reply.content).hexdigest() == file["sha256"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert not reply.headers["content-type"].startswith("text/html")
    unnamed = broken.data / "evidence" / "ab" / ("ab" * 32)
    unnamed.parent.mkdir(parents=True, exist_ok=True)
    unnamed.write_text("nothing names this")
    for path in (
        "/api/v1/evidence/" + "ab" * 32,
        "/api/v1/evidence/..%2f..%2fearwitness.db",
        "/api/v1/evidence/%2e%2e/%2e%2e/earwitness.db",
        "/api/v1/evidence/../../../../etc/passwd",
        "/api/v1/evidence/" + incident["evidence"][0]["sha256"].upper(),
        "/static/..%2f..%2fapp.py",
        "/static/../app.py",
    ):
        with_raw_path = httpx.URL(broken.url).copy_with(raw_path=path.encode())
        assert (await broken.api.get(with_raw_path)).status_code == 404, path


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_pages_show_what_a_target_said_as_text(broken):
    for path in ("/", f"/incidents/{broken.found}"):
        page = await broken.api.get(path)
        assert page.status_code == 200
        assert page.headers["content-security-policy"].startswith("default-src 'self'")
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
        assert "<b>now" not in page.text
        assert "&lt;script&gt;" in page.text
    assert "Acknowledge" in page.text
    assert (await broken.api.get("/incidents/inc-none")).status_code == 404
    assert (await broken.api.get("/static/console.css")).status_code == 200


# --- the API's edges -------------------------------------------------------------------------------------------------


async def test_the_api_describes_itself_and_refuses_what_is_not_there(broken):
    paths = (await broken.get("openapi.json"))["paths"]
    wanted = {"journeys", "probes", "runs", "incidents", "deliveries", "probes/{name}/run", "incidents/{incident_id}"}
    assert {f"/api/v1/{path}" for path in wanted} <= paths.keys()
    assert (await broken.api.post("/api/v1/probes/web/run")).status_code == 202
    assert (await broken.api.post("/api/v1/probes/nobody/run")).status_code == 404
    assert (await broken.api.get("/api/v1/runs?limit=0")).status_code == 422
    assert (await broken.api.get("/api/v1/runs?probe=nobody")).json() == []
    assert (await broken.api.get("/api/v1/incidents?status=lost")).status_code == 422
    (journey,) = await broken.get("journeys")
    assert (journey["status"], journey["incidents"]) == ("sev1", [broken.found])
    (delivery,) = await broken.get("deliveries", incident=broken.found)
    assert (delivery["state"], delivery["trail"][0]["outcome"]) == ("delivered", "delivered")


async def test_a_run_by_hand_is_done_even_while_another_is_under_way(broken):
    wanted = {await broken.look("web") for _ in range(5)}

    async def seen():
        return wanted <= {o["run"] for o in await broken.get("runs", probe="web", limit=1000)}

    await until(seen, PATIENCE)
