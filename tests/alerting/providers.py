"""What each hook is in the tests of all hooks, and what a good provider answers it. A new hook adds itself here."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from earwitness.hooks.base import Announcement, Dialling, HookRequest, Mail, Message, Reply

SECRET = "hunter2-correct-horse-battery"  # in every section below
URL = "http://provider.test"
SYS_ID = "9d385017c611228701d22104cc95c371"


@dataclass(frozen=True)
class Provider:
    section: dict[str, Any]
    answers: dict[str, Reply]  # by what the request is: its method and the end of its path
    clears: Callable[[list[Message], list[Message]], bool]  # whether what was sent at the end closes what was opened
    once_open: dict[str, Reply] = field(default_factory=dict)  # what it answers otherwise while the incident is open

    def answer(self, message: Message, status: int | None = None) -> Reply:
        """Return the good reply to this message; with another status, if one is named."""
        good = self.answers[told(message)]
        return good if status is None else Reply(status, good.headers, good.body)


def told(message: Message) -> str:
    if isinstance(message, Dialling):
        return told(message.request)
    if isinstance(message, Mail | Announcement):
        return type(message).__name__
    assert isinstance(message, HookRequest)
    path = message.url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return f"{message.method} {path}"


def body(message: Message) -> Any:
    assert isinstance(message, HookRequest)
    return json.loads(message.body)


def _same_incident(opening: list[Message], end: list[Message]) -> bool:
    first, last = (body(sent[0]) for sent in (opening, end))
    same = first["data"]["incident"]["id"] == last["data"]["incident"]["id"]
    return same and last["type"] == "incident.resolve" and last["data"]["incident"]["status"] == "resolved"


def _same_labels(opening: list[Message], end: list[Message]) -> bool:
    (first,), (last,) = (body(sent[0]) for sent in (opening, end))
    return first["labels"] == last["labels"] and last["endsAt"] < first["endsAt"]


def _same_key(opening: list[Message], end: list[Message]) -> bool:
    first, last = (body(sent[0]) for sent in (opening, end))
    return first["dedup_key"] == last["dedup_key"] and last["event_action"] == "resolve"


def _same_thread(_opening: list[Message], end: list[Message]) -> bool:
    update, note = map(body, end)
    green = ":large_green_circle:" in update["blocks"][0]["text"]["text"]
    return green and update["ts"] == note["thread_ts"] == "1700000000.000100"


def _same_page(opening: list[Message], end: list[Message]) -> bool:
    first, last = (body(sent[0])["attachments"][0]["content"] for sent in (opening, end))
    return first["actions"][0] == last["actions"][0] and last["body"][0]["color"] == "good"


def _same_mails(opening: list[Message], end: list[Message]) -> bool:
    first, last = opening[0], end[0]
    assert isinstance(first, Mail)
    assert isinstance(last, Mail)
    return first.headers["Message-ID"] == last.headers["In-Reply-To"] and "resolved" in last.headers["Subject"]


def _same_text(opening: list[Message], end: list[Message]) -> bool:
    first, last = (parse_qs(sent[0].body.decode())["Body"][0] for sent in (opening, end))  # type: ignore[union-attr]
    return first.splitlines()[-1] == last.splitlines()[-1] and "resolved" in last


def _same_call(opening: list[Message], end: list[Message]) -> bool:
    first, last = (parse_qs(sent[0].request.body.decode()) for sent in (opening, end))  # type: ignore[union-attr]
    return first["To"] == last["To"] and "resolved" in last["Twiml"][0] and "resolved" not in first["Twiml"][0]


def _same_service(opening: list[Message], end: list[Message]) -> bool:
    first, last = opening[0], end[0]
    assert isinstance(first, Announcement)
    assert isinstance(last, Announcement)
    return first.url == last.url and last.level == "success" and first.level != "success"


def _json(status: int, body: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())


_DONE = {"statusCategory": {"key": "done"}}
PROVIDERS = {
    "webhook": Provider({"url": f"{URL}/hook", "secret": SECRET}, {"POST hook": Reply(204)}, _same_incident),
    "alertmanager": Provider({"url": URL, "token": SECRET}, {"POST alerts": Reply(200)}, _same_labels),
    "pagerduty": Provider(
        {"url": URL, "routing_key": SECRET},
        {"POST enqueue": _json(202, {"status": "success", "message": "Event processed", "dedup_key": "x"})},
        _same_key,
    ),
    "slack": Provider(
        {"api_url": URL, "token": SECRET, "channel": "#alerts"},
        {
            "POST chat.postMessage": _json(200, {"ok": True, "channel": "C0123456", "ts": "1700000000.000100"}),
            "POST chat.update": _json(200, {"ok": True, "channel": "C0123456", "ts": "1700000000.000100"}),
        },
        _same_thread,
    ),
    "teams": Provider({"url": f"{URL}/workflows/{SECRET}"}, {f"POST {SECRET}": Reply(202)}, _same_page),
    "email": Provider(
        {
            "host": "mail.test",
            "username": "earwitness",
            "password": SECRET,
            "from": "Earwitness <earwitness@monitor.test>",
            "to": ["on-call@shop.test"],
        },
        {"Mail": Reply(250, body=b"2.0.0 queued")},
        _same_mails,
    ),
    "servicenow": Provider(
        {"url": URL, "username": "earwitness", "password": SECRET},
        {
            "GET incident": _json(200, {"result": []}),
            "POST incident": _json(201, {"result": {"sys_id": SYS_ID, "state": "1"}}),
            f"PATCH {SYS_ID}": _json(200, {"result": {"sys_id": SYS_ID, "state": "2"}}),
        },
        lambda _opening, end: end[-1].url.endswith(SYS_ID) and body(end[-1]).get("state") == "6",
        {"GET incident": _json(200, {"result": [{"sys_id": SYS_ID, "state": "2"}]})},
    ),
    "jira": Provider(
        {"url": URL, "username": "bot@shop.test", "token": SECRET, "project": "OPS"},
        {
            "GET jql": _json(200, {"issues": []}),
            "POST issue": _json(201, {"id": "10000", "key": "OPS-7", "self": "x"}),
            "POST comment": _json(201, {"id": "1"}),
            "GET OPS-7": _json(
                200,
                {
                    "fields": {"status": {"statusCategory": {"key": "new"}}},
                    "transitions": [
                        {"id": "11", "name": "Start", "to": {"statusCategory": {"key": "indeterminate"}}},
                        {"id": "31", "name": "Done", "to": _DONE},
                    ],
                },
            ),
            "POST transitions": Reply(204),
        },
        lambda _opening, end: any(m.url.endswith("OPS-7/transitions") and b'"31"' in m.body for m in end),
    ),
    "twilio": Provider(
        {
            "api_url": URL,
            "account_sid": f"AC{'0' * 32}",
            "auth_token": SECRET,
            "from": "+12025550143",
            "to": "+12025550199",
        },
        {"POST Messages.json": _json(201, {"sid": f"SM{'1' * 32}", "status": "queued", "error_code": None})},
        _same_text,
    ),
    "call": Provider(
        {
            "api_url": URL,
            "account_sid": f"AC{'0' * 32}",
            "auth_token": SECRET,
            "from": "+12025550143",
            "to": "+12025550199",
            "price_per_minute": "0.014 USD",
            "tell_end": "yes",
        },
        {"POST Calls.json": _json(201, {"sid": f"CA{'1' * 32}", "status": "queued"})},
        _same_call,
    ),
    "apprise": Provider({"url": f"json://provider.test/{SECRET}"}, {"Announcement": Reply(200)}, _same_service),
}
