"""What is owed to whom: rows are put into the outbox in the commit of the transition that they tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, and_, exists, insert, or_, select, update

from earwitness.model import Transition, TransitionKind
from earwitness.store.dialect import insert_if_new
from earwitness.store.tables import attempts, deliveries, impairment_notices, incidents

STATES = ("pending", "leased", "delivered", "refused", "expired", "skipped", "digested", "dropped")
OWED = ("pending", "leased")
FOLLOW_UPS = (TransitionKind.ACKNOWLEDGE, TransitionKind.RESOLVE)
_ALONE = ("leased", "delivered")
_BEGUN = ("leased", "delivered", "digested")
REACHED = (*OWED, "delivered", "digested", "expired")
_OPEN_INCIDENTS = select(incidents.c.id).where(incidents.c.resolved_at.is_(None))
_OPEN_NOTICES = select(impairment_notices.c.id).where(impairment_notices.c.closed_at.is_(None))


@dataclass(frozen=True, slots=True)
class Recipient:
    """A hook that is to be told, when, and which hooks take over, in order, when it refuses for good."""

    hook: str
    not_before: float = 0.0
    held: str | None = None  # why it waits: group or quiet
    urgent: bool = False  # goes before what is not, and is never held or summarised
    failover: tuple[str, ...] = ()


def add_deliveries(connection: Connection, transition: Transition, hooks: Iterable[Recipient], now: float) -> None:
    """Owe this transition to the hooks. The key is the same on every attempt."""
    incident = transition.incident
    for recipient in hooks:
        key = f"{incident.id}.{len(incident.timeline)}.{recipient.hook}"
        owe(connection, _row_of(transition, key, recipient, now))
        if recipient.urgent:
            _let_through(connection, incident.id, recipient.hook, now)
        elif transition.kind in FOLLOW_UPS:
            _make_way(connection, incident.id, recipient.hook, now)


def owe(connection: Connection, row: dict[str, Any]) -> bool:
    """Add a row. False: its key is there already."""
    defaults = {"state": "pending", "attempts": 0, "held": None, "urgent": 0, "failover": ""}
    return insert_if_new(connection, deliveries, {**defaults, "owed_since": row["next_at"], **row})


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something to tell of an incident that did not change. Its key says what it is, so that it is told once."""

    key: str
    incident: str
    kind: TransitionKind
    at: float
    text: str
    recipient: Recipient


def add_prompts(connection: Connection, prompts: Iterable[Prompt], now: float) -> None:
    """Owe what is not owed yet."""
    for prompt in prompts:
        to = prompt.recipient
        row = {
            "key": prompt.key,
            "incident": prompt.incident,
            "kind": prompt.kind.value,
            "at": prompt.at,
            "text": prompt.text,
            "hook": to.hook,
            "next_at": now,
            "urgent": int(to.urgent),
            "failover": " ".join(to.failover),
        }
        if owe(connection, row) and (to.urgent or prompt.kind is TransitionKind.ESCALATE):
            _let_through(connection, prompt.incident, to.hook, now, urgent=to.urgent)


def _row_of(transition: Transition, key: str, recipient: Recipient, now: float) -> dict[str, Any]:
    return {
        "key": key,
        "incident": transition.incident.id,
        "kind": transition.kind.value,
        "at": transition.at,
        "text": transition.text,
        "hook": recipient.hook,
        "next_at": max(now, recipient.not_before),
        "held": recipient.held,
        "urgent": int(recipient.urgent),
        "failover": " ".join(recipient.failover),
    }


def _let_through(connection: Connection, incident: str, hook: str, now: float, *, urgent: bool = True) -> None:
    """What is urgent, or a rung of a ladder, does not wait for news of the same incident that is held; what was tried already waits for its next try."""
    untried = and_(deliveries.c.state == "pending", deliveries.c.held.is_not(None), deliveries.c.attempts == 0)
    held = and_(thread(incident, hook), untried)
    through = {"next_at": now, "owed_since": now, "held": None} | ({"urgent": 1} if urgent else {})
    connection.execute(update(deliveries).where(held).values(through))


def _make_way(connection: Connection, incident: str, hook: str, now: float) -> None:
    """Whoever knows the incident is told on time that it is acknowledged or over: what is held of it is told before that.

    What was told in a digest only may be told in one again.
    """
    query = select(deliveries.c.state).where(thread(incident, hook), deliveries.c.state.in_(_BEGUN)).distinct()
    begun = set(connection.scalars(query))
    if begun:
        _let_through(connection, incident, hook, now, urgent=not begun.isdisjoint(_ALONE))


def thread(incident: str, hook: str) -> ColumnElement[bool]:
    return and_(deliveries.c.incident == incident, deliveries.c.hook == hook)


def told(connection: Connection, incident: str) -> list[str]:
    """Return the hooks that were told of the incident, may have been, or are about to be; not those that refused all of it."""
    reached = and_(deliveries.c.incident == incident, deliveries.c.state.in_(REACHED))
    query = select(deliveries.c.hook).where(reached).distinct()
    return sorted(connection.scalars(query))


def told_of_open(connection: Connection) -> dict[str, list[str]]:
    """Return for each open incident what `told` returns, where somebody was told."""
    reached = and_(deliveries.c.incident.in_(_OPEN_INCIDENTS), deliveries.c.state.in_(REACHED))
    found: dict[str, list[str]] = {}
    for row in connection.execute(select(deliveries.c.incident, deliveries.c.hook).where(reached).distinct()):
        found.setdefault(row.incident, []).append(row.hook)
    return found


def taken_over_by(connection: Connection, incident: str) -> dict[str, tuple[str, ...]]:
    """Return the hooks that know of the incident, each with those who take over from it as it was last told."""
    reached = and_(deliveries.c.incident == incident, deliveries.c.state.in_(REACHED))
    query = (
        select(deliveries.c.hook, deliveries.c.failover).where(reached).order_by(deliveries.c.hook, deliveries.c.seq)
    )
    return {row.hook: tuple(row.failover.split()) for row in connection.execute(query)}


def going_on() -> CompoundSelect[tuple[str]]:
    """Return the ids of what is not over: open incidents, and the notice that the monitor is impaired."""
    return _OPEN_INCIDENTS.union(_OPEN_NOTICES)


def bound(connection: Connection) -> set[str]:
    """Return the hooks that an open incident concerns: that know of it, or were to be told of it when they were not there any more."""
    missed = and_(deliveries.c.state == "refused", deliveries.c.reason == "no_hook")
    concerned = or_(deliveries.c.state.in_(REACHED), missed)
    meant = and_(deliveries.c.incident.in_(_OPEN_INCIDENTS), concerned)
    return set(connection.scalars(select(deliveries.c.hook).where(meant).distinct()))


def warned(connection: Connection) -> set[str]:
    """Return the hooks that know that the monitor is impaired, and so are told of the end.

    One that is gone is not missed for that: it would itself be an impairment, and the notice would never end.
    """
    meant = and_(deliveries.c.incident.in_(_OPEN_NOTICES), deliveries.c.state.in_(REACHED))
    return set(connection.scalars(select(deliveries.c.hook).where(meant).distinct()))


def drop(connection: Connection, hook: str, who: str, now: float) -> int:
    """Owe nothing more to a hook, and expect nothing of it: what it knows of is not ended there. Returns how many deliveries that was."""
    known = and_(deliveries.c.incident.in_(going_on()), deliveries.c.state != "skipped")
    meant = and_(deliveries.c.hook == hook, deliveries.c.state != "dropped", or_(deliveries.c.state.in_(OWED), known))
    seqs = list(connection.scalars(select(deliveries.c.seq).where(meant)))
    note = {"at": now, "outcome": "dropped", "reason": "by_hand", "detail": f"dropped by {who}"}
    if seqs:
        connection.execute(insert(attempts), [note | {"delivery": seq} for seq in seqs])
        dropped = update(deliveries).where(meant).values(state="dropped", lease=None, lease_until=None)
        connection.execute(dropped)
    return len(seqs)


def awaiting_end(connection: Connection, incident: str) -> list[str]:
    """Return the hooks to which the incident is not over: those told of it that were not told, or are not about to be, of its end since."""
    reached = and_(deliveries.c.incident == incident, deliveries.c.state.in_(REACHED))
    rows = connection.execute(select(deliveries.c.hook, deliveries.c.kind).where(reached).order_by(deliveries.c.seq))
    newest = {row.hook: row.kind for row in rows}
    return sorted(hook for hook, kind in newest.items() if kind != TransitionKind.RESOLVE)


def is_owed(connection: Connection, incident: str, hook: str, kinds: Sequence[TransitionKind] = ()) -> bool:
    """Whether the hook is still to be told something of the incident: anything, or one of these kinds."""
    waiting = and_(thread(incident, hook), deliveries.c.state.in_(OWED))
    if kinds:
        waiting = and_(waiting, deliveries.c.kind.in_([kind.value for kind in kinds]))
    return connection.execute(select(deliveries.c.seq).where(waiting).limit(1)).first() is not None


def was_refused(connection: Connection, incident: str, hook: str, kinds: Sequence[TransitionKind]) -> bool:
    """Whether the newest of these news was refused by the hook, so that nobody there knows it."""
    news = and_(thread(incident, hook), deliveries.c.kind.in_([kind.value for kind in kinds]))
    newest = select(deliveries.c.state).where(news).order_by(deliveries.c.seq.desc()).limit(1)
    return connection.scalar(newest) in ("refused", "expired")


def refused(connection: Connection, incident: str) -> set[str]:
    """Return the hooks that accepted nothing of the incident, and refused something for good."""
    gone = and_(deliveries.c.incident == incident, deliveries.c.state == "refused")
    query = select(deliveries.c.hook).where(gone).distinct()
    return set(connection.scalars(query)) - set(told(connection, incident))


def drop_quiet(connection: Connection, incident: str) -> None:
    """Forget what quiet hours hold back of an incident that is over: who has not heard of it needs not, who has waits for the end."""
    known = deliveries.alias()
    begun = exists().where(known.c.incident == incident, known.c.hook == deliveries.c.hook, known.c.state.in_(_BEGUN))
    began_quietly = exists().where(
        known.c.incident == incident, known.c.hook == deliveries.c.hook, known.c.held == "quiet", known.c.attempts == 0
    )
    unheard = and_(began_quietly, ~begun)
    untried = and_(deliveries.c.held == "quiet", deliveries.c.attempts == 0)
    waiting = and_(deliveries.c.incident == incident, deliveries.c.state == "pending", or_(unheard, untried))
    seqs = list(connection.scalars(select(deliveries.c.seq).where(waiting)))
    connection.execute(
        update(deliveries).where(deliveries.c.seq.in_(seqs)).values(state="skipped", reason="over_in_quiet_hours")
    )
