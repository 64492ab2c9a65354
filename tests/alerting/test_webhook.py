import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from judge_world import World, rules_of
from standardwebhooks import Webhook

from earwitness.config.fields import Secret
from earwitness.hooks.base import Notice, Reason, Reply, read_status, retry_after
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.model import TransitionKind

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_notice():
    world = World(rules_of({"pay": ("pay-by-card", ["card-processor"])}))
    world.fails("pay", message="got 502", times=2)
    transition = world.transitions[0]
    return Notice(
        "key-1", transition.kind, transition.at, transition.text, transition.incident, "http://c/i", "http://c/e"
    )


def spec(secret=SECRET):
    return WebhookSpec(url="https://alerts.example/hook", secret=secret)


def test_the_signature_is_the_one_of_the_standards_own_library():
    now = datetime.now(UTC).timestamp()
    body = KIND.render(spec(), a_notice())
    request = KIND.request(spec(), "key-1", body, now)
    told = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert told["type"] == "incident.open"
    assert told["data"]["incident"]["severity"] == "sev1"


def test_a_changed_byte_breaks_the_signature():
    now = datetime.now(UTC).timestamp()
    request = KIND.request(spec(), "key-1", b'{"a":1}', now)
    with pytest.raises(Exception, match=r"(?i)no matching signature"):
        Webhook(SECRET).verify(b'{"a":2}', dict(request.headers))


def test_the_id_stays_and_the_timestamp_moves_from_attempt_to_attempt():
    first, second = (KIND.request(spec(), "key-1", b"{}", now).headers for now in (1000.9, 2000.0))
    assert first["webhook-id"] == second["webhook-id"] == "key-1"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "2000")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_the_body_tells_what_the_contract_names():
    data = json.loads(KIND.render(spec(), a_notice()))["data"]
    incident = data["incident"]
    assert {
        "id",
        "severity",
        "status",
        "title",
        "journeys",
        "probes",
        "cause",
        "reason",
        "opened_at",
    } <= incident.keys()
    assert {"resolved_at", "timeline", "evidence"} <= incident.keys()
    assert incident["cause"].keys() >= {"dependency", "confidence", "for", "against"}
    assert data["url"] == "http://c/i"


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_its_class(status):
    outcome = read_status(Reply(status), 0.0)
    if 200 <= status < 300:
        assert (outcome.result, outcome.reason) == ("delivered", Reason.OK)
    elif status == 410:
        assert (outcome.result, outcome.reason) == ("refused", Reason.GONE)
    else:
        assert outcome.result == "retry"
        assert outcome.reason is not Reason.OK
    assert str(status) in outcome.detail


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        (None, None),
        (format_datetime(datetime.fromtimestamp(1060, UTC), usegmt=True), 60.0),
        (format_datetime(datetime.fromtimestamp(900, UTC), usegmt=True), 0.0),
        ("99999999999", 99999999999.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value, seconds):
    assert retry_after(value, 1000.0) == seconds


def test_nothing_that_is_shown_holds_the_secret():
    assert "MfKQ9r8" not in repr(spec()) + str(spec().model_dump())
    assert spec("plain secret").secret == Secret("plain secret")
    request = KIND.request(spec(), "key-1", KIND.render(spec(), a_notice()), 0.0)
    assert "MfKQ9r8" not in repr(request)
    assert a_notice().kind is TransitionKind.OPEN
