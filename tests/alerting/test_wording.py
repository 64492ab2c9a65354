import sys
from dataclasses import replace

import pytest
from providers import PROVIDERS
from pydantic import ValidationError
from structlog.testing import capture_logs
from told import opened, resolved

from earwitness.alerting.notices import Change, Links, notice_of
from earwitness.config.templates import TemplateSpec
from earwitness.hooks import HOOKS

LINKS = Links("https://earwitness.example")


def change_of(told):
    return Change(told.key, told.kind, told.at, told.text, told.incident)


def worded(template, told=None):
    return notice_of(change_of(told or opened()), LINKS, TemplateSpec(**template))


def test_without_a_template_the_words_are_ours():
    told = worded({})
    assert told.title == "Sev1: Card processor: customers cannot finish “Pay by card”"
    assert told.text.startswith("Card processor: customers cannot finish “Pay by card”. Sev1, because")
    assert worded({}, resolved()).title.startswith("Sev1, resolved: ")


def test_with_one_they_are_the_templates():
    told = worded({"title": "[{{ incident.environment }}] {{ change }}: {{ title }}"})
    assert told.title.startswith("[production] open: Sev1: Card processor")
    assert told.text == worded({}).text
    told = worded({"body": "{{ incident.cause.dependency }} at {{ url }}"})
    assert told.text == f"card-processor at https://earwitness.example/incidents/{opened().incident.id}"


def test_a_template_that_fails_on_a_real_incident_gives_way_and_says_so():
    bare = replace(opened(), incident=replace(opened().incident, evidence=()))
    with capture_logs() as logs:
        told = worded({"title": "{{ incident.evidence[0].url }}", "body": "{{ text }}"}, bare)
    assert told.title == worded({}).title
    assert [(entry["event"], entry["incident"]) for entry in logs] == [("template_failed", bare.incident.id)]


@pytest.mark.parametrize("name", HOOKS)
def test_a_test_is_marked_whatever_the_templates_say(name):
    spec = HOOKS[name].spec.model_validate(PROVIDERS[name].section)
    outage = TemplateSpec(title="OUTAGE in {{ incident.environment }}", body="Get up!")
    told = notice_of(change_of(opened()), LINKS, outage, test=True)
    assert b"Test alert, nothing is wrong" in HOOKS[name].render(spec, told)


def test_what_a_template_makes_is_bounded():
    told = worded({"title": "{{ 'x' * 100000 }}", "body": "{{ 'x' * 100000 }}"})
    assert (len(told.title), len(told.text)) == (1000, 20_000)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x' * 10**11 }}",
        "{{ 10 ** 10000000 }}",
        "{{ [1] * 10**10 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}x",
        "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(1) }}",
        "{{ 'x'.center(10**15) }}",
    ],
)
def test_a_template_that_asks_for_too_much_is_a_clear_problem_soon(template):
    with pytest.raises(ValidationError, match="of the template: "):
        TemplateSpec(body=template)


def test_no_more_is_made_than_an_alert_has_room_for():
    told = worded({"body": "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}"})
    assert len(told.text) == 20_000


def test_a_tracer_that_was_there_before_is_there_afterwards():
    def tracer(_frame, _event, _arg):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        worded({"body": "{{ text }}"})
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
