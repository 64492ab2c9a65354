"""What the judge knows of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from earwitness.model.quiet import MaintenanceRule, Times
from earwitness.model.severity_rules import DEFAULT_SEVERITY_RULES, CriticalPeriod, SeverityRule, TestWindow
from earwitness.model.words import Channel


@dataclass(frozen=True, slots=True)
class JourneyRule:
    title: str
    owner: str | None = None
    by: str = "customer"  # who goes it: a customer, or an agent for them
    workarounds: tuple[str, ...] = ()  # names of probes; a journey named as a workaround stands for its probes


@dataclass(frozen=True, slots=True)
class ProbeRule:
    journey: str
    environment: str
    channel: Channel
    depends_on: tuple[str, ...] = ()  # what it needs, then what that depends on itself
    interval: float = 60.0  # seconds between starts
    budget: float = 30.0  # seconds a run may take until it is judged
    carrier: str | None = None  # that its calls go through
    control: bool = False  # whether that carrier has a known-good number to call
    asks: tuple[str, ...] = ()  # the dependencies whose own hosts its requests go to
    reaches: tuple[str, ...] = ()  # the hosts and numbers it goes to: suspected where no dependency explains a failure


@dataclass(frozen=True, slots=True)
class DependencyRule:
    title: str
    third_party: bool = False
    depends_on: tuple[str, ...] = ()  # all that it depends on, the nearest first


@dataclass(frozen=True, slots=True)
class Rules:
    """What the judge knows besides the events. Every mapping is in the order of the configuration."""

    production: frozenset[str]
    journeys: Mapping[str, JourneyRule]
    probes: Mapping[str, ProbeRule]
    dependencies: Mapping[str, DependencyRule]
    open_after: int = 2  # failures in a row, or independent failures on one dependency
    nuisance_open_after: int = 3  # failures in a row for a nuisance
    resolve_after: int = 2  # successes in a row of every probe of the incident
    reopen_within: float = 600.0  # seconds after its end in which an incident opens again instead of a new one
    severity_rules: tuple[SeverityRule, ...] = DEFAULT_SEVERITY_RULES
    calendars: Mapping[str, Times] = field(default_factory=dict)
    critical_periods: Mapping[str, CriticalPeriod] = field(default_factory=dict)
    test_windows: Mapping[str, TestWindow] = field(default_factory=dict)
    maintenance: Mapping[str, MaintenanceRule] = field(default_factory=dict)
    order: Mapping[str, int] = field(init=False)  # probe -> its place in the configuration
    dependents: Mapping[str, tuple[str, ...]] = field(init=False)  # dependency, host or number -> probes that need it
    tried_by: Mapping[str, tuple[str, ...]] = field(init=False)  # journey -> its probes
    workarounds: Mapping[str, tuple[str, ...]] = field(init=False)  # journey -> probes that try its workarounds
    helps: Mapping[str, tuple[str, ...]] = field(init=False)  # probe -> journeys that it is a workaround of

    def __post_init__(self) -> None:
        dependents: dict[str, list[str]] = {name: [] for name in self.dependencies}
        by_journey: dict[str, list[str]] = {name: [] for name in self.journeys}
        for probe, rule in self.probes.items():
            by_journey.setdefault(rule.journey, []).append(probe)
            for dependency in dict.fromkeys((*rule.depends_on, *rule.reaches)):
                dependents.setdefault(dependency, []).append(probe)
        workarounds = {name: self._probes_named(rule.workarounds, by_journey) for name, rule in self.journeys.items()}
        object.__setattr__(self, "order", {name: place for place, name in enumerate(self.probes)})
        object.__setattr__(self, "dependents", {name: tuple(probes) for name, probes in dependents.items()})
        object.__setattr__(self, "tried_by", {name: tuple(probes) for name, probes in by_journey.items()})
        object.__setattr__(self, "workarounds", workarounds)
        object.__setattr__(self, "helps", _turned(workarounds))

    def _probes_named(self, names: tuple[str, ...], by_journey: Mapping[str, list[str]]) -> tuple[str, ...]:
        """A journey that is named stands for its probes."""
        probes = (by_journey.get(name, [name]) for name in names)
        return tuple(dict.fromkeys(probe for found in probes for probe in found if probe in self.probes))


def _turned(mapping: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    turned: dict[str, list[str]] = {}
    for key, values in mapping.items():
        for value in values:
            turned.setdefault(value, []).append(key)
    return {key: tuple(values) for key, values in turned.items()}
