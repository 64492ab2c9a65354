"""A running daemon keeps its watcher informed, and stops when an alert does not get out."""

import asyncio

from daemon import PATIENCE
from shop_config import web_config
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from virtual import until

from earwitness.serving import listen, served


async def test_it_beats_until_an_alert_is_stuck_and_again_when_it_is_out(daemon, receiver, simulator, http):
    beats = []

    async def beat(_request):
        beats.append(asyncio.get_running_loop().time())
        return Response()

    async def beats_again():
        seen = len(beats)
        await until(lambda: len(beats) > seen + 1, PATIENCE)

    listener = listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/beat", beat)]), listener, grace=1):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/beat"
        heartbeat = {"url": url, "every": "1s", "outbox_limit": "1s"}
        daemon.configure(web_config(simulator.url, ("card",), {"pager": receiver.hook()}, heartbeat=heartbeat))
        await daemon.start()
        await daemon.passes("card-web")
        await beats_again()
        receiver.answer = 503
        await http.put(f"{simulator.url}/faults/card-processor-down")
        await daemon.shows(1.0, "earwitness_monitor_impaired", component="heartbeat")
        (known,) = [k for k in await daemon.get("impairments") if k["component"] == "heartbeat"]
        assert "pager has been owed" in known["details"][0]
        assert daemon.events("heartbeat_withheld")
        receiver.answer = 204
        await daemon.shows(0.0, "earwitness_monitor_impaired", component="heartbeat")
        await beats_again()
        assert url not in daemon.log.read_text()
