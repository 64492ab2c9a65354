"""Tries a hook with a marked test: an incident that is none opens, and resolves. It is kept nowhere."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

from earwitness.alerting.couriers import Hook
from earwitness.alerting.notices import Change, Links, written
from earwitness.alerting.senders import Senders, converse
from earwitness.clock import Clock
from earwitness.hooks.base import HookOutcome, Parcel
from earwitness.model import Status, TransitionKind
from earwitness.presentation import sample_incident

_IN_ALL = 60.0  # seconds for one of the two


async def try_hook(
    hook: Hook, senders: Senders, links: Links, clock: Clock
) -> AsyncIterator[tuple[TransitionKind, HookOutcome]]:
    """Yield what came of the opening and then of the resolve, each tried once.

    The resolve is tried even when the opening failed: an attempt whose answer was lost may have opened something.
    """
    word = uuid.uuid4().hex[:12]
    incident = sample_incident(f"test-{word}", clock.now())
    reference: str | None = None
    for kind in (TransitionKind.OPEN, TransitionKind.RESOLVE):
        now = clock.now()
        if kind is TransitionKind.RESOLVE:
            incident = replace(incident, status=Status.RESOLVED, resolved_at=now)
        change = Change(f"{incident.id}.{kind.value}.{hook.name}", kind, now, incident.reason, incident)
        body = hook.kind.render(hook.spec, await written(change, links, hook.template, test=True))
        talk = hook.kind.talk(hook.spec, Parcel(change.key, body, now, reference))
        outcome = await converse(talk, senders, hook.spec, hook.timeout, _IN_ALL)
        reference = outcome.reference or reference
        yield kind, outcome


def attempt_json(kind: TransitionKind, outcome: HookOutcome) -> dict[str, str]:
    """Return what came of one of the two, as the API and the command line show it."""
    return {"change": kind.value, "outcome": outcome.result, "reason": outcome.reason.value, "detail": outcome.detail}
