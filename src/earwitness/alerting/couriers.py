"""Couriers carry what the outbox owes, one hook each, so that a hook that hangs delays nobody else's.

At least once, in order per incident and hook, under the same idempotency key on every attempt. A lease bounds how long a dead
courier holds a delivery; its token keeps a courier that lost the lease from recording what another one did.
"""

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import AnyStr

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from earwitness.alerting.digests import is_digest, stand_in
from earwitness.alerting.notices import Change, Links, notice_of, written
from earwitness.alerting.senders import Senders, converse
from earwitness.clock import Clock
from earwitness.config.schema import HookSpec
from earwitness.config.templates import TemplateSpec
from earwitness.hooks import HOOKS
from earwitness.hooks.base import LONGEST_ATTEMPT, HookKind, HookOutcome, Parcel, Reason
from earwitness.model import is_impairment
from earwitness.store import digests, impairment_notices, outbox, verdicts
from earwitness.store.outbox import Attempt, Delivery
from earwitness.store.store import Store

log = structlog.get_logger()

LEASE = LONGEST_ATTEMPT + 5.0  # seconds
FIRST_PAUSE = 1.0  # doubled at each attempt
LONGEST_PAUSE = 900.0
GIVE_UP = 24 * 3600.0
_AT_ONCE = 4  # deliveries of different incidents to one hook
_IDLE = 30.0  # seconds between looks when nothing is due


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook as configured: its name, what it is, and its section."""

    name: str
    kind: HookKind
    spec: object
    timeout: float
    template: TemplateSpec = field(default_factory=TemplateSpec)
    storm_cap: int | None = None  # messages a minute


@dataclass(frozen=True, slots=True)
class _Taken:
    """A delivery that is leased to us, and the token that says so."""

    delivery: Delivery
    token: str


def hook_of(name: str, spec: HookSpec) -> Hook:
    section = getattr(spec, spec.kind)
    return Hook(name, HOOKS[spec.kind], section, section.timeout, spec.template, spec.storm_cap)


def pause_before(attempt: int, retry_after: float | None, draw: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait: full jitter over a doubling pause, but not before the provider wants it."""
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 20))
    return max(ceiling * draw(), min(retry_after or 0.0, LONGEST_PAUSE))


class Courier:
    """Delivers to one hook until it is stopped."""

    def __init__(self, hook: Hook, store: Store, clock: Clock, senders: Senders, links: Links) -> None:
        self.hook = hook
        self._mark = f"{hook.kind.name}\n"  # before what is kept for later attempts: only this kind understands it
        self._store = store
        self._clock = clock
        self._senders = senders
        self._links = links
        self._wake = asyncio.Event()
        self._told: Callable[[str, str, HookOutcome], None] = lambda _hook, _result, _outcome: None

    def on_told(self, callback: Callable[[str, str, HookOutcome], None]) -> None:
        """Call this after each attempt with the hook, how it was settled, and the outcome."""
        self._told = callback

    def wake(self) -> None:
        """Look again: something may be due."""
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._serve())

    async def _serve(self) -> None:
        taken: _Taken | None = None
        while True:
            try:
                taken = taken or await self._take()
                if taken is None:
                    await self._wait()
                    continue
                carried, taken = taken, None  # whatever becomes of it, it is not carried again
                taken = await self._carry(carried, self._next)
            except Exception:  # The store may be away; what is owed stays owed.
                log.exception("courier_failed", hook=self.hook.name)
                await self._clock.sleep(FIRST_PAUSE)

    async def _wait(self) -> None:
        self._wake.clear()  # first: what is committed from here on wakes us again
        due = await self._store.read(lambda c: outbox.next_due(c, self.hook.name))
        seconds = _IDLE if due is None else min(_IDLE, max(0.05, due - self._clock.now()))
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def deliver_next(self) -> bool:
        """Attempt the next delivery that is due. False: nothing is."""
        taken = await self._take()
        if taken is not None:
            await self._carry(taken, lambda _connection, _token: None)
        return taken is not None

    async def _take(self) -> _Taken | None:
        token = uuid.uuid4().hex
        try:
            return await self._store.write(lambda c: self._next(c, token))
        except asyncio.CancelledError:  # it may be ours by now
            await self._let_go(lambda c: outbox.unlease(c, token))
            raise

    def _next(self, connection: Connection, token: str) -> _Taken | None:
        """Lease what is due next, and freeze its body with it where our own words make one."""
        now, cap = self._clock.now(), self.hook.storm_cap
        delivery = outbox.lease(connection, self.hook.name, token, now, LEASE, cap)
        if delivery is None:
            return None
        if kept_by(self._mark.encode(), delivery.body) is None and self.hook.template == TemplateSpec():
            delivery = replace(delivery, body=self._frozen(connection, delivery, token, now))
        return _Taken(delivery, token)

    def _frozen(self, connection: Connection, delivery: Delivery, token: str, now: float) -> bytes | None:
        """Return the marked body, kept in the lease's own transaction. None: it has to be rendered where a fault is put on record."""
        try:
            change = _change(connection, delivery, now)
            body = self.hook.kind.render(self.hook.spec, notice_of(change, self._links, self.hook.template))
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("render_failed", hook=self.hook.name, incident=delivery.incident)
            return None
        marked = self._mark.encode() + body
        outbox.freeze(connection, delivery.seq, token, marked)
        return marked

    async def _carry(self, taken: _Taken, then: Callable[[Connection, str], _Taken | None]) -> _Taken | None:
        """Make one attempt, and record it together with taking what is to come `then`, which is returned."""
        delivery, token = taken.delivery, taken.token
        try:
            body = await self._body(delivery, token)
            if body is None:
                return None
            outcome = await self._attempt(delivery, body)
        except asyncio.CancelledError:
            await self._give_back(delivery, token)
            raise
        except SQLAlchemyError:
            raise
        except Exception:  # A fault of ours must not hold up for ever what waits behind this delivery.
            log.exception("attempt_failed", hook=self.hook.name, incident=delivery.incident)
            outcome = HookOutcome("retry", Reason.MONITOR_FAULT, "a fault of the monitor; its log says more")
        return await self._settle(delivery, token, outcome, then)

    async def _give_back(self, delivery: Delivery, token: str) -> None:
        """Leave no lease behind when we are stopped in the middle: whoever comes next may go on at once."""
        now = self._clock.now()
        attempt = Attempt("retry", Reason.INTERRUPTED.value, "stopped during the attempt", now)
        await self._let_go(lambda c: outbox.settle(c, delivery.seq, token, attempt, now))

    async def _let_go(self, write: Callable[[Connection], object]) -> None:
        """Write that a lease is free as we are stopped. Raises nothing of the store: it would take the cancellation's place, which is lost then."""
        try:
            await self._store.write(write)
        except Exception:  # The lease runs out all the same.
            log.exception("lease_not_given_back", hook=self.hook.name)

    async def _body(self, delivery: Delivery, token: str) -> bytes | None:
        """Return the frozen body; rendered and frozen by the first attempt. None: the lease was lost.

        A body of another kind was meant for a receiver that this name had before; ours gets one of its own.
        """
        if (frozen := kept_by(self._mark.encode(), delivery.body)) is not None:
            return frozen
        now = self._clock.now()
        change = await self._store.read(lambda c: _change(c, delivery, now))
        body = self.hook.kind.render(self.hook.spec, await written(change, self._links, self.hook.template))
        marked = self._mark.encode() + body
        held = await self._store.write(lambda c: outbox.freeze(c, delivery.seq, token, marked))
        return body if held else None

    async def _attempt(self, delivery: Delivery, body: bytes) -> HookOutcome:
        reference, now = kept_by(self._mark, delivery.reference), self._clock.now()
        parcel = Parcel(delivery.key, body, now, reference, delivery.doubt, delivery.owed_since)
        talk = self.hook.kind.talk(self.hook.spec, parcel)
        return await converse(talk, self._senders, self.hook.spec, self.hook.timeout, LONGEST_ATTEMPT)

    async def _settle(
        self,
        delivery: Delivery,
        token: str,
        outcome: HookOutcome,
        then: Callable[[Connection, str], _Taken | None],
    ) -> _Taken | None:
        now = self._clock.now()
        attempt = _attempt_of(delivery, outcome, now)
        reference = None if outcome.reference is None else self._mark + outcome.reference
        following = uuid.uuid4().hex

        def record(connection: Connection) -> _Taken | None:
            outbox.settle(connection, delivery.seq, token, attempt, now, reference)
            try:
                with connection.begin_nested():
                    return then(connection, following)
            except SQLAlchemyError:
                raise
            except Exception:  # What came of this one must be on record, whatever is the matter with the next.
                log.exception("taking_failed", hook=self.hook.name)
                return None

        try:
            taken = await self._store.write(record)
        except asyncio.CancelledError:
            await self._let_go(lambda c: outbox.unlease(c, following))
            raise
        self._told(self.hook.name, attempt.outcome, replace(outcome, reason=Reason(attempt.reason)))
        log.info(
            "alert_attempted",
            hook=self.hook.name,
            incident=delivery.incident,
            transition=delivery.kind.value,
            outcome=attempt.outcome,
            reason=attempt.reason,
            attempt=delivery.attempts,
        )
        self.wake()
        return taken


def _change(connection: Connection, delivery: Delivery, now: float) -> Change:
    """Return what the delivery tells, with its incident as it is now."""
    if is_digest(delivery.incident):
        digest = digests.digest(connection, delivery.incident)
        assert digest is not None, "a digest's delivery is written with it"
        incident, told = stand_in(digest), tuple(digests.members(connection, delivery.incident))
        text = delivery.text or incident.reason
        return Change(delivery.key, delivery.kind, delivery.at, text, incident, told, delivery.hook, now)
    stored = impairment_notices.notice if is_impairment(delivery.incident) else verdicts.incident
    found = stored(connection, delivery.incident)
    assert found is not None, "a delivery is written in its incident's own commit"
    return Change(delivery.key, delivery.kind, delivery.at, delivery.text, found, hook=delivery.hook, now=now)


def kept_by(mark: AnyStr, kept: AnyStr | None) -> AnyStr | None:
    """Return what was kept under this mark; None when it was kept under another, or nothing was."""
    return kept.removeprefix(mark) if kept is not None and kept.startswith(mark) else None


def _attempt_of(delivery: Delivery, outcome: HookOutcome, now: float) -> Attempt:
    if outcome.result != "retry":
        return Attempt(outcome.result, outcome.reason.value, outcome.detail)
    if now - delivery.owed_since > GIVE_UP:
        return Attempt("expired", Reason.TOO_OLD.value, f"given up after 24 h; last: {outcome.detail}")
    return Attempt(
        "retry", outcome.reason.value, outcome.detail, now + pause_before(delivery.attempts - 1, outcome.retry_after)
    )
