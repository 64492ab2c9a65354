"""All couriers of the process: one for each hook, kept while the hook is configured or still owes something."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from earwitness.alerting.couriers import GIVE_UP, Courier, hook_of
from earwitness.alerting.dialling import Dialler
from earwitness.alerting.notices import Links
from earwitness.alerting.polling import Poller
from earwitness.alerting.senders import Senders
from earwitness.alerting.trial import try_hook
from earwitness.clock import Clock
from earwitness.config.network import NetworkSpec
from earwitness.config.schema import Config, HookSpec
from earwitness.hooks.base import HookOutcome, Reason
from earwitness.impairments import Impairments
from earwitness.metrics import Metrics
from earwitness.model import Commanded, TransitionKind
from earwitness.store import failover, outbox, owed
from earwitness.store.outbox import Backlog
from earwitness.store.store import Store
from earwitness.transport.client import WebClient

log = structlog.get_logger()
_REST = 1.0  # seconds between looks, and before a courier that broke down begins again


async def _unheard(_command: Commanded) -> None:
    """What people did elsewhere is of no use to whoever only tells."""


class Postroom:
    """Starts and stops couriers as the configuration changes.

    A removed hook retires when it owes nothing more and has been told of the end of every incident that it knows.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        web: Callable[[], WebClient],
        links: Links,
        files: Callable[[str], Path],
        impairments: Impairments | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._web = web
        self._links = links
        self._files = files
        self._impairments = impairments or Impairments(lambda _part, _bad: None)
        self._said: Callable[[Commanded], Awaitable[object]] = _unheard
        self._refusing: set[str] = set()  # hooks whose newest delivery failed for good
        self._missing: set[str] = set()  # hooks that are configured no more, and that something concerns
        self._couriers: dict[str, tuple[HookSpec | None, Courier, asyncio.Task[None]]] = {}
        self._network: NetworkSpec | None = None
        self._dialler: Dialler | None = None
        self._configured = asyncio.Event()
        self._published: set[str] = set()  # hooks that have series

    def on_said(self, callback: Callable[[Commanded], Awaitable[object]]) -> None:
        """Hand to this what people did at providers that are asked for it; to be set before `configure`."""
        self._said = callback

    def configure(self, config: Config) -> None:
        """Have one courier for each hook; a changed hook gets a new one, a removed one retires."""
        before = self._network, self._dialler
        self._dialler = Dialler(self._store, self._clock, frozenset(config.dial.allow), config.budget)
        unchanged = before == (config.network, self._dialler)
        for name, spec in config.hooks.items():
            known = self._couriers.get(name)
            if known and known[0] == spec and unchanged:
                continue
            if known:
                known[2].cancel()
            self._couriers[name] = self._start(name, spec)
        for name in self._couriers.keys() - config.hooks.keys():
            _, courier, task = self._couriers[name]
            self._couriers[name] = (None, courier, task)
        self._network = config.network
        self._configured.set()

    async def try_out(self, name: str) -> list[tuple[TransitionKind, HookOutcome]]:
        """Send a marked test and its resolve through a configured hook; only from here are calls made. Raises KeyError."""
        spec, courier, _ = self._couriers[name]
        if spec is None:
            raise KeyError(name)
        senders = self._senders(courier.hook.timeout)
        return [tried async for tried in try_hook(courier.hook, senders, self._links, self._clock)]

    def _senders(self, timeout: float) -> Senders:
        return Senders(self._web().client(timeout=timeout), self._files, self._dialler)

    def wake(self) -> None:
        """Tell the couriers that something may be due."""
        for _, courier, _ in self._couriers.values():
            courier.wake()

    async def run(self) -> None:
        """Publish the queues and retire couriers until cancelled; then stop all."""
        await self._configured.wait()  # until then every hook would look removed
        for hook, reason in (await self._store.read(failover.refusing)).items():
            self._judge_hook(hook, f"{hook} refused an alert: {reason}")
        self._missing = await self._store.read(owed.bound) - self._couriers.keys()
        try:
            while True:
                try:
                    await self._look_after()
                except SQLAlchemyError:  # The database may be locked or away for a while; what is owed stays owed.
                    log.exception("postroom_failed")
                await self._clock.sleep(_REST)
        finally:
            tasks = [task for _, _, task in self._couriers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_after(self) -> None:
        retiring = [name for name, (spec, _, _) in self._couriers.items() if spec is None]
        wanted = retiring or self._missing
        bound = await self._store.read(owed.bound) if wanted else set()  # first: what ends in between is owed by then
        warned = await self._store.read(owed.warned) if retiring else set()
        backlog = {b.hook: b for b in await self._store.read(outbox.backlog)}
        self._publish(backlog)
        for name in set(retiring) - backlog.keys() - bound - warned:
            if self._couriers[name][0] is not None:
                continue  # it was configured again meanwhile
            self._couriers.pop(name)[2].cancel()
            self._judge_hook(name, None)
            self._impairments.set("alerts", False, f"courier {name}")
            log.info("hook_retired", hook=name)
        for name in backlog.keys() - self._couriers.keys():
            await self._pass_on(name)
        self._judge_missing(backlog.keys() | bound)
        for name in self._refusing - backlog.keys() - self._couriers.keys():
            self._judge_hook(name, None)

    def _publish(self, backlog: Mapping[str, Backlog]) -> None:
        now, hooks = self._clock.now(), self._couriers.keys() | backlog.keys()
        for hook in hooks:
            depth, oldest = (backlog[hook].depth, now - backlog[hook].oldest_at) if hook in backlog else (0, 0.0)
            oldest = max(0.0, oldest)  # what is held is owed from later on
            self._metrics.queue_depth.labels(hook).set(depth)
            self._metrics.queue_oldest.labels(hook).set(oldest)
        for hook in self._published - hooks:
            self._metrics.queue_depth.remove(hook)
            self._metrics.queue_oldest.remove(hook)
        self._published = set(hooks)

    async def _pass_on(self, hook: str) -> None:
        """Let others take over what an earlier process owed to a hook that was removed since: its address is not known any more."""
        now, reason = self._clock.now(), Reason.NO_HOOK.value
        for incident in await self._store.write(lambda c: failover.pass_on_unheard(c, hook, reason, now, GIVE_UP)):
            self._metrics.deliveries.labels(hook, "refused", reason).inc()
            log.error("alert_undeliverable", hook=hook, incident=incident)
            self.wake()
        self._missing.add(hook)

    def _judge_missing(self, concerned: Collection[str]) -> None:
        """A hook that is configured no more, and that an open incident or an alert concerns, impairs the alerts until people decide."""
        for hook in list(self._missing):
            still = hook in concerned and hook not in self._couriers
            advice = f"configure it again, or say: earwitness deliveries drop {hook}"
            detail = f"{hook} knows of an incident, or was to be told of one, and is configured no more; {advice}"
            self._impairments.set("alerts", still, f"missing {hook}", detail)
            if not still:
                self._missing.discard(hook)

    def _start(self, name: str, spec: HookSpec) -> tuple[HookSpec, Courier, asyncio.Task[None]]:
        hook = hook_of(name, spec)
        senders = self._senders(hook.timeout)
        courier = Courier(hook, self._store, self._clock, senders, self._links)
        courier.on_told(self._count)
        poller = Poller(hook, self._store, self._clock, senders, self._impairments, self._said)
        return spec, courier, asyncio.create_task(self._serve(courier, poller))

    async def _serve(self, courier: Courier, poller: Poller) -> None:
        """Serve a hook until cancelled. A fault that ends it is shown until the hook's next attempt, and it begins again."""
        name = courier.hook.name
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(courier.run())
                    if poller.wanted:
                        group.create_task(poller.run())
            except* Exception:
                log.exception("courier_ended", hook=name)
                self._impairments.set("alerts", True, f"courier {name}", f"{name} broke down and was started again")
            await self._clock.sleep(_REST)

    def _count(self, hook: str, result: str, outcome: HookOutcome) -> None:
        self._impairments.set("alerts", False, f"courier {hook}")
        self._metrics.deliveries.labels(hook, result, outcome.reason.value).inc()
        if result != "retry":
            self._judge_hook(hook, None if result == "delivered" else f"{hook} {result} an alert: {outcome.detail}")
        if result in ("refused", "expired"):
            self.wake()  # another hook takes over

    def _judge_hook(self, hook: str, trouble: str | None) -> None:
        """A hook that failed for good impairs the alerts until it takes something, or is configured no more."""
        self._impairments.set("alerts", trouble is not None, hook, trouble or "")
        (self._refusing.add if trouble else self._refusing.discard)(hook)
