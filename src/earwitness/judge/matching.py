"""Which probes and incidents a matcher means."""

from earwitness.model import Incident, Match, Rules


def means_probe(match: Match, name: str, rules: Rules) -> bool:
    """Whether the matcher means the probe; what it says of incidents is not looked at."""
    rule = rules.probes[name]
    return (
        (not match.probe or name in match.probe)
        and (not match.journey or rule.journey in match.journey)
        and (not match.environment or rule.environment in match.environment)
        and (not match.owner or rules.journeys[rule.journey].owner in match.owner)
        and (not match.dependency or bool(set(match.dependency) & {*rule.depends_on, *rule.reaches}))
        and (not match.channel or rule.channel in match.channel)
    )


def means_incident(match: Match, incident: Incident, rules: Rules) -> bool:
    """Whether the matcher means the incident and every probe of it: one that is not meant is news."""
    return (
        (not match.severity or incident.severity in match.severity)
        and (not match.incident or incident.id in match.incident)
        and all(means_probe(match, name, rules) for name in incident.probes if name in rules.probes)
    )
