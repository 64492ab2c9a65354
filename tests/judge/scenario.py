"""A language for the course of a day: what breaks when, and what has to be said within which time. Time is virtual.

    probe pay-web of pay-by-card needs card-processor          every 1m unless said otherwise
    probe pay-ivr of pay-by-card needs card-processor every 5m call
    probe staging-web of pay-by-card in staging
    workaround of pay-by-card: pay-by-bank

    at 1m: fail pay-ivr diverted        blocked, diverted or nuisance; what a probe finds from now on
    at 1m: break card-processor         everything that needs it fails
    at 5m: mend card-processor          probes or dependencies find nothing wrong again
    at 2m: unknown pay-web              the monitor cannot tell
    at 3m: control fails                the known-good number does not answer
    at 4m: acknowledge | resolve        a person acts on the newest incident
    expect within 90s: open sev1 cause card-processor          since something last happened, in any order
    expect within 10m: resolve
    expect nothing for 10m
    expect open: 1                      how many incidents are open at this moment

Probes run on their schedule; what the judge asks for is run one second after it was asked for, and takes one second.
"""

import heapq
import itertools
import re
from dataclasses import dataclass, field, replace

from earwitness.judge import State, judge
from earwitness.model import (
    Attribution,
    Channel,
    Commanded,
    DependencyRule,
    Effect,
    Failure,
    Finding,
    JourneyRule,
    Observation,
    Observed,
    ProbeRule,
    Rules,
    Run,
    Why,
)

_START = 1_700_000_000.0
_UNITS = {"s": 1, "m": 60, "h": 3600}
_QUIET = {"attach", "note"}  # what is no news to anybody who was told


class BrokenPromiseError(AssertionError):
    """The judge did not say what the scenario expects, or said more."""


def seconds(text):
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


@dataclass
class Stage:
    """The world of one scenario."""

    probes: dict = field(default_factory=dict)
    workarounds: dict = field(default_factory=dict)
    found: dict = field(default_factory=dict)  # probe -> what it finds: an effect, "unknown" or None
    control: str = "passes"
    now: float = 0.0
    state: State = field(default_factory=State)
    rules: Rules | None = None
    said: list = field(default_factory=list)  # (second, transition)
    queue: list = field(default_factory=list)
    order: itertools.count = field(default_factory=itertools.count)
    asked: set = field(default_factory=set)
    acted: int = 0  # how much had been said when something last happened
    met: set = field(default_factory=set)  # what of it an expectation was met by

    # --- the cast ------------------------------------------------------------------------------------------------

    def probe(self, words):
        match = re.fullmatch(
            r"(\S+) of (\S+)(?: needs (\S+))?(?: every (\w+))?(?: in (\S+))?( call)?(?: through (\S+))?", words
        )
        assert match, f"not a probe: {words}"
        name, journey, needs, every, environment, call, carrier = match.groups()
        needs = tuple(needs.split(",")) if needs else ()
        rule = ProbeRule(journey, environment or "production", Channel.HTTP, needs, float(seconds(every or "1m")), 20.0)
        if call:
            rule = replace(rule, channel=Channel.CALL, carrier=carrier or "main", control=True)
        self.probes[name] = rule

    def workaround(self, words):
        journey, _, names = words.removeprefix("of ").partition(": ")
        self.workarounds[journey] = tuple(names.split())

    def begin(self):
        needed = dict.fromkeys(d for rule in self.probes.values() for d in rule.depends_on)
        journeys = dict.fromkeys([*(rule.journey for rule in self.probes.values()), *self.workarounds])
        self.rules = Rules(
            production=frozenset({"production"}),
            journeys={j: JourneyRule(j, workarounds=self.workarounds.get(j, ())) for j in journeys},
            probes=self.probes,
            dependencies={d: DependencyRule(d) for d in needed},
        )
        for place, (name, rule) in enumerate(self.probes.items()):
            self.later(min(5.0 * place, rule.interval / 2), name, Why.SCHEDULED)

    # --- time ----------------------------------------------------------------------------------------------------

    def later(self, at, probe, why, request=None):
        heapq.heappush(self.queue, (at, next(self.order), probe, why, request))

    def until(self, moment):
        while self.queue and self.queue[0][0] <= moment:
            at, _, probe, why, request = heapq.heappop(self.queue)
            self.now = at
            self.run(probe, why, request)
            if why is Why.SCHEDULED:
                self.later(at + self.probes[probe].interval, probe, why)
        self.now = moment

    def run(self, probe, why, request):
        rule = self.probes[probe]
        run = Run(
            f"run-{next(self.order)}",
            probe,
            rule.journey,
            rule.channel,
            "here",
            rule.environment,
            why,
            _START + self.now,
        )
        facts = {"from": "+12025550143", "carrier": rule.carrier} if rule.channel is Channel.CALL else {}
        findings = self.findings(self.control_finds() if why is Why.CONTROL else self.found.get(probe), why)
        self.tell(Observed(Observation(replace(run, request=request), _START + self.now, 1.0, findings, facts=facts)))

    def control_finds(self):
        return None if self.control == "passes" else Effect.BLOCKED

    def findings(self, found, why):
        if found is None:
            return ()
        if found == "unknown":
            return (Finding(Failure.MONITOR_ERROR, "cannot tell", Effect.NONE, Attribution.MONITOR),)
        if why is Why.CONTROL:
            return (Finding(Failure.CONTROL_FAILED, "the control call failed", found, Attribution.CARRIER),)
        return (Finding(Failure.WRONG_BODY, "it broke", found),)

    def tell(self, event):
        judged = judge(self.state, event, self.rules)
        self.state = judged.state
        self.said += [(self.now, transition) for transition in judged.transitions]
        for request in judged.requests:
            if request.key not in self.asked:
                self.asked.add(request.key)
                self.later(self.now + 1.0, request.probe, request.why, request.key)

    # --- what happens --------------------------------------------------------------------------------------------

    def act(self, words):
        verb, *rest = words.split()
        self.acted = len(self.said)
        match verb:
            case "fail":
                self.found[rest[0]] = Effect(rest[1]) if len(rest) > 1 else Effect.BLOCKED
            case "break" | "mend":
                for name in rest:
                    for probe in self._meant(name):
                        self.found[probe] = Effect.BLOCKED if verb == "break" else None
            case "unknown":
                self.found[rest[0]] = "unknown"
            case "control":
                self.control = rest[0]
            case "acknowledge" | "resolve":
                newest = max(self.state.incidents.values(), key=lambda incident: incident.opened_at)
                self.tell(Commanded(_START + self.now, newest.id, verb, "Kim"))
            case _:
                raise AssertionError(f"nobody can {words}")

    def _meant(self, name):
        return [p for p, rule in self.probes.items() if p == name or name in rule.depends_on]

    # --- what is expected ----------------------------------------------------------------------------------------

    def expect(self, words):
        if match := re.fullmatch(r"within (\w+): (.+)", words):
            self._within(seconds(match[1]), match[2])
        elif match := re.fullmatch(r"nothing for (\w+)", words):
            self._nothing(seconds(match[1]))
        elif match := re.fullmatch(r"open: (\d+)", words):
            if len(self.state.incidents) != int(match[1]):
                raise BrokenPromiseError(f"at {self.now:g}s {len(self.state.incidents)} incidents are open: {words}")
        else:
            raise AssertionError(f"nobody can expect {words}")

    def _within(self, window, words):
        begin, known = self.now, self.acted
        while True:
            said = next(
                (n for n in range(known, len(self.said)) if n not in self.met and self._is(self.said[n][1], words)),
                None,
            )
            if said is not None:
                self.met.add(said)
                return
            if self.now >= begin + window:
                break
            self.until(min(begin + window, self.queue[0][0]))
        heard = [
            f"{at:g}s {t.kind.value} {t.incident.severity.value} {t.incident.cause.dependency}"
            for at, t in self.said[known:]
        ]
        raise BrokenPromiseError(f"from {begin:g}s within {window}s expected {words!r}, heard {heard}")

    def _is(self, transition, words):
        kind, *rest = words.split()
        cause = rest[rest.index("cause") + 1] if "cause" in rest else None
        severity = rest[0] if rest and rest[0] != "cause" else None
        return (
            transition.kind.value == kind
            and severity in (None, transition.incident.severity.value)
            and cause in (None, transition.incident.cause.dependency or "unknown")
        )

    def _nothing(self, window):
        known = len(self.said)
        self.until(self.now + window)
        news = [t for _, t in self.said[known:] if t.kind.value not in _QUIET]
        if news:
            raise BrokenPromiseError(
                f"expected nothing for {window}s, heard {[t.kind.value + ' ' + t.text for t in news]}"
            )


def play(text):
    """Play a scenario. Raises BrokenPromiseError."""
    stage, begun = Stage(), False
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word in ("probe", "workaround"):
            getattr(stage, word)(re.sub(r"\s+", " ", rest))
            continue
        if not begun:
            stage.begin()
            begun = True
        if word == "at":
            moment, _, what = rest.partition(": ")
            stage.until(max(stage.now, float(seconds(moment))))
            stage.act(what)
        elif word == "expect":
            stage.expect(rest)
        else:
            raise AssertionError(f"not a line of a scenario: {line}")
    return stage
