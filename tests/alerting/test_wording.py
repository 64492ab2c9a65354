import json
import sys
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from providers import PROVIDERS
from pydantic import ValidationError
from structlog.testing import capture_logs
from told import opened, resolved
from virtual import VirtualClock

from earwitness.alerting import notices
from earwitness.alerting.couriers import Hook
from earwitness.alerting.notices import Change, Links, notice_of
from earwitness.alerting.senders import Senders
from earwitness.alerting.trial import try_hook
from earwitness.config.templates import TemplateSpec
from earwitness.config.templates import worded as worded_by_template
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


GREEDY = [
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.rjust(10**9) }}",
    "{{ '7'.zfill(10**9) }}",
    "{{ 'x' | center(10**9) }}",
    "{{ ['x'] | map('center', 10**9) | join }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:>{w}}'.format(1, w=10**9) }}",
    "{{ '{x:1000000000}'.format_map({'x': 1}) }}",
    "{{ ('{:1000000000}' | escape).format(1) }}",
    "{{ '%1000000000d' % 7 }}",
    "{{ '%.1000000000f' % 7 }}",
    "{{ '%*d' % (10**9, 7) }}",
    "{{ '%(n)01000000000d' % {'n': 7} }}",
    "{{ '%1000000000d' | format(7) }}",
    "{{ ('%s' * 9999) % (['x' * 99999] * 9999) | string }}",
    "{{ 'x' * 10**9 }}",
    "{{ [0] * 10**9 }}",
    "{{ [['x' * 99999] * 9999] * 9 }}",
    "{{ ('x' * 99999).replace('', 'x' * 99999) }}",
    "{{ ('x' * 99999) | replace('x', 'x' * 99999) }}",
    "{{ ('x' * 99999).join(['y'] * 99999) }}",
    "{{ (['x' * 99999] * 99999) | join }}",
    "{{ 'x'.join(['y' * 99999] * 999) }}",
    "{{ ('\t' * 99999).expandtabs(99999) }}",
    "{{ ('\n' * 99999) | indent(99999) }}",
    "{{ ('x' * 99999) | wordwrap(1, true, 'y' * 99999) }}",
    "{{ [[1]] | tojson(indent=10**9) }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | upper }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | replace('x', 'y') }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | string }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | join }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x ~ 'x' }}",
    "{% set ns = namespace(x=['x']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | truncate(5) }}",
    "{{ ([[1] * 99999] * 999) | sum(start=[]) }}",
    "{% set ns = namespace(x='xx') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='xx') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}x",
    "{% set ns = namespace(x=3) %}{% for i in range(40) %}{% set ns.x = ns.x * ns.x %}{% endfor %}x",
    "{% set x %}{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}{% endset %}{{ x }}",
    "{% set big = 'x' * 99999 %}{% set x %}{% for i in range(99) %}{{ big }}{% endfor %}{% endset %}{{ x }}",
    "{% set big = 'x' * 99999 %}{% filter upper %}{% for i in range(9999) %}{{ big }}{% endfor %}{% endfilter %}",
]


BYTES = [  # for which an alert has no use, and which would need bounds of their own
    "{{ 7.to_bytes(10**9, 'big') }}",
    "{{ 'a'.encode() * 10**10 }}",
    "{{ 'a'['encode']().ljust(10**10) }}",
    "{{ ('a' | attr('encode'))() + 'b'.encode() }}",
    "{{ 'a'.encode | string }}",
    "{{ ('a' * 99999).translate({97: 'b' * 99999}) }}",
    "{{ ''.maketrans({'a': 'b'}) }}",
]


@pytest.mark.parametrize("template", BYTES)
def test_what_makes_bytes_or_translates_letters_is_not_there(template):
    with pytest.raises(ValidationError, match=r"of the template: .*unsafe"):
        TemplateSpec(body=template)


@pytest.mark.parametrize("digits", ["30000000", "300000000", "-30000000"])
@pytest.mark.parametrize("way", ["ceil", "floor"])
def test_rounding_to_a_million_digits_is_refused_before_it_is_reckoned(digits, way):
    with pytest.raises(ValidationError, match=r"of the template: .*an alert has room for"):
        TemplateSpec(body="{{ 1.5 | round(" + digits + ", '" + way + "') }}")


@pytest.mark.parametrize("template", GREEDY)
def test_no_step_and_no_chain_of_steps_makes_what_there_is_no_memory_for(template):
    TemplateSpec(body="the sandbox {{ 'is' }} there")
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError, match=r"of the template: .*(an alert has room for|longer than 1 s)"):
            TemplateSpec(body=template)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ 'Sev1'.center(10) }}|", "Sev1   |"),
        ("{{ '7'.zfill(3) }} {{ 'a'.ljust(3) }}{{ 'b'.rjust(3) }}", "007 a    b"),
        ("{{ '{:>5}|{name}'.format(7, name='x') }}", "7|x"),
        ("{{ '%05.1f %s' % (1.25, 'x') }} {{ '%(a)s' % {'a': 1} }} {{ '%s%%' | format(5) }}", "001.2 x 1 5%"),
        ("{{ 'call +12025550199 %s' % 'now' }} {{ 10 * 4 }} {{ 2 ** 10 }} {{ 'ab' + 'c' }} {{ 1 + 1 }}",
         "call +12025550199 now 40 1024 abc 2"),
        ("{{ ['a', 'b'] | map('upper') | join(', ') }} {{ ', '.join(['x', 'y']) }}", "A, B x, y"),
        ("{{ 'a' ~ 1 ~ none }} {{ [1, {'a': 2}] }} {{ [1] | tojson }} {{ 'a\tb'.expandtabs(2) }}", "a1None [1, {'a': 2}] [1] a b"),
        ("{{ text | truncate(20) | length }} {{ 'a b' | replace('a', 'c') }} {{ 1700000000 | default(0) | int }}", "18 c b 1700000000"),
        ("{% set x %}<{{ change }}>{% endset %}{{ x | trim | wordwrap(40) | indent(2) }}", "<open>"),
        ("{{ 1.256 | round(2) }} {{ 1.21 | round(1, 'ceil') }}", "1.26 1.3"),
        ("{{ incident.journeys | first }} {{ range(3) | list | sum }}", "pay-by-card 3"),
    ],
)  # fmt: skip
def test_what_is_of_use_works_as_everywhere(template, made):
    assert worded({"body": template}).text == made


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


async def test_a_trial_fills_templates_in_where_nothing_else_waits(monkeypatch):
    threads = []

    def noted(*args):
        threads.append(threading.get_ident())
        return worded_by_template(*args)

    monkeypatch.setattr(notices, "worded", noted)
    spec = HOOKS["webhook"].spec.model_validate(PROVIDERS["webhook"].section)
    hook = Hook("on-call", HOOKS["webhook"], spec, 5.0, TemplateSpec(body="Up: {{ text }}"))
    got = []

    def answer(request):
        got.append(json.loads(request.content)["data"]["text"])
        return httpx.Response(204)

    senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(answer)), Path)
    tried = [outcome.result async for _, outcome in try_hook(hook, senders, LINKS, VirtualClock())]
    assert (tried, len(threads)) == (["delivered"] * 2, 2)
    assert threading.get_ident() not in threads
    assert all(text.startswith("Test alert, nothing is wrong. Up: ") for text in got)
