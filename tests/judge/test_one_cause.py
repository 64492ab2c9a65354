"""One cause is one incident, also where what is known of it changes without anything being told."""

from dataclasses import replace

import pytest
from judge_world import CHANGED, SLOW, World, rules_of

from earwitness.model import (
    DEFAULT_SEVERITY_RULES,
    DependencyRule,
    Effect,
    JourneyRule,
    Severity,
    SeverityMatch,
    SeverityRule,
)

CARDS = {"web": ("pay", ["cards"]), "line": ("talk", ["cards"])}
BEHIND_A_GATEWAY = {
    "call": ("talk", ["cards", "gateway"]),
    "both": ("both", ["cards", "bank", "gateway"]),
    "web": ("pay", ["cards", "gateway"]),
    "bank": ("bank", ["bank", "gateway"]),
}


def test_an_outage_that_is_only_a_nuisance_by_now_joins_the_nuisance_of_its_cause(world):
    """Its severity comes and goes, and stays at the worse for a while, so that nothing was told of it."""
    w = world(CARDS)
    w.fails("web", times=2)
    for _ in range(2):
        w.see("web", SLOW)
    w.fails("web", times=2)
    for _ in range(3):
        w.see("line", SLOW)
    assert [i.probes for i in w.open] == [("web",), ("line",)]
    for _ in range(2):
        w.see("web", SLOW)
    (incident,) = w.open
    assert incident.probes == ("web", "line")
    assert incident.severity.value == "sev1", "it was better for a moment only"


def test_an_incident_that_is_an_outage_by_now_joins_the_outage_of_its_cause(world):
    w = world(CARDS)
    w.fails("web", times=2)
    for _ in range(2):
        w.see("web", SLOW)
    w.fails("web", times=2)
    for _ in range(2):
        w.see("web", SLOW)
    w.fails("line", times=2)
    assert [i.probes for i in w.open] == [("web",), ("line",)]
    w.fails("web", Effect.DIVERTED, times=2)
    (incident,) = w.open
    assert incident.probes == ("web", "line")


@pytest.mark.parametrize("seen", [[], [CHANGED]])
@pytest.mark.parametrize("workarounds", [(), ("bank",)])
def test_what_fails_joins_the_incident_whose_cause_was_unknown_only_while_what_fails_now_passed(
    world, workarounds, seen
):
    """Where it was a workaround of that, people were paged for one that became part of the other at once."""
    w = world(
        BEHIND_A_GATEWAY, journeys={"pay": JourneyRule("Pay"), "talk": JourneyRule("Talk", workarounds=workarounds)}
    )
    w.fails("call")
    w.fails("both")
    for finding in seen:
        w.see("call", finding)
    w.passes("web", "bank")
    w.fails("both")
    assert [i.cause.dependency for i in w.open] == [None], "the web and the bank get through"
    w.now += 3600
    w.fails("web")
    w.fails("bank")
    (incident,) = w.open
    assert incident.cause.dependency == "gateway"
    assert set(incident.probes) == set(BEHIND_A_GATEWAY)
    assert w.kinds.count("open") == 1
    assert "resolve" not in w.kinds


def test_a_page_that_has_nothing_to_do_with_its_incident_is_told_again_by_another():
    """What was told of it was of the incident that it left."""
    rules = rules_of({"bank": ("bank", ["sepa"]), "page": ("shop", []), "web": ("pay", ["cards"])})
    probes = {name: replace(rule, reaches=("host",)) for name, rule in rules.probes.items()}
    w = World(replace(rules, probes=probes, dependencies=rules.dependencies | {"host": DependencyRule("Host")}))
    w.fails("bank", times=2)
    w.fails("page")
    w.passes("page", "bank", "bank")
    w.see("page", CHANGED)
    assert "payment page" in w.open[0].reason
    w.fails("page")
    w.fails("bank")
    w.passes("web", "bank")
    assert w.state.incident_of("page") is None, "the web gets through to their host"
    w.fails("page", times=2)
    assert w.kinds[-1] == "open"
    for _ in range(2):
        w.see("page", CHANGED)
    assert w.kinds[-2:] == ["resolve", "open"], "the outage is over, and the change is told"


def test_no_cause_is_named_where_only_a_changed_page_is_left_of_an_outage(world):
    """The cause was one that the other probe needs, "and fails", though that was well: and so was shared with another incident."""
    w = world({"page": ("shop", ["cards"]), "web": ("pay", ["cards"])})
    w.fails("page")
    w.fails("web")
    (incident,) = w.open
    assert incident.cause.dependency == "cards"
    w.passes("web", "web", "page")
    w.see("page", CHANGED)
    (incident,) = w.open
    assert incident.cause.dependency is None
    assert "Cards" not in incident.reason


def test_three_incidents_of_one_cause_become_one_at_once(world):
    """A run of the workaround had two of them judged anew; they joined, and the third stayed beside them."""
    needs = {"call": ("pay", ["cards"]), "web": ("pay", ["cards"]), "both": ("both", ["cards"]), "bank": ("bank", [])}
    annoying = SeverityRule("severity_rules[0]", SeverityMatch(True, effect=(Effect.NUISANCE,)), Severity.SEV2)
    w = world(
        needs,
        journeys={"pay": JourneyRule("Pay", workarounds=("bank",))},
        severity_rules=(annoying, *DEFAULT_SEVERITY_RULES),
    )
    w.fails("call")
    w.passes("web")
    w.fails("call")
    w.passes("both")
    w.fails("web", times=2)
    w.passes("both")
    w.fails("web")
    for _ in range(2):
        w.see("both", CHANGED)
    w.fails("both", times=2)
    assert [i.cause.dependency for i in w.open] == [None, None, "cards"]
    w.passes("bank")
    (incident,) = w.open
    assert set(incident.probes) == {"call", "web", "both"}
