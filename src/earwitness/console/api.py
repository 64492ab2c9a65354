"""The API: journeys, probes, runs, incidents and deliveries as JSON, and the two things people do to an incident."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from earwitness.alerting.trial import attempt_json
from earwitness.console.house import House
from earwitness.evidence.bundle import bundle, runs_to_pack
from earwitness.model import Commanded, Incident, Status
from earwitness.presentation import incident_json, iso_time, observation_json, suspicion_json
from earwitness.store import digests, history, outbox, owed, resending, verdicts
from earwitness.store.resending import NoLongerSoError

EVIDENCE = "/api/v1/evidence"
_SHOWN_INLINE = ("audio/", "image/png", "text/plain", "application/json")


class Command(BaseModel):
    """Who acts, and what they say."""

    model_config = ConfigDict(extra="forbid")
    who: str = Field(default="api", min_length=1, max_length=200)
    note: str = Field(default="", max_length=10_000)


class Merge(Command):
    """Which incident survives."""

    into: str = Field(max_length=100)


class Split(Command):
    """Which probes get an incident of their own."""

    probes: list[str] = Field(min_length=1, max_length=10_000)


api = APIRouter(prefix="/api/v1")


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


InHouse = Annotated[House, Depends(_house)]
Limit = Annotated[int, Query(ge=1, le=1000)]


@api.get("/journeys")
async def journeys(house: InHouse) -> list[dict[str, Any]]:
    return [journey_json(house, name) for name in house.rules.journeys]


@api.get("/probes")
async def probes(house: InHouse) -> list[dict[str, Any]]:
    return [probe_json(house, name) for name in house.rules.probes]


@api.post("/probes/{name}/run", status_code=202)
async def run_now(house: InHouse, name: str) -> dict[str, Any]:
    if name not in house.config.probes:
        raise HTTPException(404, f"there is no probe {name}")
    return {"run": house.dispatcher.run_now(name).id}


@api.get("/runs")
async def runs(house: InHouse, probe: str | None = None, limit: Limit = 50) -> list[dict[str, Any]]:
    seen = await house.store.read(lambda c: history.recent_observations(c, probe=probe, limit=limit))
    return [observation_json(o, EVIDENCE) for o in seen]


@api.get("/incidents")
async def incidents(
    house: InHouse, status: Literal["open", "acknowledged", "resolved", "suspected"] | None = None, limit: Limit = 50
) -> list[dict[str, Any]]:
    """List incidents, newest first; or, as `suspected`, the failures that are not believed yet."""
    if status == "suspected":
        return suspected_json(house)[:limit]
    wanted = Status(status) if status else None
    found = await house.store.read(lambda c: verdicts.recent_incidents(c, limit=limit, status=wanted))
    return [incident_json(i, EVIDENCE) for i in found]


@api.get("/incidents/{incident_id}")
async def incident(house: InHouse, incident_id: str) -> dict[str, Any]:
    return incident_json(await find(house, incident_id), EVIDENCE)


@api.get("/incidents/{incident_id}/evidence.zip")
async def evidence_zip(house: InHouse, incident_id: str) -> Response:
    return await archive(house, incident_id)


async def archive(house: House, incident_id: str) -> Response:
    """Return the evidence of an incident as one zip."""
    found = await find(house, incident_id)
    chosen = runs_to_pack(found)
    runs = await house.store.read(lambda c: [history.observation(c, run) for run in chosen])
    seen = [observation_json(run, EVIDENCE) | {"role": chosen[run.run.id]} for run in runs if run is not None]
    weighed = (file for run in runs if run is not None and chosen[run.run.id] == "weighed" for file in run.evidence)
    files = tuple(dict.fromkeys((*found.evidence, *weighed)))
    packed = {run["run"] for run in seen}
    left_out = [run for run in found.observations if run not in packed]
    told = incident_json(found, EVIDENCE) | {"failed_runs": list(found.observations)}
    content = await asyncio.to_thread(bundle, told, seen, files, house.evidence, left_out)
    named = {"content-disposition": f'attachment; filename="{incident_id}.zip"'}
    return Response(content, media_type="application/zip", headers=named)


@api.post("/incidents/{incident_id}/acknowledge")
async def acknowledge(house: InHouse, incident_id: str, command: Command | None = None) -> dict[str, Any]:
    return await _command(house, incident_id, "acknowledge", command)


@api.post("/incidents/{incident_id}/resolve")
async def resolve(house: InHouse, incident_id: str, command: Command | None = None) -> dict[str, Any]:
    return await _command(house, incident_id, "resolve", command)


@api.post("/incidents/{incident_id}/note")
async def note(house: InHouse, incident_id: str, command: Command) -> dict[str, Any]:
    if not command.note:
        raise HTTPException(422, "a note has a text; write it as note")
    return await _command(house, incident_id, "note", command)


@api.post("/incidents/{incident_id}/merge")
async def merge(house: InHouse, incident_id: str, command: Merge) -> dict[str, Any]:
    """Let the incident go on in another; returns the survivor."""
    survivor = await find(house, command.into)
    if survivor.id == incident_id:
        raise HTTPException(422, f"{incident_id} cannot be merged into itself; name the other as into")
    if survivor.status is Status.RESOLVED:
        raise HTTPException(409, f"{survivor.id} is resolved already")
    absorbed = await find(house, incident_id)
    if survivor.environment != absorbed.environment:
        where = f"{absorbed.environment} and {survivor.environment}"
        raise HTTPException(409, f"they are of {where}; incidents of two environments are never one")
    await _command(house, incident_id, "merge", command, into=survivor.id)
    return incident_json(await find(house, survivor.id), EVIDENCE)


@api.post("/incidents/{incident_id}/split")
async def split(house: InHouse, incident_id: str, command: Split) -> dict[str, Any]:
    """Give some probes of the incident one of their own; returns that."""
    found = await find(house, incident_id)
    strangers = [name for name in command.probes if name not in found.probes]
    if strangers:
        raise HTTPException(422, f"{strangers[0]} is no probe of {incident_id}; it has {', '.join(found.probes)}")
    if set(command.probes) >= set(found.probes):
        raise HTTPException(422, f"leave {incident_id} at least one of its probes: {', '.join(found.probes)}")
    await _command(house, incident_id, "split", command, probes=tuple(command.probes))
    parted = house.commit.state.incident_of(command.probes[0])
    return incident_json(parted or await find(house, incident_id), EVIDENCE)


@api.get("/deliveries")
async def deliveries(
    house: InHouse, incident: str | None = None, state: str | None = None, limit: Limit = 50
) -> list[dict[str, Any]]:
    if state is not None and state not in owed.STATES:
        raise HTTPException(400, f"{state} is no state of a delivery; there is {', '.join(owed.STATES)}")
    rows = await house.store.read(lambda c: outbox.recent_deliveries(c, incident=incident, limit=limit, state=state))
    return [_with_iso_times(row) for row in rows]


@api.post("/deliveries/{key}/retry", status_code=202)
async def retry_delivery(house: InHouse, key: str, command: Command | None = None) -> dict[str, Any]:
    """Send a settled delivery again, under its key."""
    await send_again(house, key, (command or Command()).who)
    return {"key": key, "state": "pending"}


@api.post("/hooks/{hook}/test")
async def try_hook(house: InHouse, hook: str) -> dict[str, Any]:
    """Send a marked test and its resolve through a hook, as the running daemon would; a hook that calls, calls."""
    if hook not in house.config.hooks:
        raise HTTPException(404, f"{hook} is no hook; there is {', '.join(house.config.hooks) or 'none'}")
    tried = await house.try_hook(hook)
    return {"hook": hook, "attempts": [attempt_json(kind, outcome) for kind, outcome in tried]}


@api.post("/deliveries/drop/{hook}")
async def drop_deliveries(house: InHouse, hook: str, command: Command | None = None) -> dict[str, Any]:
    """Owe nothing more to a hook that is configured no more: what it knows of is not ended there."""
    if hook in house.config.hooks:
        raise HTTPException(409, f"{hook} is configured; what it is owed will be told")
    who, now = (command or Command()).who, house.clock.now()
    number = await house.store.write(lambda c: owed.drop(c, hook, who, now))
    if not number:
        raise HTTPException(404, f"nothing is owed to {hook}, and no open incident is known to it")
    return {"hook": hook, "dropped": number}


async def send_again(house: House, key: str, who: str) -> None:
    """Owe a settled delivery anew; HTTP errors say why not."""
    now = house.clock.now()
    try:
        state = await house.store.write(lambda c: resending.send_again(c, key, who, now))
    except NoLongerSoError as changed:
        raise HTTPException(409, str(changed)) from changed
    if state is None:
        raise HTTPException(404, f"there is no delivery {key}")
    if state in owed.OWED:
        raise HTTPException(409, f"{key} is still owed, and will be tried again by itself")
    house.wake_couriers()


@api.get("/impairments")
async def impairments(house: InHouse) -> list[dict[str, Any]]:
    """Return which parts of the monitor cannot do their work, and what is known of why."""
    return [{"component": name, "details": known} for name, known in house.impairments.details().items()]


@api.get("/digests/{digest_id}")
async def digest(house: InHouse, digest_id: str) -> dict[str, Any]:
    """Return which incidents a digest told of."""
    found = await house.store.read(lambda c: digests.digest(c, digest_id))
    if found is None:
        raise HTTPException(404, f"there is no digest {digest_id}")
    told = await house.store.read(lambda c: digests.members(c, digest_id))
    times = {"at": iso_time(found.at), "closed_at": iso_time(found.closed_at)}
    return {"id": found.id, "hook": found.hook, **times, "counts": found.counts, "incidents": told}


@api.get("/evidence/{sha256}")
async def evidence(house: InHouse, sha256: str) -> Response:
    found = await house.store.read(lambda c: history.evidence_type(c, sha256))
    if found is None or not house.evidence.path(sha256).is_file():
        raise HTTPException(404, "there is no such evidence; it may have been kept for its time and removed")
    media_type, name = found
    shown = "inline" if media_type.startswith(_SHOWN_INLINE) else "attachment"
    return FileResponse(
        house.evidence.path(sha256),
        media_type=media_type,
        filename=name,
        content_disposition_type=shown,
        headers={"content-security-policy": "sandbox; default-src 'none'; media-src 'self'"},
    )


async def find(house: House, incident_id: str) -> Incident:
    found = await house.store.read(lambda c: verdicts.incident(c, incident_id))
    if found is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    return found


async def _command(house: House, incident_id: str, action: str, command: Command | None, **more: Any) -> dict[str, Any]:
    found = await find(house, incident_id)
    ended = found if found.status is Status.RESOLVED else None
    if ended is not None and action != "note":
        raise HTTPException(409, f"{incident_id} is resolved already")
    said, now = command or Command(), house.clock.now()
    await house.commit.submit(Commanded(now, incident_id, action, said.who, said.note, ended=ended, **more))
    return incident_json(await find(house, incident_id), EVIDENCE)


def suspected_json(house: House) -> list[dict[str, Any]]:
    """Return the failures that no incident holds, the longest first."""
    rules = house.rules.probes
    return [
        suspicion_json(p.probe, p.since, p.failed.message, rules[p.probe])
        for p in house.commit.state.suspected()
        if p.failed and p.probe in rules
    ]


def journey_json(house: House, name: str) -> dict[str, Any]:
    """Return a journey with its standing: the worst of its open incidents, else ok, else unknown."""
    rule = house.rules.journeys[name]
    probes = list(house.rules.tried_by.get(name, ()))
    held_by = [i for i in house.commit.state.open_incidents() if name in i.journeys]
    seen = any(probe in house.commit.state.probes for probe in probes)
    worst = min((i.severity.value for i in held_by), default="ok" if seen else "unknown", key=_badness)
    return {
        "name": name,
        "title": rule.title,
        "owner": rule.owner,
        "status": worst,
        "workarounds": list(rule.workarounds),
        "probes": probes,
        "incidents": [i.id for i in held_by],
    }


def _badness(severity: str) -> int:
    return ("sev1", "sev2", "sev3", "nonprod").index(severity)


def probe_json(house: House, name: str) -> dict[str, Any]:
    rule, state = house.rules.probes[name], house.commit.state.probes.get(name)
    return {
        "name": name,
        "journey": rule.journey,
        "channel": rule.channel.value,
        "environment": rule.environment,
        "depends_on": list(rule.depends_on),
        "interval_seconds": rule.interval,
        "outcome": state.outcome.value if state else None,
        "since": iso_time(state.since) if state else None,
        "last_started_at": iso_time(state.started_at) if state else None,
        "last_failure": state.failed.message if state and state.failed else None,
    }


def _with_iso_times(row: dict[str, Any]) -> dict[str, Any]:
    times = {key: iso_time(row[key]) for key in ("at", "next_at", "delivered_at")}
    trail = [{**attempt, "at": iso_time(attempt["at"])} for attempt in row["trail"]]
    return {**row, **times, "trail": trail}
