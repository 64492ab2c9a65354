from dataclasses import replace

from structlog.testing import capture_logs
from told import opened, resolved

from earwitness.alerting.notices import Change, Links, notice_of
from earwitness.config.templates import TemplateSpec

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


def test_what_a_template_makes_is_bounded():
    told = worded({"title": "{{ 'x' * 100000 }}", "body": "{{ 'x' * 100000 }}"})
    assert (len(told.title), len(told.text)) == (1000, 20_000)
