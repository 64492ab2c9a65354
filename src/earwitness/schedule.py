"""When each probe runs, and nothing else.

A slot is a nominal start time. For `every` it is `n x every + offset`, anchored at the epoch with an offset that comes from the
probe's name, so that starts are spread and a restart computes the same slots; for `cron` it is the nominal firing time. APScheduler
only wakes us, by one job for all probes: which slots are due, late or missed is decided here, from the last slot on record.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from earwitness.clock import CLOCK_SLACK, Clock
from earwitness.config.cron import Cron
from earwitness.config.schema import ProbeSpec

log = structlog.get_logger()

_CATCH_UP = 60.0  # seconds; a slot older than this, or than one interval, is missed rather than run
_MOST_COUNTED = 10_000  # cron slots counted one by one after a long absence
_MINUTE = 60_000  # ms
_FURTHEST = 3000 * 86_400_000  # ms; no cron that fires at all stays away for longer
_GRID = 100  # ms; starts that lie so near to each other share a wake-up and a commit, which cost as much for many as for one
_ON_TIME = 1.0  # seconds; no younger slot is missed, however little its probe may catch up
_TURNS = 100  # a second at least that what is late, or one too many at a moment, begins in; more where more probes run anyway, or could not wait so long
_AT_ONCE = 5 * _GRID  # ms whose turns may begin together
_LIFE = timedelta(seconds=1)  # from one sign of life to the next, whether a probe is due or not


class Slots(Protocol):
    """The nominal start times of one probe, in whole milliseconds since the epoch."""

    def latest(self, now: int) -> int | None:
        """Return the newest slot at or before `now`."""

    def following(self, slot: int) -> int | None:
        """Return the first slot after this moment."""

    def count(self, after: int, until: int) -> int:
        """Return how many slots lie in (after, until]."""


@dataclass(frozen=True, slots=True)
class EverySlots:
    every: int  # ms
    offset: int  # ms

    @classmethod
    def of(cls, probe: str, seconds: float) -> "EverySlots":
        every = round(seconds * 1000)
        digest = hashlib.sha256(probe.encode()).digest()
        offset = int.from_bytes(digest[:8], "big") % every
        return cls(every, offset - offset % _GRID)

    def latest(self, now: int) -> int:
        return (now - self.offset) // self.every * self.every + self.offset

    def following(self, slot: int) -> int:
        return self.latest(slot) + self.every

    def count(self, after: int, until: int) -> int:
        return max(0, (self.latest(until) - self.latest(after)) // self.every)


@dataclass(frozen=True, slots=True)
class CronSlots:
    """When clocks are set back, an hour comes twice: what runs at a fixed hour runs in the first of them only."""

    cron: Cron
    zone: ZoneInfo

    @classmethod
    def of(cls, cron: Cron, zone: ZoneInfo) -> "CronSlots":
        return cls(cron, zone)

    def latest(self, now: int) -> int | None:
        """Look back over growing spans for one that holds a slot, then halve it: cron can only be asked for what comes next."""
        span = _MINUTE
        while (slot := self.following(now - span)) is None or slot > now:
            span *= 2
            if span > _FURTHEST:
                return None
        early, late = now - span, now - span // 2
        while late - early > _MINUTE:
            middle = (early + late) // 2
            after = self.following(middle)
            if after is not None and after <= now:
                early, slot = middle, after
            else:
                late = middle
        return slot

    def following(self, slot: int) -> int | None:
        return _remembered(self.cron, self.zone, slot // _MINUTE)

    def count(self, after: int, until: int) -> int:
        return _counted(self.cron, self.zone, after, until)


def _fires_after(cron: Cron, zone: ZoneInfo, minute: int) -> int | None:
    """Return when it fires first after this minute since the epoch has begun: it fires as a minute begins, and at no other time."""
    trigger, asked = _trigger(cron, zone), _datetime(minute * _MINUTE + 1)
    fired = trigger.get_next_fire_time(None, asked)
    while fired is not None and fired.fold and not cron.every_hour:
        fired = trigger.get_next_fire_time(None, fired.astimezone(UTC) + timedelta(seconds=1))
    if fired is None:
        return None
    found: int = round(fired.timestamp() * 1000)
    if fired.utcoffset() == asked.astimezone(zone).utcoffset():
        return found
    by_the_wall = _fires_by_the_wall(cron, zone, asked)
    return found if by_the_wall is None or by_the_wall <= minute * _MINUTE else min(found, by_the_wall)


def _fires_by_the_wall(cron: Cron, zone: ZoneInfo, asked: datetime) -> int | None:
    """Reckon as if no clock were ever changed. APScheduler adds 24 hours to get to the next day, and passes over its first hour after one of 23."""
    fired = _trigger(cron, UTC).get_next_fire_time(None, asked.astimezone(zone).replace(tzinfo=UTC))
    if fired is None:
        return None
    by_the_wall: int = round(fired.replace(tzinfo=zone).timestamp() * 1000)
    return by_the_wall


_remembered = lru_cache(maxsize=4096)(_fires_after)  # most probes share their minutes with others


@lru_cache(maxsize=1024)
def _trigger(cron: Cron, zone: tzinfo) -> CronTrigger:
    return cron.trigger(zone)


@lru_cache(maxsize=256)
def _counted(cron: Cron, zone: ZoneInfo, after: int, until: int) -> int:
    found, slot = 0, _fires_after(cron, zone, after // _MINUTE)
    while slot is not None and slot <= until and found < _MOST_COUNTED:
        found, slot = found + 1, _fires_after(cron, zone, slot // _MINUTE)
    return found


def slots_of(name: str, probe: ProbeSpec) -> Slots:
    if probe.every is not None:
        return EverySlots.of(name, probe.every)
    assert probe.cron is not None
    return CronSlots.of(probe.cron, ZoneInfo(probe.timezone))


@dataclass(frozen=True, slots=True)
class Due:
    """What a firing found: a slot to run, and older ones that nobody ran."""

    probe: str
    slot: int | None
    missed: int = 0
    missed_until: int | None = None  # the newest of the missed slots


def due(probe: str, slots: Slots, last: int, now: int, catch_up: int) -> Due:
    """Return what is to be done about the slots since the last one on record. Times in ms."""
    following = slots.following(last)
    if following is None or following > now:  # of cron this is one look, and the latest slot many
        return Due(probe, None)
    newest = slots.latest(now)
    assert newest is not None
    found = slots.count(last, newest)
    if now - newest > catch_up:
        return Due(probe, None, found, newest)
    if found <= 1:
        return Due(probe, newest)
    before = _before(slots, newest, last)
    return Due(probe, newest, found - 1, before)


def _before(slots: Slots, newest: int, last: int) -> int:
    earlier = slots.latest(newest - 1)
    return earlier if earlier is not None else last


class _Wake(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Tells APScheduler when to wake us: at the next slot of any probe, and as a sign of life in between."""

    def __init__(self, soonest: Callable[[], int | None]) -> None:
        self._soonest = soonest

    def get_next_fire_time(self, _previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return a moment after `now`: APScheduler goes on asking until it is told one."""
        slot, life = self._soonest(), now + _LIFE
        return life if slot is None else min(max(_datetime(slot), now + timedelta.resolution), life)


def _datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)


class Schedule:
    """Fires what is due. The callback only enqueues; nothing else fires before it returns.

    What went by while nobody looked takes turns, and so does what is too much for one moment: hundreds of runs that begin together
    measure each other, and each would tell it as its target's slowness.
    """

    def __init__(self, clock: Clock, on_due: Callable[[Due], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._probes: dict[str, ProbeSpec] = {}
        self._slots: dict[str, Slots] = {}
        self._last: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []  # a heap: when each probe is to fire next
        self._gap = 1000 / _TURNS  # ms from one turn to the next
        self._turn = 0.0  # the next that nobody has yet
        self._timer = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": DebugExecutor()},  # runs a job where the timer is, before it asks when the next is
            job_defaults={"misfire_grace_time": None, "coalesce": True},
        )
        self.ticked_at = clock.monotonic()  # when the timer last woke us; the watchdog's proof of life

    def start(self, probes: Mapping[str, ProbeSpec], last: Mapping[str, int]) -> None:
        """Begin; `last` holds each probe's newest slot on record. What was missed since is looked at first."""
        self._last = {name: slot for name, slot in last.items() if name in probes}
        self._let_go_of_the_future()
        self._timer.start()
        self.apply(probes)

    def apply(self, probes: Mapping[str, ProbeSpec]) -> None:
        """Make the timer agree with the configuration; probes whose times did not change keep theirs."""
        for name in self._probes.keys() - probes.keys():
            del self._slots[name], self._last[name]
        changed = {name for name, probe in probes.items() if not _same_times(self._probes.get(name), probe)}
        for name in changed:
            if name in self._probes or name not in self._last:
                self._last[name] = self._now()  # a new probe, or new times of an old one, have missed nothing
            self._slots[name] = slots_of(name, probes[name])
        self._probes = dict(probes)
        self._gap = 1000 / max(_TURNS, sum(1 / min(probe.interval, _catch_up(probe)) for probe in probes.values()))
        self._queue = [(slot, name) for slot, name in self._queue if name in probes and name not in changed]
        self._await(changed)

    def rewind(self) -> None:
        """Work out anew when each probe is due: the clock was set back, and they would sleep until it has caught up."""
        self._let_go_of_the_future()
        self._turn = 0.0
        self._queue.clear()
        self._await(self._slots)

    def _let_go_of_the_future(self) -> None:
        """What was run before the clock was set back keeps nobody from running what comes now."""
        now = self._now()
        ahead = [name for name, slot in self._last.items() if slot > now + round(CLOCK_SLACK * 1000)]
        if ahead:
            log.warning("clock_set_back", probes=len(ahead))
        self._last.update(dict.fromkeys(ahead, now))

    def _await(self, names: Iterable[str]) -> None:
        """Queue these probes: those whose slot went by for their turns, the newest first, since the oldest would soon come round again."""
        now = self._now()
        gone = {name: slot for name in names if (slot := self._told_of_missed(name).slot) is not None}
        self._queue += [(self._soon(now, name), name) for name in sorted(gone, key=gone.__getitem__, reverse=True)]
        following = ((self._slots[name].following(now), name) for name in names if name not in gone)
        self._queue += [(slot, name) for slot, name in following if slot is not None]
        heapify(self._queue)
        if self._timer.running:  # else it is started later, or was stopped meanwhile
            self._timer.add_job(self._wake, _Wake(self._soonest), id="wake", replace_existing=True)

    def _told_of_missed(self, name: str) -> Due:
        """Return what is due, once slots that are too old to be run are on record as missed: that takes no turn."""
        found = self._due(name)
        if found.slot is None:
            self._tell(name, found)
        return found

    def _soon(self, earliest: int, name: str) -> int:
        """Return the probe's next slot, or a turn of its own where that comes sooner."""
        turn, following = max(float(earliest), self._turn), self._slots[name].following(earliest)
        if following is not None and following <= turn:
            return following
        self._turn = turn + self._gap
        return int(turn) // _GRID * _GRID  # those of one step share a wake-up

    def stop(self) -> None:
        if self._timer.running:
            self._timer.shutdown(wait=False)

    def _soonest(self) -> int | None:
        return self._queue[0][0] if self._queue else None

    def _wake(self) -> None:
        self.ticked_at = self._clock.monotonic()
        now, room = self._now(), max(1, round(_AT_ONCE / self._gap))
        while self._queue and self._queue[0][0] <= now and room > 0:
            _, name = heappop(self._queue)
            following = self._slots[name].following(now)
            if following is not None:
                heappush(self._queue, (following, name))
            room -= 1
            self._fire(name)
        self._put_off(now)

    def _put_off(self, now: int) -> None:
        """Give turns to what is too much for one moment, first to what may wait least."""
        waiting = []
        while self._queue and self._queue[0][0] <= now:
            waiting.append(heappop(self._queue)[1])
        for name in sorted(waiting, key=lambda waits: _catch_up(self._probes[waits])):
            heappush(self._queue, (self._soon(now + 2 * _GRID, name), name))

    def _fire(self, name: str) -> None:
        self._tell(name, self._due(name))

    def _tell(self, name: str, found: Due) -> None:
        newest = _newest(found)
        if newest is not None:
            self._last[name] = newest
            self._on_due(found)

    def _due(self, name: str) -> Due:
        return due(name, self._slots[name], self._last[name], self._now(), round(_catch_up(self._probes[name]) * 1000))

    def _now(self) -> int:
        return round(self._clock.now() * 1000)


def _newest(found: Due) -> int | None:
    return found.slot if found.slot is not None else found.missed_until


def _catch_up(probe: ProbeSpec) -> float:
    """Return how old a slot may be and still be run, in seconds."""
    return max(_ON_TIME, min(_CATCH_UP, probe.interval) if probe.catch_up is None else probe.catch_up)


def _same_times(old: ProbeSpec | None, new: ProbeSpec) -> bool:
    return old is not None and (old.every, old.cron, old.timezone) == (new.every, new.cron, new.timezone)
