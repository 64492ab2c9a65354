"""What the judge answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from earwitness.judge.state import State
from earwitness.model import Request, Transition


@dataclass(frozen=True, slots=True)
class Judgement:
    """The state after the event, what changed for people, and the runs that are wanted."""

    state: State
    transitions: Sequence[Transition] = field(default=())
    requests: Sequence[Request] = field(default=())

    def then(self, later: "Judgement") -> "Judgement":
        """Return both, of which `later` began with the state of this one."""
        return Judgement(later.state, [*self.transitions, *later.transitions], [*self.requests, *later.requests])
