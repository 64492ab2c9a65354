"""Whose fault an incident is taken to be: the target's, a third party's, the carrier's, our own, or nobody knows whose.

What the calls point to goes first, where every probe of the incident telephones: it fails through one carrier, or from one number of
ours, and works otherwise. Then the cause that the incident was taken to have, as the configuration calls it: a third party's dependency,
or the target's own. Where none is named, what the findings say, if all say the same.
"""

from collections.abc import Mapping

from earwitness.judge.correlation import Group, shown_by
from earwitness.judge.layers import Located
from earwitness.judge.state import State
from earwitness.model import Attribution, Layer, Rules

_BY_LAYER = {Layer.CARRIER: Attribution.CARRIER, Layer.ACCOUNT: Attribution.MONITOR}
_SAID = {
    Attribution.TARGET: "the target itself",
    Attribution.THIRD_PARTY: "a third party",
    Attribution.CARRIER: "the carrier",
    Attribution.MONITOR: "our own account or number",
    Attribution.UNKNOWN: "nobody: the findings differ",
}


def attributed(group: Group, calls: Mapping[str, Located | None], state: State, rules: Rules) -> Attribution:
    """Return whose fault the group's failures are; `calls` says what the calls of its telephone probes point to."""
    layers = {located.layer for located in calls.values() if located is not None}
    if len(layers) == 1 and len(calls) == len(group.members) and layers <= _BY_LAYER.keys():
        return _BY_LAYER[layers.pop()]
    cause = rules.dependencies.get(group.cause.dependency or "") if shown_by(group, state) else None
    if cause is not None and cause.third_party:
        return Attribution.THIRD_PARTY
    members = (state.probes[name] for name in group.members)
    found = {m.failed.attribution for m in members if m.failing and m.failed}
    if cause is not None or not found:
        return Attribution.TARGET
    return found.pop() if len(found) == 1 else Attribution.UNKNOWN


def said(attribution: Attribution) -> str:
    return f"It is attributed to {_SAID[attribution]}."
