"""Whose host it is: a failing request at a dependency's host is told as that dependency's failure."""

from asyncio import sleep

import httpx
import pytest
from pydantic import TypeAdapter
from web_servers import answering, hang, raw_server

from earwitness.model import Attribution, Effect, Failure, Finding, Outcome
from earwitness.probes.hosts import HostMap, HostPattern, Owner

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CARDS = "js.cards.test"


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("js.card-processor.example", "cards"),
        ("JS.Card-Processor.example.", "cards"),
        ("api.cardproc.example", "cards"),
        ("a.b.cardproc.example", "cards"),
        ("eu.api.cardproc.example", "europe"),
        ("cardproc.example", None),
        ("notcardproc.example", None),
        ("shop.example", None),
        ("192.0.2.1", "by-address"),
        ("", None),
    ],
)
def test_knows_whose_host_it_is(host, owner):
    hosts = HostMap(
        {
            "js.card-processor.example": Owner("cards", True),
            "*.cardproc.example": Owner("cards", True),
            "*.api.cardproc.example": Owner("europe", True),
            "192.0.2.1": Owner("by-address", False),
        }
    )
    found = hosts.owner(host)
    assert (found.dependency if found else None) == owner


@pytest.mark.parametrize("attribution", [Attribution.MONITOR, Attribution.UNKNOWN, Attribution.CARRIER])
def test_what_is_not_the_targets_fault_is_not_the_dependencys(attribution):
    finding = Finding(Failure.RESOLVER_FAILED, "x", Effect.NONE, attribution)
    assert HostMap({"a": Owner("cards", True)}).attributed(finding, "a") == finding


@pytest.fixture
def ports():
    return {"hosts": HostMap({CARDS: Owner("card-processor", True), "shop.test": Owner("web-shop", False)})}


@pytest.fixture(autouse=True)
def _named(zone):
    zone.addresses[CARDS] = ["127.0.0.1"]


WRONG = {
    "wrong status": (answering(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n"), Failure.WRONG_STATUS),
    "hangs up": (answering(), Failure.CONNECTION_LOST),
    "hangs": (answering(then=hang), Failure.FIRST_BYTE_TIMEOUT),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("way", ["asked", "redirected", "in a step"])
async def test_a_third_party_that_fails_is_named(observe, ports, drawer, case, way):
    handler, failure = WRONG[case]
    async with raw_server(handler) as there:
        url = f"http://{CARDS}:{there}/"
        moved = f"HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n".encode()
        async with raw_server(answering(moved if way == "redirected" else OK)) as here:
            shop = f"http://shop.test:{here}/"
            asked = {"url": url if way == "asked" else shop}
            if way == "in a step":
                asked = {"steps": [{"name": "page", "url": shop}, {"name": "pay", "url": url}]}
            seen = await observe(**asked, ports=ports, timeout="1s" if case == "hangs" else "10s")
    (finding,) = seen.findings
    assert (finding.failure, finding.attribution, finding.dependency) == (
        failure,
        Attribution.THIRD_PARTY,
        "card-processor",
    )
    assert (seen.outcome, finding.effect) == (Outcome.FINDING, Effect.BLOCKED)
    assert drawer.files


async def test_what_is_nobodys_host_stays_the_targets(observe, ports, zone):
    zone.addresses["other.test"] = ["127.0.0.1"]
    async with raw_server(answering(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n")) as port:
        own = await observe(f"http://shop.test:{port}/", ports=ports)
        other = await observe(f"http://other.test:{port}/", ports=ports)
    assert [(f.attribution, f.dependency) for f in own.findings] == [(Attribution.TARGET, "web-shop")]
    assert [(f.attribution, f.dependency) for f in other.findings] == [(Attribution.TARGET, None)]


@pytest.mark.parametrize("slow", ["shop", "cards"])
async def test_of_a_slow_redirect_the_slow_host_is_named(observe, ports, slow):
    """The shop sends the customer on; the one that keeps them waiting is the one to talk to."""

    def after(seconds, answer):
        async def handle(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            await sleep(seconds)
            writer.write(answer)
            await writer.drain()

        return handle

    async with raw_server(after(0.15 if slow == "cards" else 0, OK)) as there:
        moved = f"HTTP/1.1 302 Found\r\nlocation: http://{CARDS}:{there}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with raw_server(after(0.15 if slow == "shop" else 0, moved)) as here:
            seen = await observe(f"http://shop.test:{here}/", ports=ports, expect={"within": {"minor": "50ms"}})
    (finding,) = seen.findings
    assert finding.failure is Failure.SLOW
    wanted = ("web-shop", Attribution.TARGET) if slow == "shop" else ("card-processor", Attribution.THIRD_PARTY)
    assert (finding.dependency, finding.attribution) == wanted


@pytest.mark.parametrize("pattern", ["xn--zhlung-bua.test", "zählung.test", "*.ZÄHLUNG.test"])
async def test_a_host_with_an_international_name_is_known_by_it(observe, zone, pattern):
    host = TypeAdapter(HostPattern).validate_python(pattern)
    asked = "cards.zählung.test" if host.startswith("*") else "zählung.test"
    zone.addresses[httpx.URL(f"http://{asked}").raw_host.decode()] = ["127.0.0.1"]
    async with raw_server(answering(b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\n\r\n")) as port:
        ports = {"hosts": HostMap({host: Owner("card-processor", True)})}
        seen = await observe(f"http://{asked}:{port}/", ports=ports)
    assert [(f.dependency, f.attribution) for f in seen.findings] == [("card-processor", Attribution.THIRD_PARTY)]
