"""A probe that is run from several places: one odd place is told as such, neither silenced nor taken for all."""

import pytest
from judge_world import World, rules_of

from earwitness.model import Failure, Finding, Scope, Severity

BROKEN = Finding(Failure.WRONG_BODY, "it broke")
PLACES = ("berlin", "london", "oslo")


@pytest.fixture
def shop():
    return World(rules_of({"web": ("shop", [])}))


def rounds(world, failing, times=3, places=PLACES):
    """Run the probe from each place in turn, once a minute all of them."""
    for _ in range(times):
        for place in places:
            world.see("web", *((BROKEN,) if place in failing else ()), took=20.0, location=place)


def test_one_place_alone_is_told_and_named(shop):
    rounds(shop, ["london"])
    (incident,) = shop.open
    assert incident.severity is Severity.SEV1
    argument = incident.argument
    assert (argument.scope, argument.failing_from, argument.passing_from) == (
        Scope.LOCATION,
        ("london",),
        ("berlin", "oslo"),
    )
    assert "It fails only from london; from berlin, oslo it passes." in incident.reason
    assert not incident.flapping, "it does not come and go, it fails from there and passes elsewhere"


def test_it_stays_open_while_that_place_fails_and_ends_when_it_passes(shop):
    rounds(shop, ["london"], times=12)
    assert shop.kinds == ["open"], "two passes from elsewhere are no recovery"
    rounds(shop, [], times=2)
    assert shop.kinds == ["open", "resolve"]


def test_what_fails_from_everywhere_says_so(shop):
    rounds(shop, PLACES)
    rounds(shop, PLACES)
    (incident,) = shop.open
    assert incident.argument.scope is Scope.EVERYWHERE
    shop.see("web", BROKEN, location="london")
    opened = World(shop.rules)
    rounds(opened, PLACES, times=1)
    assert opened.open[0].argument.failing_from == ("berlin", "london", "oslo")
    assert "It fails from all places that looked: berlin, london, oslo." in opened.open[0].reason


def test_a_place_that_looks_no_more_holds_nothing_open(shop):
    rounds(shop, ["london"])
    assert len(shop.open) == 1
    rounds(shop, [], times=9, places=("berlin", "oslo"))
    assert shop.open == []


def test_one_place_only_says_nothing_of_places(shop):
    rounds(shop, ["here"], places=("here",))
    (incident,) = shop.open
    assert (incident.argument.failing_from, incident.argument.passing_from) == (("here",), ())
    assert "from here" not in incident.reason
