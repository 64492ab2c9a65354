"""Tells people that the monitor itself is impaired: one notice however many parts of it are, its additions and its end.

What the monitor cannot see it must not keep to itself. The notice goes through the outbox like any alert, but is no incident: no
severity, no customer. It stands as an incident only for the hooks, which know nothing else.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from earwitness.alerting.routing import Router
from earwitness.clock import Clock
from earwitness.config.schema import Config
from earwitness.impairments import Impairments
from earwitness.model import Cause, Incident, Severity, Status, TimelineEntry, Transition, TransitionKind
from earwitness.store import impairment_notices, owed
from earwitness.store.owed import Recipient
from earwitness.store.store import Store

log = structlog.get_logger()
_LOOK = 1.0  # seconds
_MEANING = "Probes that need it end as unknown: for them nothing is opened, and nothing is held to have recovered."


class ImpairmentNotices:
    """Looks every second until cancelled, by the configuration as it is then."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        impairments: Impairments,
        config: Callable[[], Config],
        wake: Callable[[], None],
    ) -> None:
        self._store, self._clock, self._impairments, self._config, self._wake = store, clock, impairments, config, wake
        self._since: dict[str, float] = {}  # of each impaired component, on the monotonic clock
        self._whole: dict[str, float] = {}  # of each that was told and is no more, since when
        self._due: dict[
            str, Sequence[str]
        ] = {}  # what lasted long enough and is not told yet, with what was known of it
        self._told: Incident | None = None  # the notice that goes on
        self._loaded = False

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except SQLAlchemyError:  # The database may be away; that is an impairment too, told when it is back.
                log.exception("impairments_not_told")
            await self._clock.sleep(_LOOK)

    async def look(self) -> None:
        """Tell what has lasted long enough to be told, and what has been whole for as long. What cannot be told now is told later."""
        now, after = self._clock.monotonic(), self._config().monitor_alerts.after
        details = self._impairments.details()
        self._since = {component: self._since.get(component, now) for component in details}
        self._due |= {c: details[c] for c, since in self._since.items() if now >= since + after}
        if not self._loaded:
            self._told = await self._store.read(impairment_notices.going_on)
            self._loaded = True
        known = self._told.probes if self._told else ()
        self._whole = {c: self._whole.get(c, now) for c in known if c not in details}
        if news := {component: why for component, why in self._due.items() if component not in known}:
            await self._tell(news)
        elif mended := [c for c, since in self._whole.items() if now >= since + after]:
            await self._mend(mended)
        self._due.clear()

    async def _tell(self, news: Mapping[str, Sequence[str]]) -> None:
        at, text = self._clock.now(), _text(news)
        if self._told is None:
            told = replace(_stand_in(at), title=_title(news), reason=text, probes=tuple(news))
            await self._owe(told, TransitionKind.OPEN, at, text)
        else:
            parts = (*self._told.probes, *news)
            told = replace(self._told, title=_title(parts), reason=text, probes=parts)
            await self._owe(told, TransitionKind.REMIND, at, text)

    async def _mend(self, mended: Sequence[str]) -> None:
        """Tell that parts work again; with the last of them the notice ends."""
        assert self._told is not None, "what is mended was told"
        at, told = self._clock.now(), self._told
        left = tuple(component for component in told.probes if component not in mended)
        if left:
            text = f"The monitor can rely on {', '.join(mended)} again. Still impaired: {', '.join(left)}."
            fewer = replace(told, title=_title(left), reason=text, probes=left)
            await self._owe(fewer, TransitionKind.REMIND, at, text)
            return
        text = f"Nothing is impaired any more, after {max(1, round((at - told.opened_at) / 60))} min."
        await self._owe(replace(told, status=Status.RESOLVED, resolved_at=at), TransitionKind.RESOLVE, at, text)

    async def _owe(self, told: Incident, kind: TransitionKind, at: float, text: str) -> None:
        told = replace(told, timeline=(*told.timeline, TimelineEntry(at, kind, text)))
        config = self._config()
        hooks = config.told_of_impairments if kind is TransitionKind.OPEN else ()
        await self._store.write(lambda c: _write(c, Transition(told, kind, at, text), hooks, Router.of(config)))
        self._told = None if kind is TransitionKind.RESOLVE else told
        log.warning("impairment_told", change=kind.value, components=list(told.probes))
        self._wake()


def _write(connection: Connection, transition: Transition, hooks: Sequence[str], router: Router) -> None:
    """Owe the news to `hooks`, or to those who know of it; it is never held, nor lost in a digest. Who refuses it is taken over from."""
    notice = transition.incident
    impairment_notices.save(connection, notice)
    concerned = hooks or owed.told(connection, notice.id)
    recipients = [Recipient(hook, urgent=True, failover=router.after(hook, router.routes)) for hook in concerned]
    owed.add_deliveries(connection, transition, recipients, transition.at)


def _stand_in(at: float) -> Incident:
    return Incident(
        id=f"impairment-{uuid.uuid4().hex[:12]}",
        severity=Severity.NONPROD,
        status=Status.OPEN,
        title="",
        reason="",
        environment="monitor",
        journeys=(),
        probes=(),
        cause=Cause(None, 0.0, ()),
        opened_at=at,
        failing_since=at,
    )


def _title(components: Mapping[str, object] | Sequence[str]) -> str:
    return f"Monitor impaired: {', '.join(components)}"


def _text(news: Mapping[str, Sequence[str]]) -> str:
    lines = [f"- {component}: {'; '.join(details) or 'no more is known'}" for component, details in news.items()]
    return "\n".join(["The monitor cannot rely on:", *lines, _MEANING])
