"""What a redirect makes of a request, as the Fetch Standard has it and browsers do it."""

import gc

import pytest
from web_servers import answering, raw_server

from earwitness.model import Outcome

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nwelcome"


def moved(status, location):
    return f"HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()


class Shop:
    """Answers with a redirect, then with a page, and keeps what it was asked."""

    def __init__(self, status, location="/there"):
        self.first, self.heard = moved(status, location), []

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.heard.append((head, await reader.readexactly(length)))
        writer.write(OK if len(self.heard) > 1 else self.first)
        await writer.drain()


METHODS = [  # status, method asked with, method that follows
    (301, "POST", "GET"),
    (302, "POST", "GET"),
    (303, "POST", "GET"),
    (303, "PUT", "GET"),
    (302, "PUT", "PUT"),
    (301, "DELETE", "DELETE"),
    (307, "POST", "POST"),
    (308, "PATCH", "PATCH"),
    (303, "HEAD", "HEAD"),
    (302, "HEAD", "HEAD"),
]


@pytest.mark.parametrize(("status", "method", "follows"), METHODS)
async def test_the_method_that_follows(observe, engine, make_web, status, method, follows):
    shop, body = Shop(status), {} if method == "HEAD" else {"body": "an order"}
    async with raw_server(shop) as port:
        seen = await observe(
            f"http://127.0.0.1:{port}/",
            make_web(transport=engine),
            method=method,
            headers={"content-type": "x/y"},
            **body,
        )
    assert seen.outcome is Outcome.OK
    (head, sent) = shop.heard[1]
    assert head.startswith(f"{follows} /there HTTP/1.1\r\n".encode())
    keeps = follows == method and method != "HEAD"
    assert sent == (b"an order" if keeps else b"")
    assert (b"content-type: x/y" in head.lower()) is (follows == method)


async def test_a_host_of_its_own_goes_along_to_the_same_origin_only(observe):
    shop = Shop(302)
    async with raw_server(shop) as port:
        await observe(f"http://127.0.0.1:{port}/", headers={"host": "shop.example"})
    assert b"host: shop.example\r\n" in shop.heard[1][0].lower()
    other = Shop(302)
    other.heard.append(None)
    async with raw_server(other) as there, raw_server(Shop(302, f"http://127.0.0.1:{there}/")) as port:
        await observe(f"http://127.0.0.1:{port}/", headers={"host": "shop.example"})
    assert f"host: 127.0.0.1:{there}\r\n".encode() in other.heard[1][0].lower()


async def test_where_a_redirect_points_that_is_not_followed_matters_only_to_who_asks(observe):
    async with raw_server(answering(moved(302, "http://[::1"))) as port:
        kept = {"follow_redirects": False, "expect": {"status": 302}}
        assert (await observe(f"http://127.0.0.1:{port}/", **kept)).outcome is Outcome.OK
        kept["expect"]["redirect_to"] = "/receipt"
        seen = await observe(f"http://127.0.0.1:{port}/", **kept)
    assert [f.message for f in seen.findings] == ["redirected to what is no address at all"]


async def test_a_run_leaves_no_cycle_for_the_collector(observe, make_web):
    """At hundreds of runs a second the collector would take longer than the runs."""
    web = make_web()
    async with raw_server(answering(OK)) as port:
        await observe(f"http://127.0.0.1:{port}/", web, expect={"body": "welcome"})
        gc.collect()
        gc.disable()
        try:
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(5):
                await observe(f"http://127.0.0.1:{port}/", web, expect={"body": "welcome"})
            gc.collect()
            left = [o for o in gc.garbage if type(o).__module__.startswith(("earwitness.", "httpx", "pycurl"))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left == []
