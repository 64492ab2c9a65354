"""From the configuration to what the judge knows of it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from earwitness.config.schema import Config, ProbeSpec
from earwitness.model import (
    DEFAULT_SEVERITY_RULES,
    CriticalPeriod,
    DependencyRule,
    JourneyRule,
    MaintenanceRule,
    ProbeRule,
    Rules,
    SeverityRule,
    TestWindow,
)
from earwitness.probes.http_templates import names_in


def rules_of(config: Config) -> Rules:
    """Return the judge's rules, in the order of the configuration."""
    probes = {name: _probe(config, probe) for name, probe in config.probes.items()}
    return Rules(
        production=frozenset(config.production_environments),
        journeys={
            name: JourneyRule(journey.title or _title(name), journey.owner, journey.by, tuple(journey.workaround))
            for name, journey in config.journeys.items()
        },
        probes=probes,
        dependencies=_dependencies(config, probes),
        open_after=config.incidents.open_after,
        nuisance_open_after=config.incidents.nuisance_open_after,
        resolve_after=config.incidents.resolve_after,
        reopen_within=config.incidents.reopen_within,
        severity_rules=(*_severity_rules(config), *DEFAULT_SEVERITY_RULES),
        calendars={name: calendar.times for name, calendar in config.calendars.items()},
        critical_periods={
            name: CriticalPeriod(period.match.match, period.times(config.calendars), period.counts_as)
            for name, period in config.critical_periods.items()
        },
        test_windows={
            name: TestWindow(window.match.match, window.times(config.calendars))
            for name, window in config.test_windows.items()
        },
        maintenance={
            name: MaintenanceRule(plan.match.match, plan.times(config.calendars), plan.mode, plan.why)
            for name, plan in config.maintenance.items()
        },
    )


def _probe(config: Config, probe: ProbeSpec) -> ProbeRule:
    carrier = carrier_of(config, probe)
    reached = tuple(dict.fromkeys(_reached(probe)))
    asks = tuple(dict.fromkeys(_owners(config, reached)))
    return ProbeRule(
        journey=probe.journey,
        environment=config.environment_of(probe),
        channel=probe.kind.channel,
        depends_on=_needed(config, tuple(dict.fromkeys((*probe.depends_on, *asks)))),
        interval=probe.interval,
        budget=probe.budget,
        carrier=carrier,
        control=carrier is not None and config.carriers[carrier].control is not None,
        asks=asks,
        reaches=reached,
    )


def _needed(config: Config, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is named and all that it depends on itself, the nearest first."""
    found, nearest = list(named), named
    while nearest:
        nearest = tuple(d for name in nearest for d in config.dependencies[name].depends_on if d not in found)
        found += dict.fromkeys(nearest)
    return tuple(found)


def _owners(config: Config, reached: tuple[str, ...]) -> Iterator[str]:
    """Yield the dependencies whose hosts these are."""
    hosts = (way.removeprefix("host:").partition(":")[0] for way in reached if way.startswith("host:"))
    known = config.hosts
    yield from (owner.dependency for host in hosts if (owner := known.owner(host)) is not None)


def _reached(probe: ProbeSpec) -> Iterator[str]:
    """Yield the hosts or the number that the probe goes to, as something that may fail for all who go there."""
    if probe.call is not None:
        yield f"number:{probe.call.to}"
    if probe.http is not None:
        hosts = (urlsplit(step.url).netloc.rpartition("@")[2].lower() for step in probe.http.flow)
        # A host that a step fills in is known to its run only.
        yield from (f"host:{host}" for host in hosts if not any(names_in(host)))
    if probe.browser is not None:
        opened = (urlsplit(step.open).netloc for step in probe.browser.steps if step.open is not None)
        yield from (f"host:{host.rpartition('@')[2].lower()}" for host in opened)


def _dependencies(config: Config, probes: dict[str, ProbeRule]) -> dict[str, DependencyRule]:
    named = {
        name: DependencyRule(
            dependency.title or _title(name), dependency.third_party, _needed(config, dependency.depends_on)
        )
        for name, dependency in config.dependencies.items()
    }
    reached = dict.fromkeys(way for rule in probes.values() for way in rule.reaches)
    return named | {way: DependencyRule("The {} {}".format(*way.split(":", 1))) for way in reached}


def _severity_rules(config: Config) -> Iterator[SeverityRule]:
    for index, rule in enumerate(config.severity_rules):
        yield SeverityRule(f"severity_rules[{index}]: {rule.match.words}", rule.match.match, rule.severity, rule.why)


def carrier_of(config: Config, probe: ProbeSpec) -> str | None:
    return (probe.call.carrier or next(iter(config.carriers))) if probe.call else None


def _title(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize()
