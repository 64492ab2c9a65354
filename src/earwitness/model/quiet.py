"""When people do not want to be told: maintenance, in the configuration or by hand, and silences by hand."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from earwitness.model.words import Channel, Severity


class Times(Protocol):
    """When something holds."""

    def ends(self, at: float) -> float | None:
        """Return when the stretch that this moment lies in ends; None when it lies in none."""


class Mode(StrEnum):
    """What maintenance does: probing goes on and nobody is told, or nothing is run."""

    MUTE = "mute"
    STOP = "stop"


class QuietKind(StrEnum):
    MAINTENANCE = "maintenance"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Match:
    """Which probes and incidents are meant; what is not named matches all. Severities and incidents are of incidents only."""

    probe: tuple[str, ...] = ()
    journey: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    dependency: tuple[str, ...] = ()
    channel: tuple[Channel, ...] = ()
    severity: tuple[Severity, ...] = ()
    incident: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MaintenanceRule:
    """Maintenance as the configuration plans it."""

    match: Match
    times: Times
    mode: Mode = Mode.MUTE
    why: str = ""


@dataclass(frozen=True, slots=True)
class QuietPeriod:
    """A maintenance or a silence that a person set. It holds from `begins` until before `ends`."""

    id: str
    kind: QuietKind
    match: Match
    begins: float
    ends: float
    set_at: float
    who: str
    why: str
    mode: Mode = Mode.MUTE


@dataclass(frozen=True, slots=True)
class Mute:
    """Why nobody is told of an incident's news."""

    by: str  # "maintenance NAME" or "silence ID"
    why: str
    until: float
    known: Severity | None = None  # what people knew of it when it was muted; None: nothing
