"""What providers tell of people, read by the hooks' kinds: signed, once, and of our own button only."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_world import OutboxWorld
from told import acknowledged, opened

from earwitness.alerting.heard import take
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Callback, Said
from earwitness.hooks.pagerduty import PagerDutySpec
from earwitness.hooks.slack import SlackSpec
from earwitness.model import Status

NOW = 1_700_000_000.0
PAGER = PagerDutySpec(routing_key="key", webhook_secret="pager-secret")
SLACK = SlackSpec(token="xoxb-1", channel="C1", signing_secret="slack-secret")


def v3(event_type="incident.acknowledged", key="inc-1", **more):
    event = {
        "id": "5ac64822-4adc-4fda-ade0-410becf0de4f",
        "event_type": event_type,
        "resource_type": "incident",
        "occurred_at": "2026-10-02T18:45:22.169Z",
        "agent": {"id": "PLH1HKV", "summary": "Ann Other", "type": "user_reference"},
        "client": {"name": "PagerDuty"},
        "data": {"id": "PGR0VU2", "type": "incident", "number": 2, "status": "acknowledged", "incident_key": key},
        **more,
    }
    return json.dumps({"event": event}).encode()


def pager_says(body, *secrets):
    macs = [hmac.new(s.encode(), body, hashlib.sha256).hexdigest() for s in secrets or ("pager-secret",)]
    callback = Callback({"x-pagerduty-signature": ",".join(f"v1={mac}" for mac in macs)}, body)
    return HOOKS["pagerduty"].hear(PAGER, callback, NOW)


def pressed(action_id="acknowledge", value="inc-1", kind="block_actions"):
    payload = {
        "type": kind,
        "user": {"id": "U1", "username": "ann"},
        "actions": [{"action_id": action_id, "value": value}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def slack_says(body, at=NOW, secret="slack-secret", stamp=None, now=NOW):
    stamp = str(int(at)) if stamp is None else stamp
    mac = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-signature": f"v0={mac}", "x-slack-request-timestamp": stamp}
    return HOOKS["slack"].hear(SLACK, Callback(headers, body), now)


def test_pagerduty_tells_who_acknowledged_and_resolved():
    (said,) = pager_says(v3())
    assert (said.incident, said.action, said.who) == ("inc-1", "acknowledge", "Ann Other in PagerDuty")
    (said,) = pager_says(v3("incident.resolved"))
    assert said.action == "resolve"


@pytest.mark.parametrize(
    "agent",
    [None, {"type": "inbound_integration_reference", "summary": "Events API v2"}, {"type": "service_reference"}],
)
def test_what_no_person_did_is_not_taken_for_peoples_doing(agent):
    """What an integration did came from us; what a service did, from its timer."""
    assert pager_says(v3("incident.resolved", agent=agent)) == []


def test_it_says_when_they_did_it():
    (said,) = pager_says(v3(occurred_at="2026-10-02T18:45:22.169Z"))
    assert said.at == datetime(2026, 10, 2, 18, 45, 22, 169_000, tzinfo=UTC).timestamp()
    assert pager_says(v3(occurred_at="lately")) == []


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
async def test_what_was_said_before_it_opened_again_is_not_said_of_now(tmp_path, action):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["pager"]}])
    (incident,) = await world.opens("a")
    await world.deliver()
    then, did = world.clock.now() + 5, []

    async def submit(command):
        did.append(command.action)

    def say(key, at):
        return take(world.store, world.clock, submit, "pager", Said(key, incident, action, "Ann", at=at))

    world.clock.moment += 60
    await world.resolves(incident)
    await world.reopens(incident)
    await say("1", then)
    assert did == []
    await say("2", world.clock.now() + 1)
    assert did == (["acknowledge"] if action == "acknowledge" else []), (
        "its resolve is of an incident it takes for over"
    )
    await world.deliver()
    await say("3", world.clock.now() + 2)
    assert did[-1] == action
    world.close()


@pytest.mark.parametrize(
    ("kind", "told_back"), [("slack", True), ("pagerduty", False), ("call", False), ("jira", False)]
)
async def test_a_provider_that_shows_nothing_by_itself_is_told_what_its_people_did(tmp_path, kind, told_back):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["chat", "other"]}])
    (incident,) = await world.opens("a")
    await world.deliver()

    async def submit(command):
        await world.acknowledges(incident, via=command.via)

    said = Said("1", incident, "acknowledge", "Ann")
    await take(world.store, world.clock, submit, "chat", said, shown=HOOKS[kind].shows_answers)
    await world.deliver()
    assert world.kinds("chat") == ["open", "acknowledge"][: 2 if told_back else 1]
    assert world.kinds("other") == ["open", "acknowledge"]
    world.close()


@pytest.mark.parametrize(
    "other", ["pagey.ping", "incident.triggered", "incident.unacknowledged", "incident.reassigned"]
)
def test_other_events_change_nothing(other):
    assert pager_says(v3(other)) == []
    assert pager_says(b'{"event": 5}') == []


def test_one_right_signature_among_several_will_do_while_secrets_change():
    assert pager_says(v3(), "older", "pager-secret")
    assert pager_says(v3(), "older") is None


def test_without_a_secret_nothing_is_believed():
    bare = Callback({"x-pagerduty-signature": ""}, v3())
    assert HOOKS["pagerduty"].hear(PagerDutySpec(routing_key="key"), bare, NOW) is None
    assert HOOKS["pagerduty"].hear(PAGER, bare, NOW) is None
    assert HOOKS["slack"].hear(SlackSpec(token="t", channel="C1"), Callback({}, pressed()), NOW) is None


def test_a_press_of_our_button_acknowledges():
    (said,) = slack_says(pressed())
    assert (said.incident, said.action, said.who) == ("inc-1", "acknowledge", "ann in Slack")


def test_other_buttons_and_interactions_change_nothing():
    assert slack_says(pressed("link-0")) == []
    assert slack_says(pressed(kind="view_submission")) == []
    assert slack_says(b"payload=%7Bnot+json") == []


@pytest.mark.parametrize("stamp", ["", "soon", "-5", str(int(NOW) - 301), str(int(NOW) + 301), "१७००००००००"])
def test_what_is_older_than_five_minutes_or_from_no_time_is_refused(stamp):
    assert slack_says(pressed(), stamp=stamp) is None
    headers = {"x-slack-signature": "v0=00", "x-slack-request-timestamp": stamp}
    assert HOOKS["slack"].hear(SLACK, Callback(headers, pressed()), NOW) is None


def test_the_signature_of_slacks_own_documentation():
    """The example of docs.slack.dev, "Verifying requests from Slack"."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    spec = SlackSpec(token="t", channel="C1", signing_secret="8f742231b10e8888abcd99yyyzzz85a5")
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"x-slack-signature": signature, "x-slack-request-timestamp": "1531420618"}
    assert HOOKS["slack"].hear(spec, Callback(headers, body), 1531420620.0) == []
    assert HOOKS["slack"].hear(spec, Callback(headers, body + b"x"), 1531420620.0) is None


@given(st.binary(max_size=300), st.integers(0, 299))
def test_a_byte_changed_on_the_way_is_noticed(noise, place):
    body = v3() + noise
    changed = bytearray(body)
    changed[place % len(body)] ^= 1
    mac = hmac.new(b"pager-secret", body, hashlib.sha256).hexdigest()
    callback = Callback({"x-pagerduty-signature": f"v1={mac}"}, bytes(changed))
    assert HOOKS["pagerduty"].hear(PAGER, callback, NOW) is None


def buttons(spec, notice):
    blocks = json.loads(HOOKS["slack"].render(spec, notice))["blocks"]
    return {b["action_id"] for block in blocks if block["type"] == "actions" for b in block["elements"]}


def test_slack_shows_the_button_that_can_be_answered():
    link = "https://earwitness.example/ack/token"
    assert "acknowledge" in buttons(SLACK, opened(ack_url=link, hook="chat"))
    bare = SlackSpec(token="t", channel="C1")
    assert "link-acknowledge" in buttons(bare, opened(ack_url=link, hook="chat"))
    assert not {"acknowledge", "link-acknowledge"} & buttons(bare, opened())
    done = acknowledged()
    assert done.incident.status is Status.OPEN, "this notice is of the opened incident"


@pytest.mark.parametrize("name", sorted(HOOKS.keys() - {"alertmanager", "twilio", "call"}))
def test_the_link_is_in_the_message(name):
    from test_all_hooks import section  # noqa: PLC0415

    link = "https://earwitness.example/ack/token"
    assert link.encode() in HOOKS[name].render(section(name), opened(ack_url=link, hook="chat")).replace(b"\\/", b"/")
