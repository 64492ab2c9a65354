import json
from urllib.parse import parse_qs, urlsplit

import pytest
from providers import PROVIDERS
from told import acknowledged, held, opened, raised, reopened, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.jira import KIND, JiraSpec
from earwitness.model import Severity

ANSWERS = PROVIDERS["jira"].answers
NOTHING, CREATED, NOTED = ANSWERS["GET jql"], ANSWERS["POST issue"], ANSWERS["POST comment"]
EDITED = Reply(204)
OPEN, MOVED = ANSWERS["GET OPS-7"], ANSWERS["POST transitions"]
FOUND = Reply(200, {}, b'{"issues": [{"id": "10000", "key": "OPS-7"}]}')
CLOUD = JiraSpec(
    url="https://acme.atlassian.net/",
    username="bot@acme.example",
    token="a token",
    project="OPS",
    issue_type="[System] Incident",
    priorities={"sev1": "Highest"},
)
API = "https://acme.atlassian.net/rest/api/2"


def paths(sent):
    return [f"{m.method} {m.url.removeprefix(API).partition('?')[0]}" for m in sent]


def state(category, *transitions):
    offered = [{"id": str(n), "name": name, "to": {"statusCategory": {"key": to}}} for n, (name, to) in transitions]
    body = {"fields": {"status": {"statusCategory": {"key": category}}}, "transitions": offered}
    return Reply(200, {}, json.dumps(body).encode())


def test_an_issue_is_looked_for_by_its_label_and_then_opened():
    told = opened()
    sent, outcome = held(KIND, CLOUD, told, NOTHING, CREATED)
    assert paths(sent) == ["GET /search/jql", "POST /issue"]
    jql = parse_qs(urlsplit(sent[0].url).query)["jql"]
    assert jql == [f'project = "OPS" AND labels = "{told.incident.id}" ORDER BY created ASC']
    fields = json.loads(sent[1].body)["fields"]
    assert fields.pop("description").startswith(told.text)
    assert fields == {
        "project": {"key": "OPS"},
        "issuetype": {"name": "[System] Incident"},
        "summary": "Sev1: Card processor: customers cannot finish “Pay by card”",
        "labels": ["earwitness", told.incident.id],
        "priority": {"name": "Highest"},
    }
    assert (outcome.result, outcome.reference) == ("delivered", "OPS-7")


def test_an_opening_that_is_repeated_opens_nothing_twice():
    sent, outcome = held(KIND, CLOUD, opened(), FOUND)
    assert paths(sent) == ["GET /search/jql"]
    assert (outcome.result, outcome.reference) == ("delivered", "OPS-7")


@pytest.mark.parametrize("told", [raised(Severity.SEV2), acknowledged()])
def test_a_change_is_a_comment_on_what_the_opening_made(told):
    sent, _ = held(KIND, CLOUD, told, NOTED, reference="OPS-7")
    assert paths(sent) == ["POST /issue/OPS-7/comment"]
    assert json.loads(sent[0].body)["body"].startswith(told.title)


def test_another_severity_is_another_priority_where_it_has_one():
    sent, outcome = held(KIND, CLOUD, raised(), EDITED, NOTED, reference="OPS-7")
    assert paths(sent) == ["PUT /issue/OPS-7", "POST /issue/OPS-7/comment"]
    assert json.loads(sent[0].body) == {"fields": {"priority": {"name": "Highest"}}}
    assert outcome.result == "delivered"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_where_nobody_may_change_the_priority_the_comment_has_to_do(status):
    not_on_screen = Reply(status, {}, b'{"errors": {"priority": "Field \'priority\' cannot be set."}}')
    sent, outcome = held(KIND, CLOUD, raised(), not_on_screen, NOTED, reference="OPS-7")
    assert (paths(sent)[-1], outcome.result) == ("POST /issue/OPS-7/comment", "delivered")


def test_the_priority_is_set_before_anything_is_written_that_a_repetition_would_write_twice():
    sent, outcome = held(KIND, CLOUD, raised(), Reply(503), reference="OPS-7")
    assert (paths(sent), outcome.result) == (["PUT /issue/OPS-7"], "retry"), "nothing is commented on twice"


def test_a_resolve_takes_the_issue_to_done_and_comments_last():
    sent, outcome = held(KIND, CLOUD, resolved(), OPEN, MOVED, NOTED, reference="OPS-7")
    assert paths(sent) == ["GET /issue/OPS-7", "POST /issue/OPS-7/transitions", "POST /issue/OPS-7/comment"]
    assert json.loads(sent[1].body) == {"transition": {"id": "31"}}
    assert outcome.result == "delivered"


def test_what_people_finished_is_only_noted_on():
    sent, outcome = held(KIND, CLOUD, resolved(), state("done"), NOTED, reference="OPS-7")
    assert paths(sent) == ["GET /issue/OPS-7", "POST /issue/OPS-7/comment"]
    assert outcome.result == "delivered"


def test_a_comment_is_not_repeated_while_the_transition_fails():
    sent, outcome = held(KIND, CLOUD, resolved(), OPEN, Reply(503), reference="OPS-7")
    assert "POST /issue/OPS-7/comment" not in paths(sent)
    assert outcome.result == "retry"


def test_a_workflow_without_a_way_to_done_is_told():
    _, outcome = held(KIND, CLOUD, resolved(), state("new", (1, ("Start", "new"))), NOTED, reference="OPS-7")
    assert (outcome.result, outcome.reason) == ("refused", Reason.REJECTED)
    assert "no transition into the category done" in outcome.detail


def test_the_transition_may_be_named():
    spec = CLOUD.model_copy(update={"done": "Cancel"})
    offered = state("new", (1, ("Resolve", "done")), (2, ("Cancel", "done")))
    sent, _ = held(KIND, spec, resolved(), offered, MOVED, NOTED, reference="OPS-7")
    assert json.loads(sent[1].body) == {"transition": {"id": "2"}}


def test_a_resolve_of_what_was_never_opened_is_done():
    sent, outcome = held(KIND, CLOUD, resolved(), NOTHING)
    assert (len(sent), outcome.result) == (1, "delivered")


def test_that_an_issue_is_gone_is_believed_of_jira_and_not_of_a_gateway():
    gone = Reply(404, {}, b'{"errorMessages": ["Issue does not exist or you do not have permission to see it."]}')
    _, outcome = held(KIND, CLOUD, acknowledged(), gone, reference="OPS-7")
    assert (outcome.result, outcome.reason) == ("refused", Reason.GONE)
    _, outcome = held(KIND, CLOUD, acknowledged(), Reply(404, {}, b"<html>no such site"), reference="OPS-7")
    assert outcome.result == "retry"


def test_data_center_has_its_own_search_and_token():
    spec = JiraSpec(url="https://jira.acme.example", token="a token", project="OPS")
    (look, create), _ = held(KIND, spec, opened(), NOTHING, CREATED)
    assert look.url.startswith("https://jira.acme.example/rest/api/2/search?")
    assert look.headers["authorization"] == "Bearer a token"
    assert json.loads(create.body)["fields"]["issuetype"] == {"name": "Task"}


def test_a_key_that_is_none_is_not_believed():
    _, outcome = held(KIND, CLOUD, opened(), NOTHING, Reply(201, {}, b'{"key": "../admin"}'))
    assert outcome.reason is Reason.BAD_REPLY


def test_what_is_open_again_is_taken_out_of_done_and_commented_on():
    done = state("done", (41, ("Close", "done")), (11, ("Reopen", "new")))
    sent, outcome = held(KIND, CLOUD, reopened(), done, MOVED, EDITED, NOTED, reference="OPS-7")
    assert [p.partition(" /issue/OPS-7")[::2] for p in paths(sent)] == [
        ("GET", ""),
        ("POST", "/transitions"),
        ("PUT", ""),
        ("POST", "/comment"),
    ]
    assert json.loads(sent[1].body) == {"transition": {"id": "11"}}
    assert outcome.result == "delivered"


@pytest.mark.parametrize(
    "left", [state("done", (41, ("Close", "done"))), state("new", (21, ("Start", "indeterminate")))]
)
def test_what_is_open_already_or_cannot_be_opened_again_is_only_commented_on(left):
    plain = CLOUD.model_copy(update={"priorities": {}})
    sent, outcome = held(KIND, plain, reopened(), left, NOTED, reference="OPS-7")
    assert paths(sent) == ["GET /issue/OPS-7", "POST /issue/OPS-7/comment"]
    assert outcome.result == "delivered"
