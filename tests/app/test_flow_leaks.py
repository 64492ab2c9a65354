"""A canary in every place where a secret can stand, servers that echo all they are told, and a daemon that fails: then all
that was written, logged, counted and served is searched."""

import base64
import html
import json
import re
import urllib.parse
from contextlib import AsyncExitStack

import pytest
from web_servers import raw_server

CANARIES = {
    name: f"canary-{name}-7f3a9c"
    for name in (
        "password",
        "token",
        "client-secret",
        "issued-token",
        "proxy-password",
        "header",
        "cookie",
        "set-cookie",
        "query",
        "form",
        "json",
        "body",
        "captured",
        "captured-field",
        "input",
        "redact",
    )
}
CARD = "4111 1111 1111 1111"
ODD = "/\"&<é'\\+ %41="  # before a canary: what each encoding spells in its own way, while the canary itself stays as it is
ODD_ASCII = ODD.replace("é", "")
SECRETS = {name: ODD + canary for name, canary in CANARIES.items()}
SECRETS |= {name: (ODD_ASCII + CANARIES[name]).replace(" ", "") for name in ("token", "issued-token", "header")}
SECRETS |= {name: CANARIES[name] for name in ("cookie", "set-cookie", "redact")}


def said(status, body, *headers):
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body.encode())}\r\n{lines}\r\n{body}".encode()


def giving(status, body, *headers):
    async def handle(reader, writer):
        await _request(reader)
        writer.write(said(status, body, *headers))
        await writer.drain()

    return handle


async def _request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", head.lower())
    return head + (await reader.readexactly(int(size[1])) if size else b"")


async def tell_tale(reader, writer):
    """Fail, and repeat everything: as it came, decoded, in headers, in JSON, in a page, in the status line."""
    heard = (await _request(reader)).decode()
    decoded = urllib.parse.unquote_plus(heard)
    basic = re.search(r"Basic ([\w+/=]+)", heard, re.IGNORECASE)
    plain = base64.b64decode(basic[1]).decode() if basic else ""
    page = f"<p>{plain} {CARD} ref {CANARIES['redact']}</p><input name='csrf_token' value='{html.escape(SECRETS['input'])}'>"
    body = f"{page}\n{heard}\n{decoded}\n{json.dumps({'echo': decoded})}"
    first = re.sub(r"\s+", " ", heard[:300])
    writer.write(
        said(
            f"500 No {first.split()[1]}",
            body,
            f"set-cookie: sid={CANARIES['set-cookie']}; Path=/",
            f"x-echo: {first}",
            f"x-debug: {CANARIES['redact']} {CARD}",
        )
    )
    await writer.drain()


def flow(base, tale):
    secret = SECRETS["captured-field"].replace("'", "").replace("é", "").replace(" ", "")  # it is sent in a header too
    field = f"<input type=hidden name=order value='{secret}'>"
    capture = {"SECRET": {"json": "$.secret"}, "FIELD": {"regex": "value='([^']+)'"}}
    return field, [
        {"name": "page", "url": base, "capture": capture},
        {
            "name": "pay",
            "url": f"{tale}/orders/{{{{SECRET}}}}?token={urllib.parse.quote(SECRETS['query'])}&field={{{{FIELD}}}}",
            "method": "POST",
            "headers": {"x-api-key": SECRETS["header"], "x-trace": "{{FIELD}}", "authorization": "Bearer {{FIELD}}"},
            "json": {"password": SECRETS["json"], "captured": "{{SECRET}}", "card": CARD},
            "expect": {"body": "Payment accepted", "json": {"$.state": "ok"}, "headers": {"x-echo": "nothing like it"}},
        },
        {
            "name": "tidy-up",
            "url": f"{tale}/",
            "method": "POST",
            "headers": {"content-type": "application/x-www-form-urlencoded"},
            "body": f"password={urllib.parse.quote_plus(SECRETS['body'])}&x={{{{FIELD}}}}",
            "always": True,
        },
    ]


def probe(**http):
    return {"journey": "pay", "every": "7d", "http": {"timeout": "5s", **http}}


@pytest.fixture
async def servers():
    async with AsyncExitStack() as stack:

        async def start(handler):
            return f"http://127.0.0.1:{await stack.enter_async_context(raw_server(handler))}"

        yield start


async def config(start, folder):
    tale = await start(tell_tale)
    (folder / "token").write_text(SECRETS["token"])
    field, steps = flow("", tale)
    giver = await start(giving("200 OK", json.dumps({"secret": SECRETS["captured"], "html": field})))
    steps[0]["url"] = giver
    issuer = await start(giving("200 OK", json.dumps({"access_token": SECRETS["issued-token"], "expires_in": 60})))
    oauth2 = {"client_id": "us", "client_secret": SECRETS["client-secret"]}
    sent = {"method": "POST", "form": {"pin_password": SECRETS["form"], "card": CARD}}
    refused = await start(giving("407 Proxy Authentication Required", "no", f"x-said: {CANARIES['proxy-password']}"))
    return {
        "environment": "production",
        "network": {"allow": ["127.0.0.0/8"]},
        "journeys": {"pay": {}},
        "redact": ["canary-redact-[0-9a-f]+"],
        "probes": {
            "flow": probe(steps=steps, cookies={"consent": CANARIES["cookie"]}),
            "basic": probe(url=tale, user="ann", password=SECRETS["password"], **sent),
            "bearer": probe(
                url=f"{tale}/?session={urllib.parse.quote(SECRETS['query'])}", token_file=str(folder / "token")
            ),
            "oauth": probe(url=tale, oauth2={**oauth2, "token_url": issuer}),
            "oauth-post": probe(url=tale, oauth2={**oauth2, "token_url": f"{tale}/token", "auth_method": "post"}),
            "proxied": probe(
                url="https://shop.test/",
                proxy={"url": refused, "user": "us", "password": SECRETS["proxy-password"], "allow": ["127.0.0.1/32"]},
            ),
        },
    }


def found_in(text):
    needles = [*CANARIES.values(), CARD, CARD.replace(" ", ""), CARD.replace(" ", "+"), CARD.replace(" ", "%20")]
    needles += [base64.b64encode(f"{who}:{SECRETS[key]}".encode()).decode() for who, key in _BASIC]
    return {needle for needle in needles if needle in text or urllib.parse.quote(needle) in text}


_BASIC = (("ann", "password"), ("us", "client-secret"), ("us", "proxy-password"))


async def test_no_canary_sings(daemon, servers, tmp_path):
    daemon.configure(await config(servers, tmp_path))
    await daemon.start()
    names = ["flow", "basic", "bearer", "oauth", "oauth-post", "proxied"]
    runs = {name: [await daemon.look(name), await daemon.look(name)] for name in names}
    seen = {name: [await daemon.observation(run) for run in two] for name, two in runs.items()}
    outcomes = {name: {o["outcome"] for o in two} for name, two in seen.items()}
    assert outcomes == {name: {"unknown" if name == "proxied" else "finding"} for name in names}, seen
    await daemon.incident("flow", "open")

    served = [(await daemon.api.get(path)).text for path in ("/metrics", "/", "/api/v1/incidents", "/api/v1/runs")]
    files = [e for two in seen.values() for o in two for e in o["evidence"]]
    served += [(await daemon.api.get(e["url"])).text for e in files]
    await daemon.stop()
    written = [path.read_bytes().decode("utf-8", "replace") for path in daemon.data.rglob("*") if path.is_file()]

    assert len(files) >= 20
    assert any("HTTP 500" in text and "***1111" in text for text in served)
    assert any("ref ***" in text for text in served)
    for text in (*served, *written, daemon.log.read_text()):
        assert found_in(text) == set()
