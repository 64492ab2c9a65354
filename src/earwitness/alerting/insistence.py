"""Insists while nobody answers: reminders of what is still open, and the rungs of escalation ladders.

What is due follows from the incident alone: since when it waits, and when it was last acknowledged. Each prompt has a key that says
which rung or reminder of which wait it is, and the outbox takes a key once, so a restart neither repeats nor forgets any.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from earwitness.alerting.routing import Router
from earwitness.clock import Clock
from earwitness.config.alerting import EscalationSpec, RouteSpec
from earwitness.model import Incident, Severity, Status, TransitionKind
from earwitness.store import owed, verdicts
from earwitness.store.owed import Prompt, Recipient
from earwitness.store.store import Store

log = structlog.get_logger()
_LOOK = 5.0  # seconds between looks


@dataclass(frozen=True, slots=True)
class Ladders:
    """What the configuration says about insisting."""

    router: Router
    escalations: Mapping[str, EscalationSpec]

    @property
    def any(self) -> bool:
        return bool(self.escalations) or any(r.remind_every for r in self.router.routes)


@dataclass(frozen=True, slots=True)
class _Wait:
    """Since when nobody answers, in a word for the key and one for people."""

    since: float
    word: str
    ago: float  # how long the wait had lasted at `since`: that of the first rung, when an acknowledgement grew old


def due(incident: Incident, ladders: Ladders, told: Collection[str], now: float) -> Iterator[Prompt]:
    """Yield all that has to have been told of the incident by now; `told` are the hooks that know of it. Nothing while it is muted."""
    if incident.muted:
        return
    for name, ladder in ladders.escalations.items():
        wait = _wait(incident, ladder)
        if wait is not None and ladders.router.matcher.matches(ladder.match, incident, now):
            yield from _climbed(incident, name, ladder, wait, ladders.router, now)
    if incident.unanswered:
        for route in ladders.router.matching(incident, now):
            yield from _reminded(incident, route, ladders.router, told, now)


def waits_since(incident: Incident, severities: Collection[Severity] = ()) -> float:
    """Return since when the incident, as it is now, could be answered by those whom these severities concern (none: all of them).

    That is its opening, or the newest moment at which it opened again, was muted no longer, became one of the severities, or worse
    than what somebody acknowledged.
    """
    since = incident.opened_at
    for entry in reversed(incident.timeline):
        elsewhere = bool(severities) and entry.severity is not None and entry.severity not in severities
        if entry.muted or elsewhere or entry.kind is TransitionKind.RESOLVE:
            break
        since = entry.at
    return max(since, incident.outgrown_at or 0.0)


def _wait(incident: Incident, ladder: EscalationSpec) -> _Wait | None:
    """Return what the ladder counts from. None: somebody looks after it."""
    since = waits_since(incident, ladder.match.severity)
    if incident.unanswered:
        return _Wait(since, f"{'open' if incident.status is Status.OPEN else 'worse'}{since * 1000:.0f}", 0.0)
    if ladder.re_escalate_after is None:
        return None
    answered = max((e.at for e in incident.timeline if e.kind is TransitionKind.ACKNOWLEDGE), default=0.0)
    grown_old = max(since, answered + ladder.re_escalate_after)
    return _Wait(grown_old, f"ack{answered * 1000:.0f}", ladder.steps[0].after)


def _climbed(
    incident: Incident, name: str, ladder: EscalationSpec, wait: _Wait, router: Router, now: float
) -> Iterator[Prompt]:
    for number, rung in enumerate(ladder.steps):
        if now < wait.since + rung.after - wait.ago:
            return
        text = _why(incident, ladder, rung.after)
        matched = router.matching(incident, now)
        for hook in rung.to:
            key = f"{incident.id}.escalate-{name}-{wait.word}-{number}.{hook}"
            after = dict.fromkeys((*router.after(hook, matched), *(h for h in rung.failover if h not in rung.to)))
            to = Recipient(hook, urgent=incident.severity is Severity.SEV1, failover=tuple(after))
            yield Prompt(key, incident.id, TransitionKind.ESCALATE, now, text, to)


def _why(incident: Incident, ladder: EscalationSpec, after: float) -> str:
    if incident.status is Status.OPEN:
        said = f"not acknowledged for {_span(after)}"
    elif incident.unanswered:
        said = f"acknowledged by {_who(incident)} before it became worse, and not for {_span(after)} since"
    else:
        old = _span(ladder.re_escalate_after or 0.0)
        said = f"acknowledged by {_who(incident)} {old} ago, and still not over"
    return f"Escalated: {said}. {incident.reason}"


def _who(incident: Incident) -> str:
    return incident.acknowledged_by or "somebody"


def _reminded(
    incident: Incident, route: RouteSpec, router: Router, told: Collection[str], now: float
) -> Iterator[Prompt]:
    """Yield the newest reminder; older ones that nobody heard would say the same. In quiet hours only a Sev1 is reminded of."""
    if route.remind_every is None:
        return
    since = waits_since(incident, route.match.severity)
    times = int((now - since) / route.remind_every)
    grave = incident.severity is Severity.SEV1
    if times < 1 or (route.quiet is not None and not grave and route.quiet.contains(now)):
        return
    moment = since + times * route.remind_every  # routes that remind a hook of the same at the same time do so once
    text = f"{_still(incident, times * route.remind_every)}. {incident.reason}"
    for hook in dict.fromkeys((*route.to, *route.failover)):
        if hook in told:
            key = f"{incident.id}.remind-{moment * 1000:.0f}.{hook}"
            to = Recipient(hook, urgent=grave, failover=router.after(hook, [route]))
            yield Prompt(key, incident.id, TransitionKind.REMIND, now, text, to)


def _still(incident: Incident, seconds: float) -> str:
    if incident.status is Status.OPEN:
        return f"Still open after {_span(seconds)}, and nobody has acknowledged it"
    return f"Worse for {_span(seconds)} than {_who(incident)} acknowledged, and nobody has since"


def _span(seconds: float) -> str:
    """Return a span of time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


class Insistence:
    """Looks every few seconds until cancelled."""

    def __init__(self, store: Store, clock: Clock, ladders: Ladders, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self.ladders = ladders
        self._wake = wake
        self._owed: set[str] = set()  # keys that the outbox has taken; the store knows them all

    async def run(self) -> None:
        while True:
            if self.ladders.any:
                try:
                    await self.look()
                except SQLAlchemyError:  # The database may be away for a while; what is due stays due.
                    log.exception("insistence_failed")
            await self._clock.sleep(_LOOK)

    async def look(self) -> None:
        """Owe what is due and not owed yet."""
        now, ladders = self._clock.now(), self.ladders
        found = await self._store.read(lambda c: list(_all_due(c, ladders, now)))
        fresh = {p.incident for p in found if p.key not in self._owed}
        if fresh:
            await self._store.write(lambda c: _owe(c, fresh, ladders, now))
            self._wake()
            log.info("insisted", incidents=sorted(fresh))
        self._owed = {p.key for p in found}


def _all_due(connection: Connection, ladders: Ladders, now: float) -> Iterator[Prompt]:
    told = owed.told_of_open(connection)
    for incident in verdicts.open_incidents(connection):
        yield from due(incident, ladders, told.get(incident.id, ()), now)


def _owe(connection: Connection, incidents: Collection[str], ladders: Ladders, now: float) -> None:
    """Look again while nobody else writes: an acknowledgement that came in between has stopped it."""
    for name in incidents:
        incident = verdicts.incident(connection, name)
        if incident is not None and incident.status is not Status.RESOLVED:
            owed.add_prompts(connection, due(incident, ladders, owed.told(connection, name), now), now)
