"""Whoever knew an incident that went on in another hears of that one; and who takes over from them hears it where they do not take it."""

import pytest
from judge_world import World, rules_of
from outbox_world import OutboxWorld

from earwitness.model import Commanded, JourneyRule, TransitionKind
from earwitness.store import owed
from earwitness.store.owed import Prompt, Recipient

PAY = {"match": {"journey": "pay"}, "to": ["payers"]}
CALL = {"match": {"journey": "call"}, "to": ["callers"], "failover": ["desk"]}
DUTY = {"match": {"journey": "nothing"}, "to": ["duty", "chief"]}


class Merging(OutboxWorld):
    """Two incidents of two journeys, of which the younger is merged into the older."""

    def __init__(self, path, routes):
        super().__init__(path, routes)
        self.judged = World(
            rules_of(
                {"web": ("pay", []), "phone": ("call", [])}, {"pay": JourneyRule("Pay"), "call": JourneyRule("Call")}
            )
        )
        self.judged.now = self.clock.now()

    async def tell(self):
        said, self.judged.transitions = self.judged.transitions, []
        await self.commit(said)
        await self.deliver()

    async def opens_two(self):
        self.judged.fails("web", times=2)
        self.judged.fails("phone", times=2)
        await self.tell()
        self.survivor, self.absorbed = (i.id for i in self.judged.open)

    async def merges(self):
        self.judged.tell(Commanded(self.judged.now, self.absorbed, "merge", "Ann", into=self.survivor))
        self.clock.moment = self.judged.now
        await self.tell()


@pytest.fixture
def make(tmp_path):
    made = []

    def world(*routes):
        made.append(Merging(tmp_path / f"{len(made)}.db", [PAY, CALL, DUTY, *routes]))
        return made[-1]

    yield world
    for each in made:
        each.close()


async def test_who_takes_over_from_an_escalations_hook_takes_over_what_it_goes_on_in(make):
    world = make()
    await world.opens_two()
    to = Recipient("duty", failover=("chief",))
    prompt = Prompt("rung", world.absorbed, TransitionKind.ESCALATE, world.clock.now(), "nobody answers", to)
    await world.store.write(lambda c: owed.add_prompts(c, [prompt], world.clock.now()))
    await world.deliver()
    world.answers["duty"] = [410, 200]  # a Sev1 goes first, before the end of what was merged
    await world.merges()
    await world.deliver()
    assert world.told("duty") == [("escalate", world.absorbed), ("attach", world.survivor), ("resolve", world.absorbed)]
    assert world.told("chief") == [("attach", world.survivor)]


async def test_a_hook_of_a_route_names_its_failover(make):
    world = make()
    await world.opens_two()
    world.answers["callers"] = [410, 200]  # a Sev1 goes first, before the end of what was merged
    await world.merges()
    await world.deliver()
    assert world.told("callers")[1:] == [("attach", world.survivor), ("resolve", world.absorbed)]
    assert world.told("desk") == [("attach", world.survivor)]


async def test_who_knew_both_or_the_survivor_only_is_told_once(make):
    world = make()
    await world.opens_two()
    await world.merges()
    assert world.told("callers")[1:] == [("attach", world.survivor), ("resolve", world.absorbed)]
    assert world.kinds("payers") == ["open"]
