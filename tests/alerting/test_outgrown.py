"""Who acknowledged a slight defect has not looked at the outage that it became: the ladder begins anew, and says who answered what."""

from dataclasses import replace

import pytest
from judge_world import World, rules_of
from test_insistence import LADDER, Insisted
from told import notice, opened

from earwitness.alerting.dialling import _needs_somebody
from earwitness.model import Commanded, Severity, Status, TimelineEntry, TransitionKind
from earwitness.store import verdicts

ALL = {"chain": {**LADDER, "match": {}}}
ROUTES = [{"to": ["pager"], "failover": ["chief", "executives"]}]


@pytest.fixture
def make(tmp_path):
    made = []

    def world(routes=ROUTES, ladders=ALL):
        made.append(Insisted(tmp_path / f"{len(made)}.db", routes, ladders))
        return made[-1]

    yield world
    for each in made:
        each.close()


async def acknowledged(world):
    (incident,) = await world.opens("a", severity=Severity.SEV3)
    await world.passes(5)
    await world.acknowledges(incident, who="Ann")
    await world.passes(20)
    assert world.kinds("chief") == []
    return incident


async def stored(world, incident):
    return await world.store.read(lambda c: verdicts.incident(c, incident))


async def test_the_ladder_begins_anew_from_the_raise(make):
    world = make()
    incident = await acknowledged(world)
    await world.raises(incident)
    await world.passes(14)
    assert world.kinds("chief") == []
    await world.passes(2)
    assert world.kinds("chief") == ["escalate"]
    said = world.bodies("chief", "escalate")[0]
    assert said["incident"]["outgrown_at"] is not None
    assert "acknowledged by Ann before it became worse, and not for 15 min since" in said["text"]
    assert said["incident"]["acknowledged_by"] == "Ann"
    assert said["incident"]["status"] == "acknowledged"
    await world.passes(45)
    assert world.kinds("executives") == ["escalate"]


async def test_an_acknowledgement_of_the_worse_stops_it(make):
    world = make()
    incident = await acknowledged(world)
    await world.raises(incident)
    await world.passes(16)
    await world.acknowledges(incident, who="Bob")
    await world.passes(60)
    assert world.kinds("chief") == ["escalate", "acknowledge"]
    assert world.kinds("executives") == []


async def test_when_it_is_as_slight_again_the_first_acknowledgement_covers_it(make):
    world = make()
    incident = await acknowledged(world)
    await world.raises(incident)
    await world.passes(5)
    await world._change([incident], TransitionKind.LOWER, severity=Severity.SEV3)
    await world.passes(60)
    assert world.kinds("chief") == []
    await world.raises(incident)
    await world.passes(14)
    assert world.kinds("chief") == []
    await world.passes(2)
    assert world.kinds("chief") == ["escalate"]


async def test_what_only_changes_below_what_was_acknowledged_is_covered(make):
    world = make()
    (incident,) = await world.opens("a", severity=Severity.SEV1)
    await world.acknowledges(incident)
    await world.lowers(incident)
    await world.raises(incident)
    await world.passes(100)
    assert world.kinds("chief") == []


async def test_reminders_begin_again_too(make):
    world = make([{"to": ["pager"], "remind_every": "1h"}], {})
    incident = await acknowledged(world)
    await world.passes(120)
    assert "remind" not in world.kinds("pager")
    await world.raises(incident)
    await world.passes(61)
    assert world.kinds("pager")[-1] == "remind"
    assert world.bodies("pager", "remind")[0]["text"].startswith("Worse for 60 min than Ann acknowledged")


async def test_restarts_and_silences_neither_double_nor_lose_a_rung(make):
    world = make()
    incident = await acknowledged(world)
    await world.raises(incident)
    await world.silences(incident, known=Severity.SEV1)
    await world.passes(100)
    assert world.kinds("chief") == []
    await world.unmutes(incident, kind=TransitionKind.NOTE)
    for _ in range(70):
        world.insistence = world.process()
        await world.passes(1)
    assert (world.kinds("chief"), world.kinds("executives")) == (["escalate"] * 2, ["escalate"])


def test_a_call_is_wanted_for_what_outgrew_its_acknowledgement():
    judged = World(rules_of({"a": ("shop", [])}))
    judged.fails("a", times=2)
    (incident,) = judged.open
    judged.tell(Commanded(judged.now + 10.0, incident.id, "acknowledge", "Ann"))
    (incident,) = judged.open
    assert _needs_somebody(incident, judged.now + 60.0)


def test_it_may_be_acknowledged_anew_at_once_when_it_became_worse():
    incident = opened().incident
    at, mild = incident.opened_at, Severity.SEV3
    entries = (
        TimelineEntry(at, TransitionKind.OPEN, "", mild),
        TimelineEntry(at + 10, TransitionKind.ACKNOWLEDGE, "", mild),
    )
    answered = replace(incident, severity=mild, status=Status.ACKNOWLEDGED, acknowledged_by="Ann", timeline=entries)
    worse = (*entries, TimelineEntry(at + 20, TransitionKind.RAISE, "", Severity.SEV1))
    grown = replace(answered, severity=Severity.SEV1, timeline=worse)
    assert (answered.unanswered, answered.takes_acknowledgement(at + 30)) == (False, False)
    assert (grown.outgrown_at, grown.unanswered, grown.takes_acknowledgement(at + 30)) == (at + 20, True, True)
    for told, asks in ((answered, False), (grown, True)):
        assert notice(TransitionKind.RAISE, incident=told, hook="pager").asks is asks
    assert notice(TransitionKind.ESCALATE, incident=answered, hook="pager").asks, "it grew old"
    assert not notice(TransitionKind.ESCALATE, incident=answered).asks, "nobody may answer"
    earlier = replace(answered, timeline=tuple(replace(e, severity=None) for e in worse))
    assert earlier.outgrown_at is None, "an earlier version did not say what was acknowledged"


async def test_it_stays_acknowledged_and_says_by_whom(make):
    world = make()
    incident = await acknowledged(world)
    await world.raises(incident)
    found = await stored(world, incident)
    assert (found.status, found.acknowledged_by) == (Status.ACKNOWLEDGED, "Ann")
