"""Ladders are climbed and reminders sent while nobody answers: never twice, never lost, whatever restarts in between."""

import pytest
from judge_world import World, rules_of
from outbox_world import OutboxWorld, silence
from sqlalchemy import event
from virtual import until

from earwitness.alerting.insistence import Insistence, Ladders
from earwitness.config.alerting import EscalationSpec
from earwitness.judge import State, judge
from earwitness.model import ClockSetBack, Commanded, Severity, TransitionKind
from earwitness.store import owed, resending, verdicts

STEPS = [{"after": "15m", "to": ["chief"]}, {"after": "1h", "to": ["executives", "chief"]}]
LADDER = {"match": {"severity": ["sev1", "sev2"]}, "steps": STEPS, "re_escalate_after": "2h"}
ROUTES = [{"match": {"severity": "sev3"}, "to": ["chief", "executives"]}, {"to": ["pager"]}]


class Insisted(OutboxWorld):
    """An outbox with ladders, looked at as time passes."""

    def __init__(self, path, routes=ROUTES, ladders=None):
        super().__init__(path, routes)
        escalations = {"chain": LADDER} if ladders is None else ladders
        parsed = {name: EscalationSpec.model_validate(ladder) for name, ladder in escalations.items()}
        self.ladders = Ladders(self.router, parsed)
        self.insistence = self.process()

    def process(self):
        """A process that has just started: it remembers nothing."""
        return Insistence(self.store, self.clock, self.ladders, lambda: None)

    async def passes(self, minutes):
        for _ in range(minutes):
            self.clock.moment += 60
            await self.insistence.look()
        await self.deliver()


@pytest.fixture
def make(tmp_path):
    made = []

    def world(*args, **more):
        made.append(Insisted(tmp_path / f"{len(made)}.db", *args, **more))
        return made[-1]

    yield world
    for each in made:
        each.close()


async def test_the_ladder_is_climbed_until_somebody_acknowledges(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.passes(14)
    assert world.kinds("chief") == []
    await world.passes(2)
    assert world.told("chief") == [("escalate", incident)]
    assert "not acknowledged for 15 min" in world.bodies("chief", "escalate")[0]["text"]
    await world.passes(30)
    assert world.kinds("chief") == ["escalate"]
    assert world.kinds("executives") == []
    await world.acknowledges(incident)
    await world.passes(60)
    assert world.kinds("executives") == []
    assert world.kinds("chief") == ["escalate", "acknowledge"]
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("chief")[-1] == "resolve", "who was told of it is told of its end"


async def test_a_clock_that_is_set_back_puts_off_no_rung_and_no_reminder(make):
    world = make(routes=[{"to": ["pager"], "remind_every": "30m", "failover": ["chief", "executives"]}])
    (incident,) = await world.opens("a")
    await world.deliver()
    world.clock.moment -= 4 * 3600
    stored = await world.store.read(lambda c: verdicts.incident(c, incident))
    judged = judge(State.of([], [stored]), ClockSetBack(world.clock.now()), rules_of({}))
    await world.store.write(lambda c: verdicts.save_incidents(c, judged.state.open_incidents()))
    await world.passes(16)
    assert world.kinds("chief") == ["escalate"]
    assert "not acknowledged for 15 min" in world.bodies("chief", "escalate")[0]["text"]
    await world.passes(15)
    assert world.kinds("pager") == ["open", "remind"]


async def test_an_escalation_is_sent_again_only_while_nobody_has_acknowledged(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.passes(16)
    (key,) = [row["key"] for row in await world.rows() if row["kind"] == "escalate"]

    async def sent_again():
        await world.store.write(lambda c: resending.send_again(c, key, "Ann", world.clock.now()))
        await world.deliver()

    await sent_again()
    assert world.kinds("chief") == ["escalate", "escalate"]
    await world.acknowledges(incident)
    await world.deliver()
    with pytest.raises(resending.NoLongerSoError, match=f"nobody has acknowledged it, and {incident} is acknowledged"):
        await sent_again()


async def test_who_refuses_an_escalation_is_taken_over_from(make):
    rung = {"after": "15m", "to": ["chief"], "failover": ["executives"]}
    world = make(ladders={"chain": {"steps": [rung]}})
    world.answers["chief"] = [410]
    (incident,) = await world.opens("a")
    await world.passes(16)
    await world.deliver()
    assert world.told("executives") == [("escalate", incident)]


async def test_the_next_rung_is_told_in_its_time(make):
    world = make()
    await world.opens("a")
    await world.passes(61)
    assert world.kinds("chief") == ["escalate", "escalate"]
    assert world.kinds("executives") == ["escalate"]
    assert "for 60 min" in world.bodies("executives", "escalate")[0]["text"]


async def test_what_the_ladder_does_not_match_is_not_escalated(make):
    world = make(ladders={"chain": LADDER, "theirs": {"match": {"owner": "others"}, "steps": STEPS}})
    await world.opens("a", severity=Severity.NONPROD)
    (mine,) = await world.opens("b")
    await world.passes(20)
    assert world.told("chief") == [("escalate", mine)]


async def test_restarts_neither_repeat_nor_lose_a_rung(make):
    world = make()
    await world.opens("a", "b")
    for _ in range(130):
        world.clock.moment += 30
        world.insistence = world.process()
        await world.insistence.look()
        await world.process().look()  # and a second one beside it
    await world.deliver()
    assert sorted(world.kinds("chief")) == ["escalate"] * 4
    assert len(set(world.keys)) == len(world.keys)


async def test_rungs_that_passed_while_nobody_ran_are_told_at_the_next_start(make):
    world = make()
    await world.opens("a")
    world.clock.moment += 5 * 3600
    world.insistence = world.process()
    await world.insistence.look()
    await world.deliver()
    assert (world.kinds("chief"), world.kinds("executives")) == (["escalate", "escalate"], ["escalate"])


async def test_an_acknowledgement_that_grows_old_lets_the_ladder_begin_again_once(make):
    world = make()
    (incident,) = await world.opens("a")
    world.clock.moment += 60
    await world.acknowledges(incident, who="Ann")
    await world.passes(119)
    assert world.kinds("chief") == ["acknowledge"][:0]
    await world.passes(2)
    assert world.kinds("chief") == ["escalate"]
    assert "acknowledged by Ann 2 h ago" in world.bodies("chief", "escalate")[0]["text"]
    await world.passes(50)
    assert world.kinds("executives") == ["escalate"], "45 minutes after the first rung"
    await world.acknowledges(incident, who="Bob")
    await world.passes(110)
    assert world.kinds("chief").count("escalate") == 2
    await world.passes(11)
    assert world.kinds("chief").count("escalate") == 3
    assert "acknowledged by Bob" in world.bodies("chief", "escalate")[-1]["text"]


async def test_an_acknowledgement_between_the_look_and_the_writing_stops_it(make):
    world = make()
    (incident,) = await world.opens("a")
    world.clock.moment += 16 * 60
    read = world.store.read

    async def read_and_then_somebody_acknowledges(work):
        found = await read(work)
        world.store.read = read
        await world.acknowledges(incident)
        return found

    world.store.read = read_and_then_somebody_acknowledges
    await world.insistence.look()
    await world.deliver()
    assert world.kinds("chief") == []


async def test_a_reminder_comes_while_it_is_open_and_stops_at_the_acknowledgement(make):
    world = make([{"to": ["pager"], "remind_every": "4h"}], {})
    (incident,) = await world.opens("a")
    await world.deliver()
    await world.passes(239)
    assert world.kinds("pager") == ["open"]
    await world.passes(2)
    assert world.kinds("pager") == ["open", "remind"]
    assert world.bodies("pager", "remind")[0]["text"].startswith("Still open after 4 h")
    world.clock.moment += 9 * 3600  # nobody ran for two reminders: one will do
    world.insistence = world.process()
    await world.passes(1)
    assert world.kinds("pager") == ["open", "remind", "remind"]
    await world.acknowledges(incident)
    await world.passes(300)
    assert world.kinds("pager") == ["open", "remind", "remind", "acknowledge"]


def test_the_judge_takes_an_acknowledgement_anew_when_it_grew_old_and_not_at_a_second_click():
    judged = World(rules_of({"a": ("shop", [])}))
    judged.fails("a", times=2)
    (incident,) = judged.open
    for later, who in ((10.0, "Ann"), (12.0, "Ann"), (13.0, "Bob"), (7200.0, "Bob")):
        judged.tell(Commanded(judged.now + later, incident.id, "acknowledge", who))
    assert judged.kinds == ["open", "acknowledge", "acknowledge"]
    assert judged.open[0].acknowledged_by == "Bob"


async def test_in_quiet_hours_only_a_sev1_is_reminded_of(make):
    world = make([{"to": ["pager"], "remind_every": "1h", "quiet": {"hours": "22:00-07:00"}}], {})
    world.clock.moment = 1_700_000_000.0 // 86400 * 86400 + 20.5 * 3600
    (slight,) = await world.opens("a")
    (grave,) = await world.opens("b", severity=Severity.SEV1)
    await world.passes(10 * 60 + 1)
    told = world.told("pager")
    assert told.count(("remind", slight)) == 1
    assert told.count(("remind", grave)) == 10


async def test_while_it_is_muted_nobody_is_prompted_and_the_end_goes_to_whoever_was_told(make):
    world = make([ROUTES[0], {"to": ["pager"], "remind_every": "1h"}])
    hidden = await world.opens("a", muted=silence(world))
    told = await world.opens("b")
    await world.passes(16)
    assert world.told("chief") == [("escalate", *told)]
    await world.silences(*told)
    await world.passes(300)
    assert world.told("chief") == [("escalate", *told)]
    assert world.kinds("pager") == ["open"]
    await world.resolves(*hidden, *told)
    await world.deliver()
    for hook in ("pager", "chief"):
        assert world.told(hook)[1:] == [("resolve", *told)], "of the other nobody ever heard"


async def test_what_was_told_before_it_was_muted_unknown_is_ended(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.passes(16)
    await world.silences(incident, known=None)
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("chief") == ["escalate", "resolve"]


async def test_what_came_back_and_went_while_it_was_muted_is_ended_once(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.resolves(incident)
    await world.reopens(incident, muted=silence(world))
    await world.resolves(incident)
    await world.deliver()
    assert world.kinds("pager") == ["open", "resolve"]


async def test_after_a_silence_the_ladder_begins_anew(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.passes(5)
    await world.silences(incident)
    await world.passes(600)
    await world.unmutes(incident, kind=TransitionKind.NOTE)  # nothing is new
    await world.passes(14)
    assert world.kinds("chief") == []
    await world.passes(2)
    assert world.kinds("chief") == ["escalate"]


async def test_what_opens_again_climbs_the_ladder_again_and_not_at_once(make):
    world = make()
    (incident,) = await world.opens("a")
    await world.passes(61)
    await world.resolves(incident)
    await world.deliver()
    world.got.clear()
    await world.reopens(incident)
    await world.passes(14)
    assert world.kinds("chief") == ["reopen"]
    await world.passes(2)
    assert world.kinds("chief") == ["reopen", "escalate"]
    await world.passes(45)
    assert world.kinds("executives") == ["reopen", "escalate"]


async def test_what_becomes_grave_late_climbs_the_ladder_from_then_on(make):
    grave = {**LADDER, "match": {"severity": "sev1"}}
    world = make(ladders={"chain": LADDER, "grave": {**grave, "steps": [{"after": "15m", "to": ["executives"]}]}})
    (incident,) = await world.opens("a")
    await world.passes(50)
    assert world.kinds("chief") == ["escalate"]
    await world.raises(incident)
    await world.passes(9)
    assert world.kinds("executives") == []
    await world.passes(2)
    assert world.kinds("executives") == ["escalate"], "the ladder that it was on already is not put off"
    await world.passes(5)
    assert world.kinds("executives") == ["escalate"] * 2


async def test_routes_that_come_and_go_double_no_reminder(make):
    twice = [
        {"match": {"journey": "shop"}, "to": ["pager"], "remind_every": "1h"},
        {"to": ["pager"], "remind_every": "1h"},
    ]
    world = make(twice, {})
    await world.opens("a")
    await world.passes(61)
    assert world.kinds("pager") == ["open", "remind"]
    world.router.routes.pop(0)
    world.insistence = world.process()
    await world.passes(1)
    assert world.kinds("pager") == ["open", "remind"]


async def test_many_open_incidents_are_looked_at_without_writing_again(make):
    world = make()
    await world.opens(*(f"p{n}" for n in range(50)))
    world.clock.moment += 16 * 60
    await world.insistence.look()
    write, writes = world.store.write, []

    async def counted(work):
        writes.append(work)
        return await write(work)

    world.store.write = counted
    await world.insistence.look()
    assert writes == []


@pytest.mark.parametrize("held", [{"quiet": {"hours": "22:00-07:00"}}, {"group_for": "1h"}])
async def test_a_rung_does_not_wait_for_news_that_is_held(make, held):
    rung = {"steps": [{"after": "15m", "to": ["pager"]}]}
    world = make([{"to": ["pager"], **held}], {"chain": rung})
    world.clock.moment = 1_700_000_000.0 // 86400 * 86400 + 23 * 3600
    await world.opens("a")
    await world.passes(14)
    assert world.kinds("pager") == []
    await world.passes(2)
    assert world.kinds("pager") == ["open", "escalate"]


async def test_a_look_asks_the_store_as_much_of_many_incidents_as_of_one(make):
    world, asked = make([{"to": ["pager"], "remind_every": "1h"}], {}), []
    event.listen(world.store._reading, "before_cursor_execute", lambda *args: asked.append(args[2]))
    await world.opens("a")
    await world.insistence.look()
    of_one = len(asked)
    await world.opens(*(f"p{n}" for n in range(20)))
    asked.clear()
    await world.insistence.look()
    assert len(asked) == of_one
    await world.passes(61)
    assert world.kinds("pager").count("remind") == 21


async def test_it_looks_by_itself(make):
    import asyncio  # noqa: PLC0415

    world = make()
    (incident,) = await world.opens("a")
    task = asyncio.create_task(world.insistence.run())
    await until(lambda: world.store.read(lambda c: "chief" in owed.told(c, incident)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await world.store.read(lambda c: verdicts.incident(c, incident)) is not None
