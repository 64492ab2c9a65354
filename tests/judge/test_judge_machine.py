"""Whatever happens in whatever order: what the judge never does, and what one hook that takes everything is told of it."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from judge_world import is_told

from earwitness.alerting.routing import FOLLOW_UPS
from earwitness.judge import State, judge, stopped_by
from earwitness.judge.correlation import in_common, kind_of
from earwitness.model import (
    Attribution,
    Channel,
    ClockSetBack,
    Commanded,
    CriticalPeriod,
    DependencyRule,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    MaintenanceRule,
    Match,
    Mode,
    Observation,
    Observed,
    ProbeRule,
    QuietBegun,
    QuietEnded,
    QuietKind,
    QuietPeriod,
    Reconfigured,
    Rules,
    Run,
    Severity,
    Status,
    TestWindow,
    Ticked,
    TransitionKind,
    Why,
)


@dataclass(frozen=True)
class Every:
    """Holds for the first so many seconds of each period."""

    period: float
    lasts: float

    def ends(self, at):
        begun = at // self.period * self.period
        return begun + self.lasts if at < begun + self.lasts else None


SHOP = "host:shop.example"
PROBES = {
    "web": ProbeRule("pay", "production", Channel.HTTP, ("cards", "gateway"), reaches=(SHOP,)),
    "ivr": ProbeRule(
        "pay", "production", Channel.CALL, ("cards", "gateway"), interval=300.0, carrier="main", control=True
    ),
    "bank": ProbeRule("bank", "production", Channel.HTTP, ("bank", "gateway"), reaches=(SHOP,)),
    "both": ProbeRule("both", "production", Channel.HTTP, ("cards", "bank", "gateway")),
    "page": ProbeRule("bank", "production", Channel.HTTP, reaches=(SHOP,)),
    "staging": ProbeRule("pay", "staging", Channel.HTTP, ("cards", "gateway")),
}
JOURNEYS = {"pay": JourneyRule("Pay", workarounds=("bank",)), "bank": JourneyRule("Bank"), "both": JourneyRule("Both")}
DEPENDENCIES = {
    "cards": DependencyRule("Cards", depends_on=("gateway",)),
    "bank": DependencyRule("Bank", depends_on=("gateway",)),
    "gateway": DependencyRule("Gateway"),
    SHOP: DependencyRule("Shop"),
}
FINDS = st.sampled_from(
    [None, None, Effect.BLOCKED, Effect.BLOCKED, Effect.DIVERTED, Effect.NUISANCE, "unknown", "changed"]
)
NEWS = (
    TransitionKind.OPEN,
    TransitionKind.REOPEN,
    TransitionKind.RAISE,
    TransitionKind.LOWER,
    TransitionKind.UNMUTE,
)
TELLS_SEVERITY = (TransitionKind.OPEN, TransitionKind.REOPEN, TransitionKind.RAISE, TransitionKind.LOWER)


def rules_with(probes):
    return Rules(
        frozenset({"production"}),
        JOURNEYS,
        probes,
        DEPENDENCIES,
        calendars={"hours": Every(7200.0, 3600.0)},
        critical_periods={
            "friday": CriticalPeriod(Match(journey=("bank",)), Every(9000.0, 2000.0), ((Severity.SEV2, Severity.SEV1),))
        },
        maintenance={
            "deploy": MaintenanceRule(Match(probe=("bank", "page")), Every(5000.0, 900.0)),
            "stop": MaintenanceRule(Match(dependency=("cards",)), Every(20_000.0, 600.0), Mode.STOP),
        },
        test_windows={"drill": TestWindow(Match(journey=("both", "bank")), Every(11_000.0, 1500.0))},
    )


class JudgeMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.rules = rules_with(PROBES)
        self.state, self.now, self.runs = State(), 1_000_000.0, 0
        self.log = []  # everything that the judge was told, with the rules of the moment
        self.transitions = []
        self.known = {}  # incident -> its severity by the transitions; none once it is resolved
        self.over = set()  # incidents that resolved
        self.mail = {}  # incident -> (kind, severity) of what the hook was told, in order
        self.ended = {}  # incidents that resolved, as they were then
        self.raised = {}  # incident -> when its severity rose
        self.parted = set()  # probes of incidents that people split
        self.taken = []  # observations of probes that have been configured ever since

    def tell(self, event):
        judged = judge(self.state, event, self.rules)
        self.log.append((event, self.rules))
        self.state = judged.state
        begun, over = (
            {t.incident.id for t in judged.transitions if t.kind in kinds}
            for kinds in ((TransitionKind.OPEN, TransitionKind.REOPEN), (TransitionKind.RESOLVE,))
        )
        assert not begun & over, "nobody is paged for what dissolves in the same moment"
        for transition in judged.transitions:
            self._heard(transition)
            self._delivered(transition)
        for request in judged.requests:
            assert request.probe in self.rules.probes
            assert request.not_after > self.now - 400
        self.transitions += judged.transitions

    def _heard(self, transition):
        incident, kind = transition.incident, transition.kind
        if kind is TransitionKind.NOTE and incident.id in self.over:
            assert incident.status is Status.RESOLVED, "people may write into what is over"
            return
        if kind is TransitionKind.OPEN:
            assert incident.id not in self.known, "an incident opens once"
            assert incident.id not in self.over, "what ended is reopened, not opened"
        elif kind is TransitionKind.REOPEN:
            assert incident.id in self.over, "only what ended is reopened"
        else:
            assert incident.id in self.known, f"{kind} of an incident that is not open"
        if kind not in TELLS_SEVERITY:
            assert incident.severity is self.known[incident.id], "severity never changes silently"
        self._swings(transition)
        if kind is TransitionKind.RESOLVE:
            self.ended[incident.id] = incident
            del self.known[incident.id]
            self.over.add(incident.id)
            self._resolved(incident)
        else:
            self.known[incident.id] = incident.severity
            self.over.discard(incident.id)

    def _swings(self, transition):
        """Once its severity fell and rose again, it falls only after it was better for ten minutes, unless that is planned."""
        incident, kind = transition.incident, transition.kind
        if kind is TransitionKind.RAISE:
            self.raised[incident.id] = self.now
        elif kind is TransitionKind.LOWER and transition.text.startswith("flapping, ") and incident.id in self.raised:
            assert self.now - self.raised[incident.id] >= 600

    def _resolved(self, incident):
        """What came back twice has stayed well for ten minutes, or a person or the configuration ended it."""
        ended = incident.timeline[-1].text
        if incident.relapses >= 2 and ended == "every probe of the incident passes again":
            members = [self.state.probes[name] for name in incident.probes if name in self.state.probes]
            assert all(self.now - probe.since >= 600 for probe in members)

    def _delivered(self, transition):
        incident = transition.incident
        mail = self.mail.setdefault(incident.id, [])
        awaits_end = bool(mail) and mail[-1][0] is not TransitionKind.RESOLVE
        if is_told(transition, knows=awaits_end if transition.kind in FOLLOW_UPS else bool(mail)):
            if transition.kind in NEWS:
                assert incident.muted is None, "no news of what is muted"
            assert transition.kind not in (TransitionKind.ATTACH, TransitionKind.NOTE) or not mail, "no child pages"
            mail.append((transition.kind, incident.severity))

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(
        probe=st.sampled_from(list(PROBES)),
        found=FINDS,
        took=st.integers(1, 40),
        why=st.sampled_from(list(Why)),
        place=st.sampled_from(["here", "here", "there"]),
    )
    def a_run_ends(self, probe, found, took, why, place="here"):
        self.now += took
        self.runs += 1
        at = PROBES[probe]
        if why is Why.CONTROL and at.channel is not Channel.CALL:
            why = Why.CONFIRM
        run = Run(f"run-{self.runs}", probe, at.journey, at.channel, place, at.environment, why, self.now)
        facts = {"from": "+12025550143", "carrier": "main"} if at.channel is Channel.CALL else {}
        findings = ()
        if found == "unknown":
            findings = (Finding(Failure.MONITOR_ERROR, "cannot tell", Effect.NONE, Attribution.MONITOR),)
        elif found == "changed":
            scripts = tuple(f"{number}.js" for number in range(3) if took >> number & 1) or ("3.js",)
            message = f"new: {', '.join(scripts)}"
            findings = (Finding(Failure.PAGE_SCRIPTS_CHANGED, message, Effect.NUISANCE, differences=scripts),)
        elif found is not None:
            findings = (Finding(Failure.WRONG_BODY, "it broke", found),)
        seen = Observation(run, self.now - took, float(took), findings, facts=facts)
        if stopped_by(probe, self.state.quiet.values(), self.rules, self.now):
            seen = replace(seen, findings=(), skipped="maintenance")
        event = Observed(seen)
        self.tell(event)
        if probe in self.state.probes:
            self.taken.append(event)

    @rule(of=st.sampled_from(["cards", "bank", "gateway", SHOP]), effect=FINDS, times=st.integers(1, 3))
    def all_that_need_it_find(self, of, effect, times):
        for _ in range(times):
            for probe, needs in PROBES.items():
                if of in (*needs.depends_on, *needs.reaches):
                    self.a_run_ends(probe, effect, 5, Why.SCHEDULED)

    @rule(effect=FINDS)
    def everything_finds_twice(self, effect):
        for probe in [*PROBES, *PROBES]:
            self.a_run_ends(probe, effect, 2, Why.SCHEDULED)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def a_run_is_told_twice(self, data):
        latest = {}  # a probe remembers so many of its runs; what is older is known by its time, unless the clock was set back
        for event in self.taken:
            latest.setdefault(event.observation.run.probe, []).append(event)
        again = data.draw(st.sampled_from([event for events in latest.values() for event in events[-16:]]))
        before = self.state
        self.tell(again)
        assert self.state == before

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), found=FINDS)
    def a_run_comes_late(self, data, found):
        """It began before another run of its probe that is known already."""
        seen = data.draw(st.sampled_from(self.taken)).observation
        probe = self.state.probes.get(seen.run.probe)
        if probe is None or seen.run.why is Why.CONTROL:
            return
        self.runs += 1
        findings = (Finding(Failure.WRONG_BODY, "late", found),) if isinstance(found, Effect) else ()
        run = replace(seen.run, id=f"run-{self.runs}")
        before = self.state
        self.tell(Observed(replace(seen, run=run, started_at=probe.started_at - 1.0, findings=findings)))
        assert self.state == before

    @precondition(lambda self: self.state.incidents)
    @rule(data=st.data(), action=st.sampled_from(["acknowledge", "resolve", "note"]))
    def a_person_acts(self, data, action):
        incident = data.draw(st.sampled_from(sorted(self.state.incidents)))
        self.tell(Commanded(self.now, incident, action, "Kim", "because"))

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def a_person_writes_into_what_ended(self, data):
        ended = self.ended[data.draw(st.sampled_from(sorted(self.ended)))]
        before = len(self.transitions)
        self.tell(Commanded(self.now, ended.id, "note", "Kim", "post-mortem", ended=ended))
        assert self.transitions[before].text == "Kim: post-mortem"

    @precondition(lambda self: len(self.state.incidents) > 1)
    @rule(data=st.data())
    def a_person_merges(self, data):
        absorbed, survivor = data.draw(st.permutations(sorted(self.state.incidents)))[:2]
        self.tell(Commanded(self.now, absorbed, "merge", "Kim", into=survivor))

    @precondition(lambda self: any(len(i.probes) > 1 for i in self.state.incidents.values()))
    @rule(data=st.data())
    def a_person_splits(self, data):
        incident = data.draw(st.sampled_from(sorted(self.state.incidents)))
        probes = data.draw(st.sets(st.sampled_from(self.state.incidents[incident].probes), min_size=1))
        self.parted |= set(self.state.incidents[incident].probes)
        self.tell(Commanded(self.now, incident, "split", "Kim", probes=tuple(sorted(probes))))

    @rule(
        probe=st.sampled_from([(), ("web",), ("ivr", "web"), ("bank", "page")]),
        severity=st.sampled_from([(), (Severity.SEV1,), (Severity.SEV2, Severity.SEV3)]),
        begins=st.integers(0, 900),
        lasts=st.integers(1, 4000),
        kind=st.sampled_from(list(QuietKind)),
        mode=st.sampled_from(list(Mode)),
    )
    def a_person_wants_quiet(self, probe, severity, begins, lasts, kind, mode):
        self.runs += 1
        begin = self.now + begins
        mode = mode if kind is QuietKind.MAINTENANCE else Mode.MUTE
        match = Match(probe, severity=severity if kind is QuietKind.SILENCE else ())
        period = QuietPeriod(f"quiet-{self.runs}", kind, match, begin, begin + lasts, self.now, "Kim", "known", mode)
        self.tell(QuietBegun(self.now, period))

    @precondition(lambda self: self.state.quiet)
    @rule(data=st.data())
    def a_person_ends_the_quiet(self, data):
        self.tell(QuietEnded(self.now, data.draw(st.sampled_from(sorted(self.state.quiet)))))

    @rule(left=st.sets(st.sampled_from(list(PROBES)), min_size=1))
    def the_configuration_changes(self, left):
        self.rules = rules_with({name: rule for name, rule in PROBES.items() if name in left})
        self.taken = [
            event for event in self.taken if event.observation.run.probe in left
        ]  # of others all is forgotten
        self.tell(Reconfigured(self.now))

    @rule(seconds=st.sampled_from([60, 300, 900, 3600, 18_000]))
    def time_passes(self, seconds):
        self.now += seconds
        self.tell(Ticked(self.now))

    @rule(back=st.integers(61, 4000))
    def the_clock_is_set_back(self, back):
        self.now -= back
        self.raised.clear()
        self.tell(ClockSetBack(self.now))

    # --- what is always so -------------------------------------------------------------------------------------------

    @invariant()
    def the_open_incidents_are_those_that_transitions_told_of(self):
        assert {i.id: i.severity for i in self.state.incidents.values()} == self.known

    @invariant()
    def whoever_was_told_of_an_incident_is_told_of_its_end(self):
        for key, mail in self.mail.items():
            over = [n for n, (kind, _) in enumerate(mail) if kind is TransitionKind.RESOLVE]
            assert key in self.known or not mail or mail[-1][0] is TransitionKind.RESOLVE
            assert all(n > 0 and mail[n - 1][0] is not TransitionKind.RESOLVE for n in over), "no close without open"

    @invariant()
    def whoever_was_told_knows_how_bad_it_is_unless_it_is_muted(self):
        for incident in self.state.incidents.values():
            if incident.muted is None:
                mail = self.mail[incident.id]
                assert mail, "an incident that is open and not muted was told"
                assert mail[-1][1] is incident.severity

    @invariant()
    def a_probe_is_in_one_open_incident_at_most(self):
        members = [probe for incident in self.state.incidents.values() for probe in incident.probes]
        assert len(members) == len(set(members))
        assert all(self.state.incident_of(probe) is not None for probe in members)

    @invariant()
    def a_cause_has_one_open_incident_unless_people_split_it(self):
        """Or it explains each by itself and not both: it was seen to work after the one began to fail and before the other did."""
        open_ = [i for i in self.state.incidents.values() if i.cause.dependency is not None]
        for a in open_:
            for b in open_:
                same = (a.environment, a.cause.dependency) == (b.environment, b.cause.dependency)
                if a.id < b.id and same and kind_of(a, self.state) is kind_of(b, self.state):
                    apart = set(a.parted) & set(b.probes) or set(b.parted) & set(a.probes)
                    assert apart or a.split_from or b.split_from or not self._explained_together(a, b)

    def _explained_together(self, a, b):
        since = min(a.failing_since, b.failing_since)
        return in_common(self.state, self.rules, (*a.probes, *b.probes), since, self.now) is not None

    @invariant()
    def only_what_people_split_is_kept_apart(self):
        assert all(self.parted.issuperset(incident.parted) for incident in self.state.incidents.values())

    @invariant()
    def no_incident_mixes_production_with_what_is_not(self):
        for incident in self.state.incidents.values():
            environments = {PROBES[probe].environment for probe in incident.probes}
            assert environments == {incident.environment}
            if incident.environment != "production":
                assert incident.severity is Severity.NONPROD
            elif incident.severity is Severity.NONPROD:
                well = all(self.state.probes[probe].recovered(2) for probe in incident.probes)
                assert well or "drill" in incident.times, "production is spared only while people test"

    @invariant()
    def what_was_told_of_a_page_was_told_by_an_incident_that_is_open(self):
        told = [p.probe for p in self.state.probes.values() if any(change.told for change in p.changes)]
        assert all(self.state.incident_of(probe) is not None for probe in told)

    @invariant()
    def every_open_incident_rests_on_something(self):
        for incident in self.state.incidents.values():
            assert incident.probes
            assert incident.observations
            assert incident.argument is not None

    def teardown(self):
        """The same history gives the same incidents."""
        state, said = State(), []
        for event, rules in self.log:
            judged = judge(state, event, rules)
            state = judged.state
            said += judged.transitions
        assert said == self.transitions
        assert state == self.state


JudgeMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestJudgeMachine = JudgeMachine.TestCase
