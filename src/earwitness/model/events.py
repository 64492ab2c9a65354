"""What the judge is told: what happened, and when."""

from dataclasses import dataclass

from earwitness.model.incidents import Incident
from earwitness.model.quiet import QuietPeriod
from earwitness.model.words import Observation


@dataclass(frozen=True, slots=True)
class Observed:
    observation: Observation

    @property
    def at(self) -> float:
        return self.observation.ended_at


@dataclass(frozen=True, slots=True)
class Commanded:
    """A person acts on an incident: acknowledge, resolve, note, merge or split."""

    at: float
    incident: str
    action: str
    who: str
    note: str = ""
    into: str | None = None  # the incident that survives a merge
    probes: tuple[str, ...] = ()  # that a split gives an incident of their own
    via: str | None = None  # the hook whose provider said so, which is not told what it said itself
    ended: Incident | None = None  # the incident as it is on record, where it is over: notes are written into it


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The configuration changed; probes may have gone."""

    at: float


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """The clock was set back to this moment; what seems to lie in the future happened before it."""

    at: float


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has come this far: windows begin and end. Told at least once a minute."""

    at: float


@dataclass(frozen=True, slots=True)
class QuietBegun:
    """A person sets a maintenance or a silence; it may begin later."""

    at: float
    period: QuietPeriod


@dataclass(frozen=True, slots=True)
class QuietEnded:
    """A person ends a maintenance or a silence before its time."""

    at: float
    period: str


Event = Observed | Commanded | Reconfigured | ClockSetBack | Ticked | QuietBegun | QuietEnded
