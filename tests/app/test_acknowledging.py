"""People answer an alert where they got it: by its link, in PagerDuty. The daemon behind them is a real one."""

import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime

import httpx
import pytest
from daemon import PATIENCE, cli
from shop_config import web_config
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from twilio.request_validator import RequestValidator
from virtual import until

from earwitness.serving import listen, served

RUNG = "+12025550199"
TOKEN = "the-token-of-this-daemon"


class Pager:
    """What PagerDuty's Events API is told."""

    def __init__(self):
        self.events = []

    async def enqueue(self, request):
        self.events.append(json.loads(await request.body()))
        return JSONResponse({"status": "success", "message": "Event processed"}, 202)

    def actions(self):
        return [event["event_action"] for event in self.events]


@pytest.fixture
async def pager():
    made, listener = Pager(), listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/v2/enqueue", made.enqueue, methods=["POST"])]), listener, grace=1):
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield made


@pytest.fixture
async def broken(daemon, receiver, simulator, http, pager):
    """A guarded daemon with an open incident that both hooks were told of."""
    hooks = {
        "chat": receiver.hook(),
        "pager": {"pagerduty": {"url": pager.url, "routing_key": "key", "webhook_secret": "theirs"}},
    }
    account = {"account_sid": "AC" + "0" * 32, "auth_token": "theirs", "from": "+12025550143", "to": RUNG}
    hooks["ring"] = {"call": {**account, "price_per_minute": "0.014 USD", "api_url": simulator.url}}
    new_each_time = {"reopen_within": "0s"}
    config = web_config(simulator.url, ("card",), hooks, dial={"allow": [RUNG]}, incidents=new_each_time)
    listen_on = {"listen": daemon.address, "token": TOKEN, "public_url": daemon.url}
    daemon.configure({**config, "http": listen_on})
    daemon.api.headers["authorization"] = f"Bearer {TOKEN}"
    await daemon.start()
    await daemon.passes("card-web")
    await http.put(f"{simulator.url}/faults/card-processor-down")
    daemon.found = (await daemon.incident("card-web", "open"))["id"]
    await receiver.hears(daemon.found, "open")
    await until(lambda: pager.events, PATIENCE)
    return daemon


async def test_a_link_asks_first_and_acknowledges_once_without_a_login(broken, receiver, http):
    (_, told), *_ = receiver.accepted
    link = told["data"]["acknowledge_url"]
    for _ in range(3):  # mail scanners follow links
        asked = await http.get(link)
        assert asked.status_code == 200
        assert "I look after it" in asked.text
        assert broken.found in asked.text
    assert (await http.head(link)).status_code in (200, 405)
    assert (await broken.get(f"incidents/{broken.found}"))["status"] == "open"
    wrong = link[:-3] + ("AAA" if not link.endswith("AAA") else "BBB")
    assert (await http.get(wrong)).status_code == 404
    assert (await http.post(wrong)).status_code == 404
    done = await http.post(link, data={"who": "  Ann\n<b>Other</b> "})
    assert done.status_code == 200
    found = await broken.get(f"incidents/{broken.found}")
    assert (found["status"], found["acknowledged_by"]) == ("acknowledged", "Ann <b>Other</b>")
    again = await http.post(link)
    assert again.status_code == 409
    assert "<b>" not in again.text
    assert (await http.post(f"{broken.url}/api/v1/incidents/{broken.found}/resolve")).status_code == 401
    assert link.rpartition("/")[2] not in broken.log.read_text()
    await receiver.hears(broken.found, "acknowledge")


async def test_a_link_works_after_a_restart_and_never_after_it_was_used(broken, receiver, http):
    (_, told), *_ = receiver.accepted
    link = told["data"]["acknowledge_url"]
    await broken.kill()
    await broken.start()
    assert (await http.post(link)).status_code == 200
    found = await broken.get(f"incidents/{broken.found}")
    assert found["acknowledged_by"] == "somebody with the link sent to chat"
    await broken.kill()
    await broken.start()
    assert (await http.post(link)).status_code == 409


def event(incident, event_type, number=1):
    agent = {"summary": "Ann Other", "type": "user_reference"}
    told = {"id": f"event-{number}", "event_type": event_type, "agent": agent, "data": {"incident_key": incident}}
    told["occurred_at"] = datetime.now(UTC).isoformat()
    return json.dumps({"event": told}).encode()


async def post(daemon, body, secret="theirs"):
    signature = "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    async with httpx.AsyncClient(trust_env=False) as outside:
        url = f"{daemon.url}/callbacks/pager"
        return await outside.post(url, content=body, headers={"X-PagerDuty-Signature": signature})


async def test_what_is_done_in_pagerduty_is_done_here_and_not_told_back(broken, receiver, pager):
    acknowledged = event(broken.found, "incident.acknowledged")
    assert (await post(broken, acknowledged, "forged")).status_code == 403
    assert (await post(broken, acknowledged + b" " * 300_000)).status_code == 413
    assert (await broken.get(f"incidents/{broken.found}"))["status"] == "open"
    for _ in range(2):
        assert (await post(broken, acknowledged)).status_code == 200
    found = await broken.get(f"incidents/{broken.found}")
    assert (found["status"], found["acknowledged_by"]) == ("acknowledged", "Ann Other in PagerDuty")
    await receiver.hears(broken.found, "acknowledge")
    assert (await post(broken, event(broken.found, "incident.resolved", 2))).status_code == 200
    await receiver.hears(broken.found, "resolve")
    assert (await post(broken, event("inc-of-others", "incident.resolved", 3))).status_code == 200
    with contextlib.suppress(TimeoutError):  # it fails on, so another incident opens: by then the others were told
        await until(lambda: len({e["dedup_key"] for e in pager.events}) > 1, PATIENCE)
    mine = [e["event_action"] for e in pager.events if e["dedup_key"] == broken.found]
    assert mine == ["trigger"]


async def test_a_key_pressed_in_an_alert_call_acknowledges_and_is_answered(broken, receiver):
    url = f"{broken.url}/callbacks/ring?incident={broken.found}"
    form = {"CallSid": "CA1", "Digits": "1", "To": RUNG}
    signed = {"X-Twilio-Signature": RequestValidator("theirs").compute_signature(url, form)}
    async with httpx.AsyncClient(trust_env=False) as outside:
        assert (await outside.post(url, data={**form, "Digits": "2"}, headers=signed)).status_code == 403
        reply = await outside.post(url, data=form, headers=signed)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, "text/xml")
    assert "Acknowledged" in reply.text
    found = await broken.get(f"incidents/{broken.found}")
    assert found["acknowledged_by"] == "somebody by telephone"
    await receiver.hears(broken.found, "acknowledge")
    calls = [d for d in await broken.get("deliveries", incident=broken.found) if d["hook"] == "ring"]
    assert [(d["kind"], d["state"]) for d in calls] == [("open", "delivered")]


async def test_where_no_callback_is_awaited_there_is_nothing(broken):
    async with httpx.AsyncClient(trust_env=False, base_url=broken.url) as outside:
        assert (await outside.post("/callbacks/chat")).status_code == 404
        assert (await outside.post("/callbacks/nobody")).status_code == 404
        assert (await outside.get("/callbacks/pager")).status_code == 405
    told = await cli("incidents", "list", "--url", broken.url)
    assert told.returncode == 1


async def test_a_link_to_the_evidence_needs_no_login_and_is_taken_back(broken, http):
    made = await broken.api.post(f"/api/v1/incidents/{broken.found}/evidence-links", params={"seconds": 3600})
    link = made.json()
    assert link["url"].startswith(f"{broken.url}/shared/")
    assert (await http.get(f"{broken.url}/api/v1/incidents/{broken.found}/evidence.zip")).status_code == 401
    got = await http.get(link["url"])
    assert (got.status_code, got.headers["content-type"]) == (200, "application/zip")
    assert (await http.get(link["url"][:-2] + "AA")).status_code == 404
    assert (await broken.api.delete(f"/api/v1/evidence-links/{link['id']}")).status_code == 200
    assert (await http.get(link["url"])).status_code == 410
    assert (await http.delete(f"{broken.url}/api/v1/evidence-links/{link['id']}")).status_code == 401


async def test_the_daemon_tries_a_hook_out_and_calls_for_it(broken, receiver, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    there = ("--url", broken.url, "--token-file", str(tmp_path / "token"))
    before = len(receiver.accepted)
    tried = await cli("hooks", "test", "chat", *there)
    assert (tried.returncode, "chat: open: delivered" in tried.stdout) == (0, True), tried.stderr
    assert len(receiver.accepted) == before + 2
    rung = await cli("hooks", "test", "ring", *there)
    assert "ring: open: delivered (ok) called as CA" in rung.stdout, rung.stdout + rung.stderr
    assert (await cli("hooks", "test", "nobody", *there)).returncode == 1
