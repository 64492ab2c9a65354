"""Whatever happens in whatever order: what the judge never does."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from earwitness.judge import State, judge
from earwitness.model import (
    Attribution,
    Channel,
    ClockSetBack,
    Commanded,
    DependencyRule,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    Observation,
    Observed,
    ProbeRule,
    Reconfigured,
    Rules,
    Run,
    Severity,
    TransitionKind,
    Why,
)

PROBES = {
    "web": ProbeRule("pay", "production", Channel.HTTP, ("cards",)),
    "ivr": ProbeRule("pay", "production", Channel.CALL, ("cards",), interval=300.0, carrier="main", control=True),
    "bank": ProbeRule("bank", "production", Channel.HTTP, ("bank",)),
    "both": ProbeRule("both", "production", Channel.HTTP, ("cards", "bank")),
    "staging": ProbeRule("pay", "staging", Channel.HTTP, ("cards",)),
}
JOURNEYS = {"pay": JourneyRule("Pay", workarounds=("bank",)), "bank": JourneyRule("Bank"), "both": JourneyRule("Both")}
DEPENDENCIES = {"cards": DependencyRule("Cards"), "bank": DependencyRule("Bank")}
FINDS = st.sampled_from([None, None, Effect.BLOCKED, Effect.BLOCKED, Effect.DIVERTED, Effect.NUISANCE, "unknown"])


def rules_with(probes):
    return Rules(frozenset({"production"}), JOURNEYS, probes, DEPENDENCIES)


class JudgeMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.rules = rules_with(PROBES)
        self.state, self.now, self.runs = State(), 1_000_000.0, 0
        self.log = []  # everything that the judge was told, with the rules of the moment
        self.transitions = []
        self.told = {}  # incident -> the severity that people know of; none once it is resolved
        self.taken = []  # observations of probes that have been configured ever since

    def tell(self, event):
        judged = judge(self.state, event, self.rules)
        self.log.append((event, self.rules))
        self.state = judged.state
        for transition in judged.transitions:
            self._heard(transition)
        for request in judged.requests:
            assert request.probe in self.rules.probes
            assert request.not_after > self.now - 400
        self.transitions += judged.transitions

    def _heard(self, transition):
        incident, kind = transition.incident, transition.kind
        if kind is TransitionKind.OPEN:
            assert incident.id not in self.told, "an incident opens once"
        else:
            assert incident.id in self.told, f"{kind} of an incident that nobody was told of"
        if kind not in (TransitionKind.OPEN, TransitionKind.RAISE, TransitionKind.LOWER):
            assert incident.severity is self.told[incident.id], "severity never changes silently"
        if kind is TransitionKind.RESOLVE:
            del self.told[incident.id]
        else:
            self.told[incident.id] = incident.severity

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(probe=st.sampled_from(list(PROBES)), found=FINDS, took=st.integers(1, 40), why=st.sampled_from(list(Why)))
    def a_run_ends(self, probe, found, took, why):
        self.now += took
        self.runs += 1
        at = PROBES[probe]
        if why is Why.CONTROL and at.channel is not Channel.CALL:
            why = Why.CONFIRM
        run = Run(f"run-{self.runs}", probe, at.journey, at.channel, "here", at.environment, why, self.now)
        facts = {"from": "+12025550143", "carrier": "main"} if at.channel is Channel.CALL else {}
        findings = ()
        if found == "unknown":
            findings = (Finding(Failure.MONITOR_ERROR, "cannot tell", Effect.NONE, Attribution.MONITOR),)
        elif found is not None:
            findings = (Finding(Failure.WRONG_BODY, "it broke", found),)
        event = Observed(Observation(run, self.now - took, float(took), findings, facts=facts))
        self.tell(event)
        if probe in self.rules.probes:
            self.taken.append(event)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def a_run_is_told_twice(self, data):
        again = data.draw(st.sampled_from(self.taken))
        said = len(self.transitions)
        self.tell(again)
        assert all(t.kind in (TransitionKind.RAISE, TransitionKind.LOWER) for t in self.transitions[said:])

    @precondition(lambda self: self.state.incidents)
    @rule(data=st.data(), action=st.sampled_from(["acknowledge", "resolve"]))
    def a_person_acts(self, data, action):
        incident = data.draw(st.sampled_from(sorted(self.state.incidents)))
        self.tell(Commanded(self.now, incident, action, "Kim"))

    @rule(left=st.sets(st.sampled_from(list(PROBES)), min_size=1))
    def the_configuration_changes(self, left):
        self.rules = rules_with({name: rule for name, rule in PROBES.items() if name in left})
        self.taken = [
            event for event in self.taken if event.observation.run.probe in left
        ]  # of others all is forgotten
        self.tell(Reconfigured(self.now))

    @rule(hours=st.integers(1, 5))
    def time_passes(self, hours):
        self.now += 3600.0 * hours

    @rule(back=st.integers(61, 4000))
    def the_clock_is_set_back(self, back):
        self.now -= back
        self.taken = []  # doubles are known by their time
        self.tell(ClockSetBack(self.now))

    # --- what is always so -------------------------------------------------------------------------------------------

    @invariant()
    def the_open_incidents_are_those_that_people_know_of(self):
        assert {i.id: i.severity for i in self.state.incidents.values()} == self.told

    @invariant()
    def a_probe_is_in_one_open_incident_at_most(self):
        members = [probe for incident in self.state.incidents.values() for probe in incident.probes]
        assert len(members) == len(set(members))
        assert all(self.state.incident_of(probe) is not None for probe in members)

    @invariant()
    def no_incident_mixes_production_with_what_is_not(self):
        for incident in self.state.incidents.values():
            environments = {PROBES[probe].environment for probe in incident.probes}
            assert environments == {incident.environment}
            assert (incident.severity is Severity.NONPROD) == (incident.environment != "production")

    @invariant()
    def every_open_incident_rests_on_something(self):
        for incident in self.state.incidents.values():
            assert incident.probes
            assert incident.observations

    def teardown(self):
        """The same history gives the same incidents."""
        state, said = State(), []
        for event, rules in self.log:
            judged = judge(state, event, rules)
            state = judged.state
            said += judged.transitions
        assert said == self.transitions
        assert state == replace(self.state)


JudgeMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, derandomize=True)
TestJudgeMachine = JudgeMachine.TestCase
