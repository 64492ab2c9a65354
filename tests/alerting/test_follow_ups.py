"""That somebody acknowledged, and that it is over, is told on time to whoever knows the incident, and in order."""

import pytest
from outbox_world import OutboxWorld

from earwitness.model import Severity

AT_NIGHT = 1_700_000_000.0 // 86400 * 86400 + 23 * 3600
QUIET = {"to": ["pager"], "quiet": {"hours": "22:00-07:00"}}


@pytest.fixture
def make(tmp_path):
    made = []

    def world(*routes, **caps):
        made.append(OutboxWorld(tmp_path / f"{len(made)}.db", list(routes), **caps))
        made[-1].clock.moment = AT_NIGHT
        return made[-1]

    yield world
    for each in made:
        each.close()


async def test_an_acknowledgement_does_not_wait_behind_what_quiet_hours_hold(make):
    world = make(QUIET)
    (incident,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    await world.lowers(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open"], "it became milder, which can wait until the morning"
    await world.acknowledges(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open", "lower", "acknowledge"]


async def test_who_has_not_heard_of_it_is_not_woken_because_somebody_acknowledged(make):
    world = make(QUIET)
    (incident,) = await world.opens("a")
    await world.acknowledges(incident)
    await world.deliver()
    assert world.kinds("pager") == []
    world.clock.moment += 8.1 * 3600
    await world.deliver()
    assert world.kinds("pager") == ["open", "acknowledge"]


async def test_what_the_hook_itself_said_wakes_nobody_there(make):
    world = make(QUIET)
    (incident,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    await world.lowers(incident)
    await world.acknowledges(incident, via="pager")
    await world.deliver()
    assert world.kinds("pager") == ["open"]


@pytest.mark.parametrize("end", ["acknowledges", "resolves"])
async def test_a_follow_up_does_not_wait_for_news_that_is_to_be_grouped(make, end):
    world = make({"to": ["pager"], "group_for": "30m"})
    (incident,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    await world.lowers(incident)
    await getattr(world, end)(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open", "lower", end.removesuffix("s")]


@pytest.mark.parametrize("end", ["acknowledges", "resolves"])
async def test_a_follow_up_does_not_wait_for_the_storm_to_pass(make, end):
    world = make({"to": ["pager"]}, pager=2)
    first, *others = await world.opens(*"abcde")
    await world.deliver()
    assert world.kinds("pager") == ["open", "digest"]
    await world.lowers(first, *others)
    await world.deliver()
    await getattr(world, end)(first)
    await world.deliver()
    assert world.told("pager")[2:] == [("lower", first), (end.removesuffix("s"), first)]


async def test_what_was_told_in_a_digest_is_acknowledged_there_on_time(make):
    mild = {"match": {"severity": "sev2"}, **QUIET}
    world = make({"match": {"severity": "sev1"}, "to": ["pager"], "group_for": "1m", "group_sev1": True}, mild)
    first, second = await world.opens("a", "b", severity=Severity.SEV1)
    world.clock.moment += 61
    await world.deliver()
    await world.lowers(first, second)
    await world.deliver()
    assert world.kinds("pager") == ["digest"]
    await world.acknowledges(first)
    await world.deliver()
    assert world.told("pager")[1:] == [("lower", first), ("acknowledge", first)]


async def test_what_was_tried_already_is_not_tried_before_its_time(make):
    world = make({"to": ["pager"], "group_for": "5m"})
    world.answers["pager"] = [200, 503, 200]
    (incident,) = await world.opens("a", severity=Severity.SEV1)
    await world.deliver()
    await world.lowers(incident)
    world.clock.moment += 301
    await world.deliver()
    assert world.kinds("pager") == ["open", "lower"]
    await world.acknowledges(incident)
    await world.raises(incident)
    due = [row["next_at"] > world.clock.now() for row in await world.rows() if row["kind"] == "lower"]
    assert due == [True]
    world.clock.moment += 2
    await world.deliver()
    assert world.kinds("pager") == ["open", "lower", "lower", "acknowledge", "raise"]
