"""A running daemon that cannot see tells people so, by its hooks, and blames no customer's target."""

from daemon import PATIENCE
from shop_config import web_config
from virtual import until
from web_servers import free_port


async def test_a_dead_name_server_is_told_to_people_and_blames_nobody(daemon, receiver, simulator):
    config = web_config(simulator.url, ("card",), {"on-call": receiver.hook()}, monitor_alerts={"after": "1s"})
    config["probes"]["card-web"]["http"] |= {"url": "http://shop.test/", "timeout": "800ms"}
    blind = {**config, "network": {"allow": ["127.0.0.0/8"], "nameservers": [f"127.0.0.1:{free_port()}"]}}
    daemon.configure(blind)
    await daemon.start()
    opened = await until(lambda: _told(receiver, "incident.open"), PATIENCE)
    assert opened["incident"]["title"] == "Monitor impaired: resolver"
    assert "card-web" in opened["text"]
    assert await daemon.get("incidents") == []
    (known,) = await daemon.get("impairments")
    assert "card-web" in known["details"][0]

    await daemon.kill()
    config["probes"]["card-web"]["http"]["url"] = simulator.url + "/shop/pay"
    daemon.configure(config)
    await daemon.start()
    resolved = await until(lambda: _told(receiver, "incident.resolve"), PATIENCE)
    assert resolved["incident"]["id"] == opened["incident"]["id"]
    assert await daemon.get("incidents") == []


def _told(receiver, kind):
    return next((told["data"] for _, told in receiver.accepted if told["type"] == kind), None)
