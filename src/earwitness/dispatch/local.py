"""Runs probes in this process: one run of a probe at a time, so many at once, and every refusal on record."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from earwitness.clock import Clock
from earwitness.config.schema import Config, ProbeSpec
from earwitness.dispatch.effects import with_effects
from earwitness.dispatch.ledger import Ledger
from earwitness.dispatch.pace import Pace
from earwitness.dispatch.ports import Ports
from earwitness.dispatch.pulse import Pulse, as_far_as_told
from earwitness.dispatch.register import Register
from earwitness.metrics import Metrics
from earwitness.model import (
    Attribution,
    Channel,
    Effect,
    Failure,
    Finding,
    Observation,
    Request,
    Run,
    Why,
)
from earwitness.probes.context import InterruptedCall
from earwitness.schedule import Due
from earwitness.store import spend, verdicts
from earwitness.store.history import Missed
from earwitness.store.store import Store
from earwitness.telephony.way import carrier_of

if TYPE_CHECKING:
    from earwitness.telephony.carrier import Carrier

log = structlog.get_logger()

_GRACE = 15.0  # seconds a probe may pass its own budget before we say that it hangs
_AFTERWARDS = 900.0  # seconds that waiting for a recording may take


class Dispatcher:
    """Takes what is due and what is asked for; hands observations on."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        ports: Ports,
        on_observed: Callable[[Observation], Awaitable[object]],
        money: Store | None = None,
    ) -> None:
        self._store = store
        self._money = money or store
        self._clock = clock
        self._metrics = metrics
        self._on_observed = on_observed
        self._stopped_by: Callable[[str], str | None] = lambda _probe: None
        self._tested_by: Callable[[str, float], str] = _untested
        self._pulse = Pulse()
        self._busy: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._register = Register(store, clock, self._spawn)
        self._config, self._ports = config, ports
        self._make_room()

    def heed(
        self, stopped_by: Callable[[str], str | None], tested_by: Callable[[str, float], str] | None = None
    ) -> None:
        """Skip the runs of probes that a maintenance stops, and tag those that a test window means.

        `stopped_by` returns which one does so now, `tested_by` which one did so at a moment.
        """
        self._stopped_by, self._tested_by = stopped_by, tested_by or _untested

    def reconfigure(self, config: Config, ports: Ports) -> None:
        """Start what comes from now on by another configuration; what runs goes on, and so do limits that did not change."""
        before, self._config, self._ports = self._config, config, ports
        if before.limits != config.limits or before.carriers != config.carriers:
            self._make_room()

    def _make_room(self) -> None:
        carriers = self._config.carriers
        self._web_room = asyncio.Semaphore(self._config.limits.concurrent_http)
        self._browser_room = asyncio.Semaphore(self._config.limits.concurrent_browser)
        self._call_room = {name: asyncio.Semaphore(spec.concurrent_calls) for name, spec in carriers.items()}
        self._pace = {name: Pace(spec.calls_per_second, self._clock) for name, spec in carriers.items()}

    def _room_for(self, probe: ProbeSpec, why: Why) -> asyncio.Semaphore:
        """Return the room of the run's carrier, or of the web. What a reload removed has no limit: the run will say so."""
        if probe.browser is not None:
            return self._browser_room
        if probe.call is None:
            return self._web_room
        return self._call_room.get(self._carrier_of(probe, why), self._web_room)

    def _carrier_of(self, probe: ProbeSpec, why: Why) -> str:
        named = carrier_of(probe.call, why) if probe.call else None
        return named or next(iter(self._config.carriers), "")

    def carrier(self, name: str) -> "Carrier":
        """Return a carrier of the configuration in use. Raises LookupError."""
        return self._ports.carrier(name)

    @property
    def failing(self) -> bool:
        """Whether the store refuses to take what is to be run."""
        return self._register.failing

    @property
    def running(self) -> int:
        """How many runs are under way, those that wait for a recording included."""
        return len(self._tasks)

    async def drain(self, seconds: float) -> None:
        """Let runs end; those that do not are cancelled, and taken up or recorded as interrupted at the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- what asks for runs ------------------------------------------------------------------------------------------

    def on_due(self, found: Due) -> None:
        """Start the slot's run, and record the slots that nobody ran."""
        probe = self._config.probes.get(found.probe)
        if probe is None:
            return
        if found.missed and found.missed_until is not None:
            self._spawn(self._missed(found.probe, probe, found.missed_until, "missed", "not_running", found.missed))
        if found.slot is None:
            return
        if found.probe in self._busy:
            self._spawn(self._missed(found.probe, probe, found.slot, "skipped", "overlap"))
            return
        run = self._run_of(found.probe, probe, Why.SCHEDULED, slot=found.slot)
        self._spawn(self._execute(run, probe, self._claim(found.probe)))

    def request(self, wanted: Request) -> None:
        """Start what the judge asked for, as soon as the probe is free."""
        self._spawn(self._requested(wanted))

    def run_now(self, name: str, *, beside: bool = False) -> Run:
        """Start a run that a person asked for, as soon as the probe is free, or beside its other runs. Raises KeyError for an unknown probe."""
        probe = self._config.probes[name]
        run = self._run_of(name, probe, Why.MANUAL)
        self._spawn(self._execute(run, probe, _nothing) if beside else self._when_free(run, probe))
        return run

    def resume(self, run: Run) -> None:
        """Take up a run that an earlier process began: a call that may be under way is adopted, never dialled again.

        Until its call is over the probe counts as running, so that no other call of it is placed beside it.
        """
        in_line = run.channel is Channel.CALL and run.probe not in self._busy
        free = self._claim(run.probe) if in_line else _nothing
        self._spawn(self._resumed(run, free))

    async def _requested(self, wanted: Request) -> None:
        control = wanted.why is Why.CONTROL  # which calls another number, so it need not wait for the probe
        if not control:
            await self._until_free(wanted.probe)
        probe = self._config.probes.get(wanted.probe)
        if probe is None or self._clock.now() > wanted.not_after:
            await self._store.write(lambda c: verdicts.end_request(c, wanted.key, "expired"))
            if probe is not None and control:  # a failure waits for its word
                run = self._run_of(wanted.probe, probe, wanted.why, request=wanted.key)
                await self._on_observed(Observation(run, self._clock.now(), 0.0, skipped="expired"))
            return
        run = self._run_of(wanted.probe, probe, wanted.why, request=wanted.key)
        await self._execute(run, probe, _nothing if control else self._claim(run.probe))

    async def _when_free(self, run: Run, probe: ProbeSpec) -> None:
        await self._until_free(run.probe)
        await self._execute(run, probe, self._claim(run.probe))

    async def _until_free(self, name: str) -> None:
        while (busy := self._busy.get(name)) is not None:
            await busy.wait()

    def _claim(self, name: str) -> Callable[[], None]:
        """Mark the probe as running; the result ends that, at most once."""
        free = self._busy[name] = asyncio.Event()

        def release() -> None:
            if not free.is_set():
                free.set()
                del self._busy[name]

        return release

    # --- one run -----------------------------------------------------------------------------------------------------

    def _run_of(
        self, name: str, probe: ProbeSpec, why: Why, *, slot: int | None = None, request: str | None = None
    ) -> Run:
        now = self._clock.now()
        return Run(
            id=f"run-{int(now * 1000):x}-{secrets.token_hex(5)}",
            probe=name,
            journey=probe.journey,
            channel=probe.kind.channel,
            location=self._ports.location,
            environment=self._config.environment_of(probe),
            why=why,
            scheduled_at=now if slot is None else slot / 1000,
            slot=slot,
            request=request,
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("run_lost", exc_info=task.exception())

    async def _execute(self, run: Run, probe: ProbeSpec, free: Callable[[], None]) -> None:
        """Run once there is room. The room and the probe are given back when the run ends, or waits for its recording."""
        if run.why is not Why.MANUAL and self._stopped_by(run.probe):
            await self._skip(run, free)
            return
        room = self._room_for(probe, run.why)
        try:
            await room.acquire()
        except asyncio.CancelledError:
            free()
            raise
        release = _once(free, room.release)
        try:
            if run.channel is Channel.CALL:
                await self._turn_to_call(probe, run.why)
            if await self._begin(run):
                await self._on_observed(await self._observe(run, probe, release, probe.kind.run))
        finally:
            release()

    async def _skip(self, run: Run, free: Callable[[], None]) -> None:
        """Put on record that the run did not happen for the sake of maintenance."""
        try:
            if await self._begin(run):
                await self._on_observed(Observation(run, self._clock.now(), 0.0, skipped="maintenance"))
        finally:
            free()

    async def _turn_to_call(self, probe: ProbeSpec, why: Why) -> None:
        pace = self._pace.get(self._carrier_of(probe, why))
        if pace is not None:  # else a reload removed the carrier, and the run will say so
            await pace.turn()

    async def _begin(self, run: Run) -> bool:
        """Put the run on record before it starts. False: this slot or request was taken before."""
        if not await self._register.begin(run):
            return False
        if run.slot is not None:
            late = max(0.0, self._clock.now() - run.scheduled_at)
            self._metrics.lateness.labels(run.channel.value, run.location).observe(late)
        return True

    async def _observe(
        self, run: Run, probe: ProbeSpec, release: Callable[[], None], work: Callable[..., Awaitable[Observation]]
    ) -> Observation:
        """Return what the run saw. A probe that breaks or hangs is the monitor's fault, never the target's."""
        ledger = self._ledger(run)
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = asyncio.timeout(probe.budget + _GRACE)

        def released() -> None:
            limit.reschedule(loop.time() + _AFTERWARDS)
            release()

        ctx = self._ports.context(run, released, ledger)
        try:
            with self._pulse.felt() as stood_still:
                async with limit:
                    seen = await work(probe.spec, ctx)
                told = as_far_as_told(seen, stood_still, loop.time() - began)
            return self._tagged(with_effects(told, self._config, probe))
        except TimeoutError:
            message = "the probe did not end in its own time"
            log.error("probe_hung", probe=run.probe, run=run.id)  # noqa: TRY400  There is nothing to trace.
        except Exception as error:  # Told as unknown, and traced here.
            message = f"the probe broke: {type(error).__name__}"
            log.exception("probe_broke", probe=run.probe, run=run.id)
        finally:
            if run.channel is Channel.CALL:
                await self._give_back(ledger, run)
        await self._abandon(ledger, run)
        return ctx.observe(findings=[_our_fault(Failure.MONITOR_ERROR, message)])

    def _tagged(self, seen: Observation) -> Observation:
        window = self._tested_by(seen.run.probe, seen.started_at)
        return replace(seen, facts={**seen.facts, "test_window": window}) if window else seen

    def _ledger(self, run: Run) -> Ledger:
        journey = self._config.journeys.get(run.journey)
        allowed = journey.budget_per_day if journey else None
        return Ledger(self._money, self._clock, self._config.budget, run, self._metrics, allowed)

    async def _abandon(self, ledger: Ledger, run: Run) -> None:
        """Have the recordings of a run's call deleted that nobody will judge. If the store refuses, what was seen is told all the same."""
        if run.channel is not Channel.CALL:
            return
        probe = self._config.probes.get(run.probe)
        carrier = self._carrier_of(probe, run.why) if probe else next(iter(self._config.carriers), "")
        try:
            await ledger.abandon(carrier)
        except Exception:  # Whatever the store says.
            log.exception("recordings_not_listed", probe=run.probe, run=run.id)

    async def _give_back(self, ledger: Ledger, run: Run) -> None:
        """Release what the run did not spend. If the store refuses, it stays reserved, and what was seen is told all the same."""
        try:
            await ledger.release_unused()
        except Exception:  # Whatever the store says.
            log.exception("reservation_not_released", probe=run.probe, run=run.id)

    async def _resumed(self, run: Run, free: Callable[[], None]) -> None:
        try:
            await self._on_observed(await self._taken_up(run, free))
        finally:
            free()

    async def _taken_up(self, run: Run, free: Callable[[], None]) -> Observation:
        probe = self._config.probes.get(run.probe)
        call = await self._store.read(lambda c: spend.call_of(c, run.id))
        in_flight = call is not None and call.state in ("intended", "dialled")
        resume = probe.kind.resume if probe else None
        if probe is None or resume is None or not in_flight:
            await self._abandon(self._ledger(run), run)
            return self._interrupted(run)
        assert call is not None
        assert call.to is not None and call.from_ is not None and call.intended_at is not None  # noqa: PT018
        interrupted = InterruptedCall(call.to, call.from_, call.intended_at, call.sid, call.script)
        return await self._observe(run, probe, free, lambda spec, ctx: resume(spec, ctx, interrupted))

    def _interrupted(self, run: Run) -> Observation:
        message = "the monitor stopped while this run was under way"
        now = self._clock.now()
        return Observation(run, now, 0.0, (_our_fault(Failure.INTERRUPTED, message),))

    async def _missed(self, name: str, probe: ProbeSpec, slot: int, state: str, reason: str, slots: int = 1) -> None:
        missed = Missed(self._run_of(name, probe, Why.SCHEDULED, slot=slot), state, reason, slots)
        if await self._register.miss(missed):
            self._metrics.missed.labels(probe.kind.channel.value, reason).inc(slots)
            log.info("slot_not_run", probe=name, reason=reason, slots=slots)


def _our_fault(failure: Failure, message: str) -> Finding:
    return Finding(failure, message, Effect.NONE, Attribution.MONITOR)


def _untested(_probe: str, _at: float) -> str:
    return ""


def _nothing() -> None:
    """Release nothing."""


def _once(*actions: Callable[[], None]) -> Callable[[], None]:
    left = list(actions)

    def act() -> None:
        while left:
            left.pop()()

    return act
