"""The memory of one run's call and its money, written to the store before each thing that cannot be undone."""

from earwitness.clock import Clock
from earwitness.config.fields import Money
from earwitness.config.schema import BudgetSpec
from earwitness.metrics import Metrics
from earwitness.model import Run, Why
from earwitness.probes.context import Leftover, OverBudgetError
from earwitness.store import errands, spend
from earwitness.store.errands import ErrandRow
from earwitness.store.store import Store


class Ledger:
    """Implements the probe's `CallLedger` over the store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        budget: BudgetSpec,
        run: Run,
        metrics: Metrics,
        journey_budget: Money | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget, self._journey_budget = budget, journey_budget
        self._run = run
        self._metrics = metrics

    async def reserve(self, cost: Money) -> None:
        """Set the money aside. What is kept for confirming failures is open to the judge's requests alone."""
        now, amount = self._clock.now(), spend.micros(cost.amount)
        caps = [self._cap(self._budget.per_day, cost, None)]
        if self._journey_budget is not None:
            caps.append(self._cap(self._journey_budget, cost, self._run.journey))
        passed = await self._store.write(
            lambda c: spend.reserve(c, self._run.id, self._run.journey, amount, cost.currency, now, caps)
        )
        if passed is not None:
            raise OverBudgetError(f"{cost} more would pass today's budget of {self._named(passed)}")

    def _cap(self, budget: Money, cost: Money, journey: str | None) -> spend.Cap:
        if cost.currency != budget.currency:
            raise OverBudgetError(f"the carrier's price is in {cost.currency}, the budget in {budget.currency}")
        ordinary = self._run.why in (Why.SCHEDULED, Why.MANUAL)
        share = 1 - self._budget.keep_for_confirmation if ordinary else 1
        return spend.Cap(round(spend.micros(budget.amount) * share), journey)

    def _named(self, passed: spend.Cap) -> str:
        if passed.journey is None:
            return str(self._budget.per_day)
        return f"{self._journey_budget} for {passed.journey}"

    async def intent(self, to: str, from_: str, script: str) -> None:
        now = self._clock.now()
        await self._store.write(lambda c: spend.intend(c, self._run.id, to, from_, script, now))

    async def dialled(self, sid: str) -> None:
        await self._store.write(lambda c: spend.dialled(c, self._run.id, sid))

    async def settle(self, cost: Money) -> None:
        await self._store.write(lambda c: spend.settle(c, self._run.id, spend.micros(cost.amount)))
        self._metrics.spend.labels(cost.currency).inc(float(cost.amount))

    async def leave(self, leftover: Leftover) -> None:
        now = self._clock.now()
        row = ErrandRow(
            kind=leftover.kind,
            call_sid=leftover.call_sid,
            carrier=leftover.carrier,
            run=self._run.id,
            recording_sid=leftover.recording_sid,
            reason=leftover.reason,
            since=now,
            due=now + leftover.wait,
        )
        await self._store.write(lambda c: errands.leave(c, row))

    async def abandon(self, carrier: str) -> None:
        """Have the recordings of the run's call deleted and its price read, if it made one: nobody will judge it any more."""
        call = await self._store.read(lambda c: spend.call_of(c, self._run.id))
        if call is not None and call.sid is not None:
            await self.leave(Leftover("delete_recordings", carrier, call.sid, "run broke off"))
            await self.leave(Leftover("read_price", carrier, call.sid, "run broke off"))

    async def release_unused(self) -> None:
        """Give back what was set aside if no call was ever meant."""
        await self._store.write(lambda c: spend.release_unused(c, self._run.id))
