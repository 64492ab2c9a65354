"""Calls that alerts make: past the dial guard, and out of the same budget as test calls."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from earwitness.clock import Clock
from earwitness.config.fields import Money
from earwitness.config.schema import BudgetSpec
from earwitness.hooks.base import Dialling, HookOutcome, Reason, Reply
from earwitness.store import spend
from earwitness.store.store import Store
from earwitness.telephony.dial_guard import DialRefusedError, check_dial


@dataclass(frozen=True, slots=True)
class Dialler:
    """Asks before each call whether the number may be dialled and the money is there. What it may not do is refused for good."""

    store: Store
    clock: Clock
    allowed: frozenset[str]
    budget: BudgetSpec

    async def dial(self, call: Dialling, send: Callable[[], Awaitable[Reply | HookOutcome]]) -> Reply | HookOutcome:
        try:
            check_dial(call.to, self.allowed)
        except DialRefusedError as error:
            return HookOutcome("refused", Reason.ADDRESS_REFUSED, str(error).replace(call.to, "the number"))
        run = f"{spend.ALERT}{uuid.uuid4().hex}"
        refusal = await self._reserve(run, call.cost)
        if refusal is not None:
            return refusal
        reply = await send()
        if isinstance(reply, Reply) and 400 <= reply.status < 500:
            await self.store.write(lambda c: spend.settle(c, run, 0))  # Twilio says that there is no call
        return reply

    async def _reserve(self, run: str, cost: Money) -> HookOutcome | None:
        """Set aside what the call may cost, and leave it set aside: what it did cost is asked by nobody."""
        limit, now = self.budget.per_day, self.clock.now()
        if cost.currency != limit.currency:
            detail = f"its price is in {cost.currency}, the budget in {limit.currency}"
            return HookOutcome("refused", Reason.OVER_BUDGET, detail)
        caps = [spend.Cap(spend.micros(limit.amount))]
        amount = spend.micros(cost.amount)
        passed = await self.store.write(lambda c: spend.reserve(c, run, None, amount, cost.currency, now, caps))
        if passed is None:
            return None
        return HookOutcome("refused", Reason.OVER_BUDGET, f"{cost} more would pass today's budget of {limit}")
