"""What a failure does to customers, where the configuration says otherwise than the probe does.

The more special word wins: a step's own `effect`, then the probe's `effects` of the class, then the `effect` of the probe's section, then
the `effects` of all probes, then what the class does by default. What is the monitor's own trouble has no effect, whatever is said.
"""

from collections.abc import Mapping
from dataclasses import replace

from earwitness.config.schema import Config, ProbeSpec
from earwitness.model import Attribution, Effect, Failure, Finding, Observation

_OURS = (Attribution.MONITOR, Attribution.UNKNOWN)


def with_effects(seen: Observation, config: Config, probe: ProbeSpec) -> Observation:
    """Return the observation with the effects that the configuration declares."""
    declared = _declared(config, probe) if seen.findings else {}
    if not declared:
        return seen
    steps = _steps_with_their_own(probe)
    return replace(seen, findings=tuple(_with_effect(f, declared, steps) for f in seen.findings))


def _declared(config: Config, probe: ProbeSpec) -> Mapping[Failure, Effect]:
    general = {} if "effect" in probe.spec.model_fields_set else config.effects
    return {**general, **probe.effects}


def _steps_with_their_own(probe: ProbeSpec) -> frozenset[str]:
    """Return what such steps are called in findings: by their title, or in a flow of requests by their name."""
    own = [step for step in getattr(probe.spec, "steps", ()) if getattr(step, "effect", None) is not None]
    return frozenset(getattr(step, "title", None) or step.name for step in own)


def _with_effect(finding: Finding, declared: Mapping[Failure, Effect], steps: frozenset[str]) -> Finding:
    if finding.attribution in _OURS or finding.failure not in declared or finding.step in steps:
        return finding
    return replace(finding, effect=declared[finding.failure])
