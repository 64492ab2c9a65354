"""A dead man's switch: an address outside is asked regularly, and only while the monitor does all of its work.

Whoever is behind the address (healthchecks.io, an Alertmanager, another Earwitness) raises the alarm when it hears nothing. So
everything that could keep an incident from being told has to silence it: a scheduler that stands still, a judge that judges no more,
a store that does not write, an alert that is owed for too long. The address is a secret: who knows it can keep it beating.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError

from earwitness.clock import Clock
from earwitness.commit import CommitLoop
from earwitness.config.alerting import HeartbeatSpec
from earwitness.impairments import Impairments
from earwitness.store import heartbeats, outbox
from earwitness.store.store import Store

log = structlog.get_logger()
_PATIENCE = 10.0  # seconds that the judge or the store may take to prove itself
_LOOK = 1.0  # seconds between looks at whether a beat is due


@dataclass(frozen=True, slots=True)
class Vitals:
    """What has to be alive."""

    scheduler: Callable[[], bool]  # whether it ticks
    commit: CommitLoop
    store: Store
    clock: Clock
    patience: float = _PATIENCE

    async def causes(self, outbox_limit: float) -> list[str]:
        """Return what keeps the heart from beating, in words; nothing when all is well."""
        found = [] if self.scheduler() else ["the scheduler does not tick"]
        try:
            async with asyncio.timeout(self.patience):
                await self.store.write(lambda c: heartbeats.record(c, self.clock.now()))
            found += await self._outbox(outbox_limit)
        except (OSError, SQLAlchemyError):  # a timeout is an OSError too
            return [*found, "the store does not write"]
        return [*found, *await self._judge()]

    async def _judge(self) -> list[str]:
        try:
            async with asyncio.timeout(self.patience):
                await self.commit.prove()
        except TimeoutError:
            return ["the judge does not run"]
        return ["the judge could not digest an event; the log has judge_failed"] if self.commit.confused else []

    async def _outbox(self, limit: float) -> list[str]:
        now = self.clock.now()
        late = [row for row in await self.store.read(outbox.backlog) if now - row.oldest_at > limit]
        return [f"{row.hook} has been owed an alert for {(now - row.oldest_at) / 60:.0f} min" for row in late]


class Heartbeat:
    """Beats until cancelled, by the configuration as it is at each beat."""

    def __init__(
        self,
        vitals: Vitals,
        spec: Callable[[], HeartbeatSpec | None],
        client: Callable[[float], httpx.AsyncClient],
        impairments: Impairments,
    ) -> None:
        self._vitals = vitals
        self._spec = spec
        self._client = client
        self._impairments = impairments
        self._withheld: list[str] = []  # what kept it from beating at the last time
        self._beaten_by: tuple[HeartbeatSpec, float] | None = None  # the configuration, and when it next beats

    async def run(self) -> None:
        while True:
            await self.look()
            await self._vitals.clock.sleep(_LOOK)

    async def look(self) -> None:
        """Beat if it is time to."""
        spec, now = self._spec(), self._vitals.clock.monotonic()
        if spec is None:
            self._impairments.set("heartbeat", False)
            self._beaten_by = None
            return
        before = self._beaten_by
        if before is not None and before[0] == spec and now < before[1]:
            return
        self._beaten_by = (spec, now + spec.every)
        await self._beat(spec)

    async def _beat(self, spec: HeartbeatSpec) -> None:
        causes = await self._vitals.causes(spec.outbox_limit)
        if len(causes) > len(self._withheld):  # said once; the impairment goes on saying it
            log.error("heartbeat_withheld", causes=causes)
        self._withheld = causes
        if not causes and (failure := await self._ask(spec)) is not None:
            causes = [failure]
            log.warning("heartbeat_failed", failure=failure)
        self._impairments.set("heartbeat", bool(causes), detail="; ".join(causes))

    async def _ask(self, spec: HeartbeatSpec) -> str | None:
        """Return why the beat did not arrive, without its address."""
        try:
            async with asyncio.timeout(spec.timeout):
                async with self._client(spec.timeout) as client:
                    reply = await client.request(spec.method, spec.url.reveal(), follow_redirects=False)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            return f"the heartbeat's receiver did not answer ({type(error).__name__})"
        return None if reply.is_success else f"the heartbeat's receiver answered {reply.status_code}"
