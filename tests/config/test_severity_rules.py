"""From what is written under severity_rules, calendars, critical_periods and maintenance to what the judge knows."""

import pytest
import yaml

from earwitness.config.load import ConfigError, load_config
from earwitness.config.rules import rules_of
from earwitness.model import DEFAULT_SEVERITY_RULES, OUR_FAILURES, Effect, Failure, Mode, Severity

BASE = """
environment: production
dependencies: {cards: {depends_on: [gateway]}, gateway: {}}
calendars: {office: {hours: "08:00-18:00"}}
journeys:
  pay: {owner: payments, workaround: [bank]}
  bank: {owner: banking}
  next: {environment: staging}
probes:
  web: {journey: pay, every: 1m, depends_on: [cards], http: {url: "https://Shop.example/pay"}}
  bank: {journey: bank, every: 1m, http: {url: "https://shop.example:8443/bank"}}
  next: {journey: next, every: 1m, http: {url: "https://next.example/"}}
"""


def load(tmp_path, text=""):
    path = tmp_path / "earwitness.yaml"
    path.write_text(BASE + text)
    return load_config(path, {})


def refused(tmp_path, *rules):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, yaml.safe_dump({"severity_rules": rules}, sort_keys=False))
    return [problem.message for problem in caught.value.problems]


def test_without_rules_the_default_table_is_the_only_one(tmp_path):
    assert rules_of(load(tmp_path)).severity_rules == DEFAULT_SEVERITY_RULES


def test_the_users_rules_come_before_the_default_table(tmp_path):
    rules = rules_of(
        load(tmp_path, "severity_rules: [{match: {effect: nuisance, owner: payments}, severity: sev2, why: dear}]")
    )
    own, *default = rules.severity_rules
    assert (own.name, own.severity, own.why) == (
        "severity_rules[0]: owner payments, effect nuisance",
        Severity.SEV2,
        "dear",
    )
    assert (own.match.effect, own.match.production) == ((Effect.NUISANCE,), True)
    assert tuple(default) == DEFAULT_SEVERITY_RULES


def test_a_probe_needs_what_its_dependencies_need_and_reaches_its_host(tmp_path):
    rules = rules_of(load(tmp_path))
    assert rules.probes["web"].depends_on == ("cards", "gateway")
    assert rules.probes["web"].reaches == ("host:shop.example",)
    assert rules.probes["bank"].reaches == ("host:shop.example:8443",)
    assert rules.dependents["gateway"] == ("web",)
    assert rules.dependencies["host:shop.example"].title == "The host shop.example"
    assert rules.dependencies["cards"].depends_on == ("gateway",)


def test_maintenance_and_critical_periods_reach_the_judge(tmp_path):
    rules = rules_of(
        load(
            tmp_path,
            "maintenance: {deploy: {cron: '0 2 * * *', duration: 1h, mode: stop, match: {dependency: gateway}}}\n"
            "critical_periods: {days: {calendar: office, raise: {sev2: sev1}}, nights: {outside: office, lower: {sev1: sev2}}}",
        )
    )
    assert rules.maintenance["deploy"].mode is Mode.STOP
    assert rules.maintenance["deploy"].match.dependency == ("gateway",)
    noon, midnight = 12 * 3600.0, 0.0
    assert [p.times.ends(noon) is not None for p in rules.critical_periods.values()] == [True, False]
    assert [p.times.ends(midnight) is not None for p in rules.critical_periods.values()] == [False, True]
    assert rules.critical_periods["nights"].counts_as == ((Severity.SEV1, Severity.SEV2),)


def test_effects_of_all_probes_and_of_one(tmp_path):
    config = load(tmp_path, "effects: {slow: nuisance}")
    assert config.effects == {Failure.SLOW: Effect.NUISANCE}


# --- rules that can never match --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        [
            {"match": {"effect": "nuisance"}, "severity": "sev2"},
            {"match": {"effect": "nuisance", "journey": "pay"}, "severity": "sev1"},
        ],
        [{"match": {}, "severity": "sev2"}, {"match": {"effect": "blocked"}, "severity": "sev1"}],
        [
            {"match": {"effect": "blocked", "workaround": ["passes", "fails", "untested"]}, "severity": "sev2"},
            {"match": {"effect": "blocked", "workaround": "none"}, "severity": "sev2"},
            {"match": {"effect": "blocked", "failure": "slow"}, "severity": "sev1"},
        ],
        [
            {"match": {"calendar": "office"}, "severity": "sev1"},
            {"match": {"outside": "office"}, "severity": "sev2"},
            {"match": {"effect": "nuisance"}, "severity": "sev3"},
        ],
        [{"match": {"owner": "payments"}, "severity": "sev1"}, {"match": {"dependency": "cards"}, "severity": "sev2"}],
    ],
)
def test_a_rule_that_the_rules_before_it_shadow_is_refused(tmp_path, rules):
    (message,) = refused(tmp_path, *rules)
    assert "can never match" in message
    assert "before it" in message


@pytest.mark.parametrize(
    "match",
    [
        {"effect": "nuisance", "workaround": "passes"},  # only of blocked journeys workarounds are tried
        {"journey": "bank", "workaround": "fails"},  # it has none
        {"journey": "pay", "owner": "banking"},
        {"journey": "bank", "dependency": "cards"},
        {"production": "true", "environment": "staging"},
        {"journey": "next"},  # a rule that names no environment is for production
        {"channel": "call"},
        {"calendar": "office", "outside": "office"},
        {"scope": "carrier"},  # nothing telephones
        {"failure": "prompt_missing"},
        {"channel": "http", "failure": "page_hung"},  # only a browser meets it
    ],
)
def test_a_rule_that_contradicts_itself_or_what_is_configured_is_refused(tmp_path, match):
    (message,) = refused(tmp_path, {"match": match, "severity": "sev1"})
    assert "nothing that is configured meets all of it" in message


@pytest.mark.parametrize("failure", sorted(OUR_FAILURES))
def test_the_monitors_own_trouble_has_neither_severity_nor_effect(tmp_path, failure):
    (message,) = refused(tmp_path, {"match": {"failure": failure.value}, "severity": "sev1"})
    assert "the monitor's own trouble" in message
    with pytest.raises(ConfigError, match="the monitor's own trouble"):
        load(tmp_path, f"effects: {{{failure.value}: blocked}}")


@pytest.mark.parametrize(
    "rules",
    [
        [{"effect": "nuisance", "journey": "pay"}, {"effect": "nuisance"}],
        [{"journey": "pay", "scope": "location"}],
        [{"calendar": "office"}, {"effect": "nuisance"}],
        [{"dependency": "gateway"}],
        [{"environment": "staging"}],
        [{"production": "false", "effect": "blocked"}],
        [{"journey": "pay", "workaround": "passes"}, {"journey": "pay"}],
    ],
)
def test_a_rule_that_can_match_is_taken(tmp_path, rules):
    config = load(tmp_path, yaml.safe_dump({"severity_rules": [{"match": m, "severity": "sev2"} for m in rules]}))
    assert len(config.severity_rules) == len(rules)


CALLS = """
carriers: {main: {twilio: {account_sid: AC1, auth_token: token, from: "+12025550143"}}}
dial: {allow: ["+12025550199"]}
"""
PHONE = """  phone: {journey: pay, every: 5m, call: {to: "+12025550199", steps: [{listen: 5s}]}}"""


@pytest.mark.parametrize(
    "rules",
    [
        [{"scope": "carrier"}, {"scope": ["number", "everywhere"], "failure": "busy"}, {"failure": ["busy", "slow"]}],
        [{"channel": "http", "failure": "prompt_missing"}],  # page and telephone of one journey may fail together
    ],
)
def test_what_telephones_meets_rules_for_calls(tmp_path, monkeypatch, rules):
    monkeypatch.setitem(globals(), "BASE", BASE.replace("probes:\n", f"probes:\n{PHONE}\n") + CALLS)
    assert load(tmp_path, yaml.safe_dump({"severity_rules": [{"match": m, "severity": "sev2"} for m in rules]}))
    (message,) = refused(tmp_path, {"match": {"channel": "http", "scope": "carrier"}, "severity": "sev2"})
    assert "nothing that is configured meets all of it" in message
    (message,) = refused(tmp_path, {"match": {"journey": "bank", "failure": "busy"}, "severity": "sev2"})
    assert "nothing that is configured meets all of it" in message


def test_whoever_has_hosts_may_be_the_cause(tmp_path):
    hosted = "dependencies: {form: {hosts: form.example}, cards: {depends_on: [gateway]}, gateway: {}}"
    text = BASE.replace("dependencies: {cards: {depends_on: [gateway]}, gateway: {}}", hosted)
    path = tmp_path / "earwitness.yaml"
    path.write_text(text + "severity_rules: [{match: {dependency: form}, severity: sev3}]")
    assert load_config(path, {})


def test_a_probe_asks_the_dependencies_whose_hosts_its_own_requests_go_to(tmp_path):
    text = BASE.replace("gateway: {}}", "gateway: {}, bank: {hosts: '*.bank.example'}}")
    flow = """  transfer:
    journey: bank
    every: 1m
    depends_on: [cards]
    http: {steps: [{name: form, url: "https://shop.example/"}, {name: send, url: "https://api.bank.example/pay"}]}
"""
    path = tmp_path / "earwitness.yaml"
    path.write_text(text + flow)
    rule = rules_of(load_config(path, {})).probes["transfer"]
    assert (rule.depends_on, rule.asks) == (("cards", "bank", "gateway"), ("bank",))


def test_what_a_test_window_makes_of_production_is_outside_it(tmp_path):
    text = """
test_windows: {drill: {cron: "0 3 1 * *", duration: 2h}}
severity_rules: [{match: {production: false, journey: pay}, severity: sev3}]
"""
    assert load(tmp_path, text)
    assert (
        "can never match"
        in refused(tmp_path, {"match": {"production": "false", "journey": "pay"}, "severity": "sev3"})[0]
    )


def test_many_calendars_are_tried_in_time(tmp_path):
    names = [f"c{n}" for n in range(40)]
    calendars = {"office": {"hours": "08:00-18:00"}} | {name: {"hours": "08:00-18:00"} for name in names}
    rules = [{"match": {"calendar": name}, "severity": "sev2"} for name in names]
    text = BASE.replace('calendars: {office: {hours: "08:00-18:00"}}\n', "")
    path = tmp_path / "earwitness.yaml"
    path.write_text(text + yaml.safe_dump({"calendars": calendars, "severity_rules": rules}))
    assert len(load_config(path, {}).severity_rules) == 40


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        (
            "maintenance: {m: {cron: '0 2 * * *', duration: 1h, match: {probe: web, journey: bank}}}",
            "maintenance.m",
            "no probe",
        ),
        (
            "critical_periods: {p: {calendar: office, raise: {sev2: sev1}, match: {channel: call}}}",
            "critical_periods.p",
            "no probe",
        ),
    ],
)
def test_a_section_that_means_no_probe_is_refused(tmp_path, text, where, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.key.startswith(where)
    assert said in problem.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("bank: {owner: banking}", "bank: {owner: banking, workaround: [web]}"), "pay -> bank -> pay is a circle"),
        (
            ("workaround: [bank]", "workaround: [next]"),
            "these workarounds are tried in staging, the journey in production",
        ),
    ],
)
def test_a_workaround_that_helps_nobody_is_refused(tmp_path, change, said):
    path = tmp_path / "earwitness.yaml"
    path.write_text(BASE.replace(*change))
    with pytest.raises(ConfigError, match=said):
        load_config(path, {})
