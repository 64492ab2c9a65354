"""Control calls: the telephone alone opens nothing before a known-good number was called the same way."""

from dataclasses import replace

import pytest
from judge_world import World, rules_of

from earwitness.judge.layers import Try, locate
from earwitness.model import (
    Attribution,
    Channel,
    ClockSetBack,
    Effect,
    Failure,
    Finding,
    Layer,
    Observation,
    Observed,
    Outcome,
    Run,
    Scope,
    Severity,
    Why,
)

A, B = "+12025550143", "+12025550144"
BLOCKED = Finding(Failure.DEAD_AIR, "nothing was heard", Effect.BLOCKED)
REFUSED = Finding(Failure.ACCOUNT_REFUSED, "not active", Effect.NONE, Attribution.MONITOR)
CONTROL = Finding(Failure.CONTROL_FAILED, "the control call failed", Effect.BLOCKED, Attribution.CARRIER)


class Phone(World):
    """One telephone probe with a control line, and a web probe on the same dependency."""

    def __init__(self, *, control=True, carriers=("main",)):
        rules = rules_of({"phone": ("pay", ["cards"]), "second": ("pay", ["cards"]), "web": ("pay", ["cards"])})
        probes = dict(rules.probes)
        for name, carrier in zip(("phone", "second"), (*carriers, carriers[0]), strict=False):
            probes[name] = replace(probes[name], channel=Channel.CALL, carrier=carrier, control=control)
        super().__init__(replace(rules, probes=probes))

    def call(self, *findings, probe="phone", why=Why.SCHEDULED, from_=A, skipped=None, layer=None):
        self.now += 30
        self.runs += 1
        rule = self.rules.probes[probe]
        run = Run(f"run-{self.runs}", probe, rule.journey, Channel.CALL, "here", "production", why, self.now)
        facts = {"from": from_, "carrier": rule.carrier, "layer": layer}
        return self.tell(Observed(Observation(run, self.now, 20.0, findings, facts=facts, skipped=skipped)))

    def control(self, *findings, **rest):
        return self.call(*findings, why=Why.CONTROL, **rest)

    @property
    def asked(self):
        return [request.why.value for request in self.requests]


def test_the_first_failure_asks_for_a_second_call_and_a_control_call():
    world = Phone()
    world.call(BLOCKED)
    assert world.asked == ["confirm", "control"]
    assert world.open == []


@pytest.mark.parametrize("order", [("confirm", "control"), ("control", "confirm")])
def test_two_failures_and_a_control_call_that_passes_open_a_sev1(order):
    world = Phone()
    world.call(BLOCKED)
    for what in order:
        assert world.open == []
        if what == "confirm":
            world.call(BLOCKED, why=Why.CONFIRM, from_=B)
        else:
            world.control()
    (incident,) = world.open
    assert incident.severity is Severity.SEV1
    assert "the control call to a known-good number passed" in incident.reason
    assert f"from {B} through main failed (dead air)" in incident.reason
    assert world.asked.count("control") == 1


@pytest.mark.parametrize(
    ("finding", "layer"), [(CONTROL, "The fault lies with the carrier"), (REFUSED, "our account at the carrier")]
)
def test_a_control_call_that_fails_opens_nothing(finding, layer):
    world = Phone()
    world.call(BLOCKED)
    world.control(finding)
    world.call(BLOCKED, why=Why.CONFIRM)
    assert world.open == []
    probe = world.state.probes["phone"]
    assert layer in locate(probe.tries, probe.since).sentence


def test_after_a_control_call_that_failed_the_next_failure_asks_again_and_opens_when_it_passes():
    world = Phone()
    world.call(BLOCKED)
    world.call(BLOCKED, why=Why.CONFIRM)
    world.control(CONTROL)
    assert world.asked.count("control") == 1
    world.call(BLOCKED)
    assert (world.open, world.asked.count("control")) == ([], 2)
    world.control()
    assert len(world.open) == 1


def test_a_control_call_asked_for_before_the_clock_was_set_back_holds_nothing_back_for_long():
    world = Phone()
    world.call(BLOCKED)
    world.now -= 86_400
    world.tell(ClockSetBack(world.now))
    for _ in range(8):  # some four minutes: longer than the control call's answer may take
        world.call(BLOCKED)
    assert len(world.open) == 1


def test_a_control_call_that_failed_before_the_clock_was_set_back_is_not_the_word_on_what_fails_after():
    world = Phone()
    world.call(BLOCKED)
    world.control(CONTROL)
    world.now -= 86_400
    world.tell(ClockSetBack(world.now))
    world.call()
    world.call(BLOCKED)
    world.control()
    world.call(BLOCKED, why=Why.CONFIRM)
    assert len(world.open) == 1


def test_a_control_call_that_could_not_be_made_holds_nothing_back():
    world = Phone()
    world.call(BLOCKED)
    world.call(BLOCKED, why=Why.CONFIRM)
    world.control(skipped="over_budget")
    assert "no control call was made" in world.open[0].reason


def test_without_a_control_number_two_failures_are_enough():
    world = Phone(control=False)
    world.call(BLOCKED)
    world.call(BLOCKED, why=Why.CONFIRM)
    assert world.asked.count("control") == 0
    assert "no control call was made" in world.open[0].reason


def test_the_control_call_is_named_among_the_runs_that_decided():
    world = Phone()
    world.call(BLOCKED)
    world.control()
    world.call(BLOCKED, why=Why.CONFIRM)
    assert world.open[0].weighed == ("run-2",)


def test_a_web_page_that_fails_too_needs_no_control_call():
    world = Phone()
    world.call(BLOCKED)
    world.fails("web")
    assert len(world.open) == 1


def test_another_carrier_that_fails_too_needs_no_control_call():
    world = Phone(carriers=("main", "backup"))
    world.call(BLOCKED)
    world.call(BLOCKED, probe="second")
    assert len(world.open) == 1


@pytest.mark.parametrize(
    ("passing", "attribution", "scope"),
    [
        ({"from_": B}, Attribution.MONITOR, Scope.NUMBER),
        ({"probe": "second"}, Attribution.TARGET, Scope.EVERYWHERE),  # another probe's calls are not compared
    ],
)
def test_what_the_calls_point_to_says_whose_fault_it_is(passing, attribution, scope):
    world = Phone(control=False)
    for _ in range(2):
        world.call(BLOCKED)
        world.call(**passing)
    world.call(BLOCKED)
    argument = world.open[0].argument
    assert (argument.attribution, argument.scope) == (attribution, scope)


def test_a_nuisance_asks_for_no_control_call():
    world = Phone()
    for _ in range(3):
        world.call(Finding(Failure.POOR_AUDIO, "noisy", Effect.NUISANCE))
    assert "control" not in world.asked
    assert world.open[0].severity is Severity.SEV3


def test_a_control_call_told_twice_changes_nothing():
    world = Phone()
    world.call(BLOCKED)
    world.control()
    before = world.state
    world.runs -= 1  # the same run again
    world.control()
    assert world.state.probes["phone"].tries == before.probes["phone"].tries


def a_try(failure=None, why=Why.SCHEDULED, from_=A, carrier="main", layer=None, at=10.0, outcome=None):
    outcome = outcome or (Outcome.FINDING if failure else Outcome.OK)
    return Try(f"run-{at}-{why}", why, at, outcome, from_, carrier, failure, layer)


BAD = Failure.WRONG_PROMPT
FINE = a_try(why=Why.CONTROL)


@pytest.mark.parametrize(
    ("tries", "layer", "words"),
    [
        ([a_try(Failure.BUSY), a_try(Failure.BUSY, from_=B), FINE], Layer.NUMBER, "the number called"),
        ([a_try(Failure.ONE_WAY), FINE], Layer.NUMBER, "the number called"),
        ([a_try(Failure.BUSY, layer=Layer.NUMBER), FINE], Layer.NUMBER, "the number called"),
        ([a_try(Failure.BUSY, layer=Layer.BACKEND), FINE], Layer.BACKEND, "what is behind the IVR"),
        ([a_try(Failure.DEAD_AIR, layer=Layer.IVR), FINE], Layer.IVR, "the IVR"),
        ([a_try(BAD, layer=Layer.BACKEND), FINE], Layer.BACKEND, "what is behind the IVR"),
        (
            [a_try(Failure.BUSY), a_try(from_=B)],
            Layer.ACCOUNT,
            f"our number {A}: it fails only from it, from {B} it works",
        ),
        (
            [a_try(Failure.BUSY), a_try(carrier="backup")],
            Layer.CARRIER,
            "the carrier main: it fails only through it, through backup it works",
        ),
        ([a_try(Failure.BUSY), a_try(Failure.CONTROL_FAILED, Why.CONTROL)], Layer.CARRIER, "the carrier"),
        (
            [a_try(Failure.BUSY), a_try(Failure.ACCOUNT_REFUSED, Why.CONTROL, outcome=Outcome.UNKNOWN)],
            Layer.ACCOUNT,
            "our account",
        ),
    ],
)
def test_the_table_of_calls_names_the_faulty_layer(tries, layer, words):
    located = locate(tries, 0.0)
    assert located.layer is layer
    assert located.sentence.endswith(f"{words}.") or words in located.sentence


def test_calls_from_before_the_failure_say_nothing():
    assert locate([a_try(Failure.BUSY, at=5.0)], 8.0) is None
    assert locate([a_try(at=9.0)], 8.0) is None
