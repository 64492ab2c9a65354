"""A running daemon whose first hook wants no more: the next takes over, everybody who looks can see it, and a person can send it again."""

import pytest
from daemon import PATIENCE, cli, serve_receiver
from shop_config import web_config
from virtual import until


@pytest.fixture
async def other():
    async with serve_receiver() as running:
        yield running


@pytest.fixture
async def refused(daemon, receiver, other, simulator, http):
    """A daemon with an incident that its pager refused and its chat took."""
    receiver.answer = 410
    routes = [{"to": ["pager"], "failover": ["chat"]}]
    hooks = {"pager": receiver.hook(), "chat": other.hook()}
    new_each_time = {"reopen_within": "0s"}
    config = web_config(simulator.url, pages=("card",), hooks=hooks, routes=routes, incidents=new_each_time)
    daemon.configure(config)
    await daemon.start()
    await daemon.passes("card-web")
    await http.put(f"{simulator.url}/faults/card-processor-down")
    daemon.found = (await daemon.incident("card-web", "open"))["id"]
    await other.hears(daemon.found, "open")
    return daemon


async def test_a_refusing_hook_is_taken_over_from_and_seen(refused, receiver, other, simulator, http):
    await refused.shows(1.0, "earwitness_monitor_impaired", component="alerts")
    (known,) = await refused.get("impairments")
    assert known["component"] == "alerts"
    assert "pager" in known["details"][0]
    assert "410" in known["details"][0]
    assert "pager refused" in (await refused.api.get("/")).text
    await refused.kill()
    await refused.start()
    await refused.shows(1.0, "earwitness_monitor_impaired", component="alerts")
    await http.delete(f"{simulator.url}/faults/card-processor-down")
    await other.hears(refused.found, "resolve")
    assert [kind for kind in ("open", "resolve") if receiver.tried(refused.found, kind)] == ["open"]
    receiver.answer = 204
    await http.put(f"{simulator.url}/faults/card-processor-down")
    await until(lambda: receiver.accepted, PATIENCE)
    await refused.shows(0.0, "earwitness_monitor_impaired", component="alerts")


async def test_what_was_refused_is_sent_again_by_hand_and_the_trail_says_so(refused, receiver):
    key = f"{refused.found}.1.pager"
    named = ("--url", refused.url)
    listed = await cli("deliveries", "list", *named, "--incident", refused.found, "--state", "refused")
    assert key in listed.stdout
    assert "410" in listed.stdout
    page = (await refused.api.get(f"/incidents/{refused.found}")).text
    assert f"/deliveries/{key}/retry" in page
    receiver.answer = 204
    again = await cli("deliveries", "retry", key, *named, "--who", "Ann", "--json")
    assert (again.returncode, '"pending"' in again.stdout) == (0, True), again.stderr
    await receiver.hears(refused.found, "open")
    assert len(set(receiver.tried(refused.found, "open"))) == 1, "the same key"

    async def trail():
        row = next(d for d in await refused.get("deliveries", incident=refused.found) if d["key"] == key)
        return row["trail"] if row["state"] == "delivered" else None

    attempts = await until(trail, PATIENCE)
    assert [a["outcome"] for a in attempts] == ["refused", "again", "delivered"]
    assert "Ann" in attempts[1]["detail"]
    assert (await cli("deliveries", "retry", "nothing", *named)).returncode == 1
    nonsense = await cli("deliveries", "list", *named, "--state", "nonsense")
    assert (nonsense.returncode, "there is pending, leased, delivered" in nonsense.stderr) == (1, True)
    reply = await refused.api.post(f"/deliveries/{key}/retry")
    assert reply.headers["location"] == f"/incidents/{refused.found}"
    await until(lambda: len(receiver.told(refused.found, "open")) > 1, PATIENCE)


async def test_what_is_not_so_any_more_is_refused_in_the_api_and_on_the_command_line(refused):
    """It was acknowledged and is over: to send the acknowledgement again could take the ticket up again."""
    api = f"{refused.url}/api/v1"
    await refused.api.post(f"{api}/incidents/{refused.found}/acknowledge", json={"who": "Ann"})

    async def acknowledged():
        rows = await refused.get("deliveries", incident=refused.found, state="delivered")
        return next((row["key"] for row in rows if row["kind"] == "acknowledge"), None)

    key = await until(acknowledged, PATIENCE)
    await refused.api.post(f"{api}/incidents/{refused.found}/resolve", json={"who": "Ann"})
    reply = await refused.api.post(f"{api}/deliveries/{key}/retry")
    assert (reply.status_code, "says that it is acknowledged, and" in reply.text) == (409, True)
    again = await cli("deliveries", "retry", key, "--url", refused.url)
    assert (again.returncode, "says that it is acknowledged, and" in again.stderr) == (1, True), again.stderr
