"""Flows: several requests by one visitor, against the simulator's checkout and against servers with bad manners."""

import json
import re
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from web_servers import answering, hang, raw_server

from earwitness.model import Attribution, Effect, Failure, Outcome
from earwitness.probes.hosts import HostMap, Owner
from earwitness.simulator.checkout import PASSWORD, USER

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CARD = "4242 4242 4242 4242"


def steps_of(url, **changes):
    """Return the flow of a customer who logs in, fills the basket, pays and logs out. `changes` by the step's name."""
    steps = [
        {"name": "login-page", "url": f"{url}/shop/login", "capture": {"CSRF": {"form": "csrf_token"}}},
        {
            "name": "login",
            "url": f"{url}/shop/login",
            "method": "POST",
            "form": {"user": USER, "password": PASSWORD, "csrf_token": "{{CSRF}}"},
            "expect": {"body": "Welcome back", "redirect_to": "/shop/basket"},
            "capture": {"TOKEN": {"regex": 'data-token="([^"]+)"'}, "VISITOR": {"cookie": "visitor"}},
        },
        {
            "name": "basket",
            "url": f"{url}/shop/basket",
            "method": "POST",
            "form": {"item": "bill", "csrf_token": "{{ CSRF }}"},
            "expect": {"body": "1 in your basket"},
        },
        {
            "name": "pay",
            "url": f"{url}/shop/api/payments",
            "method": "POST",
            "headers": {"authorization": "Bearer {{TOKEN}}"},
            "json": {"card": CARD, "amount": 42.17},
            "expect": {"status": "201", "json": {"$.payment.state": "accepted"}},
            "capture": {"ORDER": {"json": "$.payment.id", "secret": False}},
        },
        {
            "name": "empty-basket",
            "url": f"{url}/shop/basket",
            "method": "POST",
            "form": {"empty": "1", "csrf_token": "{{CSRF}}"},
            "always": True,
        },
        {"name": "logout", "url": f"{url}/shop/logout", "method": "POST", "always": True},
    ]
    return [{**step, **changes.get(step["name"].replace("-", "_"), {})} for step in steps]


def went(seen):
    return [(step.name, step.ok) for step in seen.steps]


def only(seen):
    assert len(seen.findings) == 1, seen.findings
    return seen.findings[0]


async def test_a_customer_pays_from_login_to_logout(observe, checkout, drawer):
    seen = await observe(steps=steps_of(checkout.url))
    names = ["login-page", "login", "basket", "pay", "empty-basket", "logout"]
    assert went(seen) == [(name, True) for name in names], seen.findings
    assert (seen.outcome, drawer.files) == (Outcome.OK, {})
    assert {f"step_{name}" for name in names} <= set(seen.measures)
    steps = sum(seen.measures[f"step_{name}"] for name in names)
    phases = sum(value for name, value in seen.measures.items() if name.startswith("phase_"))
    assert 0 < phases <= steps + 0.01
    assert steps <= seen.measures["duration"] + 0.01
    assert seen.facts["url"] == f"{checkout.url}/shop/login"
    assert (seen.facts["final_url"], seen.facts["status"]) == (f"{checkout.url}/shop/api/payments", 201)
    assert all(not v.token and not v.basket for v in checkout.app.state.checkout.visitors.values())


async def test_a_flow_stops_where_a_customer_would_and_cleans_up(observe, checkout, drawer):
    checkout.faults.turn_on("card-processor-down")
    seen = await observe(steps=steps_of(checkout.url))
    assert went(seen) == [
        ("login-page", True),
        ("login", True),
        ("basket", True),
        ("pay", False),
        ("empty-basket", True),
        ("logout", True),
    ]
    assert [(f.step, f.failure, f.effect) for f in seen.findings] == [
        ("pay", Failure.WRONG_STATUS, Effect.BLOCKED),
        ("pay", Failure.WRONG_BODY, Effect.BLOCKED),
    ]
    assert seen.facts["status"] == 502
    assert list(drawer.named) == [
        f"{number:02}-{name}-{kind}.txt"
        for number, name in enumerate(["login-page", "login", "basket", "pay"], 1)
        for kind in ("request", "curl", "response")
    ]
    assert "card_processor_unavailable" in drawer.named["04-pay-response.txt"]
    assert all(not visitor.basket for visitor in checkout.app.state.checkout.visitors.values())


async def test_captured_values_are_shown_nowhere(observe, checkout, drawer):
    checkout.faults.turn_on("card-processor-down")
    seen = await observe(steps=steps_of(checkout.url))
    visitors = checkout.app.state.checkout.visitors
    kept = "".join(drawer.named.values()) + repr(seen)
    secrets = [*visitors, *(v.csrf for v in visitors.values()), *checkout.app.state.checkout.tokens, PASSWORD, CARD]
    assert len(secrets) >= 4
    for secret in secrets:
        assert secret not in kept
    assert "csrf_token=***" in drawer.named["02-login-request.txt"]
    assert "authorization: ***" in drawer.named["04-pay-request.txt"]
    assert 'data-token="***"' in drawer.named["02-login-response.txt"]


async def test_what_is_no_secret_is_shown(observe, checkout, drawer):
    flow = steps_of(checkout.url, basket={"expect": {"body": "nothing like it"}})
    flow[1]["capture"]["TOKEN"]["secret"] = False
    await observe(steps=flow)
    assert re.search('data-token="[^"*]{20,}"', drawer.named["02-login-response.txt"])


async def test_a_failed_login_skips_what_needs_its_values(observe, checkout):
    flow = steps_of(checkout.url, login_page={"capture": {"CSRF": {"form": "no_such_field"}}})
    seen = await observe(steps=flow)
    assert went(seen) == [("login-page", False), ("empty-basket", False), ("logout", True)]
    assert seen.steps[1].note == "skipped: CSRF was never captured"
    finding = only(seen)
    assert (finding.failure, finding.step) == (Failure.CAPTURE_FAILED, "login-page")
    assert (
        finding.message
        == "login-page: nothing to capture as CSRF: looked for a form field no_such_field in the page, there is none"
    )


CLEANING = {"default": ({}, Effect.NUISANCE), "declared": ({"effect": "blocked"}, Effect.BLOCKED)}


@pytest.mark.parametrize("case", CLEANING)
async def test_a_clean_up_that_fails_is_told_and_bothers_nobody_much(observe, checkout, case):
    change, effect = CLEANING[case]
    seen = await observe(steps=steps_of(checkout.url, logout={"expect": {"body": "See you"}, **change}))
    assert went(seen)[-1] == ("logout", False)
    assert (only(seen).step, only(seen).effect) == ("logout", effect)
    assert seen.facts["status"] == 201


async def test_our_trouble_while_cleaning_up_hides_no_outage(observe, checkout):
    checkout.faults.turn_on("card-processor-down")
    seen = await observe(steps=steps_of(checkout.url, logout={"url": "http://192.168.1.1/"}))
    assert ({f.step for f in seen.findings}, seen.outcome) == ({"pay"}, Outcome.FINDING)
    assert "192.168.1.1 is a private address" in seen.steps[-1].note


async def test_each_try_is_a_visitor_of_its_own(observe, checkout):
    checkout.faults.turn_on("card-processor-down")
    seen = await observe(steps=steps_of(checkout.url), tries="2")
    assert [name for name, _ in went(seen)].count("login") == 2
    assert len(checkout.app.state.checkout.visitors) == 2
    checkout.faults.turn_off("card-processor-down")
    assert (await observe(steps=steps_of(checkout.url))).outcome is Outcome.OK


@pytest.mark.parametrize(("effect", "goes_on"), [("nuisance", True), ("diverted", True), ("blocked", False)])
async def test_a_step_that_only_annoys_stops_nobody(observe, checkout, effect, goes_on):
    seen = await observe(steps=steps_of(checkout.url, basket={"expect": {"body": "gone"}, "effect": effect}))
    assert ("pay", True) in went(seen) or not goes_on
    assert (only(seen).effect, only(seen).step) == (Effect(effect), "basket")


async def test_a_step_has_limits_of_its_own(observe, checkout):
    flow = steps_of(
        checkout.url, basket={"expect": {"within": {"minor": "0s"}}}, pay={"timeouts": {"first_byte": "5s"}}
    )
    seen = await observe(steps=flow)
    assert (only(seen).failure, only(seen).effect, only(seen).step) == (Failure.SLOW, Effect.NUISANCE, "basket")


@pytest.mark.parametrize(
    ("whole", "own", "said"),
    [("10s", "100ms", "within 0.1 s"), ("300ms", None, "within 0."), ("200ms", "9s", "within 0.")],
)
async def test_a_step_ends_with_its_own_time_or_that_of_the_whole(observe, whole, own, said):
    async with raw_server(answering(OK)) as quick, raw_server(answering(then=hang)) as slow:
        flow = [
            {"name": "first", "url": f"http://127.0.0.1:{quick}/"},
            {"name": "second", "url": f"http://127.0.0.1:{slow}/", **({"timeout": own} if own else {})},
            {"name": "last", "url": f"http://127.0.0.1:{quick}/", "always": True},
        ]
        seen = await observe(steps=flow, timeout=whole)
    assert went(seen) == [("first", True), ("second", False), ("last", True)]
    assert (only(seen).failure, only(seen).step) == (Failure.FIRST_BYTE_TIMEOUT, "second")
    assert said in only(seen).message


@asynccontextmanager
async def listener(*answers):
    """Yield the port of a server that gives one answer after the other, and what it was asked."""
    heard, left = [], list(answers)

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head.lower())
        heard.append(head + (await reader.readexactly(int(size[1])) if size else b""))
        writer.write(left.pop(0) if left else OK)
        await writer.drain()

    async with raw_server(serve) as port:
        yield port, heard


def said(body, *headers):
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body.encode())}\r\n{lines}\r\n{body}".encode()


ODD = 'a&b=c/d "é" {{x}} <\\'
PLACES = {
    "path": ({"url": "/orders/{{V}}/pay"}, rb"^GET /orders/a%26b%3Dc%2Fd%20%22%C3%A9%22%20%7B%7Bx%7D%7D%20%3C%5C/pay "),
    "query": (
        {"url": "/?q={{V}}&z=1"},
        rb"^GET /\?q=a%26b%3Dc%2Fd(%20|\+)%22%C3%A9%22(%20|\+)%7B%7Bx%7D%7D(%20|\+)%3C%5C&z=1 ",
    ),
    "form": (
        {"method": "POST", "form": {"f": "[{{V}}]"}},
        rb"f=%5Ba%26b%3Dc%2Fd\+%22%C3%A9%22\+%7B%7Bx%7D%7D\+%3C%5C%5D$",
    ),
    "json": ({"method": "POST", "json": {"f": "[{{V}}]"}}, rb'\{"f":"\[a&b=c/d \\"\xc3\xa9\\" \{\{x\}\} <\\\\\]"\}$'),
    "json body": (
        {"method": "POST", "headers": {"content-type": "application/json"}, "body": '{"f": "{{V}}"}'},
        rb'\{"f": "a&b=c/d \\"\\u00e9\\" \{\{x\}\} <\\\\"\}$',
    ),
    "form body": (
        {"method": "POST", "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": "f={{V}}&z=1"},
        rb"f=a%26b%3Dc%2Fd\+%22%C3%A9%22\+%7B%7Bx%7D%7D\+%3C%5C&z=1$",
    ),
    "xml body": (
        {"method": "POST", "headers": {"content-type": "text/xml"}, "body": "<f>{{V}}</f>"},
        rb"<f>a&amp;b=c/d &quot;\xc3\xa9&quot; \{\{x\}\} &lt;\\</f>$",
    ),
    "other body": ({"method": "POST", "body": "f: {{V}}"}, rb'f: a&b=c/d "\xc3\xa9" \{\{x\}\} <\\$'),
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_value_is_escaped_right_for_its_place(observe, place):
    step, wanted = PLACES[place]
    async with listener(said(json.dumps({"v": ODD}))) as (port, heard):
        base = f"http://127.0.0.1:{port}"
        flow = [
            {"name": "give", "url": f"{base}/", "capture": {"V": {"json": "$.v"}}},
            {"name": "take", **step, "url": base + step.get("url", "/")},
        ]
        seen = await observe(steps=flow)
    assert not seen.findings
    assert re.search(wanted, heard[1]), heard[1]


async def test_a_value_that_is_all_of_a_json_text_keeps_its_type(observe):
    async with listener(said('{"id": 17, "ok": true, "lines": [{"a": 1}], "s": "5"}')) as (port, heard):
        url = f"http://127.0.0.1:{port}/"
        capture = {name: {"json": f"$.{name}"} for name in ("id", "ok", "lines", "s")}
        body = {name: f"{{{{{name}}}}}" for name in capture} | {"text": "no {{id}}"}
        steps = [
            {"name": "a", "url": url, "capture": capture},
            {"name": "b", "url": url, "method": "PUT", "json": body},
        ]
        assert not (await observe(steps=steps)).findings
    sent = json.loads(heard[1].partition(b"\r\n\r\n")[2])
    assert sent == {"id": 17, "ok": True, "lines": [{"a": 1}], "s": "5", "text": "no 17"}


@pytest.mark.parametrize("where", ["/next?x=1", "http://127.0.0.1:{port}/next?x=1"])
async def test_a_url_may_be_captured_whole(observe, where):
    async with listener() as (port, heard):
        answer = said("", "location: " + where.replace("{port}", str(port)))
        async with listener(answer) as (first, _):
            base = f"http://127.0.0.1:{port if where.startswith('http') else first}"
            flow = [
                {"name": "a", "url": f"http://127.0.0.1:{first}/", "capture": {"NEXT": {"header": "Location"}}},
                {"name": "b", "url": "{{NEXT}}", "expect": {"status": "200"}},
            ]
            seen = await observe(steps=flow)
    assert not seen.findings
    assert seen.facts["final_url"] == f"{base}/next?x=***"
    assert heard == [] or heard[0].startswith(b"GET /next?x=1 ")


UNUSABLE = {
    "header": ('"a\\r\\nx: y"', {"headers": {"x": "{{V}}"}}, "what was captured for the header x cannot stand in one"),
    "url": ('"javascript:1"', {"url": "{{V}}"}, "the captured V is not a web address"),
    "port": ('"http://shop.test:99999/"', {"url": "{{V}}"}, "the captured V is not a web address"),
    "userinfo": ('"http://a:b@shop.test/"', {"url": "{{V}}"}, "the captured V is not a web address"),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_a_value_that_cannot_stand_in_its_place_is_a_finding(observe, case):
    value, step, message = UNUSABLE[case]
    async with listener(said(f'{{"v": {value}}}')) as (port, heard):
        url = f"http://127.0.0.1:{port}/"
        flow = [{"name": "a", "url": url, "capture": {"V": {"json": "$.v"}}}, {"name": "b", "url": url, **step}]
        seen = await observe(steps=flow)
    assert (only(seen).failure, only(seen).step, only(seen).message) == (Failure.CAPTURE_FAILED, "b", f"b: {message}")
    assert len(heard) == 1


PAGE = """<form><input name=a value='1&amp;2'><textarea name="t">two
lines</textarea><select name=s><option value=x>X<option selected>Y</select><input type=hidden name=empty></form>
<script>var x = '<input name="z" value="no">'</script><!-- <input name="c" value="no"> -->"""
FOUND = {
    "form": ({"form": "a"}, "1&2"),
    "textarea": ({"form": "t"}, "two\nlines"),
    "select": ({"form": "s"}, "Y"),
    "regex": ({"regex": "name=(s)>"}, "s"),
    "header": ({"header": "X-Order"}, "17"),
    "cookie": ({"cookie": "sid"}, "abc"),
}
MISSING = {
    "in a script": ({"form": "z"}, "a form field z in the page"),
    "in a comment": ({"form": "c"}, "a form field c in the page"),
    "empty field": ({"form": "empty"}, "a form field empty in the page"),
    "regex": ({"regex": "(nowhere)"}, r"something like '\(nowhere\)' in the body"),
    "json": ({"json": "$.token"}, r"\$\.token in a JSON body"),
    "header": ({"header": "x-none"}, "a header x-none"),
    "cookie": ({"cookie": "none"}, "a cookie none"),
}


@pytest.mark.parametrize("case", FOUND)
async def test_captures_from_every_place(observe, case):
    capture, value = FOUND[case]
    async with listener(said(PAGE, "x-order: 17", "set-cookie: sid=abc; Path=/")) as (port, heard):
        url = f"http://127.0.0.1:{port}/"
        flow = [
            {"name": "a", "url": url, "capture": {"V": capture}},
            {"name": "b", "url": url, "method": "POST", "body": "[{{V}}]"},
        ]
        assert not (await observe(steps=flow)).findings
    assert heard[1].endswith(f"[{value}]".encode())


@pytest.mark.parametrize("case", MISSING)
async def test_says_what_it_looked_for_and_did_not_find(observe, case):
    capture, looked_for = MISSING[case]
    async with listener(said(PAGE)) as (port, _):
        seen = await observe(steps=[{"name": "a", "url": f"http://127.0.0.1:{port}/", "capture": {"V": capture}}])
    assert only(seen).failure is Failure.CAPTURE_FAILED
    assert re.fullmatch(rf"a: nothing to capture as V: looked for {looked_for}, there is none", only(seen).message)


async def test_configured_cookies_go_to_the_first_host_only(observe):
    async with listener() as (first, heard), listener() as (second, others):
        flow = [
            {"name": "a", "url": f"http://127.0.0.1:{first}/"},
            {"name": "b", "url": f"http://localhost:{second}/"},
        ]
        seen = await observe(steps=flow, cookies={"consent": "yes-please"}, allow=["::1/128"])
    assert b"cookie: consent=yes-please" in heard[0].lower()
    assert not others or b"cookie" not in others[0].lower()
    assert "yes-please" not in repr(seen)


async def test_a_single_request_leaves_braces_alone(observe):
    async with listener() as (port, heard):
        await observe(f"http://127.0.0.1:{port}/", method="POST", body="Hello {{name}}")
    assert heard[0].endswith(b"Hello {{name}}")


async def test_a_certificate_that_expires_soon_is_told_once(observe, shop):
    url = f"https://shop.test:{shop.secure['expiring']}/ok"
    seen = await observe(steps=[{"name": "a", "url": url}, {"name": "b", "url": url}])
    assert (only(seen).failure, only(seen).step) == (Failure.CERTIFICATE_EXPIRING, "a")
    assert only(seen).attribution is Attribution.TARGET


async def test_a_certificate_on_the_way_expires_as_well(observe, zone, authority, shop):
    """Who comes to an address that only redirects is turned away there when its certificate has run out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("old.test", not_after=datetime.now(UTC) + timedelta(days=3)).configure_cert(context)
    zone.addresses["old.test"] = ["127.0.0.1"]
    to = f"https://shop.test:{shop.secure['good']}/ok"
    head = f"HTTP/1.1 301 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    ports = {"hosts": HostMap({"old.test": Owner("old-address", False), "shop.test": Owner("shop", False)})}
    async with raw_server(answering(head.encode()), ssl=context) as port:
        seen = await observe(f"https://old.test:{port}/", ports=ports)
    assert (only(seen).failure, only(seen).dependency) == (Failure.CERTIFICATE_EXPIRING, "old-address")
    assert seen.measures["cert_expiry"] < datetime.now(UTC).timestamp() + 4 * 86400


@pytest.mark.parametrize("effect", ["nuisance", "blocked"])
async def test_a_step_for_which_no_time_is_left_says_so(observe, effect):
    """What took the time says how bad it is, and the host that was never asked is to blame for nothing."""
    ports = {"hosts": HostMap({"127.0.0.1": Owner("cards", True)})}
    async with raw_server(answering(then=hang)) as slow, listener() as (port, heard):
        flow = [
            {"name": "ads", "url": f"http://localhost:{slow}/", "effect": effect},
            {"name": "pay", "url": f"http://127.0.0.1:{port}/"},
        ]
        seen = await observe(steps=flow, timeout="300ms", ports=ports)
    assert heard == []
    told = [(f.step, f.failure, f.effect.value, f.dependency) for f in seen.findings]
    late = ("pay", Failure.TRANSFER_TIMEOUT, "nuisance", None)
    assert told == [("ads", Failure.FIRST_BYTE_TIMEOUT, effect, None), *([late] if effect == "nuisance" else [])]
    assert effect == "blocked" or "no time was left for it of the 0.3 s" in seen.findings[1].message


async def test_time_that_is_used_up_without_a_failure_blocks(observe):
    """The first answer comes in time, and to search it takes longer than what is left."""
    document = json.dumps([{"id": number} for number in range(120_000)])
    async with listener(said(document)) as (port, heard):
        url = f"http://127.0.0.1:{port}/"
        flow = [
            {"name": "list", "url": url, "body_limit": "4MiB", "expect": {"json": {"$[*].id": "119999"}}},
            {"name": "pay", "url": url},
        ]
        seen = await observe(steps=flow, timeout="500ms")
    assert (len(heard), went(seen)) == (1, [("list", True), ("pay", False)])
    assert (only(seen).failure, only(seen).effect) == (Failure.TRANSFER_TIMEOUT, Effect.BLOCKED)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"], ids=["none", "half"])
async def test_nobody_goes_on_without_the_values_of_a_lost_answer(observe, answer):
    async with listener(answer) as (port, heard):
        url = f"http://127.0.0.1:{port}/"
        capture = {"V": {"json": "$.v"}}
        steps = [
            {"name": "a", "url": url, "capture": capture, "effect": "nuisance"},
            {"name": "b", "url": url + "{{V}}"},
        ]
        seen = await observe(steps=steps)
    assert (went(seen), len(heard)) == ([("a", False)], 1)
    assert (only(seen).failure, only(seen).effect) == (Failure.CONNECTION_LOST, Effect.NUISANCE)


BODIES = {"form": {"form": {"note": "for the shop"}}, "json": {"json": {"note": "for the shop"}}}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("method", "status"), [("POST", 307), ("POST", 308), ("PUT", 301)])
async def test_a_redirect_that_keeps_the_method_takes_the_body_to_another_origin(observe, method, status, body):
    async with listener() as (other, heard):
        head = f"HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:{other}/\r\ncontent-length: 0\r\n\r\n"
        async with listener(head.encode(), head.encode()) as (port, _):
            asked = {
                "url": f"http://127.0.0.1:{port}/",
                "method": method,
                "headers": {"x-whose": "ours"},
                **BODIES[body],
            }
            await observe(**asked)
            kept = await observe(**asked, follow_redirects=False, expect={"status": "3xx"})
    assert [request.startswith(method.encode()) for request in heard] == [True]
    assert b"shop" in heard[0].partition(b"\r\n\r\n")[2]
    assert b"x-whose" not in heard[0]
    assert kept.outcome is Outcome.OK


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_becomes_a_get_leaves_the_body_behind(observe, status):
    async with listener() as (other, heard):
        head = f"HTTP/1.1 {status} Elsewhere\r\nlocation: http://127.0.0.1:{other}/\r\ncontent-length: 0\r\n\r\n"
        async with listener(head.encode()) as (port, _):
            await observe(f"http://127.0.0.1:{port}/", method="POST", form={"note": "for the shop"})
    assert heard[0].startswith(b"GET ")
    assert heard[0].endswith(b"\r\n\r\n")
