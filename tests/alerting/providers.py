"""What each hook is in the tests of all hooks, and what a good provider answers it. A new hook adds itself here."""

import json
from dataclasses import dataclass
from typing import Any

from earwitness.hooks.base import Announcement, HookRequest, Mail, Message, Reply

SECRET = "hunter2-correct-horse-battery"  # in every section below
URL = "http://provider.test"
SYS_ID = "9d385017c611228701d22104cc95c371"


@dataclass(frozen=True)
class Provider:
    section: dict[str, Any]
    answers: dict[str, Reply]  # by what the request is: its method and the end of its path

    def answer(self, message: Message, status: int | None = None) -> Reply:
        """Return the good reply to this message; with another status, if one is named."""
        good = self.answers[told(message)]
        return good if status is None else Reply(status, good.headers, good.body)


def told(message: Message) -> str:
    if isinstance(message, Mail | Announcement):
        return type(message).__name__
    assert isinstance(message, HookRequest)
    path = message.url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return f"{message.method} {path}"


def _json(status: int, body: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())


_DONE = {"statusCategory": {"key": "done"}}
PROVIDERS = {
    "webhook": Provider({"url": f"{URL}/hook", "secret": SECRET}, {"POST hook": Reply(204)}),
    "alertmanager": Provider({"url": URL, "token": SECRET}, {"POST alerts": Reply(200)}),
    "pagerduty": Provider(
        {"url": URL, "routing_key": SECRET},
        {"POST enqueue": _json(202, {"status": "success", "message": "Event processed", "dedup_key": "x"})},
    ),
    "slack": Provider(
        {"api_url": URL, "token": SECRET, "channel": "#alerts"},
        {
            "POST chat.postMessage": _json(200, {"ok": True, "channel": "C0123456", "ts": "1700000000.000100"}),
            "POST chat.update": _json(200, {"ok": True, "channel": "C0123456", "ts": "1700000000.000100"}),
        },
    ),
    "teams": Provider({"url": f"{URL}/workflows/{SECRET}"}, {f"POST {SECRET}": Reply(202)}),
    "email": Provider(
        {
            "host": "mail.test",
            "username": "earwitness",
            "password": SECRET,
            "from": "Earwitness <earwitness@monitor.test>",
            "to": ["on-call@shop.test"],
        },
        {"Mail": Reply(250, body=b"2.0.0 queued")},
    ),
    "servicenow": Provider(
        {"url": URL, "username": "earwitness", "password": SECRET},
        {
            "GET incident": _json(200, {"result": []}),
            "POST incident": _json(201, {"result": {"sys_id": SYS_ID, "state": "1"}}),
            f"PATCH {SYS_ID}": _json(200, {"result": {"sys_id": SYS_ID, "state": "2"}}),
        },
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
    ),
    "apprise": Provider({"url": f"json://provider.test/{SECRET}"}, {"Announcement": Reply(200)}),
}
