"""A language for the course of a day: what breaks when, and what has to be said within which time. Time is virtual.

    probe pay-web of pay-by-card needs card-processor          every 1m unless said otherwise
    probe pay-ivr of pay-by-card needs card-processor every 5m call
    probe staging-web of pay-by-card in staging
    probe shop-web of shop at shop.example          a host or number that it goes to
    workaround of pay-by-card: pay-by-bank
    dependency card-processor needs gateway
    maintenance deploy of gateway from 5m to 20m    or: from 5m to 20m stop; of a probe, journey or dependency
    critical friday of pay-by-card from 5m to 20m: sev2 as sev1
    test drill of pay-by-card from 5m to 20m
    rule nuisance of pay-by-card: sev2              tried before the default table; "of" names a journey
    reopen within 10m

    at 1m: fail pay-ivr diverted        blocked, diverted or nuisance; what a probe finds from now on
    at 1m: break card-processor         everything that needs it fails
    at 5m: mend card-processor          probes or dependencies find nothing wrong again
    at 2m: unknown pay-web              the monitor cannot tell
    at 3m: control fails                the known-good number does not answer
    at 4m: acknowledge | resolve | note     a person acts on the newest incident
    at 4m: merge                        the newest incident into the oldest
    at 4m: split pay-ivr                off the newest incident
    at 4m: silence pay-web for 10m      a probe, or a severity
    at 6m: end silence
    at 6m: repeat pay-web               its latest run is told once more
    at 6m: late pay-web blocked         a run that began five minutes ago is told only now
    expect within 90s: open sev1 cause card-processor          since something last happened, in any order
    expect within 10m: resolve
    expect within 10m: told resolve     by a hook that takes everything
    expect nothing for 10m              that is news
    expect nothing told for 10m
    expect open: 1                      how many incidents are open at this moment

Probes run on their schedule; what the judge asks for is run one second after it was asked for, and takes one second.
"""

import heapq
import itertools
import re
from dataclasses import dataclass, field, replace

from judge_world import is_told

from earwitness.alerting.routing import FOLLOW_UPS
from earwitness.config.times import Once
from earwitness.judge import State, judge, stopped_by
from earwitness.model import (
    DEFAULT_SEVERITY_RULES,
    Attribution,
    Channel,
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
    Rules,
    Run,
    Severity,
    SeverityMatch,
    SeverityRule,
    TestWindow,
    Ticked,
    TransitionKind,
    Why,
)

_START = 1_700_000_000.0
_UNITS = {"s": 1, "m": 60, "h": 3600}
_QUIET = {"attach", "note", "mute"}  # what is no news to anybody who was told
_CAST = {word: word for word in ("probe", "workaround", "dependency", "maintenance", "rule", "reopen")}
_CAST |= {"critical": "critical_period", "test": "test_window"}


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
    needs: dict = field(default_factory=dict)  # dependency -> what it depends on
    settings: dict = field(default_factory=dict)  # of the rules, by their names
    table: list = field(default_factory=list)  # severity rules
    planned: dict = field(default_factory=dict)  # maintenance
    critical: dict = field(default_factory=dict)
    tests: dict = field(default_factory=dict)  # test windows
    latest: dict = field(default_factory=dict)  # probe -> what was last told of it
    knows: set = field(default_factory=set)  # incidents that the hook was told of
    open_to: set = field(default_factory=set)  # those of whose end it was not told since
    minute: float = 0.0  # the latest tick
    now: float = 0.0
    state: State = field(default_factory=State)
    rules: Rules | None = None
    said: list = field(default_factory=list)  # (second, transition)
    told: set = field(default_factory=set)  # places in `said` of what the hook was told
    queue: list = field(default_factory=list)
    order: itertools.count = field(default_factory=itertools.count)
    asked: set = field(default_factory=set)
    acted: int = 0  # how much had been said when something last happened
    met: set = field(default_factory=set)  # what of it an expectation was met by

    # --- the cast ------------------------------------------------------------------------------------------------

    def probe(self, words):
        match = re.fullmatch(
            r"(\S+) of (\S+)(?: needs (\S+))?(?: at (\S+))?(?: every (\w+))?(?: in (\S+))?( call)?(?: through (\S+))?",
            words,
        )
        assert match, f"not a probe: {words}"
        name, journey, needs, place, every, environment, call, carrier = match.groups()
        needs = tuple(needs.split(",")) if needs else ()
        rule = ProbeRule(journey, environment or "production", Channel.HTTP, needs, float(seconds(every or "1m")), 20.0)
        if call:
            rule = replace(rule, channel=Channel.CALL, carrier=carrier or "main", control=True)
        self.probes[name] = replace(rule, reaches=(place,) if place else ())

    def workaround(self, words):
        journey, _, names = words.removeprefix("of ").partition(": ")
        self.workarounds[journey] = tuple(names.split())

    def dependency(self, words):
        name, _, needs = words.partition(" needs ")
        self.needs[name] = tuple(needs.split(","))

    def maintenance(self, words):
        name, what, times, stop = re.fullmatch(r"(\S+) of (\S+) (from \w+ to \w+)( stop)?", words).groups()
        self.planned[name] = (what, times, Mode.STOP if stop else Mode.MUTE)

    def critical_period(self, words):
        found = re.fullmatch(r"(\S+) of (\S+) (from \w+ to \w+): (\w+) as (\w+)", words)
        name, what, times, before, after = found.groups()
        self.critical[name] = (what, times, (Severity(before), Severity(after)))

    def test_window(self, words):
        name, what, times = re.fullmatch(r"(\S+) of (\S+) (from \w+ to \w+)", words).groups()
        self.tests[name] = TestWindow(self._match(what), self._times(times))

    def rule(self, words):
        effect, journey, severity = re.fullmatch(r"(\w+)(?: of (\S+))?: (\w+)", words).groups()
        match = SeverityMatch(True, effect=(Effect(effect),), journey=(journey,) if journey else ())
        self.table.append(SeverityRule(f"severity_rules[{len(self.table)}]", match, Severity(severity)))

    def reopen(self, words):
        self.settings["reopen_within"] = float(seconds(words))

    def _match(self, name):
        """Return what a word of the scenario means: a probe, a journey or a dependency."""
        if name in self.probes:
            return Match(probe=(name,))
        if any(rule.journey == name for rule in self.probes.values()):
            return Match(journey=(name,))
        return Match(dependency=(name,))

    @staticmethod
    def _times(words):
        begins, until = (seconds(w) for w in re.findall(r"\d\w*", words))
        return Once(_START + begins, _START + until)

    def begin(self):
        for name, rule in self.probes.items():
            behind = [d for need in rule.depends_on for d in self.needs.get(need, ())]
            self.probes[name] = replace(rule, depends_on=tuple(dict.fromkeys([*rule.depends_on, *behind])))
        needed = dict.fromkeys(d for rule in self.probes.values() for d in (*rule.depends_on, *rule.reaches))
        journeys = dict.fromkeys([*(rule.journey for rule in self.probes.values()), *self.workarounds])
        self.rules = Rules(
            production=frozenset({"production"}),
            journeys={j: JourneyRule(j, workarounds=self.workarounds.get(j, ())) for j in journeys},
            probes=self.probes,
            dependencies={d: DependencyRule(d, depends_on=self.needs.get(d, ())) for d in needed},
            severity_rules=(*self.table, *DEFAULT_SEVERITY_RULES),
            maintenance={
                n: MaintenanceRule(self._match(w), self._times(t), m) for n, (w, t, m) in self.planned.items()
            },
            critical_periods={
                n: CriticalPeriod(self._match(w), self._times(t), (c,)) for n, (w, t, c) in self.critical.items()
            },
            test_windows=self.tests,
            **self.settings,
        )
        for place, (name, rule) in enumerate(self.probes.items()):
            self.later(min(5.0 * place, rule.interval / 2), name, Why.SCHEDULED)

    # --- time ----------------------------------------------------------------------------------------------------

    def later(self, at, probe, why, request=None):
        heapq.heappush(self.queue, (at, next(self.order), probe, why, request))

    def until(self, moment):
        while self.queue and self.queue[0][0] <= moment:
            at, _, probe, why, request = heapq.heappop(self.queue)
            self.pass_time(at)
            self.run(probe, why, request)
            if why is Why.SCHEDULED:
                self.later(at + self.probes[probe].interval, probe, why)
        self.pass_time(moment)

    def pass_time(self, moment):
        """Tell the judge each full minute on the way."""
        while self.minute + 60 <= moment:
            self.minute += 60
            self.now = self.minute
            self.tell(Ticked(_START + self.minute))
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
        seen = Observation(replace(run, request=request), _START + self.now, 1.0, findings, facts=facts)
        if stopped_by(probe, self.state.quiet.values(), self.rules, _START + self.now):
            seen = replace(seen, findings=(), skipped="maintenance")
        self.latest[probe] = seen
        self.tell(Observed(seen))

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
        for transition in judged.transitions:
            key = transition.incident.id
            if is_told(transition, knows=key in (self.open_to if transition.kind in FOLLOW_UPS else self.knows)):
                self.knows.add(key)
                (self.open_to.discard if transition.kind is TransitionKind.RESOLVE else self.open_to.add)(key)
                self.told.add(len(self.said))
            self.said.append((self.now, transition))
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
            case "silence" | "end" | "acknowledge" | "resolve" | "note" | "merge" | "split":
                self._people(verb, rest)
            case "repeat" | "late":
                self._tell_again(verb, *rest)
            case _:
                raise AssertionError(f"nobody can {words}")

    def _people(self, verb, rest):
        if verb == "silence":
            self._silence(rest[0], seconds(rest[-1]))
        elif verb == "end":
            for key in list(self.state.quiet):
                self.tell(QuietEnded(_START + self.now, key))
        else:
            oldest, *_, newest = [self.state.open_incidents()[0], *self.state.open_incidents()]
            into = oldest.id if verb == "merge" else None
            self.tell(Commanded(_START + self.now, newest.id, verb, "Kim", "because", into, tuple(rest)))

    def _tell_again(self, verb, probe, effect="blocked"):
        """Tell the probe's latest run once more; or, late, one that began before it."""
        seen = self.latest[probe]
        if verb == "late":
            run, findings = replace(seen.run, id=f"late-{seen.run.id}"), self.findings(Effect(effect), Why.SCHEDULED)
            seen = replace(seen, run=run, started_at=seen.started_at - 300, findings=findings)
        self.tell(Observed(seen))

    def _silence(self, name, lasts):
        severity = name in set(Severity)
        match = Match(severity=(Severity(name),)) if severity else Match(probe=(name,))
        now = _START + self.now
        period = QuietPeriod(f"silence-{self.now:g}", QuietKind.SILENCE, match, now, now + lasts, now, "Kim", "known")
        self.tell(QuietBegun(now, period))

    def _meant(self, name):
        return [p for p, rule in self.probes.items() if name in (p, *rule.depends_on, *rule.reaches)]

    # --- what is expected ----------------------------------------------------------------------------------------

    def expect(self, words):
        if match := re.fullmatch(r"within (\w+): (.+)", words):
            self._within(seconds(match[1]), match[2])
        elif match := re.fullmatch(r"nothing( told)? for (\w+)", words):
            self._nothing(seconds(match[2]), told_only=bool(match[1]))
        elif match := re.fullmatch(r"open: (\d+)", words):
            if len(self.state.incidents) != int(match[1]):
                raise BrokenPromiseError(f"at {self.now:g}s {len(self.state.incidents)} incidents are open: {words}")
        else:
            raise AssertionError(f"nobody can expect {words}")

    def _within(self, window, words):
        begin, known = self.now, self.acted
        while True:
            said = next(
                (n for n in range(known, len(self.said)) if n not in self.met and self._is(n, words)),
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

    def _is(self, place, words):
        transition, (kind, *rest) = self.said[place][1], words.removeprefix("told ").split()
        if words.startswith("told ") and place not in self.told:
            return False
        cause = rest[rest.index("cause") + 1] if "cause" in rest else None
        severity = next((word for word in rest if word in set(Severity)), None)
        return (
            transition.kind.value == kind
            and ("flapping" not in rest or "flapping" in transition.text)
            and severity in (None, transition.incident.severity.value)
            and cause in (None, transition.incident.cause.dependency or "unknown")
        )

    def _nothing(self, window, told_only):
        known = len(self.said)
        self.until(self.now + window)
        places = range(known, len(self.said))
        news = [
            self.said[n][1] for n in places if (n in self.told if told_only else self.said[n][1].kind not in _QUIET)
        ]
        if news:
            raise BrokenPromiseError(
                f"expected nothing for {window}s, heard {[t.kind.value + ' ' + t.text for t in news]}"
            )


def play(text):
    """Play a scenario. Raises BrokenPromiseError."""
    stage, begun = Stage(), False
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word in _CAST:
            getattr(stage, _CAST[word])(re.sub(r"\s+", " ", rest))
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
