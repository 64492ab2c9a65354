"""Every hook, on real sockets, against receivers that are down, hang, lie, echo what they were sent, and lead astray."""

import asyncio
import base64
import json
import logging
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from prometheus_client import generate_latest
from providers import PROVIDERS, SECRET, URL
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs
from told import opened, transitions
from virtual import until

from earwitness.alerting.notices import Links
from earwitness.alerting.postroom import Postroom
from earwitness.alerting.senders import converse
from earwitness.clock import SystemClock
from earwitness.config.schema import Config
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Parcel, Reason, Reply
from earwitness.metrics import Metrics
from earwitness.serving import listen, served
from earwitness.store import outbox, owed, verdicts
from earwitness.store.owed import Recipient
from earwitness.store.store import Store
from earwitness.store.tables import deliveries
from earwitness.transport.client import WebClient

# The library's own imports, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

METADATA = "http://169.254.169.254/latest/meta-data/iam"
MEGABYTE = b"x" * 1_000_000
USERS = ("earwitness", "bot@shop.test", f"AC{'0' * 32}", "\0earwitness\0", "")


def disguises():
    """Return the secret as it is and as headers and SMTP carry it."""
    plain = [SECRET, *(f"{user}:{SECRET}" for user in USERS), f"\0earwitness\0{SECRET}"]
    return [SECRET, *(base64.b64encode(text.encode()).decode().rstrip("=") for text in plain)]


class Receiver:
    """A web server that behaves as its mode says."""

    def __init__(self):
        self.mode = "echo"
        self.paths = []
        self.megabytes = 0

    async def answer(self, request):
        self.paths.append(request.url.path)
        heard = f"{request.url} {dict(request.headers)} {(await request.body()).decode()} {SECRET}"
        return await getattr(self, self.mode)(heard)

    async def echo(self, heard):
        return Response(heard, status_code=401, headers={"www-authenticate": f'Basic realm="{SECRET}"'})

    async def accuse(self, heard):
        """Answer with everything that some provider calls an error, all of it the secret."""
        words = {"ok": False, "error": heard, "message": heard, "errors": [heard], "errorMessages": [heard]}
        return Response(json.dumps(words | {"code": 1, "status": heard}), status_code=400)

    async def lead_home(self, _heard):
        return RedirectResponse(f"/elsewhere?token={SECRET}", status_code=302)

    async def lead_to_metadata(self, _heard):
        return RedirectResponse(METADATA, status_code=307)

    async def hang(self, _heard):
        await asyncio.sleep(30)

    async def pour(self, _heard):
        async def megabytes():
            for _ in range(100):
                self.megabytes += 1
                yield MEGABYTE
                await asyncio.sleep(0)  # in which a reader that hung up is noticed

        return StreamingResponse(megabytes(), status_code=200)

    async def cut_short(self, _heard):
        return Response(b'{"status": "succ', status_code=200, headers={"content-length": "1000"})


async def echoing_mail_server(reader, writer):
    """Take a log-in, and refuse it with what was said."""
    writer.write(b"220 mail.test\r\n")
    while line := await reader.readline():
        greeting = b"250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n"
        writer.write(greeting if line.startswith(b"EHLO") else b"535 5.7.8 you said " + line.strip() + b"\r\n")
        await writer.drain()
    writer.close()


@pytest.fixture
async def house(tmp_path):
    """Serve the receiver and the mail server; yield the receiver, and what runs every hook against them."""
    receiver, listener = Receiver(), listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/{path:path}", receiver.answer, methods=["GET", "POST", "PATCH"])])
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mail = await asyncio.start_server(echoing_mail_server, "127.0.0.1", 0, ssl=context)
    async with served(app, listener):
        here = House(tmp_path, listener.getsockname()[1], mail.sockets[0].getsockname()[1])
        yield receiver, here
        here.close()
    mail.close()


class House:
    def __init__(self, folder, port, mail_port):
        self.folder, self.port, self.mail_port = folder, port, mail_port
        self.store = Store.open(folder / "earwitness.db")
        self.metrics = Metrics()

    def close(self):
        self.store.close()

    def config(self, timeout):
        hooks = {name: {name: self._section(name, timeout)} for name in HOOKS}
        probe = {"journey": "pay", "every": "1m", "http": {"url": "https://shop.example/"}}
        return Config.model_validate(
            {
                "environment": "production",
                "network": {"allow": ["127.0.0.0/8"]},
                "journeys": {"pay": {}},
                "probes": {"web": probe},
                "dial": {"allow": [PROVIDERS["call"].section["to"]]},
                "hooks": hooks,
            }
        )

    def _section(self, name, timeout):
        there = json.dumps(PROVIDERS[name].section).replace(URL, f"http://127.0.0.1:{self.port}")
        section = json.loads(there.replace("provider.test", f"127.0.0.1:{self.port}"))
        if name == "email":
            section |= {"host": "127.0.0.1", "port": self.mail_port, "security": "tls"}
            section |= {"ca_file": str(self.folder / "ca.pem")}
        return section | {"timeout": timeout}

    async def attempt(self, patience="5s"):
        """Owe every hook an incident; return the first attempt of each, once all have made one."""
        config, now = self.config(patience), SystemClock().now()
        opening = replace(transitions()[0], at=now)
        await self.store.write(lambda c: verdicts.save_incidents(c, [opening.incident]))
        await self.store.write(lambda c: owed.add_deliveries(c, opening, [Recipient(name) for name in HOOKS], now))
        web = WebClient(config.network)
        postroom = Postroom(self.store, SystemClock(), self.metrics, lambda: web, Links("http://here"), Path)
        postroom.configure(config)
        running = asyncio.create_task(postroom.run())
        await until(self._all_tried, 60)
        running.cancel()
        ended, _ = await asyncio.wait([running], timeout=30)
        assert ended, "a courier goes on though it was stopped"
        await web.aclose()
        return {row["hook"]: row["trail"][0] for row in await self.trail()}

    async def _all_tried(self):
        return all(row["trail"] for row in await self.trail())

    async def trail(self):
        return await self.store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=100))

    async def frozen(self):
        return await self.store.read(lambda c: list(c.scalars(select(deliveries.c.body))))


MODES = {
    "echo": Reason.AUTHENTICATION,
    "accuse": Reason.REJECTED,
    "lead_home": Reason.REDIRECT,
    "lead_to_metadata": Reason.REDIRECT,
    "hang": Reason.TIMEOUT,
    "cut_short": None,  # a broken connection or a bad reply, by what was read of it
}


@pytest.mark.parametrize("mode", MODES)
async def test_no_secret_leaks_whatever_the_receiver_does(house, caplog, mode):
    receiver, here = house
    receiver.mode = mode
    caplog.set_level(logging.DEBUG, "earwitness")
    with capture_logs() as logs:
        tried = await here.attempt("1s" if mode == "hang" else "5s")
    told = f"{logs} {caplog.text} {await here.trail()} {await here.frozen()} {generate_latest(here.metrics.registry)}"
    for secret in disguises():
        assert secret not in told
    assert tried.pop("email") | {"at": 0} == {
        "at": 0,
        "outcome": "retry",
        "reason": "authentication",
        "detail": "SMTP 535",
    }
    apprise = tried.pop("apprise")
    assert apprise["outcome"] == "retry"
    for hook, attempt in tried.items():
        assert attempt["outcome"] != "delivered" or (mode, hook) == ("cut_short", "webhook"), hook
        assert MODES[mode] is None or attempt["reason"] in {MODES[mode].value, Reason.REJECTED.value}, (hook, attempt)
    assert not any("elsewhere" in path or "meta-data" in path for path in receiver.paths)


@pytest.mark.parametrize("name", sorted(HOOKS.keys() - {"apprise"}))
@pytest.mark.parametrize("before", [*range(150, 310, 7)])
async def test_no_piece_of_a_secret_is_left_where_words_are_cut_or_rewritten(name, before):
    """Twilio's words are rid of numbers, others are cut: the secret has to be gone before."""
    secret = "tw0CANARY0123456789abcdefCANARY9"
    section = json.loads(json.dumps(PROVIDERS[name].section).replace(SECRET, secret))
    words = f"{'x' * before} {secret} and more"
    said = {"ok": False, "status": "invalid", "message": words, "errors": [words], "errorMessages": [words], "code": 1}
    body = words if name == "email" else json.dumps(said)
    spec = HOOKS[name].spec.model_validate(section)
    talk = HOOKS[name].talk(spec, Parcel("k", HOOKS[name].render(spec, opened()), 0.0))
    outcome = await converse(talk, Told(Reply(554 if name == "email" else 400, body=body.encode())), spec, 5, 5)
    assert "CANARY" not in outcome.detail
    assert len(outcome.detail) <= 300


@dataclass
class Told:
    """Ways out that all answer this."""

    reply: Reply

    async def send(self, _message, _seconds):
        return self.reply


async def test_a_receiver_that_is_down_is_told_later_and_nothing_leaks(house, unused_port):
    _, here = house
    here.port = here.mail_port = unused_port
    with capture_logs() as logs:
        tried = await here.attempt()
    assert {attempt["outcome"] for attempt in tried.values()} == {"retry"}
    assert {attempt["reason"] for hook, attempt in tried.items() if hook != "apprise"} == {"connection"}
    told = f"{logs} {await here.trail()}"
    assert not any(secret in told for secret in disguises())


@pytest.fixture
def unused_port():
    with listen("127.0.0.1", 0) as taken:
        return taken.getsockname()[1]


async def test_of_a_reply_of_100_mb_little_is_read(house):
    receiver, here = house
    receiver.mode = "pour"
    tried = await here.attempt()
    assert tried["webhook"]["outcome"] == "delivered"
    assert {tried[hook]["reason"] for hook in ("slack", "servicenow", "jira", "alertmanager")} == {"bad_reply"}
    hooks_on_the_web = len(HOOKS) - 2  # apprise, and mail
    assert receiver.megabytes < 100 + hooks_on_the_web * 12, "apprise reads all of it, we a little"
