"""Calls that alerts make: past the dial guard, out of the same budget as test calls, once for each alert, and only while they are wanted."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from earwitness.alerting.digests import is_digest
from earwitness.clock import Clock
from earwitness.config.fields import Money
from earwitness.config.schema import BudgetSpec
from earwitness.hooks.base import Dialling, HookOutcome, PlacedCall, Reason, Reply
from earwitness.model import Incident, Status, TransitionKind
from earwitness.store import digests, spend, verdicts
from earwitness.store.store import Store
from earwitness.telephony.dial_guard import DialRefusedError, check_dial

_MOST_TRIES = 10  # of one alert, none of which rang; then another hook has to take over
_CLOCK_SKEW = 30.0  # seconds by which our clock and the carrier's may differ


@dataclass(frozen=True, slots=True)
class Dialler:
    """Asks before each call whether it may and has to be made. What may not be dialled is refused for good.

    What an attempt meant to do is in the store before it does it, so that neither a lost answer nor a crash makes a telephone ring twice.
    """

    store: Store
    clock: Clock
    allowed: frozenset[str]
    budget: BudgetSpec

    async def dial(self, call: Dialling, send: Callable[[], Awaitable[Reply | HookOutcome]]) -> Reply | HookOutcome:
        try:
            check_dial(call.to, self.allowed)
        except DialRefusedError as error:
            return HookOutcome("refused", Reason.ADDRESS_REFUSED, str(error).replace(call.to, "the number"))
        run = await self.store.write(lambda c: self._prepared(c, call))
        if isinstance(run, HookOutcome):
            return run
        reply = await send()
        await self._note(run, call, reply)
        return reply

    async def _note(self, run: str, call: Dialling, reply: Reply | HookOutcome) -> None:
        """Note what came of it; without an answer it stays intended, and the next attempt looks whether it rang."""
        if not isinstance(reply, Reply):
            return
        if 400 <= reply.status < 500:
            await self.store.write(lambda c: spend.settle(c, run, 0))  # Twilio says that there is no call
        elif (sid := call.sid_of(reply)) is not None:
            await self.store.write(lambda c: spend.dialled(c, run, sid))

    def _prepared(self, connection: Connection, call: Dialling) -> str | HookOutcome:
        """Return the run for which the money is set aside, or why nobody is called now."""
        known = spend.runs_of(connection, _runs_of(call.key))
        earlier = [row for row in known if (row.intended_at or 0.0) >= call.since]
        for row in earlier:
            if row.state != "settled" and (outcome := _what_became_of(connection, row, call)) is not None:
                return outcome
        if (why := _unwanted(connection, call.asks)) is not None:
            return HookOutcome("delivered", Reason.OK, f"{why}, so nobody is called for it any more")
        if len(earlier) >= _MOST_TRIES:
            return HookOutcome("refused", Reason.REJECTED, f"Twilio took none of {_MOST_TRIES} attempts to call")
        run = f"{_runs_of(call.key)}{len(known)}"
        refusal = self._reserve(connection, run, call.cost)
        if refusal is not None:
            return refusal
        spend.intend(connection, run, call.to, call.from_, "", self.clock.now())
        return run

    def _reserve(self, connection: Connection, run: str, cost: Money) -> HookOutcome | None:
        """Set aside what the call may cost, and leave it set aside: what it did cost is asked by nobody."""
        limit, now = self.budget.per_day, self.clock.now()
        if cost.currency != limit.currency:
            detail = f"its price is in {cost.currency}, the budget in {limit.currency}"
            return HookOutcome("refused", Reason.OVER_BUDGET, detail)
        caps = [spend.Cap(spend.micros(limit.amount))]
        passed = spend.reserve(connection, run, None, spend.micros(cost.amount), cost.currency, now, caps)
        if passed is None:
            return None
        return HookOutcome("refused", Reason.OVER_BUDGET, f"{cost} more would pass today's budget of {limit}")


def _runs_of(key: str) -> str:
    """Return what the names of all attempts of one alert begin with."""
    return f"{spend.ALERT}{hashlib.sha256(key.encode()).hexdigest()[:24]}-"


def _what_became_of(connection: Connection, row: spend.CallRow, call: Dialling) -> HookOutcome | None:
    """Return the outcome of an attempt whose answer was lost. None: it made no call, and its money is free again."""
    if row.sid is not None:
        return HookOutcome("delivered", Reason.OK, f"an earlier attempt called, as {row.sid}")
    if call.placed is None:
        return HookOutcome("retry", Reason.INTERRUPTED, "an earlier attempt may have called; that is looked up first")
    made = _call_of(connection, row, call.placed)
    if made is None:
        spend.settle(connection, row.run, 0)
        return None
    spend.dialled(connection, row.run, made.sid)
    return HookOutcome("delivered", Reason.OK, f"an earlier attempt called, as {made.sid}")


def _call_of(connection: Connection, row: spend.CallRow, placed: tuple[PlacedCall, ...]) -> PlacedCall | None:
    """Return the first call since the attempt that belongs to nothing else."""
    since = (row.intended_at or 0.0) - _CLOCK_SKEW
    young = sorted((c for c in placed if c.created_at >= since), key=lambda c: c.created_at)
    return next((c for c in young if not spend.knows(connection, c.sid)), None)


def _unwanted(connection: Connection, asks: tuple[str, float] | None) -> str | None:
    """Return why the incident, or all of the digest, needs nobody any more."""
    if asks is None:
        return None
    name, since = asks
    concerned = digests.members(connection, name) if is_digest(name) else [name]
    found = [i for one in concerned if (i := verdicts.incident(connection, one)) is not None]
    if not found or any(_needs_somebody(i, since) for i in found):
        return None
    over = all(i.status is Status.RESOLVED for i in found)
    return "it is over" if over else "it was acknowledged meanwhile"


def _needs_somebody(incident: Incident, since: float) -> bool:
    """Whether nobody has looked after it since this moment: an older acknowledgement may have grown old."""
    if incident.status is not Status.ACKNOWLEDGED:
        return incident.status is Status.OPEN
    return not any(e.kind is TransitionKind.ACKNOWLEDGE and e.at > since for e in incident.timeline)
