import json
from dataclasses import replace

import pytest
from told import held, opened, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.teams import KIND, TeamsSpec

SPEC = TeamsSpec(url="https://prod-00.westeurope.logic.azure.com/workflows/abc/triggers/manual?sig=signature")


def card(told):
    (message,), outcome = held(KIND, SPEC, told, Reply(202))
    assert outcome.result == "delivered"
    sent = json.loads(message.body)
    (attachment,) = sent["attachments"]
    assert (sent["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert len(message.body) <= 28 * 1024
    return attachment["content"]


def test_a_card_says_what_happened_and_leads_on():
    made = card(opened())
    title, text, facts = made["body"]
    assert (made["type"], made["version"]) == ("AdaptiveCard", "1.4")
    assert (title["text"], title["color"]) == (
        "Sev1: Card processor: customers cannot finish “Pay by card”",
        "attention",
    )
    assert r"got 502 \<html\> & more" in text["text"]
    assert {f["title"]: f["value"] for f in facts["facts"]}["Journeys"] == "pay-by-card"
    assert [(a["type"], a["title"]) for a in made["actions"]] == [
        ("Action.OpenUrl", "Open the incident"),
        ("Action.OpenUrl", "Hear the recording"),
    ]


def test_a_resolve_is_a_green_card():
    title = card(resolved())["body"][0]
    assert title["color"] == "good"
    assert title["text"].startswith("Sev1, resolved: ")


@pytest.mark.parametrize("letter", ["x", "é", "“", "🔥", "*"])
def test_a_message_stays_below_28_kb(letter):
    told = opened()
    huge = replace(told.incident, journeys=(letter * 5000,), environment=letter * 5000)
    card(replace(told, title=letter * 5000, text=letter * 50_000, incident=huge))


def test_a_page_is_no_workflow():
    _, outcome = held(KIND, SPEC, opened(), Reply(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"))
    assert (outcome.result, outcome.reason) == ("retry", Reason.BAD_REPLY)
