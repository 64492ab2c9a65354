import asyncio
from ipaddress import ip_address, ip_network

import pytest
from web_servers import answering, raw_server

from earwitness.model import Attribution, Failure
from earwitness.transport.errors import ExchangeError
from earwitness.transport.guard import usable
from earwitness.transport.resolver import Resolver, routable

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_asks_anew_each_time(zone):
    resolver = Resolver([zone.address])
    zone.addresses["shop.test"] = ["192.0.2.1"]
    assert await resolver.resolve("shop.test") == (ip_address("192.0.2.1"),)
    zone.addresses["shop.test"] = ["192.0.2.2", "2001:db8::2"]
    assert await resolver.resolve("shop.test") == (ip_address("192.0.2.2"), ip_address("2001:db8::2"))


async def test_a_name_that_appears_is_found(zone):
    resolver = Resolver([zone.address])
    with pytest.raises(ExchangeError) as caught:
        await resolver.resolve("shop.test")
    assert (caught.value.failure, caught.value.attribution) == (Failure.NAME_NOT_FOUND, Attribution.TARGET)
    zone.addresses["shop.test"] = ["192.0.2.1"]
    assert await resolver.resolve("shop.test") == (ip_address("192.0.2.1"),)


async def test_a_name_without_an_address_is_not_found(zone):
    zone.addresses["shop.test"] = []
    with pytest.raises(ExchangeError) as caught:
        await Resolver([zone.address]).resolve("shop.test")
    assert caught.value.failure is Failure.NAME_NOT_FOUND


async def test_failing_name_servers_are_nobodys_outage(zone):
    zone.failing.add("shop.test")
    with pytest.raises(ExchangeError, match=r"failed to look up shop\.test") as caught:
        await Resolver([zone.address]).resolve("shop.test")
    assert (caught.value.failure, caught.value.attribution) == (Failure.RESOLVER_FAILED, Attribution.UNKNOWN)


async def test_silent_name_servers_are_the_monitors_trouble(zone):
    with pytest.raises(ExchangeError) as caught:
        await Resolver([zone.address], timeout=0.3).resolve("silent.test")
    assert (caught.value.failure, caught.value.attribution) == (Failure.RESOLVER_FAILED, Attribution.MONITOR)


async def test_refusing_name_servers_are_the_monitors_trouble():
    with pytest.raises(ExchangeError) as caught:
        await Resolver(["127.0.0.1:1"], timeout=2).resolve("shop.test")
    assert (caught.value.failure, caught.value.attribution) == (Failure.RESOLVER_FAILED, Attribution.MONITOR)


async def test_reads_the_hosts_file():
    assert ip_address("127.0.0.1") in await Resolver().resolve("localhost")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test", ".".join(["label"] * 60)])
async def test_a_name_that_cannot_be_is_not_found(zone, host):
    with pytest.raises(ExchangeError) as caught:
        await Resolver([zone.address]).resolve(host)
    assert caught.value.failure is Failure.NAME_NOT_FOUND


async def test_200_dead_lookups_hold_up_no_other(zone, make_web, engine):
    zone.addresses["alive.test"] = ["127.0.0.1"]
    web = make_web(transport=engine, nameservers=(zone.address,), resolve_timeout=30)
    client = web.client(timeout=30)
    dead = [asyncio.create_task(client.get(f"http://n{n}.silent.test/")) for n in range(200)]
    for _ in dead:  # each has reached the name server and waits there
        await asyncio.to_thread(zone.silent_asked.acquire, True, 20)
    async with raw_server(answering(OK)) as port:
        assert (await client.get(f"http://alive.test:{port}/")).text == "ok"
    assert not any(task.done() for task in dead)
    for task in dead:
        task.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*dead, return_exceptions=True))


def test_knows_what_it_has_no_route_to():
    assert routable(ip_address("127.0.0.1"), 80)
    assert not routable(ip_address("255.255.255.255"), 80)


BOTH = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def test_a_version_of_ip_without_a_route_is_left_out():
    assert usable(BOTH, 80, ANYWHERE, lambda address, _port: address.version == 4) == BOTH[:1]


def test_without_any_route_the_uplink_is_down():
    with pytest.raises(ExchangeError, match=r"no route to 192\.0\.2\.1, 2001:db8::1") as caught:
        usable(BOTH, 80, ANYWHERE, lambda *_: False)
    assert (caught.value.failure, caught.value.attribution) == (Failure.UPLINK_DOWN, Attribution.MONITOR)


def test_the_only_version_of_ip_is_left_to_who_connects():
    assert usable(BOTH[:1], 80, ANYWHERE, lambda *_: False) == BOTH[:1]
