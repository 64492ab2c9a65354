"""Maintenance and silences over the API: what is planned, what people set, and how they end it."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from earwitness.config.fields import Duration, Texts
from earwitness.config.known_keys import nearest
from earwitness.console.api import InHouse
from earwitness.console.house import House
from earwitness.model import Channel, Match, Mode, QuietBegun, QuietEnded, QuietKind, QuietPeriod, Severity
from earwitness.presentation import iso_time, quiet_json

quiet = APIRouter(prefix="/api/v1")
_LONGEST = 366 * 86400.0  # seconds


class _Asked(BaseModel):
    """What is common to both: who and why, when (from now unless said otherwise), and which probes."""

    model_config = ConfigDict(extra="forbid")
    who: str = Field(default="api", min_length=1, max_length=200)
    why: str = Field(default="", max_length=1000)
    begins_in: Duration = Field(default=0.0, ge=0, le=_LONGEST)
    begins_at: AwareDatetime | None = None  # instead of begins_in
    lasts: Annotated[Duration, Field(gt=0, le=_LONGEST)] | None = None
    ends_at: AwareDatetime | None = None  # instead of lasts
    probe: Texts = ()
    journey: Texts = ()

    def span(self, now: float) -> tuple[float, float]:
        """Return from when until when, epoch seconds. Raises HTTPException where that makes no sense."""
        if (self.lasts is None) is (self.ends_at is None):
            raise HTTPException(422, "say either how long it lasts or when it ends; an end is required")
        if self.begins_at is not None and self.begins_in:
            raise HTTPException(422, "say either in how long it begins or when")
        begins = now + self.begins_in if self.begins_at is None else self.begins_at.timestamp()
        ends = begins + (self.lasts or 0.0) if self.ends_at is None else self.ends_at.timestamp()
        if ends <= max(begins, now):
            raise HTTPException(422, "it would be over before it begins; look at the times and their zone")
        if ends > now + _LONGEST:
            raise HTTPException(422, "it would last for more than a year; plan it in the configuration")
        return begins, ends


class MaintenanceAsked(_Asked):
    mode: Mode = Mode.MUTE
    environment: Texts = ()
    owner: Texts = ()
    dependency: Texts = ()
    channel: tuple[Channel, ...] = ()
    all: bool = False  # everything is meant


class SilenceAsked(_Asked):
    severity: tuple[Severity, ...] = ()
    incident: Texts = ()


@quiet.get("/maintenance")
async def maintenance(house: InHouse) -> list[dict[str, Any]]:
    """List what the configuration plans, then what people set."""
    now = house.clock.now()
    planned = [
        {
            "name": name,
            "mode": plan.mode.value,
            "why": plan.why,
            "active_until": iso_time(plan.times.ends(now)),
            "match": {key: list(value) for key, value in house.config.maintenance[name].match if value},
        }
        for name, plan in house.rules.maintenance.items()
    ]
    return [*planned, *_set_by_people(house, QuietKind.MAINTENANCE)]


@quiet.get("/silences")
async def silences(house: InHouse) -> list[dict[str, Any]]:
    return _set_by_people(house, QuietKind.SILENCE)


@quiet.post("/maintenance", status_code=201)
async def add_maintenance(house: InHouse, asked: MaintenanceAsked) -> dict[str, Any]:
    match = Match(asked.probe, asked.journey, asked.environment, asked.owner, asked.dependency, asked.channel)
    if asked.all is (match != Match()):
        raise HTTPException(422, "say which probes are meant: by probe, journey, environment and so on, or all of them")
    return await _begin(house, QuietKind.MAINTENANCE, asked, match, asked.mode)


@quiet.post("/silences", status_code=201)
async def add_silence(house: InHouse, asked: SilenceAsked) -> dict[str, Any]:
    if not any((asked.probe, asked.journey, asked.severity, asked.incident)):
        raise HTTPException(422, "say what to be silent about: probe, journey, severity or incident")
    match = Match(asked.probe, asked.journey, severity=asked.severity, incident=asked.incident)
    return await _begin(house, QuietKind.SILENCE, asked, match, Mode.MUTE)


@quiet.post("/maintenance/{period}/end")
async def end_maintenance(house: InHouse, period: str) -> dict[str, Any]:
    return await _end(house, QuietKind.MAINTENANCE, period)


@quiet.post("/silences/{period}/end")
async def end_silence(house: InHouse, period: str) -> dict[str, Any]:
    return await _end(house, QuietKind.SILENCE, period)


def _set_by_people(house: House, kind: QuietKind) -> list[dict[str, Any]]:
    periods = sorted(house.commit.state.quiet.values(), key=lambda p: (p.begins, p.id))
    return [quiet_json(period, house.clock.now()) for period in periods if period.kind is kind]


async def _begin(house: House, kind: QuietKind, asked: _Asked, match: Match, mode: Mode) -> dict[str, Any]:
    _check_names(house, match)
    now = house.clock.now()
    begins, ends = asked.span(now)
    made = QuietPeriod(f"{kind}-{secrets.token_hex(4)}", kind, match, begins, ends, now, asked.who, asked.why, mode)
    await house.commit.submit(QuietBegun(now, made))
    return quiet_json(made, now)


def _check_names(house: House, match: Match) -> None:
    """A name that nothing has would be quiet about nothing, and nobody would notice."""
    rules = house.rules
    known = {
        "probe": list(rules.probes),
        "journey": list(rules.journeys),
        "environment": sorted({rule.environment for rule in rules.probes.values()}),
        "owner": sorted({rule.owner for rule in rules.journeys.values() if rule.owner}),
        "dependency": list(rules.dependencies),
        "incident": list(house.commit.state.incidents),
    }
    for key, names in known.items():
        for name in getattr(match, key):
            if name not in names:
                close = nearest(name, names) if key != "incident" else None  # ids are not spelled, they are copied
                advice = f"; did you mean {close}?" if close else ""
                raise HTTPException(422, f"{name} is no {'open incident' if key == 'incident' else key}{advice}")


async def _end(house: House, kind: QuietKind, period_id: str) -> dict[str, Any]:
    period = house.commit.state.quiet.get(period_id)
    if period is None or period.kind is not kind:
        advice = "; what the configuration plans is ended there" if period_id in house.rules.maintenance else ""
        raise HTTPException(404, f"there is no {kind} {period_id}{advice}")
    now = house.clock.now()
    await house.commit.submit(QuietEnded(now, period_id))
    return quiet_json(period, now)
