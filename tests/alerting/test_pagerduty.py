import json
from dataclasses import replace

import pytest
from providers import PROVIDERS
from told import acknowledged, held, opened, raised, reopened, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.pagerduty import KIND, PagerDutySpec
from earwitness.model import Evidence, Severity, TimelineEntry, TransitionKind

KEY = "R0123456789ABCDEF0123456789ABCDE"
SPEC = PagerDutySpec(routing_key=KEY)
GOOD = PROVIDERS["pagerduty"].answers["POST enqueue"]


def event(told):
    (message,), outcome = held(KIND, SPEC, told, GOOD)
    assert outcome.result == "delivered"
    assert message.url == "https://events.pagerduty.com/v2/enqueue"
    return json.loads(message.body)


def test_a_trigger_says_what_pagerduty_shows():
    told = opened()
    made = event(told)
    details = made["payload"].pop("custom_details")
    assert details["text"] == told.text
    assert details["incident"]["id"] == told.incident.id
    base = "https://earwitness.example/monitor"
    assert made == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": told.incident.id,
        "payload": {
            "summary": "Sev1: Card processor: customers cannot finish “Pay by card”",
            "source": "card-processor",
            "severity": "critical",
            "timestamp": "1970-01-12T13:46:42.000+00:00",
            "component": "pay",
            "group": "pay-by-card",
            "class": "sev1",
        },
        "links": [
            {"href": told.url, "text": "The incident in Earwitness"},
            {"href": f"{base}/api/v1/evidence/{'a' * 64}", "text": "The recording"},
        ],
        "images": [{"src": f"{base}/api/v1/evidence/{'b' * 64}", "href": told.url, "alt": "pay-on-web.png"}],
        "client": "Earwitness",
        "client_url": told.url,
    }


@pytest.mark.parametrize(("told", "action"), [(acknowledged(), "acknowledge"), (resolved(), "resolve")])
def test_an_acknowledgement_and_a_resolve_name_what_the_trigger_opened(told, action):
    opening = event(opened())
    assert event(told) == {"routing_key": KEY, "event_action": action, "dedup_key": opening["dedup_key"]}


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [("sev1", "critical"), ("sev2", "error"), ("sev3", "warning"), ("nonprod", "info")],
)
def test_a_severity_is_theirs(severity, theirs):
    made = event(raised(Severity(severity)))
    assert (made["event_action"], made["payload"]["severity"]) == ("trigger", theirs)


def test_an_event_stays_below_512_kb_and_keeps_what_is_newest():
    told = opened()
    notes = tuple(TimelineEntry(float(n), TransitionKind.NOTE, f"note {n} " + "x" * 500) for n in range(5000))
    files = tuple(Evidence("response", "text/html", f"{n:064x}", n, f"page-{n}.html") for n in range(5000))
    huge = replace(told.incident, timeline=notes, evidence=files, reason="é" * 500_000, probes=("p" * 60,) * 20_000)
    made = event(replace(told, incident=huge))
    assert len(json.dumps(made, ensure_ascii=False).encode()) < 512_000
    shown = made["payload"]["custom_details"]["incident"]
    assert shown["timeline"][-1]["text"].startswith("note 4999")
    assert len(made["payload"]["summary"]) <= 1024


def test_the_key_of_an_incident_is_never_too_long():
    told = replace(opened(), incident=replace(opened().incident, id="x" * 300))
    assert len(event(told)["dedup_key"]) == 255


def test_what_pagerduty_finds_wrong_is_told_and_not_tried_again():
    said = {"status": "invalid event", "message": "Event object is invalid", "errors": ["'source' is missing"]}
    _, outcome = held(KIND, SPEC, opened(), Reply(400, {}, json.dumps(said).encode()))
    assert (outcome.result, outcome.reason) == ("refused", Reason.REJECTED)
    assert outcome.detail == "HTTP 400: Event object is invalid; 'source' is missing"


def test_a_202_that_is_no_success_is_not_believed():
    _, outcome = held(KIND, SPEC, opened(), Reply(202, {}, b'{"status": "maybe", "message": "", "errors": []}'))
    assert (outcome.result, outcome.reason) == ("retry", Reason.BAD_REPLY)


def test_what_is_open_again_triggers_under_the_same_key():
    keys = []
    for told in (opened(), reopened()):
        body = event(told)
        assert body["event_action"] == "trigger"
        keys.append(body["dedup_key"])
    assert keys[0] == keys[1] == opened().incident.id
