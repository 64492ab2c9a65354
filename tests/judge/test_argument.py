"""The argument of an incident: what it says in writing, and the same as structure."""

from dataclasses import replace

import pytest
from judge_world import World, rules_of

from earwitness.config.times import Once
from earwitness.judge.attribution import attributed
from earwitness.judge.correlation import Group
from earwitness.model import (
    DEFAULT_SEVERITY_RULES,
    Attribution,
    Cause,
    CriticalPeriod,
    DependencyRule,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    Match,
    Scope,
    Severity,
    SeverityMatch,
    SeverityRule,
    TestWindow,
    Workaround,
    WouldBe,
)

START = 1_000_000.0
BANK = {"pay": JourneyRule("Pay", workarounds=("bank",))}
ALWAYS = Once(0.0, START * 2)


def opened(rules, *, effect=Effect.BLOCKED, probe="web", times=3):
    world = World(rules)
    world.fails(probe, effect, times=times)
    (incident,) = world.open
    return incident


@pytest.mark.parametrize(
    ("effect", "environment", "severity", "rule"),
    [
        (Effect.BLOCKED, "production", Severity.SEV1, "default: blocked, and no workaround passes"),
        (Effect.DIVERTED, "production", Severity.SEV2, "default: diverted"),
        (Effect.NUISANCE, "production", Severity.SEV3, "default: nuisance"),
        (Effect.BLOCKED, "staging", Severity.NONPROD, "default: not production"),
        (Effect.NUISANCE, "staging", Severity.NONPROD, "default: not production"),
    ],
)
def test_the_default_table_names_the_rule_by_which_it_judged(effect, environment, severity, rule):
    incident = opened(rules_of({"web": ("pay", [], environment)}), effect=effect)
    assert (incident.severity, incident.argument.rule) == (severity, rule)
    assert f"Rule: {rule}" in incident.reason
    assert incident.argument.harms[0].effect is effect


def test_what_would_change_it_names_the_severity_and_the_condition():
    incident = opened(rules_of({"web": ("pay", []), "bank": ("bank", [])}, BANK))
    harm = incident.argument.harms[0]
    assert (harm.workaround, harm.broken, harm.untested) == (Workaround.UNTESTED, (), ("bank",))
    assert incident.argument.would_be == (WouldBe(Severity.SEV2, "if bank passed"),)
    assert "It would be Sev2 if bank passed." in incident.reason


def test_a_workaround_that_passes_is_part_of_the_facts():
    world = World(rules_of({"web": ("pay", []), "bank": ("bank", [])}, BANK))
    world.passes("bank")
    world.fails("web", times=2)
    (harm,) = world.open[0].argument.harms
    assert (harm.workaround, harm.passing, harm.failing) == (Workaround.PASSES, ("bank",), ("web",))
    assert world.open[0].argument.would_be == (WouldBe(Severity.SEV1, "if bank failed"),)


def test_a_workaround_that_was_seen_to_fail_is_told_apart_from_one_that_nobody_tested():
    world = World(rules_of({"web": ("pay", []), "bank": ("bank", [])}, BANK))
    world.fails("bank")
    world.fails("web", times=2)
    (harm,) = world.open[0].argument.harms
    assert (harm.workaround, harm.broken, harm.untested) == (Workaround.FAILS, ("bank",), ())
    assert "No workaround for “Pay” passes: bank did not." in world.open[0].reason


def test_a_workaround_that_passed_in_the_incident_and_was_not_seen_since_is_told_so():
    world = World(rules_of({"web": ("pay", ["crm"]), "more": ("buy", ["crm"]), "bank": ("bank", [])}, BANK))
    world.passes("bank")
    world.fails("web", times=2)
    world.now += 600
    world.fails("more")
    (incident,) = world.open
    held = incident.argument.harms[0]
    assert (held.workaround, held.passing, held.untested, held.held) == (Workaround.PASSES, (), ("bank",), ("bank",))
    assert "passed when it was last seen: bank could not be tested lately" in incident.reason


def test_a_rule_may_ask_for_workarounds_that_nobody_tested():
    rule = SeverityRule("severity_rules[0]", SeverityMatch(True, workaround=(Workaround.UNTESTED,)), Severity.SEV2)
    rules = replace(
        rules_of({"web": ("pay", []), "bank": ("bank", [])}, BANK), severity_rules=(rule, *DEFAULT_SEVERITY_RULES)
    )
    assert opened(rules).severity is Severity.SEV2


def test_the_runs_that_decided_severity_and_cause_are_named_besides_those_that_failed():
    world = World(rules_of({"web": ("pay", ["crm"]), "bank": ("bank", []), "more": ("buy", ["crm"])}, BANK))
    world.passes("bank")  # run-1
    world.fails("web", times=2)  # run-2, run-3
    assert world.open[0].weighed == ("run-1",)
    world.passes("more")  # run-4
    world.fails("web")  # run-5
    (incident,) = world.open
    assert incident.cause.contradicting == ("more",)
    assert incident.weighed == ("run-1", "run-4")
    assert incident.observations == ("run-3",)


def test_outside_production_it_says_what_it_would_be_inside():
    incident = opened(rules_of({"web": ("pay", [], "staging")}), effect=Effect.DIVERTED)
    condition = "if the environment were listed under production_environments"
    assert incident.argument.would_be == (WouldBe(Severity.SEV2, condition),)


def test_a_change_that_another_journey_outweighs_is_not_promised():
    world = World(rules_of({"web": ("pay", ["crm"]), "record": ("find", ["crm"])}))
    world.fails("web", times=2)
    world.fails("record", times=2)
    assert world.open[0].argument.would_be == (), "with a workaround for one, the other is as bad"


def test_a_rule_of_the_users_is_named_with_its_reason_and_what_would_be_without_it():
    rule = SeverityRule(
        "severity_rules[0]: journey pay", SeverityMatch(journey=("pay",)), Severity.SEV3, "nobody pays so"
    )
    rules = replace(rules_of({"web": ("pay", [])}), severity_rules=(rule, *DEFAULT_SEVERITY_RULES))
    incident = opened(rules)
    assert incident.severity is Severity.SEV3
    assert "Rule: severity_rules[0]: journey pay (nobody pays so)." in incident.reason
    without = "without that rule, by default: blocked, and no workaround passes"
    assert WouldBe(Severity.SEV1, without) in incident.argument.would_be


def test_a_critical_period_is_named_with_what_it_counts_as():
    friday = CriticalPeriod(Match(journey=("pay",)), ALWAYS, ((Severity.SEV2, Severity.SEV1),))
    rules = replace(rules_of({"web": ("pay", [])}), critical_periods={"friday": friday})
    incident = opened(rules, effect=Effect.DIVERTED)
    assert (incident.severity, incident.argument.periods) == (Severity.SEV1, ("friday",))
    assert "it counts as Sev1 in friday, instead of Sev2" in incident.reason
    assert WouldBe(Severity.SEV2, "outside friday") in incident.argument.would_be


def test_a_test_window_is_named_and_what_it_would_be_without():
    rules = replace(rules_of({"web": ("pay", [])}), test_windows={"drill": TestWindow(Match(), ALWAYS)})
    incident = opened(rules, effect=Effect.BLOCKED)
    assert (incident.severity, incident.argument.production) == (Severity.NONPROD, False)
    assert incident.title.endswith("fails in drill")
    assert "It began in the test window drill, while people tested on purpose" in incident.reason
    assert "Rule: default: found in a test window" in incident.reason
    assert WouldBe(Severity.SEV1, "if it outlasted drill") in incident.argument.would_be


def test_two_critical_periods_count_one_after_the_other():
    periods = {
        "friday": CriticalPeriod(Match(), ALWAYS, ((Severity.SEV3, Severity.SEV2),)),
        "sale": CriticalPeriod(Match(), ALWAYS, ((Severity.SEV2, Severity.SEV1),)),
    }
    rules = replace(rules_of({"web": ("pay", [])}), critical_periods=periods)
    incident = opened(rules, effect=Effect.NUISANCE)
    assert (incident.severity, incident.argument.periods) == (Severity.SEV1, ("friday", "sale"))


def test_a_rule_by_class_of_failure():
    slow = SeverityRule("severity_rules[0]", SeverityMatch(failure=(Failure.SLOW,)), Severity.SEV3)
    rules = replace(rules_of({"web": ("pay", [])}), severity_rules=(slow, *DEFAULT_SEVERITY_RULES))
    world = World(rules)
    for _ in range(2):
        world.see("web", Finding(Failure.SLOW, "it took 9 s"))
    assert world.open[0].severity is Severity.SEV3
    assert opened(rules).severity is Severity.SEV1


def test_a_rule_by_calendar_holds_inside_it_only():
    calendars = {"office": Once(START, START + 10.0)}
    rows = (
        SeverityRule("severity_rules[0]", SeverityMatch(outside=("office",)), Severity.SEV3),
        *DEFAULT_SEVERITY_RULES,
    )
    rules = replace(rules_of({"web": ("pay", [])}), severity_rules=rows, calendars=calendars)
    assert opened(rules).severity is Severity.SEV1
    late = World(rules, now=START + 60)
    late.fails("web", times=2)
    assert late.open[0].severity is Severity.SEV3


def test_a_failure_of_a_page_has_no_narrower_scope():
    assert opened(rules_of({"web": ("pay", [])})).argument.scope is Scope.EVERYWHERE


def _attribution(rules, *attributions):
    world = World(rules)
    probes = list(rules.probes)
    for probe, attribution in zip(probes, attributions, strict=False):
        for _ in range(2):
            world.see(probe, Finding(Failure.WRONG_BODY, "it broke", attribution=attribution))
    return world.open[0].argument.attribution, world.open[0].reason


@pytest.mark.parametrize(
    ("third_party", "attribution", "words"),
    [
        (True, Attribution.THIRD_PARTY, "It is attributed to a third party."),
        (False, Attribution.TARGET, "It is attributed to the target itself."),
    ],
)
def test_a_cause_is_whose_the_configuration_says(third_party, attribution, words):
    rules = rules_of({"web": ("pay", ["cards"]), "app": ("pay", ["cards"])})
    rules = replace(rules, dependencies={"cards": DependencyRule("Cards", third_party)})
    found, reason = _attribution(rules, Attribution.TARGET, Attribution.TARGET)
    assert found is attribution
    assert words in reason


def test_what_one_probe_alone_needs_is_no_more_than_suspected_of_its_failure():
    """A shop's own 503 was told as its card processor's, because its probe declares that it needs it."""
    rules = rules_of({"web": ("pay", ["cards"])})
    rules = replace(rules, dependencies={"cards": DependencyRule("Cards", third_party=True)})
    world = World(rules)
    world.fails("web", times=2)
    (incident,) = world.open
    assert incident.cause.dependency == "cards"
    assert incident.title == "Customers cannot finish “Pay”"
    assert incident.argument.attribution is Attribution.TARGET
    assert "The cause may be Cards (confidence 0.67): web needs it and fails" in incident.reason


def test_what_its_own_host_shows_is_said_of_one_probe_too():
    rules = rules_of({"web": ("pay", ["cards"])})
    rules = replace(rules, dependencies={"cards": DependencyRule("Cards", third_party=True)})
    world = World(rules)
    for _ in range(2):
        world.see(
            "web", Finding(Failure.WRONG_BODY, "it broke", attribution=Attribution.THIRD_PARTY, dependency="cards")
        )
    (incident,) = world.open
    assert incident.title == "Cards: customers cannot finish “Pay”"
    assert incident.argument.attribution is Attribution.THIRD_PARTY
    assert "The cause is taken to be Cards" in incident.reason


@pytest.mark.parametrize("attribution", [Attribution.TARGET, Attribution.THIRD_PARTY])
def test_without_a_cause_the_findings_say_whose_fault_it_is(attribution):
    assert _attribution(rules_of({"web": ("pay", [])}), attribution)[0] is attribution


def test_findings_that_differ_are_nobodys():
    rules = rules_of({"web": ("pay", []), "app": ("pay", [])})
    world = World(rules)
    world.see("app", Finding(Failure.WRONG_BODY, "it broke", attribution=Attribution.THIRD_PARTY))
    world.see("web", Finding(Failure.WRONG_BODY, "it broke"))
    group = Group(Cause(None, 0.0, ("web", "app")), ("web", "app"), world.now)
    assert attributed(group, {}, world.state, rules) is Attribution.UNKNOWN


def test_a_crowd_of_probes_is_counted_rather_than_named():
    names = [f"p{n}" for n in range(30)]
    world = World(rules_of({name: ("pay", ["crm"]) for name in names}))
    for name in names:
        world.fails(name)
    (incident,) = world.open
    assert incident.probes == tuple(names)
    assert "and 20 more probes" in incident.reason
    assert "p25: " not in incident.reason


def test_the_facts_of_a_journey_hold_what_the_cause_depends_on():
    world = World(rules_of({"web": ("pay", ["cards"])}))
    cards = replace(world.rules.dependencies["cards"], depends_on=("gateway",))
    world.rules = replace(world.rules, dependencies={"cards": cards, "gateway": cards})
    world.fails("web", times=2)
    (incident,) = world.open
    assert incident.cause.dependency == "cards"
    gateway = SeverityRule("severity_rules[0]", SeverityMatch(dependency=("gateway",)), Severity.SEV3)
    world.rules = replace(world.rules, severity_rules=(gateway, *DEFAULT_SEVERITY_RULES))
    world.fails("web")
    assert world.open[0].severity is Severity.SEV3


@pytest.mark.parametrize(
    ("failure", "title"),
    [
        (Failure.PAGE_SCRIPTS_CHANGED, "The payment page of “Pay” is not as it was accepted"),
        (Failure.SECURITY_HEADERS_CHANGED, "The payment page of “Pay” is not as it was accepted"),
        (Failure.PAGE_NOT_WATCHED, "The payment page of “Pay” could not be looked over"),
    ],
)
def test_a_payment_page_that_changed_is_told_as_such_and_is_the_doing_of_no_dependency(failure, title):
    """A skimmer is not the card processor's outage, though another probe that needs it is slow just then."""
    world = World(rules_of({"slow": ("pay", ["card"]), "web": ("pay", ["card"]), "other": ("pay", ["card"])}))
    world.fails("slow", Effect.NUISANCE, times=3)
    changed = Finding(failure, "new: an inline script", Effect.NUISANCE)
    for _ in range(3):
        world.see("web", changed)
    world.fails("other", Effect.NUISANCE, times=3)
    slow, watched = sorted(world.open, key=lambda incident: incident.opened_at)
    assert (slow.probes, slow.cause.dependency) == (("slow", "other"), "card")
    assert (watched.title, watched.cause.dependency) == (title, None)
    assert watched.argument.attribution is Attribution.TARGET
    assert "Sev3, because the payment page of “Pay”" in watched.reason


def test_a_payment_page_that_changed_is_told_though_it_is_slow_besides():
    """A skimmer takes its time: it was told as slowness of the card processor, at the pace of a nuisance."""
    world = World(rules_of({"slow": ("pay", ["card"]), "web": ("pay", ["card"])}))
    world.fails("slow", Effect.NUISANCE, times=3)
    late = Finding(Failure.SLOW, "pay: took 3 s, expected 2 s", Effect.NUISANCE, dependency="card")
    changed = Finding(Failure.PAGE_SCRIPTS_CHANGED, "new: an inline script", Effect.NUISANCE)
    for _ in range(2):
        world.see("web", late, changed)
    (watched,) = [incident for incident in world.open if "web" in incident.probes]
    assert (watched.title, watched.probes) == ("The payment page of “Pay” is not as it was accepted", ("web",))
    assert "new: an inline script" in watched.reason


def test_a_page_that_changed_while_it_recovered_takes_no_cause_from_the_others():
    """As when the processor mends its script: the telephone still fails for the reason that both had."""
    world = World(rules_of({"phone": ("pay", ["card"]), "web": ("pay", ["card"])}))
    for probe in ("phone", "web", "phone", "web"):
        world.fails(probe)
    assert world.open[0].cause.dependency == "card"
    changed = Finding(Failure.PAGE_SCRIPTS_CHANGED, "changed: card.js", Effect.NUISANCE)
    for _ in range(3):
        world.fails("phone")
        world.see("web", changed)
    outage, change = world.open
    assert (outage.probes, outage.cause.dependency) == (("phone",), "card")
    assert outage.title == "Card: customers cannot finish “Pay”"
    assert (change.probes, change.title) == (("web",), "The payment page of “Pay” is not as it was accepted")


def test_a_payment_page_that_changed_is_not_told_as_its_hosts_trouble():
    rules = rules_of({"page": ("pay", []), "slow": ("shop", [])})
    probes = {name: replace(rule, reaches=("host",)) for name, rule in rules.probes.items()}
    rules = replace(rules, probes=probes, dependencies={"host": DependencyRule("Host H")})
    world = World(rules)
    world.fails("slow", Effect.NUISANCE, times=3)
    for _ in range(3):
        world.see("page", Finding(Failure.PAGE_SCRIPTS_CHANGED, "new: skim.js", Effect.NUISANCE))
    world.fails("slow", Effect.NUISANCE)
    told = next(incident for incident in world.open if "page" in incident.probes)
    assert (told.title, told.probes) == ("The payment page of “Pay” is not as it was accepted", ("page",))
