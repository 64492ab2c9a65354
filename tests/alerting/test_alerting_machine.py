"""Whatever happens in whatever order: who heard of an incident hears of its end, and somebody hears of each."""

import asyncio
import json
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from outbox_world import OutboxWorld

from earwitness.alerting.couriers import GIVE_UP
from earwitness.model import Severity

ROUTES = [
    {"to": ["pager"], "failover": ["chat"]},
    {"to": ["mail"], "group_for": "30s", "quiet": {"hours": "22:00-07:00"}},
]
HOOKS = ("pager", "chat", "mail")
NAMES = tuple("abcdefgh")

happenings = st.one_of(
    st.tuples(
        st.just("open"),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True),
        st.sampled_from(list(Severity)),
    ),
    st.tuples(
        st.sampled_from(["resolve", "acknowledge", "raise", "lower", "silence", "unmute", "reopen"]),
        st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    ),
    st.tuples(st.just("answers"), st.sampled_from(HOOKS), st.sampled_from([200, 410, 500])),
    st.tuples(st.just("passes"), st.sampled_from([10.0, 31.0, 61.0, 3600.0, 12 * 3600.0])),
    st.tuples(st.just("deliver"), st.sampled_from(HOOKS)),
)


class Machine(OutboxWorld):
    """An outbox to which things happen; it knows which incidents are open."""

    def __init__(self, path):
        super().__init__(path, ROUTES, pager=3, chat=3)
        self.going_on = {}
        self.over = {}
        self.counted = 0
        self.accepted = defaultdict(set)  # hook -> (kind, id) of what it answered 200 to
        self.refused = set()  # of hooks that ever answered 410
        self.bodies_of = defaultdict(set)

    async def open(self, names, severity):
        fresh = [n for n in names if n not in self.going_on]
        self.counted += 1
        if fresh:
            ids = await self.opens(*(f"{n}{self.counted}" for n in fresh), severity=severity)
            self.going_on |= dict(zip(fresh, ids, strict=True))

    async def change(self, what, names):
        concerned = self.over if what == "reopen" else self.going_on
        chosen = {n: concerned[n] for n in names if n in concerned}
        if what == "reopen":
            chosen = {n: i for n, i in chosen.items() if n not in self.going_on}
        if not chosen:
            return
        self._note(what, chosen)
        does = {"resolve": self.resolves, "reopen": self.reopens, "acknowledge": self.acknowledges}
        does |= {"raise": self.raises, "lower": self.lowers, "silence": self.silences, "unmute": self.unmutes}
        await does[what](*chosen.values())

    def _note(self, what, chosen):
        if what == "resolve":
            self.over |= chosen
            self.going_on = {n: i for n, i in self.going_on.items() if n not in chosen}
        elif what == "reopen":
            self.going_on |= chosen

    async def happen(self, what, *more):
        if what == "open":
            await self.open(*more)
        elif what == "answers":
            self.answers[more[0]] = [more[1]]
            self.refused |= {more[0]} if more[1] == 410 else set()
        elif what == "passes":
            self.clock.moment += more[0]
        elif what == "deliver":
            await self.deliver(*more)
        else:
            await self.change(what, *more)
        self.note()

    def note(self):
        """Remember what was answered 200 since the last time: answers change only between deliveries."""
        for (hook, body), key in zip(self.got, self.keys, strict=True):
            self.bodies_of[key].add(json.dumps(body, sort_keys=True))
            if self.answers.get(hook, [200]) == [200]:
                kind = body["type"].removeprefix("incident.")
                told = [body["data"]["incident"]["id"], *body["data"].get("incidents", ())]
                self.accepted[hook] |= {(kind, told[0])} | {("told", i) for i in told}
        self.got.clear()
        self.keys.clear()

    async def come_to_rest(self):
        """Everything recovers and is resolved, and all that is owed goes out."""
        self.answers.clear()
        await self.change("resolve", NAMES)
        for _ in range(int(2 * GIVE_UP / 7200)):
            self.clock.moment += 7200
            await self.deliver(*HOOKS, *HOOKS)
            self.note()


@settings(max_examples=12, deadline=None)
@given(st.lists(happenings, max_size=40))
def test_who_heard_of_it_hears_of_its_end_and_somebody_hears_of_each(steps):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_played(Path(folder), steps))


async def _played(folder, steps):
    machine = Machine(folder / "earwitness.db")
    for step in steps:
        await machine.happen(*step)
    await machine.come_to_rest()
    rows = await machine.rows()
    machine.close()
    assert [r for r in rows if r["state"] in ("pending", "leased")] == []
    assert all(len(bodies) == 1 for bodies in machine.bodies_of.values()), "a key has one body"
    for hook, heard in machine.accepted.items():
        opened = {i for kind, i in heard if kind in ("open", "reopen", "raise", "lower", "unmute", "digest")}
        ended = {i for kind, i in heard if kind == "resolve"}
        assert opened <= ended, f"{hook} never heard of the end"
    known = {i for heard in machine.accepted.values() for kind, i in heard if kind == "told"}
    incidents = {r["incident"] for r in rows if r["kind"] == "open"}
    if not machine.refused:
        assert incidents <= known
        assert incidents <= {i for kind, i in machine.accepted["pager"] if kind == "told"}
    elif machine.refused == {"pager"}:
        both = machine.accepted["pager"] | machine.accepted["chat"]
        assert incidents <= {i for kind, i in both if kind == "told"}
