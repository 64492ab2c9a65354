"""The commit loop: the one place where the judge's state changes.

It takes what has arrived, judges it, writes observations, transitions, requests and outbox rows in one transaction, and only
then swaps its state and tells the rest of the house. A crash before the commit leaves everything as it was; after it, nothing
is lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import structlog
from sqlalchemy import Connection

from earwitness.alerting.routing import Router
from earwitness.clock import CLOCK_SLACK, Clock
from earwitness.judge import Judgement, ProbeState, State, judge
from earwitness.model import (
    ClockSetBack,
    Commanded,
    Event,
    Observation,
    Observed,
    Reconfigured,
    Request,
    Rules,
    Transition,
    TransitionKind,
)
from earwitness.store import digests, history, owed, quiet, verdicts
from earwitness.store.owed import FOLLOW_UPS
from earwitness.store.store import Store

log = structlog.get_logger()
_GATHER = 0.02  # seconds a batch may wait for company
_MOST_IN_ONE = 500
_ASKED_ANEW = (TransitionKind.RAISE, TransitionKind.REOPEN)  # of these also who refused it, if nobody took it
_RETRY = (0.5, 1.0, 2.0, 5.0)  # seconds between tries while the disk refuses
_CONFUSED = 3600.0  # seconds for which an event that could not be judged is told of


@dataclass(slots=True)
class Committed:
    """What one transaction made true."""

    observations: list[Observation] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    via: list[str | None] = field(default_factory=list)  # for each transition the hook through which people made it
    requests: list[Request] = field(default_factory=list)
    reconfigured: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.observations or self.transitions or self.requests or self.reconfigured)


@dataclass(slots=True)
class _Waiting:
    event: Event | None  # None: nothing happened, and the loop is to prove that it runs
    done: asyncio.Future[Judgement]
    rules: Rules | None = None  # to judge by from this event on
    router: Router | None = None


class CommitLoop:
    """Serial: one batch is judged and written before the next is looked at."""

    def __init__(
        self, store: Store, clock: Clock, rules: Rules, router: Router, publish: Callable[[Committed], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._router = router
        self._publish = publish
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._state = State()
        self._looked_at = clock.now()
        self.failing = False  # whether the store refuses to write
        self.confused_at: float | None = None  # when an event last could not be judged

    @property
    def confused(self) -> bool:
        """Whether an event could not be judged of late: nobody can say whether the next one can be."""
        return self.confused_at is not None and self._clock.now() < self.confused_at + _CONFUSED

    @property
    def state(self) -> State:
        """The state as of the last commit."""
        return self._state

    async def load(self) -> None:
        """Take up the state that an earlier process committed."""
        may_reopen = self._clock.now() - self._rules.reopen_within
        self._state = await self._store.read(
            lambda c: State.of(
                history.load_probe_states(c),
                verdicts.open_incidents(c),
                quiet.current(c),
                verdicts.ended_since(c, may_reopen),
            )
        )
        self._looked_at = max((p.started_at for p in self._state.probes.values()), default=self._clock.now())

    async def reconfigure(self, rules: Rules, router: Router) -> Judgement:
        """Judge by other rules from here on; events that are waiting already are judged by the old ones."""
        return await self._wait_for(_Waiting(Reconfigured(self._clock.now()), _future(), rules, router))

    async def submit(self, event: Event) -> Judgement:
        """Return what came of the event, once it is committed."""
        return await self._wait_for(_Waiting(event, _future()))

    async def prove(self) -> None:
        """Return when the loop has been through a whole round, as it would for an event."""
        await self._wait_for(_Waiting(None, _future()))

    async def _wait_for(self, waiting: _Waiting) -> Judgement:
        self._queue.put_nowait(waiting)
        return await waiting.done

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            batch = await self._gather()
            state, judgements = self._judge(batch)
            committed = _collect(batch, judgements)
            await self._write_until_written(state, committed)
            self._state = state
            self._publish(committed)
            for waiting, judgement in zip(batch, judgements, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(judgement)

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        await asyncio.sleep(_GATHER)
        while len(batch) < _MOST_IN_ONE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return [*self._clock_set_back(), *batch]

    def _clock_set_back(self) -> list[_Waiting]:
        now, before, self._looked_at = self._clock.now(), self._looked_at, self._clock.now()
        if now >= before - CLOCK_SLACK:
            return []
        log.warning("clock_set_back", seconds=round(before - now))
        return [_Waiting(ClockSetBack(now), _future())]

    def _judge(self, batch: Sequence[_Waiting]) -> tuple[State, list[Judgement]]:
        state, judgements = self._state, []
        for waiting in batch:
            self._rules, self._router = waiting.rules or self._rules, waiting.router or self._router
            judgement = self._judge_one(state, waiting.event)
            state = judgement.state
            judgements.append(judgement)
        return state, judgements

    def _judge_one(self, state: State, event: Event | None) -> Judgement:
        """An event that the judge cannot digest must not keep it from all others."""
        if event is None:
            return Judgement(state)
        try:
            return judge(state, event, self._rules)
        except Exception:  # A fault of ours: shown as impaired, with the trace in the log.
            log.exception("judge_failed", event_kind=type(event).__name__)
            self.confused_at = self._clock.now()
            return Judgement(state)

    async def _write_until_written(self, state: State, committed: Committed) -> None:
        """Keep trying: what was seen is not dropped because the disk is full or the database is away."""
        before, router, now = self._state, self._router, self._clock.now()
        if committed.nothing and state is before:  # time passed, and nothing came of it
            return
        for pause in chain(_RETRY, repeat(_RETRY[-1])):
            try:
                await self._store.write(lambda c: _write(c, before, state, committed, router, now))
            except Exception:  # Whatever the store says, the batch stays.
                self.failing = True
                log.exception("commit_failed")
                await self._clock.sleep(pause)
            else:
                self.failing = False
                return


def _future() -> asyncio.Future[Judgement]:
    return asyncio.get_running_loop().create_future()


def _collect(batch: Sequence[_Waiting], judgements: Sequence[Judgement]) -> Committed:
    return Committed(
        observations=[w.event.observation for w in batch if isinstance(w.event, Observed)],
        transitions=[t for j in judgements for t in j.transitions],
        via=[_via(w.event) for w, j in zip(batch, judgements, strict=True) for _ in j.transitions],
        requests=[r for j in judgements for r in j.requests],
        reconfigured=any(isinstance(w.event, Reconfigured) for w in batch),
    )


def _via(event: Event | None) -> str | None:
    return event.via if isinstance(event, Commanded) else None


def _changed_probes(before: State, after: State, committed: Committed) -> list[ProbeState]:
    """Only a run, or the end of its incident, changes a probe's standing: nothing else has to be compared."""
    seen = {observation.run.probe for observation in committed.observations}
    seen |= {probe for transition in committed.transitions for probe in transition.incident.probes}
    found = ((after.probes.get(name), before.probes.get(name)) for name in seen)
    return [new for new, old in found if new is not None and new is not old]


def _write(
    connection: Connection, before: State, after: State, committed: Committed, router: Router, now: float
) -> None:
    history.add_observations(connection, committed.observations)
    history.save_probe_states(connection, _changed_probes(before, after, committed))
    if committed.reconfigured:
        history.forget_probes(connection, [name for name in before.probes if name not in after.probes])
    changed_incidents = [i for key, i in after.incidents.items() if before.incidents.get(key) is not i]
    closed = [t.incident for t in committed.transitions if t.incident.id not in after.incidents]
    verdicts.save_incidents(connection, [*changed_incidents, *closed])
    _write_quiet(connection, before, after, now)
    verdicts.add_requests(connection, committed.requests)
    _write_deliveries(connection, committed, router, now)
    over = [t.incident.id for t in committed.transitions if t.kind is TransitionKind.RESOLVE]
    digests.close_finished(connection, over, now)


def _write_deliveries(connection: Connection, committed: Committed, router: Router, now: float) -> None:
    """Owe each transition to whom it concerns: whoever knew an incident that went on in another is told of that one."""
    knew: dict[str, dict[str, tuple[str, ...]]] = {}  # survivor -> who was told of what it absorbed -> who takes over
    # incident -> who was told and who refused, until something is owed
    heard: dict[str, tuple[list[str], set[str]]] = {}
    for transition, via in zip(committed.transitions, committed.via, strict=True):
        incident = transition.incident
        if transition.kind is TransitionKind.RESOLVE:
            owed.drop_quiet(connection, incident.id)
            heard.pop(incident.id, None)
        if incident.id not in heard:
            heard[incident.id] = owed.told(connection, incident.id), owed.refused(connection, incident.id)
        told, refused = heard[incident.id]
        asked_anew = transition.kind in _ASKED_ANEW and not told
        concerned = owed.awaiting_end(connection, incident.id) if transition.kind in FOLLOW_UPS else told
        recipients = router.recipients(transition, concerned, now, set() if asked_anew else refused)
        if incident.merged_into is not None:
            knew[incident.merged_into] = owed.taken_over_by(connection, incident.id)
        elif transition.kind is TransitionKind.ATTACH and not incident.muted:
            reached = {*told, *(recipient.hook for recipient in recipients)}
            left = {hook: chain for hook, chain in knew.pop(incident.id, {}).items() if hook not in reached}
            recipients += router.taken_along(incident, left, now)
        if recipients:  # the hook whose provider brought it about knows
            owed.add_deliveries(connection, transition, [r for r in recipients if r.hook != via], now)
            del heard[incident.id]


def _write_quiet(connection: Connection, before: State, after: State, now: float) -> None:
    if before.quiet is after.quiet:
        return
    quiet.save(connection, [p for key, p in after.quiet.items() if before.quiet.get(key) is not p])
    quiet.end(connection, [key for key in before.quiet if key not in after.quiet], now)
