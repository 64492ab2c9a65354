import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from providers import PROVIDERS, SYS_ID
from pydantic import ValidationError
from told import acknowledged, held, opened, raised, reopened, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.servicenow import KIND, ServiceNowSpec
from earwitness.model import Severity

SPEC = ServiceNowSpec(
    url="https://acme.service-now.com/",
    username="earwitness",
    password="a password",
    fields={"assignment_group": "Contact Centre"},
)
ANSWERS = PROVIDERS["servicenow"].answers
NOTHING, CREATED, CHANGED = ANSWERS["GET incident"], ANSWERS["POST incident"], ANSWERS[f"PATCH {SYS_ID}"]
TABLE = "https://acme.service-now.com/api/now/table/incident"


def found(state="2"):
    return Reply(200, {}, json.dumps({"result": [{"sys_id": SYS_ID, "state": state}]}).encode())


def test_a_record_is_looked_for_and_then_opened():
    told = opened()
    (look, create), outcome = held(KIND, SPEC, told, NOTHING, CREATED)
    asked = parse_qs(urlsplit(look.url).query)
    assert (look.method, asked["sysparm_query"]) == (
        "GET",
        [f"correlation_id={told.incident.id}^ORDERBYsys_created_on"],
    )
    assert look.headers["authorization"] == "Basic " + base64.b64encode(b"earwitness:a password").decode()
    assert (create.method, create.url) == ("POST", TABLE)
    made = json.loads(create.body)
    assert made.pop("description").startswith(told.text)
    assert made == {
        "assignment_group": "Contact Centre",
        "impact": "1",
        "urgency": "1",
        "short_description": "Sev1: Card processor: customers cannot finish “Pay by card”",
        "correlation_id": told.incident.id,
        "correlation_display": "Earwitness",
    }
    assert (outcome.result, outcome.reference) == ("delivered", f"{SYS_ID} 1"), "and remembers how it began"


def test_an_opening_that_is_repeated_opens_nothing_twice():
    (_, second), outcome = held(KIND, SPEC, opened(), found(), CHANGED)
    assert (second.method, second.url) == ("PATCH", f"{TABLE}/{SYS_ID}")
    assert outcome.reference == SYS_ID


def test_a_resolve_closes_the_record_that_the_opening_made():
    closed = Reply(200, {}, json.dumps({"result": {"sys_id": SYS_ID, "state": "6"}}).encode())
    (_, change), outcome = held(KIND, SPEC, resolved(), found(), closed)
    assert (change.url, outcome.reference) == (f"{TABLE}/{SYS_ID}", f"{SYS_ID} 6"), "and remembers how it left it"
    stayed = held(KIND, SPEC, resolved(), found(), CHANGED)[1].reference
    assert stayed == f"{SYS_ID} 2", "which need not be as it wished"
    made = json.loads(change.body)
    assert (made["state"], made["close_code"]) == ("6", "Solution provided")
    assert made["close_notes"] == "every probe of the incident passes again"
    assert made["work_notes"].startswith("every probe of the incident passes again")


@pytest.mark.parametrize("state", ["6", "7"])
def test_what_people_closed_stays_as_they_left_it(state):
    (_, change), _ = held(KIND, SPEC, resolved(), found(state), CHANGED)
    assert json.loads(change.body).keys() == {"work_notes"}


def test_a_resolve_of_what_was_never_opened_is_done():
    (look,), outcome = held(KIND, SPEC, resolved(), NOTHING)
    assert (look.method, outcome.result) == ("GET", "delivered")


def test_an_acknowledgement_is_in_progress():
    (_, change), _ = held(KIND, SPEC, acknowledged(), found(), CHANGED)
    assert json.loads(change.body)["state"] == "2"


@pytest.mark.parametrize(
    ("severity", "impact", "urgency"),
    [("sev1", "1", "1"), ("sev2", "1", "2"), ("sev3", "2", "2"), ("nonprod", "3", "3")],
)
def test_impact_and_urgency_follow_the_severity(severity, impact, urgency):
    (_, change), _ = held(KIND, SPEC, raised(Severity(severity)), found(), CHANGED)
    made = json.loads(change.body)
    assert (made["impact"], made["urgency"]) == (impact, urgency)


def test_nothing_is_opened_while_nobody_knows_whether_it_is():
    (look,), outcome = held(KIND, SPEC, opened(), Reply(503))
    assert (look.method, outcome.result, outcome.reason) == ("GET", "retry", Reason.SERVER_ERROR)


def test_a_record_without_a_proper_name_is_not_believed():
    strange = Reply(201, {}, b'{"result": {"sys_id": "../../etc", "state": "1"}}')
    _, outcome = held(KIND, SPEC, opened(), NOTHING, strange)
    assert outcome.reason is Reason.BAD_REPLY


def test_a_token_is_a_bearer():
    spec = ServiceNowSpec(url="https://acme.service-now.com", token="a token")
    (look, _), _ = held(KIND, spec, opened(), NOTHING, CREATED)
    assert look.headers["authorization"] == "Bearer a token"


@pytest.mark.parametrize("more", [{}, {"username": "x"}, {"username": "x", "password": "y", "token": "z"}])
def test_half_a_way_in_is_none(more):
    with pytest.raises(ValidationError, match=r"belong together|either username"):
        ServiceNowSpec(url="https://acme.service-now.com", **more)


def test_what_is_open_again_is_new_again_so_that_somebody_can_take_it():
    (_, change), outcome = held(KIND, SPEC, reopened(), found("6"), CHANGED)
    made = json.loads(change.body)
    assert (made["state"], made["impact"]) == ("1", "1")
    assert outcome.reference == f"{SYS_ID} 2", "an instance with other rules has it in progress, which is remembered"
    renamed = SPEC.model_copy(update={"new_state": "10"})
    (_, change), _ = held(KIND, renamed, reopened(), found("6"), CHANGED)
    assert json.loads(change.body)["state"] == "10"
