import pytest

from earwitness.config.load import ConfigError, load_config

CONFIG = """environment: production
journeys: {pay: {title: Pay}}
probes: {web: {journey: pay, every: 1m, http: {url: "https://shop.example/"}}}
hooks:
  on-call:
    webhook: {url: "https://alerts.example/", secret: a secret}
    template:
      %s
"""


@pytest.fixture
def load(tmp_path):
    def read(template):
        file = tmp_path / "config.yaml"
        file.write_text(CONFIG % template)
        return load_config(file, {}).hooks["on-call"].template

    return read


@pytest.mark.parametrize(
    "template",
    [
        "title: '{{ title }}'",
        "body: '{{ text }} {{ url }} {{ change }} {{ incident.journeys | join(\", \") }} {{ incident.cause.dependency }}'",
        "{title: '{% for e in incident.evidence %}{{ e.url }}{% endfor %}', body: 'plain'}",
    ],
)
def test_templates_know_the_incident(load, template):
    assert load(template) is not None


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("title: '{{ incident.'", r":8:7: hooks\.on-call\.template\.title: line 1 of the template: .*expected name"),
        ("title: '{% if title %}'", r"line 1 of the template: .*endif"),
        (
            "body: '{{ incident.severty }}'",
            r":8:7: hooks\.on-call\.template\.body: line 1 .*severty.*known are incident",
        ),
        ('body: "one\\n\\n{{ nonsense }}"', r"line 3 of the template: 'nonsense' is undefined"),
        ("body: '{{ title | shout }}'", r"line 1 of the template: .*shout"),
        ("body: '{{ 1 / 0 }}'", r"line 1 of the template: division by zero"),
        ("body: '{{ title + 1 }}'", r"line 1 of the template: "),
        ("title: '{# nothing #}'", r"makes an empty text"),
        (
            "body: '{{ incident.ended if change == \"resolve\" else text }}'",
            r"line 1 of the template: .*ended.* where change is resolve; known are",
        ),
        ("body: '{{ title.__class__.__mro__ }}'", r"unsafe|undefined"),
        ("body: '{{ ''.__class__.__base__.__subclasses__() }}'", r"template"),
        ("body: '{{ incident.journeys.append(1) }}'", r"template"),
        ("body: '{% include \"/etc/passwd\" %}'", r"template"),
        ("subject: x", r"template\.subject: is not a known key; known are title, body"),
    ],
)
def test_a_mistake_is_told_with_its_place(load, template, told):
    with pytest.raises(ConfigError, match=told):
        load(template)
