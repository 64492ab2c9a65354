"""What a redirect makes of a request, as the Fetch Standard has it and browsers do it."""

import gc
from ipaddress import ip_network

import httpx
import pytest
from web_servers import answering, raw_server

from earwitness.model import Failure, Outcome
from earwitness.transport.base import Reply
from earwitness.transport.errors import BrokenAnswerError, ConnectFailedError
from earwitness.transport.exchange import Terms
from earwitness.transport.redirects import Trail, follow, location_in, pointed_at

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
    (303, "GET", "GET"),
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


class Host:
    """Answers by path, with what it is given there, and keeps the heads of what it was asked."""

    def __init__(self, **answers):
        self.answers, self.heard = {f"/{path}": answer for path, answer in answers.items()}, []

    async def __call__(self, reader, writer):
        self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(self.answers[self.heard[-1].split()[1].partition("?")[0]])
        await writer.drain()


OWN = {"authorization": "Bearer own-token", "x-key": "own-key", "cookie": "own=cookie", "host": "shop.own"}


async def test_what_belongs_to_the_first_origin_is_there_again_when_a_redirect_comes_back(observe, zone):
    """As after a login at another host: what signs in may not go there, and has to be there afterwards."""
    zone.addresses["login.test"] = ["127.0.0.1"]
    shop, login = Host(done=OK), Host()
    async with raw_server(shop) as here, raw_server(login) as there:
        shop.answers["/start"] = moved(302, f"http://login.test:{there}/login")
        login.answers["/login"] = moved(302, f"http://shop.test:{here}/done")
        seen = await observe(f"http://shop.test:{here}/start", headers=OWN)
    assert seen.outcome is Outcome.OK
    assert [all(f"{name}: {value}".lower() in head for name, value in OWN.items()) for head in shop.heard] == [
        True,
        True,
    ]
    assert "own" not in login.heard[0].partition("\r\n")[2]


def setting(answer, *cookies):
    lines = "".join(f"set-cookie: {cookie}\r\n" for cookie in cookies).encode()
    return answer.replace(b"content-length", lines + b"content-length")


async def test_of_cookies_with_one_name_that_of_the_answers_own_host_is_captured(observe, zone):
    """Every host on the way calls its session by the same name, and the shop's was there first."""
    zone.addresses["login.test"] = ["127.0.0.1"]
    shop, login = Host(narrow=OK, done=setting(OK, "sid=wide; Path=/", "sid=narrow; Path=/done")), Host()
    async with raw_server(shop) as here, raw_server(login) as there:
        shop.answers["/start"] = setting(moved(302, f"http://login.test:{there}/login"), "sid=first; Path=/")
        login.answers["/login"] = setting(moved(302, f"http://shop.test:{here}/done"), "sid=theirs; Path=/done")
        start = f"http://shop.test:{here}/"
        steps = [
            {"name": "a", "url": f"{start}start", "capture": {"SID": {"cookie": "sid"}}},
            {"name": "b", "url": start + "{{SID}}"},
        ]
        seen = await observe(steps=steps)
    assert seen.outcome is Outcome.OK, seen.findings


@pytest.mark.parametrize(
    ("written", "set_on_the_way", "sent"),
    [
        ("session=abc", "lang=en; Path=/", "cookie: session=abc; lang=en\r\n"),
        ("session=old; lang=en", "session=new; Path=/", "cookie: lang=en; session=new\r\n"),
    ],
)
async def test_cookies_written_as_a_header_go_along_but_for_what_the_server_set_anew(
    observe, written, set_on_the_way, sent
):
    shop = Host(start=setting(moved(302, "/there"), set_on_the_way), there=OK)
    async with raw_server(shop) as port:
        await observe(f"http://127.0.0.1:{port}/start", headers={"cookie": written})
    assert sent in shop.heard[1]


REFERERS = {  # what is written, and what another origin sees of it, as browsers do by default
    "http://shop.test:{here}/basket?session=1": "http://shop.test:{here}/",
    "https://shop.test/basket?session=1": None,
    "http://login.test:{there}/own?session=1": "http://login.test:{there}/own?session=1",
    "about:blank": None,
}


@pytest.mark.parametrize("written", REFERERS)
async def test_another_origin_sees_of_the_referer_where_it_was_and_no_more(observe, zone, written):
    zone.addresses["login.test"] = ["127.0.0.1"]
    shop, login, seen = Host(), Host(login=OK), REFERERS[written]
    async with raw_server(shop) as here, raw_server(login) as there:
        shop.answers["/start"] = moved(302, f"http://login.test:{there}/login")
        ports = {"here": here, "there": there}
        await observe(f"http://shop.test:{here}/start", headers={"referer": written.format(**ports)})
    told = [line for line in login.heard[0].split("\r\n") if line.startswith("referer: ")]
    assert told == ([] if seen is None else [f"referer: {seen.format(**ports)}"])


PLACES = {  # lines of a head, and the path that browsers ask for then
    b"location: /there\r\nlocation: /there": "/there",
    b"location:\r\nlocation: /there": "/there",
    b"location: \\there": "/there",
    b"location: there\\now?a=\\": "/there/now?a=\\",
    b"location: /the\tre": "/there",
    "location: /café".encode(): "/caf%C3%A9",
    "location: /café\r\nx-a: ".encode() + b"\xff": "/caf%C3%A9",
    b"location: /caf\xe9": "/caf%E9",
    b"location: /there\r\ncontent-encoding: br": "/there",
    b"location: /a//b": "/a//b",
    b"location: a//b": "/a//b",
}


@pytest.mark.parametrize("lines", PLACES)
async def test_leads_where_browsers_go(observe, lines):
    heard = []

    async def serve(reader, writer):
        heard.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        head = b"HTTP/1.1 302 Elsewhere\r\n" + lines + b"\r\ncontent-length: 0\r\n\r\n"
        writer.write(OK if len(heard) > 1 else head)
        await writer.drain()

    async with raw_server(serve) as port:
        url = f"http://127.0.0.1:{port}/"
        seen = await observe(url)
        there = str(httpx.URL(url).join(PLACES[lines]))
        heard.clear()
        kept = await observe(url, follow_redirects=False, expect={"redirect_to": there})
    assert seen.outcome is Outcome.OK, seen.findings
    assert seen.facts["final_url"].partition("?")[0] == there.partition("?")[0]
    assert b"br" in lines or kept.outcome is Outcome.OK, kept.findings


async def test_without_an_address_it_is_none(observe):
    async with raw_server(answering(b"HTTP/1.1 302 Found\r\nlocation: \r\ncontent-length: 7\r\n\r\nwelcome")) as port:
        seen = await observe(f"http://127.0.0.1:{port}/", expect={"status": 302, "body": "welcome"})
    assert (seen.outcome, seen.facts["redirects"]) == (Outcome.OK, 0)


async def test_what_its_address_carries_is_shown_nowhere(observe, drawer):
    """Codes and tickets of a login stand in the query, and the page after it repeats them."""
    last = b"HTTP/1.1 500 Broken\r\n\r\n<a href='/again?code=canary-code'>canary-code</a> state canary-state"
    shop = Host(start=moved(302, "/back?code=canary-code&state=canary-state"), back=last)
    async with raw_server(shop) as port:
        seen = await observe(f"http://127.0.0.1:{port}/start", expect={"body": "welcome"})
    assert [f.failure for f in seen.findings] == [Failure.WRONG_STATUS, Failure.WRONG_BODY]
    assert "canary" not in repr(seen) + "".join(drawer.named.values())


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


@pytest.fixture
def redirected(make_web, monkeypatch):
    """Ask a public server, which no test can reach: the engine is told that it was there, and redirects."""
    transport = make_web(allow=[]).transport

    async def redirected(location, **terms):
        async def nothing():
            return
            yield

        async def close():
            pass

        async def opened(_request, addresses, _terms, exchange, _watch):
            exchange.address = str(addresses[0])
            return Reply(302, b"Found", [(b"location", location)], nothing(), close, lambda: None)

        monkeypatch.setattr(transport, "_open", opened)
        request = httpx.Request("GET", "http://1.1.1.1/pay")
        return await follow(transport, httpx.Cookies(), request, Terms(**terms), Trail(), 1, None)

    return redirected


@pytest.mark.parametrize("location", [b"http://10.1.2.3:8080/login", b"//127.0.0.1/", b"http://[::ffff:10.1.2.3]/"])
async def test_a_public_server_that_leads_into_its_own_network_is_at_fault(redirected, location):
    with pytest.raises(BrokenAnswerError, match="no customer gets") as caught:
        await redirected(location)
    assert caught.value.failure is Failure.WRONG_REDIRECT


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"deny": (ip_network("10.0.0.0/8"),)}, ConnectFailedError),  # the operator's doing, and not the server's
        ({"allow": (ip_network("10.0.0.0/8"),)}, BrokenAnswerError),  # which is followed, until it leads in a circle
    ],
)
async def test_what_the_configuration_names_is_no_fault_of_the_servers(redirected, terms, error):
    with pytest.raises(error) as caught:
        await redirected(b"http://10.1.2.3/login", **terms)
    assert caught.value.failure in (Failure.ADDRESS_REFUSED, Failure.TOO_MANY_REDIRECTS)


LED = {  # where browsers go from https://shop.test/pay?utm=1; None: nowhere
    "https:///checkout": "https://checkout",
    "///checkout/a": "https://checkout/a",
    "HTTPS:\\\\\\checkout": "https://checkout",
    "https://": None,
    "//": None,
    "https://?next=1": None,
    "//#top": None,
    "?": "https://shop.test/pay",  # or with the question mark, which asks for the same
    "?#top": "https://shop.test/pay#top",
    "?a=b": "https://shop.test/pay?a=b",
    "https:card": "https://shop.test/card",
    "/a//b": "https://shop.test/a//b",
}


@pytest.mark.parametrize("location", LED)
def test_it_leads_where_browsers_go(location):
    at, said = httpx.URL("https://shop.test/pay?utm=1"), location_in([(b"location", location.encode())])
    if LED[location] is None:
        with pytest.raises(BrokenAnswerError, match="no address"):
            pointed_at(at, said)
    else:
        assert str(pointed_at(at, said)) == LED[location]
