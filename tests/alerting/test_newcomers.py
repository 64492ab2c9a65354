"""A team whose journey is drawn into an open incident is told of it then, and of its end; nobody else is paged again."""

import pytest
from judge_world import World, rules_of
from outbox_world import OutboxWorld

from earwitness.alerting.routing import Matcher, Router
from earwitness.config.alerting import RouteSpec
from earwitness.model import JourneyRule

ROUTES = [{"match": {"owner": "team-a"}, "to": ["hook-a"]}, {"match": {"owner": "team-b"}, "to": ["hook-b"]}]
JOURNEYS = {"ja": JourneyRule("A", owner="team-a"), "jb": JourneyRule("B", owner="team-b")}
PROBES = {"a": ("ja", ["crm"]), "b": ("jb", ["crm"]), "a2": ("ja", ["crm"])}


class Teams(OutboxWorld):
    """Two teams that are told of their own journeys only, and one world in which both depend on the CRM."""

    def __init__(self, path):
        super().__init__(path, ROUTES)
        owners = {name: rule.owner for name, rule in JOURNEYS.items()}
        self.router = Router([RouteSpec.model_validate(r) for r in ROUTES], Matcher(owners))
        self.judged = World(rules_of(PROBES, JOURNEYS))
        self.judged.now = self.clock.now()

    async def tell(self):
        """Commit what the judge said since the last time, and deliver it."""
        said, self.judged.transitions = self.judged.transitions, []
        await self.commit(said)
        await self.deliver()


@pytest.fixture
def teams(tmp_path):
    world = Teams(tmp_path / "earwitness.db")
    yield world
    world.close()


async def test_a_team_that_joins_later_is_told_then_and_of_the_end(teams):
    teams.judged.fails("a", times=2)
    await teams.tell()
    assert (teams.kinds("hook-a"), teams.kinds("hook-b")) == (["open"], [])
    teams.judged.fails("b")
    await teams.tell()
    assert (teams.kinds("hook-a"), teams.kinds("hook-b")) == (["open"], ["attach"])
    assert "b fails too" in teams.bodies("hook-b", "attach")[0]["text"]
    teams.judged.passes("a", "b", "a", "b")
    await teams.tell()
    assert (teams.kinds("hook-a"), teams.kinds("hook-b")) == (["open", "resolve"], ["attach", "resolve"])


async def test_who_was_told_is_not_paged_again_by_what_joins(teams):
    teams.judged.fails("a", times=2)
    teams.judged.fails("b")
    teams.judged.fails("a2")
    await teams.tell()
    assert (teams.kinds("hook-a"), teams.kinds("hook-b")) == (["open"], ["attach"])


async def test_a_hook_that_refused_the_incident_is_not_told_of_what_joins(teams):
    teams.answers["hook-a"] = [410]
    teams.judged.fails("a", times=2)
    await teams.tell()
    teams.judged.fails("a2")
    await teams.tell()
    assert teams.kinds("hook-a") == ["open"]
