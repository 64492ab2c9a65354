"""All couriers of the process: one for each hook, kept while the hook is configured or still owes something."""

import asyncio
from collections.abc import Callable

import structlog

from earwitness.alerting.couriers import Courier, Hook, Links
from earwitness.clock import Clock
from earwitness.config.schema import Config, HookSpec
from earwitness.hooks import HOOKS
from earwitness.hooks.base import HookOutcome
from earwitness.metrics import Metrics
from earwitness.store import outbox
from earwitness.store.store import Store
from earwitness.transport.client import WebClient

log = structlog.get_logger()


class Postroom:
    """Starts and stops couriers as the configuration changes. A removed hook retires when it owes nothing more."""

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, web: Callable[[], WebClient], links: Links
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._web = web
        self._links = links
        self._couriers: dict[str, tuple[HookSpec | None, Courier, asyncio.Task[None]]] = {}

    def configure(self, config: Config) -> None:
        """Have one courier for each hook; a changed hook gets a new one, a removed one retires."""
        for name, spec in config.hooks.items():
            known = self._couriers.get(name)
            if known and known[0] == spec:
                continue
            if known:
                known[2].cancel()
            self._couriers[name] = self._start(name, spec)
        for name in self._couriers.keys() - config.hooks.keys():
            _, courier, task = self._couriers[name]
            self._couriers[name] = (None, courier, task)

    def wake(self) -> None:
        """Tell the couriers that something may be due."""
        for _, courier, _ in self._couriers.values():
            courier.wake()

    async def run(self) -> None:
        """Publish the queues and retire couriers until cancelled; then stop all."""
        try:
            while True:
                await self._look_after()
                await self._clock.sleep(1.0)
        finally:
            tasks = [task for _, _, task in self._couriers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_after(self) -> None:
        owed = {b.hook: b for b in await self._store.read(outbox.backlog)}
        now = self._clock.now()
        for hook in self._couriers.keys() | owed.keys():
            depth, oldest = (owed[hook].depth, now - owed[hook].oldest_at) if hook in owed else (0, 0.0)
            self._metrics.queue_depth.labels(hook).set(depth)
            self._metrics.queue_oldest.labels(hook).set(oldest)
        for name in [n for n, (spec, _, _) in self._couriers.items() if spec is None and n not in owed]:
            self._couriers.pop(name)[2].cancel()
            log.info("hook_retired", hook=name)

    def _start(self, name: str, spec: HookSpec) -> tuple[HookSpec, Courier, asyncio.Task[None]]:
        section = getattr(spec, spec.kind)
        hook = Hook(name, HOOKS[spec.kind], section, section.timeout)
        courier = Courier(hook, self._store, self._clock, self._web().client(timeout=section.timeout), self._links)
        courier.on_told(self._count)
        return spec, courier, asyncio.create_task(courier.run())

    def _count(self, hook: str, outcome: HookOutcome) -> None:
        self._metrics.deliveries.labels(hook, outcome.result, outcome.reason.value).inc()
