"""Control calls: before the telephone alone makes an incident, a known-good number is called the same way.

If that fails too, the fault is ours or the carrier's, and no customer's outage is told of. A failure that another channel shares, or
another carrier, needs no control call: they cannot have our account in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from earwitness.judge.correlation import Group
from earwitness.judge.layers import Try, control_of
from earwitness.judge.state import SERIOUS, ProbeState, State
from earwitness.model import Channel, Outcome, Request, Rules, Why


@dataclass(frozen=True, slots=True)
class Control:
    """Whether nothing may be opened on the failure yet, or at all, and the control call that is wanted, if one is."""

    holds_back: bool
    wanted: Sequence[Request] = ()


_FREE = Control(holds_back=False)


def control_call(state: State, group: Group, probe: ProbeState, rules: Rules, now: float) -> tuple[State, Control]:
    """Return what the control call says of the group's failure; the state remembers that one was asked for."""
    members = [state.probes[name] for name in group.members]
    if not _rests_on_one_carrier(members, rules):
        return state, _FREE
    answer = max((c for m in members if (c := control_of(m.tries, m.since))), key=lambda t: t.at, default=None)
    if answer is not None and (answer.outcome is Outcome.OK or not answer.speaks):
        return state, _FREE
    asked_at = max((m.control_asked_at for m in members if m.control_asked_at is not None), default=None)
    rule = rules.probes[probe.probe]
    if asked_at is not None and answer is None and now > asked_at + rule.interval + rule.budget:
        return state, _FREE  # its word was lost: nothing is held back for ever
    if _pending(asked_at, answer, group.since) or (answer is not None and answer.at >= probe.started_at):
        return state, Control(holds_back=True)
    asked = state.with_probe(replace(probe, control_asked_at=now))
    return asked, Control(holds_back=True, wanted=[request_of(Why.CONTROL, probe.run, probe.probe, rules, now)])


def _rests_on_one_carrier(members: Sequence[ProbeState], rules: Rules) -> bool:
    """Whether all that customers suffer was seen by calls through one carrier, and that one has a known-good number."""
    grave = [rules.probes[m.probe] for m in members if m.latest_effect in SERIOUS]
    return (
        bool(grave)
        and all(rule.channel is Channel.CALL and rule.control for rule in grave)
        and len({rule.carrier for rule in grave}) == 1
    )


def _pending(asked_at: float | None, answer: Try | None, since: float) -> bool:
    """Whether a control call was asked for in this failure, and has not been heard of yet."""
    return asked_at is not None and asked_at >= since and (answer is None or answer.at < asked_at)


def request_of(why: Why, occasion: str, name: str, rules: Rules, now: float, incident: str | None = None) -> Request:
    """The key joins why, the occasion and the probe: the same wish, however often it is judged, is one request."""
    rule = rules.probes[name]
    return Request(f"{why}:{occasion}:{name}", name, why, now + rule.interval + rule.budget, incident)
