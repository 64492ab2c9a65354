"""Runs, observations and their evidence: what was tried and what was seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from earwitness.judge.state import ProbeState
from earwitness.model import Observation, Run
from earwitness.store.codec import decode, encode
from earwitness.store.dialect import insert_if_new, insert_those_new, put
from earwitness.store.tables import calls, evidence, held, observations, probe_states, runs

_NAMED = runs.c.id.in_(bindparam("ids", expanding=True))
_KNOWN = select(runs.c.id).where(_NAMED)  # composed once: each statement leaves a cycle for the collector
_END = update(runs).where(_NAMED).values(state="done")
_LET_GO = update(runs).where(runs.c.probe == bindparam("of"), runs.c.slot > bindparam("after")).values(slot=None)
_HELD = select(held.c.run).where(held.c.run.in_(bindparam("ids", expanding=True)))
_FORGET = tuple(
    delete(key.table).where(key.in_(bindparam("ids", expanding=True)))
    for key in (evidence.c.run, calls.c.run, runs.c.id, observations.c.run)
)


@dataclass(frozen=True, slots=True)
class Missed:
    """Slots in which a probe was not run."""

    run: Run
    state: str  # missed or skipped
    reason: str
    slots: int = 1


def begin_runs(connection: Connection, starting: Sequence[Run], started_at: float) -> set[str]:
    """Record that the runs start. Returns the ids of those that may: nobody took their slot, or their request, before."""
    rows = {run.id: _begun_row(run, started_at) for run in starting}
    if insert_those_new(connection, runs, list(rows.values())) == len(rows):
        return set(rows)
    return set(connection.scalars(_KNOWN, {"ids": list(rows)}))


def _begun_row(run: Run, started_at: float) -> dict[str, object]:
    return _run_row(run) | {"state": "running", "started_at": started_at, "lateness": started_at - run.scheduled_at}


def record_missed(connection: Connection, missed: Missed) -> bool:
    """Record slots that were not run. False: the slot is already recorded."""
    row = _run_row(missed.run) | {"state": missed.state, "reason": missed.reason, "slots": missed.slots}
    return insert_if_new(connection, runs, row)


def _run_row(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "probe": run.probe,
        "slot": run.slot,
        "request": run.request,
        "why": run.why.value,
        "slots": 1,
        "scheduled_at": run.scheduled_at,
        "document": encode(run),
    }


def last_slots(connection: Connection) -> dict[str, int]:
    """Return each probe's newest recorded slot, in ms since the epoch."""
    return {row.probe: row.slot for row in connection.execute(_LAST_SLOTS)}


def _newest_of_each() -> Select[tuple[str, int]]:
    """Go through the index from one probe to the next: to group by them would read all that was ever run."""
    first = select(func.min(runs.c.probe).label("probe")).cte("probes", recursive=True)
    later = select(func.min(runs.c.probe)).where(runs.c.probe > first.c.probe).scalar_subquery()
    probes = first.union_all(select(later).where(first.c.probe.is_not(None)))
    newest = select(func.max(runs.c.slot)).where(runs.c.probe == probes.c.probe).scalar_subquery()
    of_each = select(probes.c.probe, newest.label("slot")).subquery()
    return select(of_each.c.probe, of_each.c.slot).where(of_each.c.slot.is_not(None))


_LAST_SLOTS = _newest_of_each()


def let_go_of_slots_after(connection: Connection, moment: int) -> None:
    """After the clock was set back: slots in the future (ms since the epoch) were not taken, and are run when they come."""
    ahead = [probe for probe, slot in last_slots(connection).items() if slot > moment]
    if ahead:
        connection.execute(_LET_GO, [{"of": probe, "after": moment} for probe in ahead])


def unfinished_runs(connection: Connection) -> list[Run]:
    """Return the runs that began and were never judged."""
    rows = connection.execute(select(runs.c.document).where(runs.c.state == "running"))
    return [decode(Run, document) for (document,) in rows]


def add_observations(connection: Connection, seen: Sequence[Observation]) -> None:
    """Record observations and end their runs; what is already there stays as it is."""
    if not seen:
        return
    insert_those_new(connection, observations, [_observation_row(o) for o in seen])
    connection.execute(_END, {"ids": [o.run.id for o in seen]})
    files = {(o.run.id, e.sha256, e.kind): e for o in seen for e in o.evidence}
    insert_those_new(
        connection,
        evidence,
        [
            {"run": run, "sha256": sha256, "kind": kind, "media_type": e.media_type, "size": e.size, "name": e.name}
            for (run, sha256, kind), e in files.items()
        ],
    )


def _observation_row(seen: Observation) -> dict[str, object]:
    return {
        "run": seen.run.id,
        "probe": seen.run.probe,
        "journey": seen.run.journey,
        "environment": seen.run.environment,
        "outcome": seen.outcome.value,
        "ended_at": seen.ended_at,
        "document": encode(seen),
    }


def recent_observations(connection: Connection, *, probe: str | None, limit: int) -> list[Observation]:
    """Return the newest observations, newest first."""
    query = select(observations.c.document).order_by(observations.c.ended_at.desc()).limit(limit)
    if probe is not None:
        query = query.where(observations.c.probe == probe)
    return [decode(Observation, document) for document in connection.scalars(query)]


def observation(connection: Connection, run: str) -> Observation | None:
    document = connection.scalar(select(observations.c.document).where(observations.c.run == run))
    return decode(Observation, document) if document else None


def save_probe_states(connection: Connection, states: Iterable[ProbeState]) -> None:
    put(connection, probe_states, [{"probe": s.probe, "document": encode(s)} for s in states])


def forget_probes(connection: Connection, names: Iterable[str]) -> None:
    connection.execute(delete(probe_states).where(probe_states.c.probe.in_(list(names))))


def load_probe_states(connection: Connection) -> list[ProbeState]:
    return [decode(ProbeState, document) for document in connection.scalars(select(probe_states.c.document))]


def named_evidence(connection: Connection) -> set[str]:
    """Return the sha256 of every file that an observation names."""
    return set(connection.scalars(select(evidence.c.sha256).distinct()))


def evidence_type(connection: Connection, sha256: str) -> tuple[str, str] | None:
    """Return the media type and name of a file, if an observation names it."""
    row = connection.execute(select(evidence.c.media_type, evidence.c.name).where(evidence.c.sha256 == sha256)).first()
    return (row[0], row[1]) if row else None


def old_runs(connection: Connection, before: float, at_most: int) -> list[str]:
    """Return the oldest runs that ended before this moment, but those that incidents rest on, and slots of that time that nobody ran."""
    rested_on = select(held.c.run)
    ended = select(observations.c.run).where(observations.c.ended_at < before, observations.c.run.not_in(rested_on))
    found = list(connection.scalars(ended.order_by(observations.c.ended_at).limit(at_most)))
    if len(found) < at_most:
        never_ran = runs.c.state.in_(("missed", "skipped")) & runs.c.id.not_in(rested_on)
        slots = select(runs.c.id).where(never_ran, runs.c.scheduled_at < before)
        found += connection.scalars(slots.limit(at_most - len(found)))
    return found


def forget_runs(connection: Connection, old: Sequence[str]) -> int:
    """Drop these runs with all that was seen in them, but those that incidents rest on by now. Returns how many."""
    rested_on = set(connection.scalars(_HELD, {"ids": list(old)}))
    gone = {"ids": [run for run in old if run not in rested_on]}
    for statement in _FORGET:
        connection.execute(statement, gone)
    return len(gone["ids"])
