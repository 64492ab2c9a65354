"""Stored history judged again, by the rules of another configuration: what would have opened, how bad, and whom it would have told.

Nothing is run, telephoned or told. A run that the judge would have asked for and that history does not hold is counted, and that is all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path

from sqlalchemy import Connection, create_engine, select
from sqlalchemy.exc import DBAPIError

from earwitness.alerting.routing import Router
from earwitness.config.schema import Config
from earwitness.dispatch.effects import with_effects
from earwitness.judge import State, judge, stopped_by
from earwitness.model import (
    Event,
    Incident,
    Observation,
    Observed,
    QuietBegun,
    QuietEnded,
    Rules,
    Severity,
    Ticked,
    Transition,
    TransitionKind,
    Why,
    worse,
)
from earwitness.store import quiet
from earwitness.store.codec import decode
from earwitness.store.owed import FOLLOW_UPS
from earwitness.store.tables import incidents as incident_table
from earwitness.store.tables import observations as observation_table
from earwitness.ticking import minutes_between

_AT_ONCE = 1000  # rows


@dataclass(slots=True)
class Course:
    """An incident from its opening to its end, as far as the history goes. `told` counts the alerts, by hook."""

    incident: Incident
    worst: Severity
    told: Counter[str] = field(default_factory=Counter)
    open_to: set[str] = field(default_factory=set)  # hooks that were not told of an end since


@dataclass(slots=True)
class Replayed:
    """What became of the history. `asked` counts the runs that the judge wanted, `answered` those that the history holds."""

    observations: int = 0
    passed_over: int = 0  # of probes that the configuration does not have
    stopped: int = 0  # that a planned maintenance of the configuration would have kept from being made
    courses: dict[str, Course] = field(default_factory=dict)
    alerts: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    answered: int = 0


def replay(
    history: Iterable[Observation], rules: Rules, router: Router, quiet_events: Iterable[QuietBegun | QuietEnded] = ()
) -> Replayed:
    """Judge `history`, in the order in which its runs ended; time passes as it did, and what people silenced is silenced."""
    state, done = State(), Replayed()
    wanted: set[str] = set()
    held: set[str] = set()
    for event in _with_time(_events(history, rules, done, held), quiet_events):
        judged = judge(state, event, rules)
        state = judged.state
        wanted.update(request.key for request in judged.requests)
        for transition in judged.transitions:
            _note(transition, router, done)
    done.asked, done.answered = len(wanted), len(wanted & held)
    return done


def seen_by(config: Config, history: Iterable[Observation]) -> Iterator[Observation]:
    """Yield the observations with the effects that the configuration declares. What an earlier one declared stays, where this one is silent."""
    for seen in history:
        probe = config.probes.get(seen.run.probe)
        yield with_effects(seen, config, probe) if probe else seen


def _events(history: Iterable[Observation], rules: Rules, done: Replayed, held: set[str]) -> Iterator[Observed]:
    for seen in history:
        done.observations += 1
        if seen.run.why is not Why.MANUAL and stopped_by(seen.run.probe, (), rules, seen.started_at):
            done.stopped += 1
            continue
        done.passed_over += seen.run.probe not in rules.probes
        if seen.run.request is not None:
            held.add(seen.run.request)
        yield Observed(seen)


def _with_time(history: Iterable[Observed], others: Iterable[QuietBegun | QuietEnded]) -> Iterator[Event]:
    """Yield the events in order of time, with a tick at every full minute between the first and the last observation."""
    last: float | None = None
    for event in merge(history, others, key=lambda event: event.at):
        if last is not None:
            yield from (Ticked(minute) for minute in minutes_between(last, event.at))
        if last is not None or isinstance(event, Observed):
            last = event.at
        yield event


def _note(transition: Transition, router: Router, done: Replayed) -> None:
    incident = transition.incident
    course = done.courses.setdefault(incident.id, Course(incident, incident.severity))
    course.incident = incident
    if transition.kind is not TransitionKind.RESOLVE and worse(incident.severity, course.worst):
        course.worst = incident.severity
    concerned = course.open_to if transition.kind in FOLLOW_UPS else course.told
    told = [recipient.hook for recipient in router.recipients(transition, sorted(concerned), transition.at)]
    course.told.update(told)
    over = transition.kind is TransitionKind.RESOLVE
    course.open_to = course.open_to - set(told) if over else course.open_to | set(told)
    done.alerts.update(told)


class History:
    """The database of a daemon, opened for reading only, also beside a running one. Raises OSError when there is none, or it is none."""

    def __init__(self, database: Path) -> None:
        if not database.is_file():
            raise FileNotFoundError(f"{database} does not exist; give the --data-dir that the daemon runs with")
        self._engine = create_engine(f"sqlite:///file:{database.resolve()}?mode=ro&uri=true")
        try:
            with self._engine.connect() as connection:
                connection.execute(select(observation_table.c.run).limit(1)).first()
        except DBAPIError as error:
            self.close()
            raise OSError(f"{database} is no database of a daemon: {error.orig}") from error

    def observations(self, since: float) -> Iterator[Observation]:
        """Yield what was observed since this moment (epoch seconds), in the order in which it ended."""
        query = (
            select(observation_table.c.document)
            .where(observation_table.c.ended_at >= since)
            .order_by(observation_table.c.ended_at)
        )
        with self._engine.connect() as connection:
            for document in connection.execution_options(yield_per=_AT_ONCE).scalars(query):
                yield decode(Observation, document)

    def quiet_events(self, since: float) -> list[QuietBegun | QuietEnded]:
        """Return what people muted and silenced, as far as it held since then."""
        with self._engine.connect() as connection:
            return quiet.events_since(connection, since)

    def incidents(self, since: float) -> list[Incident]:
        """Return the incidents that really opened since then, oldest first."""
        with self._engine.connect() as connection:
            return _incidents(connection, since)

    def close(self) -> None:
        self._engine.dispose()


def _incidents(connection: Connection, since: float) -> list[Incident]:
    query = (
        select(incident_table.c.document)
        .where(incident_table.c.opened_at >= since)
        .order_by(incident_table.c.opened_at)
    )
    return [decode(Incident, document) for document in connection.scalars(query)]
