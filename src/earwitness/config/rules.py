"""From the configuration to what the judge knows of it."""

from earwitness.config.schema import Config, ProbeSpec
from earwitness.model import DependencyRule, JourneyRule, ProbeRule, Rules


def rules_of(config: Config) -> Rules:
    """Return the judge's rules, in the order of the configuration."""
    return Rules(
        production=frozenset(config.production_environments),
        journeys={
            name: JourneyRule(journey.title or _title(name), journey.owner, tuple(journey.workaround))
            for name, journey in config.journeys.items()
        },
        probes={
            name: ProbeRule(
                journey=probe.journey,
                environment=config.environment_of(probe),
                channel=probe.kind.channel,
                depends_on=probe.depends_on,
                interval=probe.interval,
                budget=probe.budget,
                carrier=(carrier := _carrier_of(config, probe)),
                control=carrier is not None and config.carriers[carrier].control is not None,
            )
            for name, probe in config.probes.items()
        },
        dependencies={
            name: DependencyRule(dependency.title or _title(name), dependency.third_party)
            for name, dependency in config.dependencies.items()
        },
        open_after=config.incidents.open_after,
        nuisance_open_after=config.incidents.nuisance_open_after,
        resolve_after=config.incidents.resolve_after,
    )


def _carrier_of(config: Config, probe: ProbeSpec) -> str | None:
    return (probe.call.carrier or next(iter(config.carriers))) if probe.call else None


def _title(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize()
