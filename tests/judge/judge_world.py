"""A small world for the judge: journeys and probes told in a line, and time that only moves when told to."""

from dataclasses import dataclass, field, replace

from earwitness.alerting.routing import Router, route
from earwitness.config.alerting import MatchSpec
from earwitness.judge import Judgement, State, judge
from earwitness.model import (
    Attribution,
    Channel,
    DependencyRule,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    Observation,
    Observed,
    ProbeRule,
    Request,
    Rules,
    Run,
    Transition,
    Why,
)

HOOK = "on-call"
ROUTER = Router([route(MatchSpec(), (HOOK,))])  # one hook, which takes everything


SLOW = Finding(Failure.SLOW, "it took 9 s", Effect.NUISANCE)
CHANGED = Finding(Failure.PAGE_SCRIPTS_CHANGED, "new: skim.js", Effect.NUISANCE)
UNSEEN = Finding(Failure.PAGE_NOT_WATCHED, "a frame does not answer", Effect.NUISANCE)


def changed(*scripts):
    """Return what is found where these scripts are new."""
    return replace(CHANGED, message=f"new: {', '.join(scripts)}", differences=scripts)


def is_told(transition, *, knows):
    """Whether that hook is told of the transition; `knows` says whether it was told of the incident before."""
    return bool(ROUTER.recipients(transition, [HOOK] if knows else [], transition.at))


def rules_of(probes, journeys=None, production=("production",), **limits):
    """`probes`: name -> (journey, dependencies[, environment])."""
    rows = {name: (*row, "production")[:3] for name, row in probes.items()}
    titles = {row[0]: JourneyRule(row[0].replace("-", " ").capitalize()) for row in rows.values()}
    dependencies = {d: DependencyRule(d.replace("-", " ").capitalize()) for row in rows.values() for d in row[1]}
    return Rules(
        production=frozenset(production),
        journeys=titles | (journeys or {}),
        probes={n: ProbeRule(j, e, Channel.HTTP, tuple(d), interval=60.0) for n, (j, d, e) in rows.items()},
        dependencies=dependencies,
        **limits,
    )


@dataclass
class World:
    """Feeds the judge and remembers all that it said."""

    rules: Rules
    state: State = field(default_factory=State)
    now: float = 1_000_000.0
    runs: int = 0
    transitions: list[Transition] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def tell(self, event) -> Judgement:
        judged = judge(self.state, event, self.rules)
        self.state = judged.state
        self.transitions += judged.transitions
        self.requests += judged.requests
        return judged

    def see(self, probe, *findings, evidence=(), took=1.0, started=None, location="here"):
        self.now += took
        self.runs += 1
        rule = self.rules.probes[probe]
        run = Run(
            f"run-{self.runs}", probe, rule.journey, rule.channel, location, rule.environment, Why.SCHEDULED, self.now
        )
        started = self.now - took if started is None else started
        return self.tell(Observed(Observation(run, started, took, tuple(findings), evidence=tuple(evidence))))

    def passes(self, *probes):
        return [self.see(probe) for probe in probes]

    def fails(self, probe, effect=Effect.BLOCKED, message="it broke", times=1, **more):
        finding = Finding(Failure.WRONG_BODY, message, effect)
        return [self.see(probe, finding, **more) for _ in range(times)]

    def cannot_tell(self, probe):
        return self.see(probe, Finding(Failure.CARRIER_API_FAILED, "no answer", attribution=Attribution.MONITOR))

    @property
    def open(self):
        return self.state.open_incidents()

    @property
    def kinds(self):
        return [t.kind.value for t in self.transitions]
