"""What holds for every hook, whoever the provider is."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from providers import PROVIDERS, SECRET
from providers import told as told_of
from pydantic import ValidationError
from told import acknowledged, notice, opened, raised, resolved

from earwitness.config.schema import HookSpec
from earwitness.hooks import HOOKS
from earwitness.hooks.base import HookRequest, Mail, Parcel, Reason, Reply
from earwitness.model import Severity, TimelineEntry, TransitionKind

NOW = 1_000_000.0
ALERTS = (Path(__file__).parents[2] / "docs/alerts.md").read_text()
MOST = 1_200_000  # bytes that a provider gets at most for one alert


def section(name):
    return getattr(HookSpec.model_validate({name: PROVIDERS[name].section}), name)


def hold(name, told, answer=None, reference=None):
    """Hold the talk about a notice with this provider; return what was sent, and the outcome."""
    kind, spec = HOOKS[name], section(name)
    talk = kind.talk(spec, Parcel(told.key, kind.render(spec, told), NOW, reference))
    message, sent = next(talk), []
    while True:
        sent.append(message)
        try:
            message = talk.send((answer or PROVIDERS[name].answer)(message))
        except StopIteration as ended:
            return sent, ended.value


def statuses(text):
    """Return the statuses that a cell of the table names."""
    found = set()
    for low, high in re.findall(r"(\d{3})(?:-(\d{3}))?", text):
        found |= set(range(int(low), int(high or low) + 1))
    return found


def declared(name):
    row = re.search(rf"^\| `{name}` \| ([^|]+) \| ([^|]+) \|", ALERTS, re.MULTILINE)
    assert row, f"docs/alerts.md says nothing about what answers mean to {name}"
    return statuses(row[1]), statuses(row[2])


def test_every_hook_takes_part_in_these_tests():
    assert PROVIDERS.keys() == HOOKS.keys()
    assert all(SECRET in json.dumps(p.section) for p in PROVIDERS.values())


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("kind", [k for k in TransitionKind if k is not TransitionKind.NOTE])
def test_a_good_provider_is_told_of_every_change(name, kind):
    sent, outcome = hold(name, notice(kind))
    assert (outcome.result, outcome.reason) == ("delivered", Reason.OK)
    assert sent


@pytest.mark.parametrize("name", HOOKS)
def test_every_status_has_the_class_that_the_table_declares(name):
    delivered, refused = declared(name)
    for status in range(100, 600):
        _, outcome = hold(name, opened(), lambda message, status=status: PROVIDERS[name].answer(message, status))
        expected = "delivered" if status in delivered else "refused" if status in refused else "retry"
        assert outcome.result == expected, f"{status}: {outcome}"
        assert (outcome.reason is Reason.OK) is (expected == "delivered"), f"{status}: {outcome}"
        if name not in ("apprise", "twilio", "call") or expected != "delivered":
            assert name == "apprise" or str(status) in outcome.detail


@pytest.mark.parametrize("name", sorted(HOOKS.keys() - {"email", "apprise"}))
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("-5", None),
        ("99999999999", 99999999999.0),
        ("9" * 400, float("inf")),
        ("soon", None),
        ("Fri, 99 Nov 99999 99:99:99 GMT", None),
        (format_datetime(datetime.fromtimestamp(NOW + 60, UTC), usegmt=True), 60.0),
    ],
)
def test_retry_after_is_read_whoever_says_it(name, value, seconds):
    _, outcome = hold(name, opened(), lambda _: Reply(429, {"retry-after": value}))
    assert (outcome.result, outcome.reason) == ("retry", Reason.RATE_LIMITED)
    assert outcome.retry_after == seconds


HTML = b"<!doctype html><title>Sign in to the hotel's network</title>"
STRICT = HOOKS.keys() - {"webhook", "email", "apprise"}  # whose good answer is more than a status


@pytest.mark.parametrize("name", sorted(STRICT))
@pytest.mark.parametrize("body", [HTML, b'{"status": "succ', b"[1, 2]", b'"ok"', b"\xff\xfe\x00"], ids=str)
def test_what_is_not_the_providers_answer_is_not_believed(name, body):
    def answer(message):
        good = PROVIDERS[name].answer(message)
        return Reply(good.status, {"content-type": "text/html"}, body)

    _, outcome = hold(name, opened(), answer)
    assert (outcome.result, outcome.reason) == ("retry", Reason.BAD_REPLY)
    assert "hotel" not in outcome.detail


@pytest.mark.parametrize("name", sorted(STRICT - {"alertmanager", "teams"}))
def test_an_empty_answer_is_not_believed_where_more_is_promised(name):
    _, outcome = hold(name, opened(), lambda message: Reply(PROVIDERS[name].answer(message).status))
    assert (outcome.result, outcome.reason) == ("retry", Reason.BAD_REPLY)


@pytest.mark.parametrize("name", HOOKS)
def test_no_secret_is_in_what_is_frozen_or_in_what_is_shown(name):
    spec = section(name)
    for told in (opened(), acknowledged(), resolved()):
        assert SECRET.encode() not in HOOKS[name].render(spec, told)
    sent, outcome = hold(name, opened())
    assert SECRET not in repr(sent) + repr(spec) + str(spec.model_dump()) + repr(outcome)


@pytest.mark.parametrize("name", HOOKS)
def test_a_wrong_section_never_shows_its_secret(name):
    wrong = {**PROVIDERS[name].section, "no such key": "1", "timeout": SECRET[:2]}
    with pytest.raises(ValidationError) as caught:
        HookSpec.model_validate({name: wrong})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", HOOKS)
def test_the_same_body_is_made_and_sent_each_time(name):
    spec = section(name)
    assert HOOKS[name].render(spec, opened()) == HOOKS[name].render(spec, opened())
    first, second = (hold(name, opened())[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", HOOKS)
def test_a_monstrous_incident_is_told_in_a_bounded_message(name):
    plain = opened()
    entries = tuple(TimelineEntry(NOW + n, TransitionKind.NOTE, "“&<" * 200) for n in range(3000))
    names = tuple(f"probe-{n}" for n in range(2000))
    huge = replace(plain.incident, title="é&<" * 5000, timeline=entries, probes=names, journeys=names)
    told = replace(plain, title="é&<\n" * 5000, text="“&<*" * 20_000, incident=huge)
    sent, outcome = hold(name, told)
    assert outcome.result == "delivered"
    for message in sent:
        if isinstance(message, HookRequest) and name != "webhook":  # whose body is the incident as in the API
            assert len(message.body) < MOST
            assert all("\n" not in value for value in message.headers.values())
        if isinstance(message, Mail):
            assert "\n" not in message.headers["Subject"]


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("severity", Severity)
def test_every_severity_is_told(name, severity):
    _, outcome = hold(name, raised(severity))
    assert outcome.result == "delivered"


@pytest.mark.parametrize("name", HOOKS)
def test_a_resolve_closes_what_the_opening_opened(name):
    provider = PROVIDERS[name]
    opening, outcome = hold(name, opened())
    answers = provider.answers | provider.once_open
    end, closed = hold(name, resolved(), lambda message: answers[told_of(message)], outcome.reference)
    assert closed.result == "delivered"
    assert provider.clears(opening, end)
    change, _ = hold(name, raised(), lambda message: answers[told_of(message)], outcome.reference)
    assert not provider.clears(opening, change), "a change closes nothing"


def test_every_reason_is_documented():
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in page] == []


@pytest.mark.parametrize("name", HOOKS)
def test_no_reply_is_awaited_for_longer_than_an_attempt_may_take(name):
    with pytest.raises(ValidationError, match="less than or equal to 25"):
        HOOKS[name].spec.model_validate({**PROVIDERS[name].section, "timeout": "26s"})
