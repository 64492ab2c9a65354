"""What the judge is told: what happened, and when."""

from dataclasses import dataclass

from earwitness.model.words import Observation


@dataclass(frozen=True, slots=True)
class Observed:
    observation: Observation

    @property
    def at(self) -> float:
        return self.observation.ended_at


@dataclass(frozen=True, slots=True)
class Commanded:
    """A person acts on an incident: acknowledge or resolve."""

    at: float
    incident: str
    action: str
    who: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The configuration changed; probes may have gone."""

    at: float


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """The clock was set back to this moment; what seems to lie in the future happened before it."""

    at: float


Event = Observed | Commanded | Reconfigured | ClockSetBack
