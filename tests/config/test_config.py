import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from earwitness.cli.main import app
from earwitness.config.advice import advice_on
from earwitness.config.fields import Money, Secret
from earwitness.config.load import ConfigError, load_config
from earwitness.config.rules import rules_of
from earwitness.hooks import HOOKS
from earwitness.logs import SecretMask, secrets_of
from earwitness.model import Severity
from earwitness.probes import KINDS

ROOT = Path(__file__).parents[2]
WEB = """
environment: production
journeys:
  shop: {title: Shop}
probes:
  web:
    journey: shop
    every: 1m
    http: {url: "https://shop.example/"}
"""


@pytest.fixture
def load(tmp_path):
    def load(text, environment=None, name="earwitness.yaml"):
        (tmp_path / name).write_text(text)
        return load_config(tmp_path / name, environment or {})

    return load


def example_environment(tmp_path):
    (tmp_path / "secret").write_text("https://secret.example/of-this-test\n")  # some secrets are addresses
    return {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TEST_CARD": "4111111111111111", "TEST_PASSWORD": "xyz"}


def test_the_example_of_the_documentation_is_valid(tmp_path, load):
    page = (ROOT / "docs/configuration.md").read_text()
    text = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    environment = example_environment(tmp_path)
    config = load(re.sub(r"/run/secrets/\w+|/etc/ssl/our-ca.pem", str(tmp_path / "secret"), text), environment)
    assert config.probes["pay-by-phone"].every == 300
    assert config.budget.per_day == Money(25, "USD")
    assert config.routes[0].match.severity == (Severity.SEV1, Severity.SEV2)
    assert config.environment_of(config.probes["pay-on-web"]) == "production"


def test_every_example_of_a_hook_is_valid(tmp_path, load):
    examples = re.findall(r"```yaml\n(hooks:\n.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    environment, shown = example_environment(tmp_path), set()
    for text in examples:
        config = load(WEB + re.sub(r"/run/secrets/[\w-]+", str(tmp_path / "secret"), text), environment)
        shown |= {hook.kind for hook in config.hooks.values()}
    assert shown == HOOKS.keys()


def test_the_commented_example_is_valid_and_names_every_section(tmp_path):
    path = ROOT / "config/earwitness.example.yaml"
    text = path.read_text()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "config.yaml").write_text(re.sub(r"/run/secrets/[\w-]+", str(tmp_path / "secret"), text))
    config = load_config(tmp_path / "config.yaml", example_environment(tmp_path))
    for section in type(config).model_fields:
        assert re.search(rf"^#? ?{section}:", text, re.MULTILINE), f"{section} is not in the example"


def test_the_demo_is_valid(tmp_path):
    variables = {"LISTEN": "127.0.0.1:0", "SIMULATOR": "http://127.0.0.1:1", "RECEIVER": "http://127.0.0.1:2/"}
    variables |= {"SECRET": "aGVsbG8=", "PROMPTS": str(tmp_path)}
    config = load_config(
        ROOT / "config/earwitness.demo.yaml", {f"EARWITNESS_DEMO_{k}": v for k, v in variables.items()}
    )
    assert {config.environment_of(p) for p in config.probes.values()} == {"production", "staging"}


def test_editors_get_a_schema_of_every_section():
    told = CliRunner().invoke(app, ["schema"])
    assert told.exit_code == 0
    schema = json.loads(told.stdout)
    assert {"environment", "journeys", "probes", "hooks", "routes"} <= set(schema["properties"])
    assert set(HOOKS) | {"template"} <= set(schema["$defs"]["HookSpec"]["properties"])
    assert set(KINDS) <= set(schema["$defs"]["ProbeSpec"]["properties"])
    assert schema["$defs"]["BrowserSpec"]["properties"]["script"]["anyOf"][0] == {"type": "string"}


def test_the_example_fits_the_schema_that_editors_get():
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    example = yaml.safe_load((ROOT / "config/earwitness.example.yaml").read_text())
    written = json.loads(json.dumps(example, default=str))  # a date is text to an editor
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(written)] == []


def test_the_schema_finds_what_is_missing_and_what_nobody_knows():
    schema = jsonschema.Draft202012Validator(json.loads(CliRunner().invoke(app, ["schema"]).stdout))
    hook = {"url": "https://hooks.example/"}
    fits = {
        "no secret": hook,
        "unknown key": {**hook, "secret": "whsec_x", "colour": "red"},
        "secret": {**hook, "secret": "whsec_x"},
        "files": {**hook, "secret_file": ["a", "b"]},
    }
    base = yaml.safe_load(WEB)
    told = {name: schema.is_valid({**base, "hooks": {"on-call": {"webhook": hook}}}) for name, hook in fits.items()}
    assert told == {"no secret": False, "unknown key": False, "secret": True, "files": True}


def test_scalars_stay_what_people_wrote(load):
    text = WEB.replace("title: Shop", 'title: "0123", owner: on') + "      # end\n"
    assert load(text).journeys["shop"].title == "0123"
    assert load(text).journeys["shop"].owner == "on"


def test_a_folder_is_one_configuration(tmp_path):
    (tmp_path / "a.yaml").write_text("environment: production\njourneys:\n  shop: {}\n")
    (tmp_path / "b.yml").write_text(
        "probes:\n  web: {journey: shop, every: 1m, http: {url: 'https://shop.example/'}}\n"
    )
    (tmp_path / "notes.txt").write_text("not: [read")
    assert list(load_config(tmp_path, {}).probes) == ["web"]
    (tmp_path / "c.yaml").write_text("probes:\n  web: {journey: shop}\n")
    with pytest.raises(
        ConfigError, match=r"c\.yaml:2:3: probes\.web: the key stands in two files, first at .*b\.yml:2"
    ):
        load_config(tmp_path, {})


def test_anchors_and_merges_are_understood(load):
    text = WEB.replace("  web:", "  web: &web") + "  other:\n    <<: *web\n    every: 2m\n"
    assert load(text).probes["other"].every == 120


def test_what_is_left_empty_is_missing_and_a_quoted_null_is_a_word(load):
    assert load(WEB.replace("title: Shop", "title: 'null', owner: ~")).journeys["shop"].title == "null"
    assert load(WEB.replace("title: Shop", "title: 'null', owner: ~")).journeys["shop"].owner is None
    with pytest.raises(ConfigError, match="write either every or cron"):
        load(WEB.replace("every: 1m", "every:"))


def test_a_dollar_that_is_no_variable_stays(load):
    config = load(WEB.replace("title: Shop", "title: '$5 off ${NAME} $${NAME}'"), {"NAME": "now"})
    assert config.journeys["shop"].title == "$5 off now ${NAME}"


def test_secrets_are_read_from_files_and_never_shown(tmp_path, load):
    (tmp_path / "hook.txt").write_text("correct horse battery staple\n")
    hooks = "hooks:\n  on-call:\n    webhook: {url: 'https://alerts.example/', secret_file: hook.txt}\n"
    config = load(WEB + hooks)
    assert config.hooks["on-call"].webhook.secret == (Secret("correct horse battery staple"),)
    assert "horse" not in repr(config) + str(config)
    assert "horse" not in config.model_dump_json(exclude={"hooks": {"on-call": {"webhook": {"secret"}}}})
    assert list(secrets_of(config)) == ["correct horse battery staple"]
    mask = SecretMask()
    mask.learn(config)
    assert mask.text("it is correct horse battery staple.") == "it is <secret>."


def test_an_address_that_is_a_secret_is_masked_too(load):
    mask = SecretMask()
    mask.learn(load(WEB + "heartbeat: {url: 'https://hc.example/ping/0123-4567'}\n"))
    assert mask.text("POST https://hc.example/ping/0123-4567 failed") == "POST <secret> failed"


def test_a_journey_or_a_probe_may_live_in_another_environment(load):
    text = WEB.replace("{title: Shop}", "{environment: staging}") + "    environment: test\n"
    config = load(text)
    assert config.environment_of(config.probes["web"]) == "test"
    assert rules_of(config).probes["web"].environment == "test"
    assert rules_of(config).journeys["shop"].title == "Shop"


def test_sunday_is_0_and_7_as_cron_has_it(load):
    for weekday in ("0", "7", "sun"):
        probe = load(WEB.replace("every: 1m", f'cron: "0 8 * * {weekday}"')).probes["web"]
        assert probe.interval == 7 * 86400
        trigger = probe.cron.trigger(__import__("datetime").UTC)
        assert str(trigger.fields[4]) == "sun"


def test_a_range_of_weekdays_is_cronss_own(load):
    probe = load(WEB.replace("every: 1m", 'cron: "0 8 * * 1-5"')).probes["web"]
    assert probe.interval == 86400
    assert str(probe.cron.trigger(__import__("datetime").UTC).fields[4]) == "mon,tue,wed,thu,fri"


def test_what_is_allowed_and_hardly_meant_is_told(load):
    call = """
carriers: {main: {twilio: {account_sid: AC1, auth_token: token, from: "+12025550143"}}}
dial: {allow: ["+12025550199"]}
"""
    probe = """  phone:
    journey: shop
    every: 5m
    call: {to: "+12025550199", steps: [{expect: "Welcome to Acme"}]}
"""
    told = list(advice_on(load(call + WEB + probe)))
    assert any(line.startswith("carriers.main: there is no control call") for line in told)
    known_good = call.replace('143"}}', '143"}, control: {to: "+12025550199"}}')
    assert not any("control call" in line for line in advice_on(load(known_good + WEB + probe)))
    assert any(line.startswith("carriers.main: it has one number") for line in told)
    two = call.replace('"+12025550143"', '["+12025550143", "+12025550144"]')
    assert not any("it has one number" in line for line in advice_on(load(two + WEB + probe)))
    assert any('no reference recording of "Welcome to Acme"' in line for line in told)
    assert any("nobody is told" in line for line in told)
    assert any(line.startswith("network.known_good: no address") for line in told)
    hooks = "network: {known_good: https://www.example}\nhooks: {on-call: {webhook: {url: 'https://alerts.example/', secret: long-enough}}}\n"
    assert list(advice_on(load(WEB + hooks))) == []
    over = "maintenance: {move: {from: 2020-01-01, until: 2020-02-01}}\n"
    (said,) = advice_on(load(WEB + hooks + over))
    assert said.startswith("maintenance.move: it is over since 2020-02-01T00:00:00.000")
    only_minor = "routes: [{match: {severity: sev3}, to: [on-call]}]\n"
    assert list(advice_on(load(WEB + hooks + only_minor))) == [
        "routes: none is for sev1, so nobody is told of such an incident when it opens",
        "routes: none is for sev2, so nobody is told of such an incident when it opens",
    ]


def test_a_hook_that_nothing_names_or_that_nobody_can_answer_is_advised_on(load):
    slack = "slack: {token: t, channel: C1, signing_secret: s}"
    pager = "pagerduty: {routing_key: r, webhook_secret: w}"
    text = f"network: {{known_good: https://www.example}}\n{WEB}hooks: {{chat: {{{slack}}}, pager: {{{pager}}}}}\nroutes: [{{to: [pager]}}]\n"
    told = list(advice_on(load(text)))
    assert [line.partition(":")[0] for line in told] == [
        "hooks.chat",
        "hooks.chat.slack.signing_secret",
        "hooks.pager.pagerduty.webhook_secret",
    ]
    assert "no route and no ladder names it" in told[0]
    assert "set http.public_url" in told[1]
    ladder = "escalations: {up: {steps: [{after: 1h, to: [chat]}]}}\nhttp: {public_url: https://e.example}\n"
    assert list(advice_on(load(text + ladder))) == []


def test_what_an_agents_failure_does_to_customers_is_asked_for(load):
    def asked(text):
        told = advice_on(load(text + "dependencies: {crm: {}}\n"))
        return [line.partition(": ")[0] for line in told if "agent" in line]

    silent = WEB.replace("{title: Shop}", "{title: Record, by: agent}")
    assert asked(silent) == ["probes.web.http", "probes.web"]
    assert asked(silent.replace("http: {", "depends_on: [crm]\n    http: {effect: nuisance, ")) == []
    assert asked(WEB) == []


def test_a_history_that_outgrows_most_disks_is_told(load):
    assert not any("history" in line for line in advice_on(load(WEB)))
    probe = "{journey: shop, every: 1s, http: {url: 'https://shop.example/', timeout: 500ms}}"
    many = WEB + "".join(f"  web-{n}: {probe}\n" for n in range(200))
    (said,) = [line for line in advice_on(load(many)) if "history" in line]
    assert "200 runs a second, each kept for 30 days, make a database of some 778 GB" in said
    assert not any("history" in line for line in advice_on(load(many + "history: {keep: 12h}\n")))
