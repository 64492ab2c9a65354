"""When a hook refuses for good, the next one takes over, and the rest of the incident follows it."""

import pytest
from outbox_world import OutboxWorld

from earwitness.alerting.couriers import GIVE_UP, LONGEST_PAUSE
from earwitness.store import failover

ROUTES = [{"to": ["pager"], "failover": ["chat", "mail"]}]


@pytest.fixture
def world(tmp_path):
    made = OutboxWorld(tmp_path / "earwitness.db", ROUTES)
    yield made
    made.close()


async def test_the_next_hook_takes_over_at_once_and_is_told_of_the_end(world):
    world.answers["pager"] = [410]
    (incident,) = await world.opens("a")
    await world.deliver("pager", "chat")
    assert world.told("chat") == [("open", incident)]
    assert "In place of pager" in world.bodies("chat", "open")[0]["text"]
    await world.resolves(incident)
    await world.deliver()
    assert world.told("chat") == [("open", incident), ("resolve", incident)]
    assert world.told("pager") == [("open", incident)], "it refused, and hears nothing more"
    assert world.told("mail") == []


async def test_the_chain_goes_on_until_somebody_takes_it(world):
    world.answers |= {"pager": [410], "chat": [410]}
    (incident,) = await world.opens("a")
    await world.deliver("pager", "chat", "mail")
    await world.raises(incident)
    await world.deliver("pager", "chat", "mail")
    assert world.told("mail") == [("open", incident), ("raise", incident)]
    assert world.kinds("pager") == world.kinds("chat") == ["open"]


@pytest.mark.parametrize("change", ["raises", "reopens"])
async def test_what_nobody_took_is_offered_to_all_anew_when_it_grows(world, change):
    world.answers |= {"pager": [410], "chat": [410], "mail": [410]}
    (incident,) = await world.opens("a")
    await world.deliver("pager", "chat", "mail")
    if change == "reopens":
        await world.resolves(incident)
    world.answers |= {"chat": [410], "mail": [200]}
    await getattr(world, change)(incident)
    await world.deliver("pager", "chat", "mail")
    kind = change.removesuffix("s")
    assert world.kinds("pager") == world.kinds("chat") == world.kinds("mail") == ["open", kind]
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("mail") == ["open", kind, "resolve"]
    assert world.kinds("pager") == ["open", kind]


async def test_what_waited_behind_a_refusal_goes_along(world):
    (incident,) = await world.opens("a")
    await world.resolves(incident)
    world.answers["pager"] = [410]
    await world.deliver("pager", "chat")
    assert await world.states("pager") == [("open", "refused"), ("resolve", "skipped")]
    assert world.told("chat") == [("open", incident), ("resolve", incident)]


async def test_a_hook_that_accepted_something_earlier_hears_of_the_end_too(world):
    world.answers["pager"] = [200, 410, 200]
    (incident,) = await world.opens("a")
    await world.deliver()
    await world.raises(incident)
    await world.deliver("pager", "chat")
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open", "raise", "resolve"]
    assert world.kinds("chat") == ["raise", "resolve"]


async def test_what_is_given_up_after_a_day_is_taken_over_and_ended_at_both(world):
    world.answers["pager"] = [500, 500, 200]
    (incident,) = await world.opens("a")
    await world.deliver("pager")
    world.clock.moment += GIVE_UP + LONGEST_PAUSE
    await world.deliver("pager", "chat")
    assert await world.states("pager") == [("open", "expired")]
    assert world.told("chat") == [("open", incident)]
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open", "open", "resolve"], "one of the attempts may have arrived"
    assert world.kinds("chat") == ["open", "resolve"]


async def test_a_hook_that_was_told_anyway_is_not_told_twice(tmp_path):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["pager"], "failover": ["chat"]}, {"to": ["chat"]}])
    world.answers["pager"] = [410]
    await world.opens("a")
    await world.deliver("pager", "chat")
    assert world.kinds("chat") == ["open"]
    world.close()


async def test_without_anybody_left_it_is_known_who_refuses(world):
    world.answers |= {"pager": [410], "chat": [410], "mail": [410]}
    await world.opens("a")
    await world.deliver("pager", "chat", "mail")
    assert set(await world.store.read(failover.refusing)) == {"pager", "chat", "mail"}
    world.answers |= {"mail": [200]}
    (other,) = await world.opens("b")
    await world.deliver("pager", "chat", "mail")
    assert set(await world.store.read(failover.refusing)) == {"pager", "chat"}
    assert world.told("mail")[-1] == ("open", other)


async def test_a_refused_digest_is_taken_over_with_all_that_it_told(tmp_path):
    world = OutboxWorld(tmp_path / "e.db", [{"to": ["pager"], "failover": ["chat"], "group_for": "30s"}])
    world.answers["pager"] = [410]
    first, second = await world.opens("a", "b")
    world.clock.moment += 31
    await world.deliver("pager")
    assert world.kinds("pager") == ["digest"]
    await world.deliver("chat")
    (digest,) = world.bodies("chat", "digest")
    assert sorted(digest["incidents"]) == sorted([first, second])
    await world.resolves(first, second)
    await world.deliver()
    assert world.kinds("pager") == ["digest"]
    assert world.kinds("chat").count("resolve") == 3  # of both, and of the digest
    world.close()
