"""Asks ticket systems, which cannot call us, what people did with the tickets of open incidents, and does it here too.

A look asks for as many tickets as it has time for, a few at once as the kind wants it, and does here what it hears before it asks
for the next. What it did not come to is asked first by the next look, so each is looked at in turn, however many there are.
"""

from collections.abc import Sequence

import structlog

from earwitness.alerting.couriers import Hook, kept_by
from earwitness.alerting.heard import Submit, take
from earwitness.alerting.senders import Senders, converse
from earwitness.clock import Clock
from earwitness.hooks.base import HookOutcome, Known, remembered
from earwitness.impairments import Impairments
from earwitness.store import tickets
from earwitness.store.store import Store

log = structlog.get_logger()
_IN_ALL = 120.0  # seconds that one look may take
_MOST_IN_VAIN = 5  # polls in a row that bring nothing, before the system itself is taken to be in trouble
_MOST_NAMED = 3  # tickets


class Poller:
    """Polls for one hook until it is stopped."""

    def __init__(
        self,
        hook: Hook,
        store: Store,
        clock: Clock,
        senders: Senders,
        impairments: Impairments,
        submit: Submit,
    ) -> None:
        self.hook = hook
        self._every: float | None = getattr(hook.spec, "poll_every", None)
        self._store = store
        self._clock = clock
        self._senders = senders
        self._impairments = impairments
        self._submit = submit
        self._asked: dict[str, int] = {}  # incident -> the number of the poll that asked for its ticket last
        self._polls = 0
        self._failing: dict[str, tuple[str, str]] = {}  # incident -> its ticket, and why it could not be asked for last

    @property
    def wanted(self) -> bool:
        return self.hook.kind.poll is not None and self._every is not None

    async def run(self) -> None:
        assert self._every is not None
        try:
            while True:
                await self._clock.sleep(self._every)
                try:
                    await self.look()
                except Exception:  # A fault of ours, or of the database, must end neither the polls nor the courier.
                    log.exception("poll_failed", hook=self.hook.name)
                    self._judge(f"{self.hook.name} cannot be asked what people did there: a fault of the monitor")
        finally:
            self._judge(None)

    async def look(self) -> None:
        """Ask for each ticket once, as far as there is time, and do here what was done there."""
        known, end, in_vain = await self._known(), self._clock.monotonic() + _IN_ALL, 0
        self._forget_all_but({k.incident for k in known})
        known.sort(key=lambda k: self._asked.get(k.incident, 0))  # whose turn is longest ago; of the others the newest
        for first in range(0, len(known), self.hook.kind.poll_at_once):
            if in_vain >= _MOST_IN_VAIN or self._clock.monotonic() >= end:
                log.info("poll_goes_on_later", hook=self.hook.name, left=len(known) - first)
                break
            some = known[first : first + self.hook.kind.poll_at_once]
            in_vain = 0 if await self._ask(some, end) else in_vain + 1
        self._judge(self._trouble())

    async def _ask(self, some: Sequence[Known], end: float) -> bool:
        """Ask for some tickets at once, and do what was done there. False: nobody knows what was."""
        assert self.hook.kind.poll is not None
        self._polls += 1
        self._asked |= {k.incident: self._polls for k in some}
        poll = self.hook.kind.poll(self.hook.spec, some, self._clock.now())
        in_all = end - self._clock.monotonic()
        found = await converse(poll, self._senders, self.hook.spec, self.hook.timeout, in_all)
        if isinstance(found, HookOutcome):
            log.warning("poll_failed", hook=self.hook.name, reason=found.reason.value, detail=found.detail)
            self._failing |= {k.incident: (_name(k), found.detail) for k in some}
            return False
        self._forget_failing(some)
        still = set(await self._known([k.incident for k in some])).intersection(some)
        unchanged = {k.incident for k in still}  # what changed here meanwhile is asked anew
        for said in found:
            if said.incident in unchanged:
                shown = self.hook.kind.shows_answers
                await take(self._store, self._clock, self._submit, self.hook.name, said, shown=shown)
        return True

    async def _known(self, only: Sequence[str] | None = None) -> list[Known]:
        """Return the tickets that the hook has, the newest first."""
        found = await self._store.read(lambda c: tickets.known_to(c, self.hook.name, only))
        mark = f"{self.hook.kind.name}\n"
        return [Known(t.incident, kept_by(mark, t.reference), t.acknowledged) for t in found]

    def _forget_all_but(self, known: set[str]) -> None:
        self._asked = {name: turn for name, turn in self._asked.items() if name in known}
        self._failing = {name: why for name, why in self._failing.items() if name in known}

    def _forget_failing(self, some: Sequence[Known]) -> None:
        for k in some:
            self._failing.pop(k.incident, None)

    def _trouble(self) -> str | None:
        """Return what could not be asked at its last turn, however many looks ago that was."""
        if not self._failing:
            return None
        by_detail: dict[str, list[str]] = {}
        for ticket, detail in self._failing.values():
            by_detail.setdefault(detail, []).append(ticket)
        told = "; ".join(f"{_some_of(names)}: {detail}" for detail, names in by_detail.items())
        return f"{self.hook.name} cannot be asked what people did there: {told}"

    def _judge(self, trouble: str | None) -> None:
        self._impairments.set("alerts", trouble is not None, f"poll {self.hook.name}", trouble or "")


def _name(known: Known) -> str:
    """Return what the provider calls the ticket, or what we do."""
    return remembered(known.reference)[0] or known.incident


def _some_of(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
