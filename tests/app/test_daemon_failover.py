"""A running daemon whose first hook wants no more: the next takes over, and everybody who looks can see it."""

import contextlib

from daemon import PATIENCE, serve_receiver
from shop_config import web_config
from virtual import until


async def test_a_refusing_hook_is_taken_over_from_and_seen(daemon, receiver, simulator, http):
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(serve_receiver())
        receiver.answer = 410
        routes = [{"to": ["pager"], "failover": ["chat"]}]
        hooks = {"pager": receiver.hook(), "chat": other.hook()}
        daemon.configure(web_config(simulator.url, pages=("card",), hooks=hooks, routes=routes))
        await daemon.start()
        await daemon.passes("card-web")
        await http.put(f"{simulator.url}/faults/card-processor-down")
        incident = (await daemon.incident("card-web", "open"))["id"]
        await other.hears(incident, "open")
        await daemon.shows(1.0, "earwitness_monitor_impaired", component="alerts")
        (known,) = await daemon.get("impairments")
        assert known["component"] == "alerts"
        assert "pager" in known["details"][0]
        assert "410" in known["details"][0]
        assert "pager refused" in (await daemon.api.get("/")).text
        await daemon.kill()
        await daemon.start()
        await daemon.shows(1.0, "earwitness_monitor_impaired", component="alerts")
        await http.delete(f"{simulator.url}/faults/card-processor-down")
        await other.hears(incident, "resolve", PATIENCE)
        assert [kind for kind in ("open", "resolve") if receiver.tried(incident, kind)] == ["open"]
        receiver.answer = 204
        await http.put(f"{simulator.url}/faults/card-processor-down")
        await until(lambda: receiver.accepted, PATIENCE)
        await daemon.shows(0.0, "earwitness_monitor_impaired", component="alerts")
