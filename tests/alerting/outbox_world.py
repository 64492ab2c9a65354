"""An outbox with incidents of the judge's own making, and hooks that answer as they are told to."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
from judge_world import World, rules_of
from virtual import VirtualClock

from earwitness.alerting.couriers import Courier, Hook
from earwitness.alerting.notices import Links
from earwitness.alerting.routing import Matcher, Router
from earwitness.alerting.senders import Senders
from earwitness.commit import Committed, _write
from earwitness.config.alerting import RouteSpec
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.judge import State
from earwitness.model import Effect, JourneyRule, Mute, Severity, Status, TransitionKind
from earwitness.store import outbox, verdicts
from earwitness.store.store import Store


def silence(world, known=None):
    """What mutes an incident for a day; people know nothing of it, or that it has this severity."""
    return Mute("silence x", "a known fault", world.clock.now() + 86400, known)


class OutboxWorld:
    """Commits transitions through a router, and delivers what is due with the real couriers."""

    def __init__(self, path: Path, routes, **caps) -> None:
        self.clock = VirtualClock()
        self.store = Store.open(path)
        self.router = Router([RouteSpec.model_validate(r) for r in routes], Matcher({"shop": "payments"}))
        self.answers: dict[str, list[int]] = {}  # statuses by hook, the last of them for ever; 200 without
        self.got: list[tuple[str, dict]] = []
        self.keys: list[str] = []
        self.results: list[tuple[str, str]] = []
        names = {h for r in self.router.routes for h in (*r.to, *r.failover)}
        self.couriers = {name: self._courier(name, caps.get(name.replace("-", "_"))) for name in sorted(names)}
        self.worlds: dict[str, World] = {}

    def _courier(self, name, cap):
        def answer(request):
            self.got.append((name, json.loads(request.content)))
            self.keys.append(request.headers["webhook-id"])
            answers = self.answers.get(name, [200])
            return httpx.Response(answers.pop(0) if len(answers) > 1 else answers[0])

        spec = WebhookSpec(url=f"https://{name}.example/hook", secret="a secret of the hook")
        senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(answer)), Path)
        hook = Hook(name, KIND, spec, 15.0, storm_cap=cap)
        courier = Courier(hook, self.store, self.clock, senders, Links("http://127.0.0.1:8420"))
        courier.on_told(lambda hook, result, _outcome: self.results.append((hook, result)))
        return courier

    # --- what happens ----------------------------------------------------------------------------------------------

    def world(self, name):
        """A world of its own for each incident, as if each had a cause of its own."""
        if name not in self.worlds:
            runs = 1000 * (len(self.worlds) + 1)
            rules = rules_of({name: ("shop", [])}, {"shop": JourneyRule("Shop", owner="payments")})
            self.worlds[name] = World(rules, now=self.clock.now(), runs=runs)
        return self.worlds[name]

    async def opens(self, *names, severity=Severity.SEV2, muted=None):
        """Open an incident for each name, in one commit."""
        transitions = []
        for name in names:
            world = self.world(name)
            world.fails(name, Effect.BLOCKED, times=2)
            (made,) = [t for t in world.transitions if t.kind is TransitionKind.OPEN][-1:]
            entries = tuple(replace(e, severity=severity, muted=bool(muted)) for e in made.incident.timeline)
            incident = replace(made.incident, severity=severity, muted=muted, timeline=entries)
            transitions.append(replace(made, incident=incident))
        await self.commit(transitions)
        return [t.incident.id for t in transitions]

    async def resolves(self, *ids, via=None):
        await self._change(ids, TransitionKind.RESOLVE, via, status=Status.RESOLVED, resolved_at=self.clock.now())

    async def reopens(self, *ids, muted=None):
        again = {"status": Status.OPEN, "resolved_at": None, "acknowledged_by": None, "muted": muted}
        await self._change(ids, TransitionKind.REOPEN, **again)

    async def silences(self, *ids, known=Severity.SEV2):
        """Mute what people know of."""
        await self._change(ids, TransitionKind.MUTE, muted=silence(self, known))

    async def unmutes(self, *ids, kind=TransitionKind.UNMUTE):
        await self._change(ids, kind, muted=None)

    async def lowers(self, *ids):
        await self._change(ids, TransitionKind.LOWER, severity=Severity.SEV2)

    async def raises(self, *ids):
        await self._change(ids, TransitionKind.RAISE, severity=Severity.SEV1)

    async def acknowledges(self, *ids, via=None, who="somebody"):
        await self._change(ids, TransitionKind.ACKNOWLEDGE, via, status=Status.ACKNOWLEDGED, acknowledged_by=who)

    async def _change(self, ids, kind, via=None, **changes):
        from earwitness.judge.incidents import noted  # noqa: PLC0415

        found = [await self.store.read(lambda c, i=i: verdicts.incident(c, i)) for i in ids]
        told = [noted(replace(i, **changes), self.clock.now(), kind, f"it was {kind}")[1] for i in found]
        await self.commit(told, via)

    async def commit(self, transitions, via=None):
        """Write as the commit loop does."""
        state = State.of([], [t.incident for t in transitions if t.incident.status is not Status.RESOLVED])
        committed = Committed(transitions=list(transitions), via=[via] * len(transitions))
        now = self.clock.now()
        await self.store.write(lambda c: _write(c, State(), state, committed, self.router, now))

    async def deliver(self, *hooks):
        """Deliver what is due now, to all hooks or to these."""
        for name in hooks or self.couriers:
            while await self.couriers[name].deliver_next():
                pass

    # --- what came of it -------------------------------------------------------------------------------------------

    def told(self, hook):
        """Return what the hook was told: the kind of news, and the incident or the digest."""
        return [
            (body["type"].removeprefix("incident."), body["data"]["incident"]["id"])
            for name, body in self.got
            if name == hook
        ]

    def kinds(self, hook):
        return [kind for kind, _ in self.told(hook)]

    def bodies(self, hook, kind):
        return [body["data"] for name, body in self.got if name == hook and body["type"] == f"incident.{kind}"]

    async def rows(self):
        found = await self.store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=100_000))
        return list(reversed(found))

    async def states(self, hook):
        return [(row["kind"], row["state"]) for row in await self.rows() if row["hook"] == hook]

    def close(self):
        self.store.close()
