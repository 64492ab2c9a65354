"""From observations to incidents people believe: `judge(state, event, rules)` is pure and knows only the model."""

from earwitness.judge.judge import Judgement, judge
from earwitness.judge.state import ProbeState, State

__all__ = ["Judgement", "ProbeState", "State", "judge"]
