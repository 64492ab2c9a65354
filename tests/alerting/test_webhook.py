import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook
from told import BASE, asked, opened

from earwitness.config.fields import Secret
from earwitness.hooks.base import Parcel, Reason, Reply
from earwitness.hooks.replies import read_status, retry_after
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.model import TransitionKind

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_notice():
    return opened("key-1")


def spec(secret=SECRET, **more):
    return WebhookSpec(url="https://alerts.example/hook", secret=secret, **more)


def request_of(body, now, of=None):
    return asked(KIND.talk(of or spec(), Parcel("key-1", body, now)))


def test_the_signature_is_the_one_of_the_standards_own_library():
    now = datetime.now(UTC).timestamp()
    body = KIND.render(spec(), a_notice())
    request = request_of(body, now)
    told = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert told["type"] == "incident.open"
    assert told["data"]["incident"]["severity"] == "sev1"


def test_a_changed_byte_breaks_the_signature():
    now = datetime.now(UTC).timestamp()
    request = request_of(b'{"a":1}', now)
    with pytest.raises(Exception, match=r"(?i)no matching signature"):
        Webhook(SECRET).verify(b'{"a":2}', dict(request.headers))


def test_the_id_stays_and_the_timestamp_moves_from_attempt_to_attempt():
    first, second = (request_of(b"{}", now).headers for now in (1000.9, 2000.0))
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
    assert data["url"] == a_notice().url


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
    assert spec("plain secret").secret == (Secret("plain secret"),)
    request = request_of(KIND.render(spec(), a_notice()), 0.0)
    assert "MfKQ9r8" not in repr(request)
    assert a_notice().kind is TransitionKind.OPEN


def test_while_a_secret_is_changed_each_of_them_verifies():
    old = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    now = datetime.now(UTC).timestamp()
    both = spec([SECRET, old])
    request = request_of(b'{"a":1}', now, both)
    assert request.headers["webhook-signature"].count("v1,") == 2
    for secret in (SECRET, old):
        assert Webhook(secret).verify(request.body, dict(request.headers)) == {"a": 1}
    with pytest.raises(Exception, match=r"(?i)no matching signature"):
        Webhook("whsec_" + "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY").verify(request.body, dict(request.headers))


def test_secrets_come_from_several_files(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).write_text(f"the {name} secret\n")
    section = {"url": "https://alerts.example/hook", "secret_file": ["new", "old"]}
    read = WebhookSpec.model_validate(section, context={"folder": tmp_path})
    assert read.secret == (Secret("the new secret"), Secret("the old secret"))


def test_a_wrong_secret_among_several_is_found():
    with pytest.raises(ValidationError, match="not base64"):
        spec([SECRET, "whsec_%%%"])
    with pytest.raises(ValidationError):
        spec([])


def test_a_cloud_event_has_what_the_standard_requires_and_keeps_what_the_contract_names():
    cloud = spec(envelope="cloudevents")
    body = KIND.render(cloud, a_notice())
    event, plain = json.loads(body), json.loads(KIND.render(spec(), a_notice()))
    assert plain.items() <= event.items()
    assert (event["specversion"], event["id"], event["source"]) == ("1.0", "key-1", BASE)
    assert event["subject"] == event["data"]["incident"]["id"]
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in event)
    assert request_of(body, 0.0, cloud).headers["content-type"] == "application/cloudevents+json"


def test_a_test_is_marked():
    assert json.loads(KIND.render(spec(), opened(test=True)))["data"]["test"] is True
    assert "test" not in json.loads(KIND.render(spec(), a_notice()))["data"]
