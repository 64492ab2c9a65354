import itertools
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_world import World, rules_of

from earwitness.judge import State, judge, pace, state
from earwitness.judge.incidents import with_what_raised_it
from earwitness.model import (
    DEFAULT_SEVERITY_RULES,
    Attribution,
    Cause,
    ClockSetBack,
    Commanded,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    Observed,
    Reconfigured,
    Rules,
    Severity,
    SeverityMatch,
    SeverityRule,
    Status,
    Ticked,
    Transition,
    Why,
)

CARD = {
    "pay-by-phone": ("pay-by-card", ["card-processor"]),
    "pay-on-web": ("pay-by-card", ["card-processor", "web-shop"]),
    "browse": ("browse-shop", ["web-shop"]),
}
WITH_BANK = CARD | {"bank-on-web": ("pay-by-bank", ["bank"])}
WORKAROUND = {"pay-by-card": JourneyRule("Pay by card", workarounds=("pay-by-bank",))}


def test_one_failure_opens_nothing_and_asks_for_a_second_run_at_once(world):
    w = world(CARD)
    w.fails("pay-on-web")
    assert w.open == []
    (request,) = w.requests
    assert (request.why, request.probe) == (Why.CONFIRM, "pay-on-web")
    assert request.not_after > w.now


def test_a_failure_that_does_not_repeat_is_forgotten(world):
    w = world(CARD)
    w.fails("pay-on-web")
    w.passes("pay-on-web")
    w.fails("pay-on-web")
    assert w.transitions == []


def test_what_the_monitor_could_not_tell_neither_opens_confirms_nor_resolves(world):
    w = world(CARD)
    w.cannot_tell("pay-on-web")
    w.cannot_tell("pay-on-web")
    assert w.state == State()
    w.fails("pay-on-web", times=2)
    before = w.state
    w.cannot_tell("pay-on-web")
    assert w.state == before


def test_a_dependency_is_ruled_out_by_a_probe_that_needs_it_and_passes(world):
    w = world(CARD)
    w.passes("browse", "pay-by-phone")
    w.fails("pay-on-web")
    w.passes("browse")
    w.fails("pay-on-web")
    (incident,) = w.open
    assert incident.cause.dependency == "card-processor"  # web-shop is ruled out by browse


def test_a_pass_from_before_the_outage_contradicts_nothing(world):
    w = world(CARD)
    w.passes("pay-by-phone", "browse")
    w.fails("pay-on-web", times=2)
    (incident,) = w.open
    assert incident.cause.dependency == "card-processor"
    assert incident.cause.alternatives == ("web-shop",)


def test_when_everything_it_depends_on_works_the_fault_is_the_probes_own(world):
    w = world(CARD)
    w.fails("pay-on-web")
    w.passes("browse", "pay-by-phone")
    w.fails("pay-on-web")
    (incident,) = w.open
    assert incident.cause.dependency is None
    assert set(incident.cause.contradicting) == {"browse", "pay-by-phone"}


def test_two_independent_faults_make_two_incidents(world):
    w = world(WITH_BANK)
    w.fails("bank-on-web", times=2)
    w.fails("pay-by-phone")
    w.fails("pay-on-web")
    assert [i.cause.dependency for i in w.open] == ["bank", "card-processor"]


def test_a_later_failure_of_the_same_cause_joins_the_open_incident(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    (before,) = w.open
    w.fails("pay-by-phone", message="no payment by phone")
    (after,) = w.open
    assert after.id == before.id
    assert after.probes == ("pay-on-web", "pay-by-phone")
    assert after.cause.confidence > before.cause.confidence
    assert after.cause.alternatives == ()
    assert w.kinds == ["open", "attach"]


def test_a_probe_that_first_contradicted_and_then_fails_turns_the_cause(world):
    w = world({"a": ("one", ["shared"]), "b": ("two", ["shared"])})
    w.fails("a")
    w.passes("b")
    w.fails("a")
    assert w.open[0].cause.dependency is None
    w.fails("b")
    (incident,) = w.open
    assert incident.cause.dependency == "shared"
    assert incident.probes == ("a", "b")


def test_a_nuisance_does_not_join_an_outage_of_the_same_dependency(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.fails("pay-by-phone", Effect.NUISANCE, times=3)
    assert [i.severity for i in w.open] == [Severity.SEV1, Severity.SEV3]


def test_a_passing_workaround_makes_it_sev2_and_its_failure_raises_it_again(world):
    w = world(WITH_BANK, WORKAROUND)
    w.passes("bank-on-web")
    w.fails("pay-on-web", times=2)
    assert w.open[0].severity is Severity.SEV2
    assert "would be Sev1 if bank-on-web failed" in w.open[0].reason
    assert [r.probe for r in w.requests if r.why is Why.WORKAROUND] == ["bank-on-web"]
    w.fails("bank-on-web")
    assert w.open[0].severity is Severity.SEV2, "one failure of it proves nothing yet"
    w.fails("bank-on-web")
    assert w.open[0].severity is Severity.SEV1
    w.passes("bank-on-web", "bank-on-web")
    assert w.open[0].severity is Severity.SEV2
    assert [t.kind.value for t in w.transitions if t.incident.id == w.transitions[0].incident.id] == [
        "open",
        "raise",
        "lower",
    ]


def test_a_workaround_that_passed_long_ago_proves_nothing(world):
    w = world(WITH_BANK, WORKAROUND)
    w.passes("bank-on-web")
    w.now += 3600
    w.fails("pay-on-web", times=2)
    assert w.open[0].severity is Severity.SEV1
    assert "Whether “Pay by card” has a workaround is not known: bank-on-web could not be tested." in w.open[0].reason


def test_a_workaround_that_is_slow_or_annoying_still_works(world):
    w = world(WITH_BANK, WORKAROUND)
    w.fails("bank-on-web", Effect.NUISANCE, times=3)
    w.fails("pay-on-web", times=2)
    assert w.open[-1].severity is Severity.SEV2


def test_a_workaround_in_staging_helps_nobody_in_production(world):
    probes = CARD | {"bank-in-staging": ("pay-by-bank", ["bank"], "staging")}
    w = world(probes, WORKAROUND)
    w.passes("bank-in-staging")
    w.fails("pay-on-web", times=2)
    assert w.open[0].severity is Severity.SEV1


def test_one_worse_run_raises_nothing_but_is_looked_at_again_at_once(world):
    w = world({"line": ("talk", [])})
    w.fails("line", Effect.NUISANCE, times=3)
    w.fails("line", Effect.BLOCKED)
    assert w.open[0].severity is Severity.SEV3
    assert w.requests[-1].probe == "line"
    w.fails("line", Effect.NUISANCE)
    w.fails("line", Effect.BLOCKED, times=2)
    assert w.open[0].severity is Severity.SEV1
    assert w.kinds == ["open", "raise"]


def test_what_raised_it_is_among_its_evidence(world, recording):
    """The page was slow for an hour, then nobody could pay: who is woken wants to see that."""
    w = world({"line": ("talk", []), "other": ("talk", [])})
    w.fails("line", Effect.NUISANCE, times=3)
    w.fails("line", Effect.BLOCKED)
    w.fails("line", Effect.BLOCKED, evidence=[recording])
    (incident,) = w.open
    assert (incident.severity, incident.evidence) == (Severity.SEV1, (recording,))
    assert incident.observations[-1] == f"run-{w.runs}"
    assert w.transitions[-1].incident.evidence == (recording,), "as it is told"


def test_what_raises_an_incident_of_thousands_is_found_without_comparing_each_with_each(world):
    compared = 0

    class RunId(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    w = world({f"web-{n}": ("shop", ["web"]) for n in range(100)})
    for name in w.rules.probes:
        w.fails(name)
    failed = [replace(p, failed=replace(p.failed, run=RunId(f"later-{p.probe}"))) for p in w.state.probes.values()]
    raised = with_what_raised_it(w.open[0], failed)
    assert len(raised.observations) > len(w.open[0].observations)
    assert compared < 100


def test_a_failure_that_comes_and_goes_is_told_and_stays_one_incident(world):
    w = world({"web": ("shop", [])})
    for _ in range(10):
        w.fails("web")
        w.passes("web")
    assert w.kinds == ["open"]
    w.passes("web")
    assert w.kinds == ["open", "resolve"]


def test_after_an_incident_a_single_failure_opens_nothing_again(world):
    w = world({"web": ("shop", [])})
    w.fails("web", times=3)
    w.passes("web", "web")
    w.fails("web")
    assert w.kinds == ["open", "resolve"]
    w.passes("web", "web")
    w.now += 3 * 86400
    w.fails("web")
    assert w.kinds == ["open", "resolve"]


def test_after_a_persons_resolve_it_takes_two_more_failures(world):
    w = world({"web": ("shop", [])})
    w.fails("web", times=4)
    w.tell(Commanded(w.now, w.open[0].id, "resolve", "ana"))
    w.fails("web")
    assert w.open == []
    w.fails("web")
    assert len(w.open) == 1


def test_what_people_resolve_while_it_fails_is_not_called_flapping(world):
    w = world({"web": ("shop", [])})
    w.fails("web", times=2)
    for _ in range(3):
        w.tell(Commanded(w.now, w.open[0].id, "resolve", "ana"))
        w.fails("web", times=2)
    (incident,) = w.open
    assert (incident.reopened, incident.flapping) == (3, False)
    w.passes("web", "web")
    assert w.open == [], "it need not stay well for ten minutes"


def test_no_cause_has_no_confidence(world):
    w = world({"web": ("shop", [])})
    w.fails("web", times=2)
    assert (w.open[0].cause.dependency, w.open[0].cause.confidence) == (None, 0.0)


def test_other_severity_rules_count_at_once_and_the_timeline_says_why(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    mild = SeverityRule("severity_rules[0]: pay", SeverityMatch(journey=("pay-by-card",)), Severity.SEV3)
    w.rules = replace(w.rules, severity_rules=(mild, *DEFAULT_SEVERITY_RULES))
    w.tell(Reconfigured(w.now))
    (incident,) = w.open
    assert incident.severity is Severity.SEV3
    assert incident.timeline[-1].text.startswith("the configuration changed: sev1 -> sev3. Sev3, because")
    assert "Rule: severity_rules[0]: pay" in incident.reason
    w.tell(Reconfigured(w.now))
    assert w.kinds == ["open", "lower"], "the same configuration says nothing new"


def test_failures_long_ago_are_not_failures_that_come_and_go(world):
    w = world({"web": ("shop", [])})
    for _ in range(6):
        w.fails("web")
        w.passes("web")
        w.now += 3600
    assert w.kinds == []


def test_a_nuisance_that_becomes_part_of_an_outage_joins_it(world):
    w = world(CARD)
    w.fails("pay-by-phone", Effect.NUISANCE, times=3)
    w.fails("pay-on-web", times=2)
    assert [i.severity for i in w.open] == [Severity.SEV3, Severity.SEV1]
    w.fails("pay-by-phone", times=2)
    (incident,) = w.open
    assert set(incident.probes) == {"pay-on-web", "pay-by-phone"}
    assert w.kinds == ["open", "open", "resolve", "attach"]
    assert incident.id in w.transitions[2].text
    w.passes("pay-on-web", "pay-by-phone", "pay-on-web", "pay-by-phone")
    assert w.open == []


def test_an_incident_that_is_about_to_end_is_not_lowered_first(world):
    w = world(WITH_BANK, WORKAROUND)
    w.fails("bank-on-web", times=2)
    w.fails("pay-on-web", times=2)
    w.passes("pay-on-web", "bank-on-web", "bank-on-web", "pay-on-web")
    card = next(t.incident.id for t in w.transitions if "pay-on-web" in t.incident.probes)
    assert [t.kind.value for t in w.transitions if t.incident.id == card] == ["open", "resolve"]


def test_a_workaround_that_broke_works_again_after_two_passes(world):
    w = world(WITH_BANK, WORKAROUND)
    w.fails("bank-on-web", times=2)
    w.fails("pay-on-web", times=2)
    w.passes("bank-on-web")
    assert w.open[-1].severity is Severity.SEV1
    w.passes("bank-on-web")
    assert w.open[-1].severity is Severity.SEV2


def test_a_failure_of_last_week_confirms_nothing(world):
    w = world({"a": ("one", ["shared"]), "b": ("two", ["shared"])})
    w.fails("a")
    w.now += 7 * 86400
    w.fails("b")
    assert w.open == []


def test_a_dependency_that_is_named_twice_counts_once(world):
    w = world({"a": ("one", ["shared", "shared"])})
    w.fails("a")
    assert w.open == []


SHARED = {name: (name, ["x"]) for name in ("a", "b", "c")}


def test_a_second_failure_that_the_cause_of_the_first_cannot_explain_is_told_once_and_stays(world):
    w = world(SHARED)
    w.fails("b", times=2)
    w.passes("a")  # x works after b began to fail, and before c did
    w.fails("c", times=2)
    assert w.kinds == ["open", "open", "note"]
    first, second = w.open
    assert (first.probes, first.cause.dependency) == (("b",), None)
    assert (second.probes, second.cause.dependency, second.cause.supporting) == (("c",), "x", ("c",))
    w.passes("a")
    w.fails("c")
    assert [i.cause.dependency for i in w.open] == [None, None]
    assert w.kinds == ["open", "open", "note", "note"]


def test_a_failure_that_a_pass_shows_to_be_older_than_the_fault_confirms_nothing(world):
    w = world(SHARED)
    w.fails("b")
    w.passes("a")
    w.fails("c")
    assert w.open == [], "what fails b is not what fails c: neither has repeated itself"


def test_two_incidents_whose_common_cause_shows_later_become_one(world):
    w = world(SHARED)
    w.fails("b", times=2)
    w.passes("a")
    w.fails("c", times=2)
    w.fails("a")
    w.fails("b")
    (incident,) = w.open
    assert (set(incident.probes), incident.cause.dependency) == ({"a", "b", "c"}, "x")


def test_a_dependency_that_works_again_is_not_blamed_for_the_one_that_goes_on_failing(world):
    w = world(SHARED)
    for name in SHARED:
        w.fails(name)
    assert w.open[0].cause.dependency == "x"
    for _ in range(3):
        w.passes("b", "c")
        w.fails("a")
    (incident,) = w.open
    assert (incident.cause.dependency, incident.cause.supporting) == (None, ("a",))
    assert incident.cause.contradicting == ("b", "c")
    assert w.transitions[-1].text == "the cause is now taken to be unknown"
    w.passes("a", "a")
    assert w.open == []


def test_what_only_the_failing_ones_need_is_suspected_once_the_others_are_well(world):
    w = world({"a": ("a", ["x", "y"]), "b": ("b", ["x"])})
    w.fails("b")
    w.fails("a")
    assert w.open[0].cause.dependency == "x"
    for _ in range(3):
        w.passes("b")
        w.fails("a")
    assert (w.open[0].cause.dependency, w.open[0].cause.supporting) == ("y", ("a",))


def test_members_that_recover_one_by_one_contradict_nothing(world):
    w = world(SHARED)
    for name in SHARED:
        w.fails(name)
    w.passes("b", "b", "c", "c")
    assert w.open[0].cause.dependency == "x", "nobody has looked at a since"
    w.fails("a")
    w.passes("a", "b", "c", "a")
    assert w.open == []


def test_what_breaks_again_before_all_are_well_joins_the_incident(world):
    w = world({**SHARED, "d": ("d", ["x"])})
    for name in SHARED:
        w.fails(name)
    w.passes("b", "b")
    w.fails("d")
    w.fails("b")
    (incident,) = w.open
    assert set(incident.probes) == {"a", "b", "c", "d"}
    assert incident.cause.dependency == "x"


def test_a_failure_with_another_cause_does_not_join(world):
    w = world({"a": ("one", ["d1", "d2"]), "c": ("two", ["d1"]), "b": ("three", ["d2"])})
    w.fails("a")
    w.fails("c")
    assert [i.cause.dependency for i in w.open] == ["d1"]
    w.fails("b", times=2)
    assert [i.cause.dependency for i in w.open] == ["d1", "d2"]
    assert w.open[1].probes == ("b",)


def test_journeys_dependencies_and_environments_may_be_renamed_under_an_open_incident(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.rules = rules_of({"pay-on-web": ("checkout", ["processor"], "staging")})
    w.tell(Reconfigured(w.now))
    (incident,) = w.open
    assert (incident.journeys, incident.environment, incident.severity) == (("checkout",), "staging", Severity.NONPROD)
    assert incident.cause.dependency == "processor"
    assert w.kinds == ["open", "lower"]
    w.passes("pay-on-web", "pay-on-web")
    assert w.open == []


def test_after_the_clock_was_set_back_runs_count_again(world):
    w = world({"web": ("shop", [])})
    w.passes("web")
    w.now -= 86400
    assert w.fails("web")[0].state.probes["web"].failing is False
    w.tell(ClockSetBack(w.now))
    w.fails("web", times=2)
    assert w.open[0].severity is Severity.SEV1


def test_after_the_clock_was_set_back_a_place_that_is_tried_no_more_is_forgotten(world):
    w = world({"web": ("shop", [])})
    w.fails("web", times=2, location="there")
    w.now -= 86400
    w.tell(ClockSetBack(w.now))
    for _ in range(8):  # of 60 s each
        w.see("web", took=60.0, location="here")
    assert w.open == []


def test_after_the_clock_was_set_back_what_came_and_went_before_is_forgotten(world):
    w = world({"web": ("shop", [])}, open_after=3)
    for _ in range(3):
        w.fails("web")
        w.passes("web")
    w.now -= 86400
    w.tell(ClockSetBack(w.now))
    for _ in range(6):
        w.see("web", took=60.0)
    w.fails("web")
    assert w.open == []


def test_after_the_clock_was_set_back_nothing_of_an_incident_lies_in_the_future(world):
    w = world({"web": ("shop", []), "page": ("browse", [])})
    w.fails("web", times=2)
    w.fails("page", times=2)
    w.passes("page", "page")
    w.now -= 86400
    w.tell(ClockSetBack(w.now))
    (incident,) = w.open
    assert incident.opened_at == incident.timeline[0].at == w.now
    w.now += 1200
    w.fails("page", times=2)
    assert w.kinds[-1] == "open", "what ended before has been over for longer than it may come back"


def test_after_the_clock_was_set_back_an_open_incident_counts_from_then(world):
    w = world(SHARED)
    w.fails("b", times=2)
    w.passes("b")
    w.now -= 86400
    w.tell(ClockSetBack(w.now))
    assert w.open[0].failing_since == w.now
    w.fails("b")
    w.requests.clear()
    w.passes("b")
    assert [r.probe for r in w.requests] == ["b"], "what was asked for before is not waited for"
    w.passes("a")
    w.fails("b")
    assert w.open[0].cause.dependency is None


def test_many_failures_of_one_cause_ask_for_three_confirmations_at_most(world):
    w = world({f"p{n}": ("j", ["d"]) for n in range(20)}, open_after=10)
    for n in range(9):
        w.fails(f"p{n}")
    assert len(w.requests) == 3


def test_an_opened_incident_asks_the_other_probes_that_need_the_suspect(world):
    w = world(CARD)
    w.passes("pay-by-phone", "browse")
    w.fails("pay-on-web", times=2)
    assert [r.probe for r in w.requests] == ["pay-on-web", "pay-by-phone"]
    assert w.requests[-1].incident == w.open[0].id


def test_a_first_pass_asks_the_members_that_still_fail(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.fails("pay-by-phone")
    w.requests.clear()
    w.passes("pay-on-web")
    assert [r.probe for r in w.requests] == ["pay-on-web", "pay-by-phone"]
    w.passes("pay-on-web")
    assert len(w.requests) == 2


def test_many_recoveries_wait_for_three_confirmations_at_most(world):
    names = [f"p{n}" for n in range(200)]
    w = world({name: ("j", ["x"]) for name in names})
    for name in names:
        w.fails(name)
    w.requests.clear()
    for name in names:
        w.see(name, took=0.1)
    assert len(w.requests) <= 6, "of the first three, two answered by their own runs and had to be looked at again"
    w.requests.clear()
    for name in names:
        w.see(name, took=0.1)
    assert w.open == []
    assert len(w.requests) <= 6


def test_many_changes_of_effect_wait_for_three_confirmations_at_most(world):
    names = [f"p{n}" for n in range(50)]
    w = world({name: ("j", ["x"]) for name in names})
    for name in names:
        w.fails(name)
    w.requests.clear()
    for name in names:
        w.fails(name, Effect.DIVERTED)
    assert len(w.requests) == 3


def test_a_confirmation_that_never_came_is_waited_for_no_longer_than_it_was_asked_for(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.fails("pay-by-phone")
    for name in ("pay-on-web", "pay-by-phone"):
        w.passes(name)
    w.now += 600
    w.fails("pay-on-web")
    w.requests.clear()
    w.passes("pay-on-web")
    assert "pay-on-web" in [r.probe for r in w.requests]


def _flood(size):
    """Let so many probes of one dependency fail in a moment, fail again, and recover."""
    names = [f"p{n}" for n in range(size)]
    w = World(rules_of({name: (f"j{n % 20}", ["x"]) for n, name in enumerate(names)}))
    finding = Finding(Failure.WRONG_BODY, "it broke")
    for round_ in ((finding,), (finding,), (), ()):
        for name in names:
            w.see(name, *round_, took=0.5 / size)
        w.now += 60
        w.tell(Ticked(w.now))
        yield w


def test_a_flood_of_one_cause_is_one_incident_that_names_all():
    failing, again, passing, over = ((tuple(w.open), list(w.kinds)) for w in _flood(5000))
    ((incident,), kinds) = failing
    assert (len(incident.probes), len(incident.observations)) == (5000, 5000)
    assert incident.cause == Cause("x", 1.0, tuple(f"p{n}" for n in range(5000)))
    assert sum(len(harm.failing) for harm in incident.argument.harms) == 5000
    assert set(kinds) == {"open", "attach"}
    assert kinds.count("open") == 1
    assert (len(again[0]), len(passing[0]), over[0]) == (1, 1, ())
    assert over[1][-1] == "resolve"
    assert len(over[1]) == len(kinds) + 1, "nobody was told of anything but its beginning and its end"


def test_a_large_incident_comes_to_the_same_as_if_each_run_judged_it_in_full(monkeypatch):
    paced = [w.state for w in _flood(200)]
    for module in (pace, state):
        monkeypatch.setattr(module, "MANY", 10_000)
    in_full = [w.state for w in _flood(200)]
    assert len(paced) == 4
    for one, other in zip(paced, in_full, strict=True):
        assert _compared(one) == _compared(other)


def _compared(of):
    """Return all that people see of the incidents; what is waited for depends on when it was asked."""
    return [replace(i, awaited=()) for i in (*of.open_incidents(), *of.ended.values())]


def _work(size):
    """Return how many functions are called, ours and the language's, to judge a flood of so many probes."""
    calls = itertools.count()
    sys.setprofile(lambda _frame, event, _arg: next(calls) if event.endswith("call") else None)
    try:
        for _ in _flood(size):
            pass
    finally:
        sys.setprofile(None)
    return next(calls)


def test_the_work_for_a_flood_grows_with_its_size_not_with_its_square():
    assert _work(1200) < 6 * _work(300)


def test_a_large_incident_gets_worse_at_once():
    names = [f"p{n}" for n in range(100)]
    w = World(rules_of({name: (name, ["x"]) for name in names}))
    for name in names:
        w.fails(name, Effect.DIVERTED, took=0.001)
    assert w.open[0].severity is Severity.SEV2
    w.fails("p1", times=2, took=0.001)
    assert w.open[0].severity is Severity.SEV1, "within the second in which it was judged in full"


def test_what_a_large_incident_put_off_is_made_up_for_by_the_next_tick():
    names = [f"p{n}" for n in range(75)]
    w = World(rules_of({name: (name, ["x"]) for name in names}))
    for name in names:
        w.fails(name, took=0.001)
    assert len(w.open[0].probes) == 75
    assert len(w.open[0].argument.harms) < 75
    w.tell(Ticked(w.now))
    assert len(w.open[0].argument.harms) == 75
    assert w.open[0].cause.supporting == tuple(names)


def test_observations_doubled_or_overtaken_change_nothing(world):
    w = world(CARD)
    w.fails("pay-on-web")
    before = w.state
    late = w.see("pay-on-web", took=1.0, started=w.now - 500)
    assert late.state == before
    again = judge(w.state, Observed(_observation(w, "pay-on-web", before.probes["pay-on-web"].run)), w.rules)
    assert again.state == before


def _observation(w, probe, run_id):
    probe_world = World(w.rules, now=w.now)
    seen = []
    probe_world.tell = seen.append
    probe_world.see(probe)
    return replace(seen[0].observation, run=replace(seen[0].observation.run, id=run_id))


def test_people_acknowledge_once_and_resolve(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    (incident,) = w.open
    w.tell(Commanded(w.now, incident.id, "acknowledge", "ana", "looking"))
    w.tell(Commanded(w.now, incident.id, "acknowledge", "bob"))
    assert w.open[0].status is Status.ACKNOWLEDGED
    assert w.open[0].acknowledged_by == "ana"
    w.tell(Commanded(w.now, incident.id, "resolve", "ana"))
    w.tell(Commanded(w.now, "inc-none", "resolve", "ana"))
    assert w.open == []
    assert w.kinds == ["open", "acknowledge", "resolve"]
    assert w.transitions[-1].incident.resolved_at == w.now


def test_people_write_into_an_incident_that_is_over(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.passes("pay-on-web", "pay-on-web")
    ended = w.transitions[-1].incident
    for text in ("it was the certificate", "renewal is automated now"):
        w.tell(Commanded(w.now, ended.id, "note", "ana", text, ended=ended))
    noted = w.transitions[-1].incident
    assert [e.text for e in noted.timeline[-2:]] == ["ana: it was the certificate", "ana: renewal is automated now"]
    assert (noted.status, noted.resolved_at, w.open) == (Status.RESOLVED, ended.resolved_at, [])
    assert w.kinds == ["open", "resolve", "note", "note"]
    w.tell(Commanded(w.now, ended.id, "acknowledge", "ana", ended=ended))
    assert w.kinds[-1] == "note", "nothing else is done to it"
    w.fails("pay-on-web", times=2)
    assert len(w.open[0].timeline) == len(noted.timeline) + 1, "what is open again kept its notes"


def test_an_incident_whose_probes_are_removed_resolves_and_says_so(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.rules = rules_of({"browse": CARD["browse"]})
    w.tell(Reconfigured(w.now))
    assert w.open == []
    assert "removed" in w.transitions[-1].text
    assert w.transitions[-1].kind.value == "resolve"


def test_an_incident_goes_on_with_the_probes_that_are_left(world):
    w = world(CARD)
    w.fails("pay-on-web", times=2)
    w.fails("pay-by-phone")
    w.rules = rules_of({"pay-by-phone": CARD["pay-by-phone"]})
    w.tell(Reconfigured(w.now))
    assert w.open[0].probes == ("pay-by-phone",)
    w.passes("pay-by-phone", "pay-by-phone")
    assert w.open == []


STORY = st.lists(st.tuples(st.sampled_from([*WITH_BANK]), st.sampled_from([*Effect])), min_size=1, max_size=40)


def _renamed(name):
    return "z" + name[::-1]


def _rename_rules(rules: Rules) -> Rules:
    return Rules(
        production=rules.production,
        journeys={
            _renamed(n): replace(r, workarounds=tuple(map(_renamed, r.workarounds))) for n, r in rules.journeys.items()
        },
        probes={
            _renamed(n): replace(r, journey=_renamed(r.journey), depends_on=tuple(map(_renamed, r.depends_on)))
            for n, r in rules.probes.items()
        },
        dependencies={_renamed(n): r for n, r in rules.dependencies.items()},
    )


def _play(world, story, name_of):
    for probe, effect in story:
        if effect is Effect.NONE:
            world.passes(name_of(probe))
        else:
            world.fails(name_of(probe), effect)
    return [_shape(t) for t in world.transitions], [(r.why, r.probe) for r in world.requests]


def _shape(transition: Transition):
    incident = transition.incident
    return (
        transition.kind,
        incident.id,
        incident.severity,
        incident.probes,
        incident.cause.dependency,
        incident.cause.confidence,
    )


@settings(max_examples=150, deadline=None)
@given(STORY)
def test_names_decide_nothing(story):
    rules = rules_of(WITH_BANK, WORKAROUND)
    told, wanted = _play(World(rules), story, lambda name: name)
    told_renamed, wanted_renamed = _play(World(_rename_rules(rules)), story, _renamed)
    expected = [(k, i, s, tuple(map(_renamed, p)), d and _renamed(d), c) for k, i, s, p, d, c in told]
    assert told_renamed == expected
    assert wanted_renamed == [(why, _renamed(probe)) for why, probe in wanted]


@settings(max_examples=150, deadline=None)
@given(STORY)
def test_every_incident_opens_once_and_resolves_when_all_recovers(story):
    w = World(rules_of(WITH_BANK, WORKAROUND))
    _play(w, story, lambda name: name)
    for incident in w.open:
        assert not {p for i in w.open if i is not incident for p in i.probes} & set(incident.probes)
    w.passes(*WITH_BANK, *WITH_BANK)
    w.now += w.rules.reopen_within  # what came back twice has to stay well for so long
    w.passes(*WITH_BANK)
    assert w.open == []
    opened, reopened, resolved = (
        [t.incident.id for t in w.transitions if t.kind.value == kind] for kind in ("open", "reopen", "resolve")
    )
    assert len(set(opened)) == len(opened)
    assert sorted([*opened, *reopened]) == sorted(resolved)


@pytest.mark.parametrize("severity", [Severity.SEV1, Severity.SEV2, Severity.SEV3, Severity.NONPROD])
def test_every_severity_can_be_reached(severity, world):
    effect = {Severity.SEV2: Effect.DIVERTED, Severity.SEV3: Effect.NUISANCE}.get(severity, Effect.BLOCKED)
    w = world({"p": ("j", [], "staging" if severity is Severity.NONPROD else "production")})
    w.fails("p", effect, times=3)
    assert w.open[0].severity is severity


# --- a request that failed names whose host it was -------------------------------------------------------------------


def blames(world, probe, dependency, times=1):
    finding = Finding(Failure.CONNECT_TIMEOUT, "no answer", attribution=Attribution.THIRD_PARTY, dependency=dependency)
    return [world.see(probe, finding) for _ in range(times)]


def test_a_dependency_whose_host_failed_is_the_cause_although_the_probe_does_not_declare_it():
    world = World(rules_of({"shop": ("pay", []), "bank": ("bank", ["cards"])}))
    blames(world, "shop", "cards", times=2)
    (incident,) = world.open
    assert (incident.cause.dependency, incident.probes) == ("cards", ("shop",))
    assert "Cards" in incident.title


def test_it_goes_before_what_is_only_declared():
    world = World(rules_of({"shop": ("pay", ["gateway", "cards"]), "bank": ("bank", ["gateway"])}))
    blames(world, "shop", "cards", times=2)
    assert [i.cause.dependency for i in world.open] == ["cards"]


def test_two_that_blame_it_are_one_incident_though_they_share_a_page_as_well():
    world = World(rules_of({"shop": ("pay", []), "basket": ("buy", []), "bank": ("bank", ["cards"])}))
    for probe in ("shop", "basket"):
        blames(world, probe, "cards", times=2)
    (incident,) = world.open
    assert (incident.cause.dependency, set(incident.probes)) == ("cards", {"shop", "basket"})


def test_a_pass_elsewhere_weakens_it_but_does_not_hide_whose_host_failed():
    """The page's HTTP check says 200 while the processor's script does not load in a browser."""
    world = World(rules_of({"browser": ("pay", ["cards", "shop"]), "web": ("pay", ["cards"])}))
    blames(world, "browser", "cards")
    world.passes("web")
    blames(world, "browser", "cards")
    (incident,) = world.open
    assert incident.cause == Cause("cards", 0.5, ("browser",), ("web",))
    assert incident.title == "Cards: customers cannot finish “Pay”"
    assert (
        "The cause is taken to be Cards (confidence 0.50): browser needs it and fails, with a request that failed at its own "
        "host; web, passing, speaks against it." in incident.reason
    )


def test_a_pass_of_what_asks_its_hosts_itself_rules_it_out():
    rules = rules_of({"browser": ("pay", ["cards"]), "api": ("bank", ["cards"])})
    probes = {**rules.probes, "api": replace(rules.probes["api"], asks=("cards",))}
    world = World(replace(rules, probes=probes))
    blames(world, "browser", "cards")
    world.passes("api")
    blames(world, "browser", "cards")
    (incident,) = world.open
    assert incident.cause == Cause(None, 0.0, ("browser",), ("api",))


def test_what_fails_besides_and_needs_it_joins_the_one_that_it_was_seen_to_fail():
    world = World(rules_of({"browser": ("pay", ["cards"]), "web": ("pay", ["cards"]), "call": ("pay", ["cards"])}))
    blames(world, "browser", "cards")
    world.passes("web")
    blames(world, "browser", "cards")
    world.fails("call", times=2)
    (incident,) = world.open
    assert incident.cause == Cause("cards", 0.6, ("browser", "call"), ("web",))
    world.passes("browser", "browser", "web")
    world.fails("call")
    (incident,) = world.open
    assert incident.cause.dependency is None, "its host works again, and web passes: the call fails by itself"


def test_what_blames_another_is_no_part_of_it():
    world = World(
        rules_of({"browser": ("pay", ["cards"]), "bank": ("bank", ["cards", "sepa"]), "web": ("pay", ["cards"])})
    )
    blames(world, "browser", "cards", times=2)
    world.passes("web")
    blames(world, "browser", "cards")
    blames(world, "bank", "sepa", times=2)
    assert [(i.probes, i.cause.dependency) for i in world.open] == [(("browser",), "cards"), (("bank",), "sepa")]
