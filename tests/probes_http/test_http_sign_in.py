"""Signing in: a password, a token, OAuth 2.0; whose fault it is when that fails, and where credentials never go."""

import re
from fnmatch import fnmatchcase

import pytest
from web_servers import answering, hang, raw_server

from earwitness.clock import SystemClock
from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes.hosts import HostMap, Owner
from earwitness.probes.http_oauth2 import TokenCache, read_token
from earwitness.simulator.checkout import CLIENT, CLIENT_SECRET

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


def oauth2(url, **more):
    return {"token_url": f"{url}/shop/oauth2/token", "client_id": CLIENT, "client_secret": CLIENT_SECRET, **more}


class Later(SystemClock):
    """A clock that can be put forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_signs_in_by_oauth(observe, checkout, method):
    seen = await observe(f"{checkout.url}/shop/api/orders", oauth2=oauth2(checkout.url, auth_method=method))
    assert not seen.findings
    assert [step.name for step in seen.steps] == ["token", f"GET {checkout.url}/shop/api/orders"]
    assert seen.measures["step_token"] > 0
    assert (seen.facts["url"], seen.facts["status"]) == (f"{checkout.url}/shop/api/orders", 200)


async def test_says_what_the_token_is_for(observe):
    heard = []

    async def issue(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(await reader.readexactly(int(re.search(rb"content-length: (\d+)", head.lower())[1])))
        body = b'{"access_token": "tok-12345"}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async with raw_server(issue) as issuer, raw_server(answering(OK)) as port:
        section = {
            **oauth2(""),
            "token_url": f"http://127.0.0.1:{issuer}/",
            "scope": ["a", "b"],
            "audience": "https://api",
        }
        seen = await observe(f"http://127.0.0.1:{port}/", oauth2=section)
    assert not seen.findings
    assert heard == [b"grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi"]


async def test_a_token_is_kept_until_shortly_before_it_expires(observe, checkout):
    clock, tokens = Later(), TokenCache()
    run = {"ports": {"tokens": tokens}, "clock": clock, "oauth2": oauth2(checkout.url)}
    url = f"{checkout.url}/shop/api/orders"
    steps = []
    for clock.ahead in (0, 200, 280):
        steps.append(len((await observe(url, **run)).steps))
    assert steps == [2, 1, 2]
    assert len(checkout.app.state.checkout.tokens) == 2
    other = {**run, "oauth2": oauth2(checkout.url, scope="orders")}
    assert len((await observe(url, **other)).steps) == 2


async def test_a_token_that_was_withdrawn_is_renewed_within_the_run(observe, checkout):
    run = {"ports": {"tokens": TokenCache()}, "oauth2": oauth2(checkout.url)}
    await observe(f"{checkout.url}/shop/api/orders", **run)
    checkout.app.state.checkout.tokens.clear()
    seen = await observe(f"{checkout.url}/shop/api/orders", **run)
    assert not seen.findings
    assert [step.name for step in seen.steps] == ["token", f"GET {checkout.url}/shop/api/orders"]


async def test_a_new_token_that_is_refused_is_the_targets_fault(observe, checkout):
    seen = await observe(f"{checkout.url}/shop/basket", oauth2=oauth2(checkout.url))
    assert (only(seen).failure, only(seen).attribution) == (Failure.WRONG_STATUS, Attribution.TARGET)
    assert [step.name for step in seen.steps].count("token") == 1


def answered(status, body):
    return answering(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)


FAILING = {
    "down": (answered(b"503 Busy", b""), Failure.WRONG_STATUS, "expected status 2xx, got 503 Busy"),
    "silent": (answering(then=hang), Failure.FIRST_BYTE_TIMEOUT, "no answer began within * s"),
    "no JSON": (answered(b"200 OK", b"<html>"), Failure.WRONG_BODY, "the token endpoint gave no token"),
    "no token": (answered(b"200 OK", b'{"token_type": "x"}'), Failure.WRONG_BODY, "the token endpoint gave no token"),
    "a list": (answered(b"200 OK", b"[1]"), Failure.WRONG_BODY, "the token endpoint gave no token"),
}


@pytest.mark.parametrize("case", FAILING)
@pytest.mark.parametrize(
    ("third_party", "attribution"),
    [(None, Attribution.TARGET), (True, Attribution.THIRD_PARTY), (False, Attribution.TARGET)],
)
async def test_a_token_endpoint_that_fails_is_named(observe, drawer, case, third_party, attribution):
    handler, failure, message = FAILING[case]
    owners = {} if third_party is None else {"127.0.0.1": Owner("identity", third_party)}
    async with raw_server(handler) as port:
        section = {**oauth2(""), "token_url": f"http://127.0.0.1:{port}/"}
        ports = {"hosts": HostMap(owners)}
        seen = await observe("http://shop.test/", oauth2=section, timeout="1s", ports=ports)
    finding = only(seen)
    assert (finding.failure, finding.step) == (failure, "token")
    assert fnmatchcase(finding.message, f"token: {message}")
    assert (finding.attribution, finding.dependency) == (attribution, None if third_party is None else "identity")
    assert (finding.effect, seen.outcome) == (Effect.BLOCKED, Outcome.FINDING)
    assert [step.name for step in seen.steps] == ["token"]
    assert "01-token-request.txt" in drawer.named


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_scope"])
async def test_a_client_that_is_refused_is_nobodys_outage(observe, drawer, error):
    """The secret may have been changed there, or be wrong here: nobody can tell, and no customer uses it."""
    async with raw_server(answered(b"401 No", f'{{"error": "{error}"}}'.encode())) as port:
        section = {**oauth2(""), "token_url": f"http://127.0.0.1:{port}/"}
        seen = await observe("http://shop.test/", oauth2=section)
    assert (only(seen).attribution, only(seen).message) == (
        Attribution.UNKNOWN,
        f"token: the token endpoint refuses our client: {error}",
    )
    assert (seen.outcome, drawer.files) == (Outcome.UNKNOWN, {})


@pytest.mark.parametrize("method", ["basic", "post"])
async def test_the_clients_secret_follows_no_redirect(observe, method):
    """A redirect that keeps the method keeps the form too, and the secret in it, wherever it leads."""
    heard = []

    async def hear(reader, writer):
        heard.append(await reader.read(4096))
        writer.write(OK)
        await writer.drain()

    async with raw_server(hear) as other:
        head = b"HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n" % other
        async with raw_server(answering(head)) as port:
            section = {**oauth2("", auth_method=method), "token_url": f"http://127.0.0.1:{port}/"}
            seen = await observe("http://shop.test/", oauth2=section, timeout="5s")
    assert (only(seen).failure, only(seen).message) == (
        Failure.WRONG_STATUS,
        "token: expected status 2xx, got 307 Elsewhere",
    )
    assert heard == []


async def test_without_a_token_only_what_needs_none_cleans_up(observe):
    async with raw_server(answered(b"503 Busy", b"")) as issuer, raw_server(answering(OK)) as port:
        section = {**oauth2(""), "token_url": f"http://127.0.0.1:{issuer}/"}
        url = f"http://127.0.0.1:{port}/"
        steps = [{"name": "pay", "url": url}, {"name": "log-out", "url": url, "always": True, "credentials": False}]
        seen = await observe(steps=steps, oauth2=section)
    assert [(step.name, step.ok) for step in seen.steps] == [("token", False), ("log-out", True)]


@pytest.mark.parametrize(
    ("life", "good_for"), [(100, 90), (3600, 3540), ("60", 54), (None, 0), ("soon", 0), (-5, 0), ("nan", 0)]
)
def test_how_long_a_token_is_good_for(life, good_for):
    token = read_token(
        f'{{"access_token": "x", "expires_in": {"null" if life is None else repr(life)}}}'.replace("'", '"').encode(),
        7.0,
    )
    assert (token.text, token.good_until) == ("x", 7.0 + good_for)


async def listener(heard):
    async def serve(reader, writer):
        heard.append((await reader.readuntil(b"\r\n\r\n")).lower())
        writer.write(OK)
        await writer.drain()

    return serve


WAYS = {
    "password": ({"user": "ann", "password": "hunter2-x"}, b"authorization: basic yw5uomh1bnrlcjitea=="),
    "token": ({"token": "tok-12345"}, b"authorization: bearer tok-12345"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_credentials_go_to_the_first_host_unless_a_step_says_so(observe, drawer, way):
    section, header = WAYS[way]
    home, away = [], []
    async with raw_server(await listener(home)) as first, raw_server(await listener(away)) as second:
        here, there = f"http://127.0.0.1:{first}/", f"http://127.0.0.1:{second}/"
        steps = [
            {"name": "a", "url": here},
            {"name": "b", "url": there},
            {"name": "c", "url": there, "credentials": True},
            {"name": "d", "url": here, "credentials": False},
            {"name": "e", "url": here, "headers": {"Authorization": "Own x"}, "expect": {"body": "no"}},
        ]
        seen = await observe(steps=steps, **section)
    assert [header in head for head in home] == [True, False, False]
    assert b"authorization: own x" in home[2]
    assert [header in head for head in away] == [False, True]
    assert only(seen).step == "e"
    kept = "".join(drawer.named.values()) + repr(seen)
    assert "tok-12345" not in kept
    assert "hunter2-x" not in kept


async def test_a_token_comes_from_a_file(observe, tmp_path):
    (tmp_path / "token").write_text("tok-12345\n")
    heard = []
    async with raw_server(await listener(heard)) as port:
        assert not (await observe(f"http://127.0.0.1:{port}/", token_file=str(tmp_path / "token"))).findings
    assert b"authorization: bearer tok-12345\r\n" in heard[0]
