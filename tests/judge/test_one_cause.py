"""One cause is one incident, also where what is known of it changes without anything being told."""

import pytest

from earwitness.model import JourneyRule

BEHIND_A_GATEWAY = {
    "call": ("talk", ["cards", "gateway"]),
    "both": ("both", ["cards", "bank", "gateway"]),
    "web": ("pay", ["cards", "gateway"]),
    "bank": ("bank", ["bank", "gateway"]),
}


@pytest.mark.parametrize("workarounds", [(), ("bank",)])
def test_what_fails_joins_the_incident_whose_cause_was_unknown_only_while_what_fails_now_passed(world, workarounds):
    """Where it was a workaround of that, people were paged for one that became part of the other at once."""
    w = world(
        BEHIND_A_GATEWAY, journeys={"pay": JourneyRule("Pay"), "talk": JourneyRule("Talk", workarounds=workarounds)}
    )
    w.fails("call")
    w.fails("both")
    w.passes("web")
    w.fails("both")
    assert [i.cause.dependency for i in w.open] == [None], "the web gets through to the cards"
    w.now += 3600
    w.fails("web")
    w.fails("bank")
    (incident,) = w.open
    assert incident.cause.dependency == "gateway"
    assert set(incident.probes) == set(BEHIND_A_GATEWAY)
    assert w.kinds.count("open") == 1
    assert "resolve" not in w.kinds
