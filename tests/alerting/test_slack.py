import json
from dataclasses import replace

import pytest
from pydantic import ValidationError
from told import acknowledged, held, opened, raised, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.slack import KIND, SlackSpec

WEBHOOK = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
BY_WEBHOOK = SlackSpec(url=WEBHOOK)
BY_BOT = SlackSpec(token="xoxb-not-a-token", channel="C0123456789")
POSTED = Reply(200, {}, b'{"ok": true, "channel": "C0123456789", "ts": "1700000000.000100"}')
LATER = Reply(200, {}, b'{"ok": true, "channel": "C0123456789", "ts": "1700000099.000200"}')
THREAD = "C0123456789 1700000000.000100"


def body(message):
    return json.loads(message.body)


def test_a_webhook_posts_blocks_with_buttons():
    told = opened()
    (message,), outcome = held(KIND, BY_WEBHOOK, told, Reply(200, {}, b"ok"))
    assert (message.url, outcome.result) == (WEBHOOK, "delivered")
    header, section, facts, actions = body(message)["blocks"]
    assert header["text"]["text"] == ":red_circle: Sev1: Card processor: customers cannot finish “Pay by card”"
    assert section["text"]["type"] == "mrkdwn"
    assert "got 502 &lt;html&gt; &amp; more" in section["text"]["text"]
    assert {f["text"] for f in facts["fields"]} == {
        "Journeys: pay-by-card",
        "Probes: pay",
        "Environment: production",
        "Cause: card-processor",
    }
    assert [(e["text"]["text"], e["url"]) for e in actions["elements"]] == [
        ("Open the incident", told.url),
        ("Hear the recording", "https://earwitness.example/monitor/api/v1/evidence/" + "a" * 64),
    ]
    assert body(message).keys() == {"text", "blocks"}


def test_a_bot_makes_a_thread_whose_first_message_is_kept_up_to_date():
    (first,), outcome = held(KIND, BY_BOT, opened(), POSTED)
    assert first.url.endswith("/api/chat.postMessage")
    assert first.headers["authorization"] == "Bearer xoxb-not-a-token"
    assert (body(first)["channel"], outcome.reference) == ("C0123456789", THREAD)
    (update, note), outcome = held(KIND, BY_BOT, acknowledged(), POSTED, LATER, reference=THREAD)
    assert update.url.endswith("/api/chat.update")
    assert body(update)["ts"] == body(note)["thread_ts"] == "1700000000.000100"
    assert body(note)["reply_broadcast"] is False
    assert outcome.reference is None, "the thread stays the first message's"
    (update, end), _ = held(KIND, BY_BOT, resolved(), POSTED, LATER, reference=THREAD)
    assert body(update)["blocks"][0]["text"]["text"].startswith(":large_green_circle: Sev1, resolved: ")
    assert body(end)["reply_broadcast"] is True


def test_a_first_message_that_somebody_deleted_keeps_nobody_from_hearing_of_the_end():
    gone = Reply(200, {}, b'{"ok": false, "error": "message_not_found"}')
    sent, outcome = held(KIND, BY_BOT, resolved(), gone, LATER, reference=THREAD)
    assert (len(sent), outcome.result) == (2, "delivered")


def test_while_slack_is_down_the_whole_is_tried_again():
    _, outcome = held(KIND, BY_BOT, resolved(), Reply(503), reference=THREAD)
    assert (outcome.result, outcome.reason) == ("retry", Reason.SERVER_ERROR)


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        ("invalid_blocks", "refused", Reason.REJECTED),
        ("channel_not_found", "refused", Reason.GONE),
        ("is_archived", "refused", Reason.GONE),
        ("invalid_auth", "retry", Reason.AUTHENTICATION),
        ("not_in_channel", "retry", Reason.AUTHENTICATION),
        ("ratelimited", "retry", Reason.RATE_LIMITED),
        ("internal_error", "retry", Reason.SERVER_ERROR),
    ],
)
def test_an_error_in_a_200_is_an_error(error, result, reason):
    reply = Reply(200, {"retry-after": "30"}, json.dumps({"ok": False, "error": error}).encode())
    _, outcome = held(KIND, BY_BOT, opened(), reply)
    assert (outcome.result, outcome.reason, outcome.detail) == (result, reason, f"Slack says {error}")
    assert outcome.retry_after == (30.0 if reason in {Reason.RATE_LIMITED, Reason.SERVER_ERROR} else None)


def test_an_error_that_is_no_word_is_not_repeated():
    reply = Reply(200, {}, json.dumps({"ok": False, "error": "xoxb-not-a-token <b>"}).encode())
    assert "xoxb" not in held(KIND, BY_BOT, opened(), reply)[1].detail


def test_texts_are_cut_to_what_slack_takes():
    told = replace(opened(), title="&" * 500, text="<&>" * 5000)
    (message,), _ = held(KIND, BY_WEBHOOK, told, Reply(200, {}, b"ok"))
    header, section, *_ = body(message)["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert section["text"]["text"].endswith("…")


def test_a_raise_shows_the_new_severity():
    (update, _), _ = held(KIND, BY_BOT, raised(), POSTED, LATER, reference=THREAD)
    assert "Raised to Sev1" in body(update)["blocks"][0]["text"]["text"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "either the url"),
        ({"url": WEBHOOK, "token": "x"}, "either the url"),
        ({"token": "xoxb"}, "belong together"),
        ({"url": WEBHOOK, "channel": "C1"}, "belong together"),
        ({"url": "hunter2"}, "not a web address"),
    ],
)
def test_half_a_section_is_told_apart(section, message):
    with pytest.raises(ValidationError, match=message) as caught:
        SlackSpec.model_validate(section)
    assert "hunter2" not in str(caught.value)
