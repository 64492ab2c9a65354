import asyncio
import json
from pathlib import Path

import httpx
import pytest
from judge_world import World, rules_of
from sqlalchemy import text
from virtual import VirtualClock, until

from earwitness.alerting.couriers import GIVE_UP, LONGEST_PAUSE, Courier, Hook, pause_before
from earwitness.alerting.notices import Links
from earwitness.alerting.routing import Matcher, Router, route
from earwitness.alerting.senders import Senders, converse
from earwitness.config.alerting import MatchSpec
from earwitness.hooks.base import HookRequest, Reason
from earwitness.hooks.slack import KIND as SLACK
from earwitness.hooks.slack import SlackSpec
from earwitness.hooks.webhook import KIND, WebhookSpec
from earwitness.model import Channel, JourneyRule, TransitionKind
from earwitness.store import outbox, owed, verdicts
from earwitness.store.owed import Recipient
from earwitness.store.store import Store


class Receiver:
    """A receiver that answers as it is told to, and remembers what it got."""

    def __init__(self):
        self.got = []
        self.answers = []  # statuses, exceptions or responses; when they are used up: 200

    def transport(self):
        return httpx.MockTransport(self._answer)

    def _answer(self, request):
        self.got.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)

    @property
    def told(self):
        return [json.loads(r.content)["type"] for r in self.got]


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "earwitness.db")
    yield store
    store.close()


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def courier(store, clock, receiver):
    spec = WebhookSpec(url="https://alerts.example/hook", secret="a secret of the hook")
    senders = Senders(httpx.AsyncClient(transport=receiver.transport()), Path)
    return Courier(Hook("on-call", KIND, spec, 15.0), store, clock, senders, Links("http://127.0.0.1:8420"))


async def owe(store, clock, *, resolve=True, names=("a",)):
    """Owe the hook an incident for each probe: its opening, and its end."""
    for name in names:
        world = World(rules_of({name: ("shop", [])}), now=clock.now(), runs=ord(name) * 1000)
        world.fails(name, times=2)
        if resolve:
            world.passes(name, name)
        for transition in world.transitions:
            await store.write(lambda c, t=transition: verdicts.save_incidents(c, [t.incident]))
            await store.write(lambda c, t=transition: owed.add_deliveries(c, t, [Recipient("on-call")], clock.now()))


async def states(store):
    rows = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=100))
    return [(row["kind"], row["state"]) for row in reversed(rows)]


async def test_an_alert_and_its_resolve_arrive_in_order(courier, store, clock, receiver):
    await owe(store, clock)
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert not await courier.deliver_next()
    assert receiver.told == ["incident.open", "incident.resolve"]
    assert await states(store) == [("open", "delivered"), ("resolve", "delivered")]


async def test_a_trigger_that_is_still_owed_at_its_resolve_is_told_first(courier, store, clock, receiver):
    receiver.answers = [500, 500]
    await owe(store, clock)
    assert await courier.deliver_next()
    assert not await courier.deliver_next(), "the resolve waits for the trigger"
    for _ in range(3):
        clock.moment += LONGEST_PAUSE
        assert await courier.deliver_next()
    assert receiver.told == ["incident.open", "incident.open", "incident.open", "incident.resolve"]


async def test_every_attempt_carries_the_same_key_and_the_same_body(courier, store, clock, receiver):
    receiver.answers = [503, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), 200]
    await owe(store, clock, resolve=False)
    for _ in range(4):
        assert await courier.deliver_next()
        clock.moment += LONGEST_PAUSE
    assert len({r.headers["webhook-id"] for r in receiver.got}) == 1
    assert len({r.content for r in receiver.got}) == 1
    (row,) = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=10))
    assert [t["reason"] for t in row["trail"]] == ["server_error", "connection", "timeout", "ok"]
    assert (row["state"], row["attempts"]) == ("delivered", 4)


async def test_retry_after_is_obeyed(courier, store, clock, receiver):
    receiver.answers = [httpx.Response(429, headers={"Retry-After": "120"})]
    await owe(store, clock, resolve=False)
    assert await courier.deliver_next()
    clock.moment += 119
    assert not await courier.deliver_next()
    clock.moment += 2
    assert await courier.deliver_next()


async def test_a_refusal_for_good_is_not_repeated_and_blocks_nothing(courier, store, clock, receiver):
    receiver.answers = [410]
    await owe(store, clock)
    await owe(store, clock, names=("b",))
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert not await courier.deliver_next()
    assert await states(store) == [
        ("open", "refused"),
        ("resolve", "skipped"),
        ("open", "delivered"),
        ("resolve", "delivered"),
    ]


async def test_a_redirect_is_not_followed(courier, store, clock, receiver):
    receiver.answers = [httpx.Response(307, headers={"Location": "http://169.254.169.254/"})]
    await owe(store, clock, resolve=False)
    assert await courier.deliver_next()
    assert len(receiver.got) == 1
    assert await states(store) == [("open", "pending")]


async def test_it_gives_up_after_a_day_and_says_so(courier, store, clock, receiver):
    await owe(store, clock, resolve=False)
    receiver.answers = [500]
    clock.moment += GIVE_UP + 10
    assert await courier.deliver_next()
    assert await states(store) == [("open", "expired")]


async def test_a_courier_that_died_is_replaced_when_its_lease_ends(courier, store, clock, receiver):
    await owe(store, clock, resolve=False)
    held = await store.write(lambda c: outbox.lease(c, "on-call", "dead", clock.now(), 30.0))
    await store.write(lambda c: outbox.freeze(c, held.seq, "dead", b'webhook\n{"type":"incident.open","frozen":true}'))
    assert not await courier.deliver_next()
    clock.moment += 31
    assert await courier.deliver_next()
    assert json.loads(receiver.got[0].content)["frozen"]
    assert receiver.got[0].headers["webhook-id"] == held.key


async def test_the_process_that_has_the_store_alone_frees_what_its_forerunner_held(courier, store, clock, receiver):
    await owe(store, clock, resolve=False)
    await store.write(lambda c: outbox.lease(c, "on-call", "dead", clock.now(), 30.0))
    assert await store.write(lambda c: outbox.release_leases(c, clock.now())) == 1
    assert await courier.deliver_next()
    assert receiver.told == ["incident.open"]


async def test_incidents_do_not_wait_for_each_other(courier, store, clock, receiver):
    receiver.answers = [500]
    await owe(store, clock, resolve=False, names=("a", "b"))
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert await states(store) == [("open", "pending"), ("open", "delivered")]


async def test_a_running_courier_delivers_as_soon_as_it_is_woken(courier, store, clock, receiver):
    task = asyncio.create_task(courier.run())
    await asyncio.sleep(0)
    await owe(store, clock)
    courier.wake()
    await until(lambda: receiver.told == ["incident.open", "incident.resolve"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def asked(courier):
    """Let the receiver hang; set once it was asked."""
    asked = asyncio.Event()

    async def hang(_request):
        asked.set()
        await asyncio.Event().wait()

    courier._senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(hang)), Path)
    return asked


async def test_a_courier_that_is_stopped_in_the_middle_leaves_no_lease(courier, store, clock, asked):
    await owe(store, clock, resolve=False)
    delivering = asyncio.create_task(courier.deliver_next())
    await asked.wait()
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert await states(store) == [("open", "pending")]
    assert await store.write(lambda c: outbox.lease(c, "on-call", "next", clock.now(), 30.0))


async def test_a_courier_that_is_stopped_while_the_store_refuses_stops(courier, store, clock, asked):
    await owe(store, clock, resolve=False)
    running = asyncio.create_task(courier.run())
    await asked.wait()
    await store.write(lambda c: c.execute(text("DROP TABLE attempts")))
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=5)
    assert ended, "it goes on, and whoever stopped it waits for ever"


async def test_what_waits_for_an_earlier_delivery_is_not_due(courier, store, clock, receiver):
    receiver.answers = [500]
    await owe(store, clock)
    assert await courier.deliver_next()
    assert await store.read(lambda c: outbox.next_due(c, "on-call")) > clock.now()


async def test_a_wake_up_during_the_look_is_not_lost(courier, store, clock):
    read = store.read

    async def read_while_something_is_committed(work):
        found = await read(work)
        await owe(store, clock, resolve=False)
        courier.wake()
        return found

    store.read = read_while_something_is_committed
    async with asyncio.timeout(5):
        await courier._wait()


async def test_what_the_provider_calls_an_incident_is_remembered_for_its_end(store, clock, receiver):
    said = {"ok": True, "channel": "C0123456789", "ts": "1700000000.000100"}
    receiver.answers = [httpx.Response(200, json=said | {"ts": ts}) for ts in ("1.1", "1.1", "2.2")]
    spec = SlackSpec(token="xoxb-none", channel="C0123456789")
    senders = Senders(httpx.AsyncClient(transport=receiver.transport()), Path)
    courier = Courier(Hook("on-call", SLACK, spec, 15.0), store, clock, senders, Links("http://127.0.0.1:8420"))
    await owe(store, clock)
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert await states(store) == [("open", "delivered"), ("resolve", "delivered")]
    assert [json.loads(r.content).get("thread_ts") for r in receiver.got] == [None, None, "1.1"]


async def test_a_hook_that_became_another_kind_says_it_in_its_own_way(courier, store, clock, receiver):
    receiver.answers = [500, httpx.Response(200, text="ok")]
    await owe(store, clock, resolve=False)
    assert await courier.deliver_next()
    clock.moment += LONGEST_PAUSE
    spec = SlackSpec(url="https://hooks.slack.test/services/T/B/X")
    now_slack = Courier(Hook("on-call", SLACK, spec, 15.0), store, clock, courier._senders, courier._links)
    assert await now_slack.deliver_next()
    assert await states(store) == [("open", "delivered")]
    first, second = (json.loads(r.content).keys() for r in receiver.got)
    assert ("type" in first, "blocks" in second) == (True, True)


async def test_a_body_that_another_version_froze_is_given_up_in_the_end_and_blocks_nothing(store, clock, receiver):
    spec = SlackSpec(url="https://hooks.slack.test/services/T/B/X")
    senders = Senders(httpx.AsyncClient(transport=receiver.transport()), Path)
    courier = Courier(Hook("on-call", SLACK, spec, 15.0), store, clock, senders, Links("http://127.0.0.1:8420"))
    await owe(store, clock)
    held = await store.write(lambda c: outbox.lease(c, "on-call", "older", clock.now(), 30.0))
    await store.write(lambda c: outbox.freeze(c, held.seq, "older", b'slack\n{"shape": "of an older version"}'))
    await store.write(lambda c: outbox.release_leases(c, clock.now()))
    receiver.answers = [httpx.Response(200, text="ok")]
    assert await courier.deliver_next()
    clock.moment += GIVE_UP + LONGEST_PAUSE
    assert await courier.deliver_next()
    assert await courier.deliver_next()
    assert await states(store) == [("open", "expired"), ("resolve", "delivered")]
    rows = await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=10))
    assert [t["reason"] for t in rows[1]["trail"]] == ["interrupted", "monitor_fault", "too_old"]


async def test_a_talk_of_several_requests_has_one_deadline():
    closed = []

    def talk():
        try:
            yield HookRequest("https://alerts.example/1", {}, b"")
            yield HookRequest("https://alerts.example/2", {}, b"")
        finally:
            closed.append(True)

    async def slow_second(request):
        if request.url.path == "/2":
            await asyncio.Event().wait()
        return httpx.Response(200)

    senders = Senders(httpx.AsyncClient(transport=httpx.MockTransport(slow_second)), Path)
    outcome = await converse(talk(), senders, None, 30.0, 0.3)
    assert (outcome.result, outcome.reason, closed) == ("retry", Reason.TIMEOUT, [True])


async def test_an_error_never_names_the_address(courier, store, clock, receiver):
    receiver.answers = [httpx.ConnectError("https://alerts.example/hook?token=hunter2 refused")]
    await owe(store, clock, resolve=False)
    await courier.deliver_next()
    assert "hunter2" not in str(await store.read(lambda c: outbox.recent_deliveries(c, incident=None, limit=10)))


def test_pauses_double_with_full_jitter_up_to_a_quarter_of_an_hour():
    longest = [pause_before(n, None, lambda: 1.0) for n in range(12)]
    assert longest[:5] == [1, 2, 4, 8, 16]
    assert longest[-1] == LONGEST_PAUSE
    assert pause_before(5, None, lambda: 0.0) == 0.0
    assert pause_before(0, 60.0, lambda: 0.0) == 60.0
    assert pause_before(0, 1e12, lambda: 0.0) == LONGEST_PAUSE


# --- routing ---------------------------------------------------------------------------------------------------------


def transitions():
    world = World(rules_of({"a": ("shop", [])}, {"shop": JourneyRule("Shop", owner="payments")}))
    world.fails("a", times=2)
    world.passes("a", "a")
    return world.transitions


def test_a_route_matches_by_severity_journey_owner_environment_channel_and_location():
    opened, _ = transitions()
    matcher = Matcher({"shop": "payments"}, {"a": Channel.HTTP}, "london")

    def told(**match):
        router = Router([route(MatchSpec(**match), ("on-call",))], matcher)
        return [r.hook for r in router.recipients(opened, [], 0.0)]

    assert told() == ["on-call"]
    assert told(severity=["sev1"], journey=["shop"], owner=["payments"], environment=["production"]) == ["on-call"]
    assert told(channel=["http"], location=["london"]) == ["on-call"]
    others = {"severity": "sev2", "journey": "x", "owner": "x", "environment": "x", "channel": "call", "location": "x"}
    for key, other in others.items():
        assert told(**{key: other}) == []


def test_a_resolve_goes_to_everyone_who_was_told_whatever_the_routes_say_now():
    _, resolved = transitions()
    assert resolved.kind is TransitionKind.RESOLVE
    assert [r.hook for r in Router([]).recipients(resolved, ["on-call", "gone"], 0.0)] == ["on-call", "gone"]


def test_a_hook_of_two_routes_is_told_once():
    opened, _ = transitions()
    twice = Router([route(MatchSpec(), ("x", "y")), route(MatchSpec(), ("y",))])
    assert [r.hook for r in twice.recipients(opened, [], 0.0)] == ["x", "y"]
