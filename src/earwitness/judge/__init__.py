"""From observations to incidents people believe: `judge(state, event, rules)` is pure and knows only the model."""

from earwitness.judge.judge import judge
from earwitness.judge.judgement import Judgement
from earwitness.judge.quiet import stopped_by
from earwitness.judge.severity import tested_by
from earwitness.judge.state import ProbeState, State

__all__ = ["Judgement", "ProbeState", "State", "judge", "stopped_by", "tested_by"]
