"""The couriers' house: what breaks down is shown and begins again, and one hook's breakdown is no other's."""

import asyncio
from functools import partial

import pytest
from outbox_world import OutboxWorld
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from virtual import VirtualClock, until

from earwitness.alerting.couriers import GIVE_UP, LONGEST_PAUSE
from earwitness.alerting.notices import Links
from earwitness.alerting.postroom import Postroom
from earwitness.clock import SystemClock
from earwitness.config.network import NetworkSpec
from earwitness.config.schema import Config
from earwitness.impairments import Impairments
from earwitness.metrics import Metrics
from earwitness.serving import listen, served
from earwitness.transport.client import WebClient


class BrokenOnce(VirtualClock):
    """A clock whose sleep fails once, as a courier's look for what is due might by a fault of ours."""

    def __init__(self):
        super().__init__(SystemClock().now())
        self.fails = 1

    async def sleep(self, seconds):
        await asyncio.sleep(0.01)
        if self.fails and seconds == 30.0:
            self.fails -= 1
            raise RuntimeError("nobody foresaw this")


@pytest.fixture
async def receiver():
    got = []

    async def take(request):
        got.append(await request.json())
        return Response(status_code=204)

    listener = listen("127.0.0.1", 0)
    async with served(Starlette(routes=[Route("/", take, methods=["POST"])]), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", got


def config_of(url):
    ticket = {"url": "https://now.test", "username": "u", "password": "p", "poll_every": "30s"}
    return Config.model_validate(
        {
            "environment": "production",
            "network": {"allow": ["127.0.0.0/8"]},
            "journeys": {"pay": {}},
            "probes": {"web": {"journey": "pay", "every": "1m", "http": {"url": "https://shop.example/"}}},
            "hooks": {
                "chat": {"webhook": {"url": url, "secret": "a secret of the hook"}},
                "tickets": {"servicenow": ticket},
            },
        }
    )


async def test_what_breaks_down_is_shown_begins_again_and_is_no_other_hooks_trouble(tmp_path, receiver):
    url, got = receiver
    world = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["chat"]}])
    world.clock.moment = SystemClock().now()
    impairments, clock = Impairments(lambda _part, _bad: None), BrokenOnce()
    web = WebClient(NetworkSpec.model_validate({"allow": ["127.0.0.0/8"]}))
    postroom = Postroom(
        world.store, clock, Metrics(), lambda: web, Links("http://here"), tmp_path.joinpath, impairments
    )
    postroom.configure(config_of(url))
    running = asyncio.create_task(postroom.run())
    await until(lambda: "tickets broke down" in str(impairments.details()))
    assert clock.fails == 0
    await world.opens("a")
    postroom.wake()
    await until(lambda: got)
    _, _, serving = postroom._couriers["tickets"]
    assert not serving.done(), "it began again"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    world.close()


async def test_what_is_given_up_is_counted_as_expired(tmp_path):
    world = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["chat"]}])
    metrics, clock = Metrics(), world.clock
    postroom = Postroom(world.store, clock, metrics, lambda: None, Links("http://here"), tmp_path.joinpath)
    world.couriers["chat"].on_told(postroom._count)
    world.answers["chat"] = [500]
    await world.opens("a")
    await world.deliver()
    clock.moment += GIVE_UP + LONGEST_PAUSE
    await world.deliver()
    counted = partial(metrics.registry.get_sample_value, "earwitness_alert_deliveries_total")
    assert counted({"hook": "chat", "outcome": "retry", "reason": "server_error"}) == 1
    assert counted({"hook": "chat", "outcome": "expired", "reason": "too_old"}) == 1
    world.close()
