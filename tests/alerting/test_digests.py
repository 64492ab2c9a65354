"""News that is told together: because a route groups it, because of quiet hours, or because it is too much for the hook."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from judge_world import rules_of
from outbox_world import OutboxWorld, silence
from providers import PROVIDERS
from told import opened

from earwitness.alerting.ack_links import AckLinks
from earwitness.alerting.couriers import LONGEST_PAUSE
from earwitness.alerting.digests import stand_in
from earwitness.alerting.heard import take
from earwitness.alerting.insistence import Insistence, Ladders
from earwitness.alerting.notices import Links
from earwitness.commit import CommitLoop
from earwitness.config.alerting import EscalationSpec
from earwitness.config.fields import Secret
from earwitness.console.acknowledging import acknowledging
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Said
from earwitness.model import Severity
from earwitness.store import digests, outbox

NIGHT = {"hours": "22:00-07:00", "timezone": "UTC"}


@pytest.fixture
def make(tmp_path):
    made = []

    def world(*routes, **caps):
        made.append(OutboxWorld(tmp_path / f"{len(made)}.db", list(routes), **caps))
        return made[-1]

    yield world
    for each in made:
        each.close()


def at(hour, day=10):
    return datetime(2026, 11, day, hour, 0, tzinfo=UTC).timestamp()


# --- grouping --------------------------------------------------------------------------------------------------------


async def test_what_comes_within_the_window_is_one_message_and_each_is_ended(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    (first,) = await world.opens("a")
    world.clock.moment += 20
    (second,) = await world.opens("b")
    await world.deliver()
    assert world.told("chat") == []
    world.clock.moment += 11
    await world.deliver()
    ((kind, digest),) = world.told("chat")
    assert kind == "digest"
    (told,) = world.bodies("chat", "digest")
    assert sorted(told["incidents"]) == sorted([first, second])
    assert "2 × Sev2" in told["incident"]["title"]
    assert all(incident in told["text"] for incident in (first, second))
    assert told["url"].endswith(f"/digests/{digest}")
    await world.resolves(first)
    await world.deliver()
    assert world.told("chat")[1:] == [("resolve", first)]
    await world.resolves(second)
    await world.deliver()
    assert world.told("chat")[2:] == [("resolve", second), ("resolve", digest)]
    assert world.bodies("chat", "resolve")[-1]["incident"]["status"] == "resolved"


async def test_one_incident_alone_is_told_as_itself_after_the_window(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    (first,) = await world.opens("a")
    await world.resolves(first)
    await world.deliver()
    assert world.told("chat") == []
    world.clock.moment += 31
    await world.deliver()
    assert world.told("chat") == [("open", first), ("resolve", first)], "over within the window, and told all the same"


async def test_a_sev1_does_not_wait_unless_it_is_told_to(make):
    world = make({"to": ["chat"], "group_for": "30s"}, {"to": ["pager"], "group_for": "30s", "group_sev1": True})
    (grave,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    assert (world.told("chat"), world.told("pager")) == ([("open", grave)], [])
    await world.opens("b", severity=Severity.SEV1)
    world.clock.moment += 31
    await world.deliver()
    assert world.kinds("pager") == ["digest"]
    assert world.kinds("chat") == ["open", "open"]


async def test_news_that_becomes_a_sev1_takes_what_is_held_along(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    (incident,) = await world.opens("a")
    await world.raises(incident)
    await world.deliver()
    assert world.told("chat") == [("open", incident), ("raise", incident)]


async def test_the_route_that_tells_soonest_decides(make):
    world = make({"to": ["chat"], "group_for": "30s"}, {"match": {"severity": "sev2"}, "to": ["chat"]})
    await world.opens("a")
    await world.deliver()
    assert world.kinds("chat") == ["open"]


async def test_the_end_of_one_waits_for_the_digest_that_told_of_it(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    first, _ = await world.opens("a", "b")
    world.clock.moment += 31
    world.answers["chat"] = [500, 200]
    await world.couriers["chat"].deliver_next()
    await world.resolves(first)
    await world.deliver()
    assert world.kinds("chat") == ["digest"], "it was not taken"
    world.clock.moment += 5
    await world.deliver()
    assert world.kinds("chat") == ["digest", "digest", "resolve"]
    assert world.got[0] == world.got[1]


# --- quiet hours and hours of routes ---------------------------------------------------------------------------------


async def test_quiet_hours_hold_back_all_but_sev1_and_tell_then_what_is_still_open(make):
    world = make({"to": ["chat"], "quiet": NIGHT})
    world.clock.moment = at(23)
    over, still, too = await world.opens("a", "b", "c")
    (grave,) = await world.opens("d", severity=Severity.SEV1)
    await world.deliver()
    assert world.told("chat") == [("open", grave)]
    await world.resolves(over)
    world.clock.moment = at(6, day=11)
    await world.deliver()
    assert world.told("chat") == [("open", grave)]
    world.clock.moment = at(7, day=11)
    await world.deliver()
    assert world.kinds("chat") == ["open", "digest"]
    assert sorted(world.bodies("chat", "digest")[0]["incidents"]) == sorted([still, too])
    assert ("open", "skipped") in await world.states("chat")


async def test_an_end_does_not_wait_for_what_quiet_hours_hold_back(make):
    world = make({"to": ["chat"], "quiet": NIGHT})
    world.clock.moment = at(23)
    (grave,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    world.clock.moment += 600
    await world.lowers(grave)
    await world.deliver()
    assert world.kinds("chat") == ["open"]
    world.clock.moment += 600
    await world.resolves(grave)
    await world.deliver()
    assert world.kinds("chat") == ["open", "resolve"]
    world.clock.moment = at(8, day=11)
    await world.deliver()
    assert world.kinds("chat") == ["open", "resolve"]


async def test_nights_go_to_the_pager_and_days_to_the_chat(make):
    day = {"hours": "07:00-22:00", "timezone": "UTC"}
    world = make({"match": {"time": NIGHT}, "to": ["pager"]}, {"match": {"time": day}, "to": ["chat"]})
    world.clock.moment = at(23)
    (night,) = await world.opens("a")
    world.clock.moment = at(12, day=11)
    (noon,) = await world.opens("b")
    await world.resolves(night)
    await world.deliver()
    assert world.told("pager") == [("open", night), ("resolve", night)]
    assert world.told("chat") == [("open", noon)]


# --- storms ----------------------------------------------------------------------------------------------------------


async def test_a_storm_becomes_few_messages_that_name_every_incident_and_sev1_goes_first(make):
    world = make({"to": ["chat"]}, chat=5)
    ids = await world.opens(*(f"probe-{n}" for n in range(5000)))
    grave = await world.opens("worst", "worse", severity=Severity.SEV1)
    await world.deliver()
    assert [i for _, i in world.told("chat")[:2]] == grave
    assert world.kinds("chat") == ["open"] * 4 + ["digest"]
    (digest,) = world.bodies("chat", "digest")
    alone = {i for kind, i in world.told("chat") if kind == "open"}
    assert alone | set(digest["incidents"]) == {*ids, *grave}
    assert alone & set(digest["incidents"]) == set()


async def test_what_comes_after_the_cap_waits_for_the_next_minute_and_is_one_digest_then(make):
    world = make({"to": ["chat"]}, chat=2)
    await world.opens("a", "b", "c")
    await world.deliver()
    assert world.kinds("chat") == ["open", "digest"]
    later = await world.opens("d", "e")
    await world.deliver()
    assert len(world.told("chat")) == 2
    (grave,) = await world.opens("f", severity=Severity.SEV1)
    await world.deliver()
    assert world.told("chat")[2:] == [("open", grave)]
    world.clock.moment += 61
    await world.deliver()
    assert world.kinds("chat")[3:] == ["digest"]
    assert sorted(world.bodies("chat", "digest")[1]["incidents"]) == sorted(later)


async def _muted(world, names):
    ids = await world.opens(*names, muted=silence(world))
    await world.unmutes(*ids)


async def _again(world, names):
    ids = await world.opens(*names)
    await world.resolves(*ids)
    await world.deliver()
    world.clock.moment += 120
    await world.deliver()
    world.got.clear()
    world.clock.moment += 120
    await world.reopens(*ids)


async def _unanswered(world, names):
    await world.opens(*names, severity=Severity.SEV3)
    world.clock.moment += 16 * 60
    ladder = EscalationSpec.model_validate({"steps": [{"after": "15m", "to": ["chat"]}]})
    await Insistence(world.store, world.clock, Ladders(world.router, {"all": ladder}), lambda: None).look()
    await world.deliver("pager")
    world.got.clear()


@pytest.mark.parametrize("storm", [_muted, _again, _unanswered])
async def test_whatever_brings_the_storm_the_cap_holds(make, storm):
    to = "pager" if storm is _unanswered else "chat"
    world = make({"to": [to]}, {"match": {"journey": "none"}, "to": ["chat"]}, chat=5)
    await storm(world, [f"probe-{n}" for n in range(60)])
    await world.deliver("chat")
    assert len(world.told("chat")) == 5
    alone = len(world.told("chat")) - 1
    assert len(world.bodies("chat", "digest")[0]["incidents"]) == 60 - alone


async def test_what_is_muted_no_longer_is_grouped_as_other_news(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    await _muted(world, ["a", "b", "c"])
    await world.deliver()
    assert world.told("chat") == []
    world.clock.moment += 31
    await world.deliver()
    assert world.kinds("chat") == ["digest"]


async def test_the_ends_of_a_storm_are_few_messages_too_and_none_is_missing(make):
    world = make({"to": ["chat"]}, chat=3)
    ids = await world.opens(*(f"probe-{n}" for n in range(100)))
    await world.deliver()
    await world.resolves(*ids)
    for _ in range(3):
        world.clock.moment += 61
        await world.deliver()
    ended = {i for kind, i in world.told("chat") if kind == "resolve"}
    summed = {i for _, b in world.got for i in b["data"].get("incidents", ())}
    told_open = [i for kind, i in world.told("chat") if kind == "open"]
    assert set(told_open) <= ended, "what was opened alone is ended alone"
    assert set(ids) <= ended | summed
    assert len(world.got) < 15
    assert not [s for s in await world.states("chat") if s[1] in ("pending", "leased")]
    opened = {i for kind, i in world.told("chat") if kind == "digest"}
    assert opened <= ended, "every digest ends"


async def test_a_digest_that_died_on_its_way_is_sent_again_the_same(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    world.answers["chat"] = [500, 200]
    await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    world.clock.moment += 1000
    (late,) = await world.opens("c")
    await world.deliver()
    assert world.kinds("chat") == ["digest", "digest"]
    assert len(set(world.keys)) == 1
    assert world.got[0] == world.got[1]
    (_, digest), _ = world.told("chat")
    assert late not in await world.store.read(lambda c: digests.members(c, digest))


async def test_a_digest_that_was_given_up_after_a_day_is_ended_all_the_same(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    world.answers["chat"] = [500]
    ids = await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    world.clock.moment += 25 * 3600
    await world.deliver()
    assert world.results[-1] == ("chat", "expired")
    ((_, digest), *_) = world.told("chat")
    world.answers["chat"] = [200]
    await world.resolves(*ids)
    await world.deliver()
    assert ("resolve", digest) in world.told("chat"), "one of the attempts may have arrived"


async def test_a_clock_that_was_set_back_holds_no_storm_for_ever(make):
    world = make({"to": ["chat"]}, chat=2)
    await world.opens("a", "b", "c")
    await world.deliver()
    await world.opens("d", "e")
    await world.deliver()
    world.clock.moment -= 3 * 3600
    await world.store.write(lambda c: outbox.bring_forward(c, world.clock.now(), LONGEST_PAUSE))
    await world.deliver()
    assert world.kinds("chat") == ["open", "digest", "digest"]


async def test_who_acknowledges_a_digest_looks_after_all_that_it_told(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    ids = await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    ((_, digest),) = world.told("chat")
    commit = CommitLoop(world.store, world.clock, rules_of({}), world.router, lambda _committed: None)
    await commit.load()
    judging = asyncio.create_task(commit.run())
    hear = partial(take, world.store, world.clock, commit.submit, "chat")
    await hear(Said("1", digest, "resolve", "Ann"))
    assert len(commit.state.open_incidents()) == 2
    await hear(Said("2", digest, "acknowledge", "Ann"))
    assert {i.id: i.acknowledged_by for i in commit.state.open_incidents()} == dict.fromkeys(ids, "Ann")
    await world.deliver()
    assert world.kinds("chat") == ["digest"], "its own people said so"
    judging.cancel()
    await asyncio.gather(judging, return_exceptions=True)


async def test_a_link_in_a_digest_acknowledges_all_that_it_told_and_says_so(make):
    world = make({"to": ["chat"], "group_for": "30s"})
    links = AckLinks(Secret("5e" * 32), "https://e.example")
    world.couriers["chat"]._links = Links("https://e.example", links)
    ids = await world.opens("a", "b", "c")
    world.clock.moment += 31
    await world.deliver()
    (told,) = world.bodies("chat", "digest")
    path = told["acknowledge_url"].removeprefix("https://e.example")
    did = []

    async def submit(command):
        did.append((command.incident, command.who))
        await world.acknowledges(command.incident, who=command.who)

    app = FastAPI()
    app.include_router(acknowledging)
    commit = SimpleNamespace(submit=submit)
    app.state.house = SimpleNamespace(ack_links=links, store=world.store, clock=world.clock, commit=commit)
    await world.acknowledges(ids[0], who="Bob")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://e.example") as client:
        assert "3 incidents at once" in (await client.get(path)).text
        assert (await client.post(path, data={"who": "Ann"})).status_code == 200
        assert did == [(i, "Ann") for i in sorted(ids[1:])], "who acknowledged one already goes on to look after it"
        again = await client.post(path)
    assert again.status_code == 409
    assert "acknowledged already by those who look after it" in again.text


async def test_who_acknowledges_a_digest_answers_what_became_worse_than_somebody_had_acknowledged(make):
    world = make({"to": ["chat"], "group_for": "30s", "group_sev1": True})
    ids = await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    await world.acknowledges(*ids, who="Bob")
    await world.deliver()
    await world.raises(*ids)
    world.clock.moment += 31
    await world.deliver()
    digest = world.told("chat")[-1][1]
    assert await world.store.read(lambda c: digests.unanswered(c, digest)) == sorted(ids), "nobody answered the raise"
    await world.acknowledges(ids[0], who="Ann")
    assert await world.store.read(lambda c: digests.unanswered(c, digest)) == [ids[1]]
    await world.resolves(ids[1])
    assert await world.store.read(lambda c: digests.unanswered(c, digest)) == []


@pytest.mark.parametrize("kind", ["call", "slack"])
async def test_a_digest_can_be_answered_where_it_arrives(make, kind):
    world = make({"to": ["chat"], "group_for": "30s"})
    await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver()
    ((_, digest),) = world.told("chat")
    found = await world.store.read(lambda c: digests.digest(c, digest))
    told = opened(incident=stand_in(found), told=("a", "b"), hook="chat", ack_url="https://e.example/ack/token")
    spec = HOOKS[kind].spec.model_validate(
        {**PROVIDERS[kind].section} | ({"signing_secret": "s"} if kind == "slack" else {})
    )
    made = HOOKS[kind].render(spec, told).decode()
    if kind == "call":
        assert "press 1" in made
        assert digest in made
    else:
        assert '"action_id":"link-acknowledge"' in made
        assert "https://e.example/ack/token" in made
