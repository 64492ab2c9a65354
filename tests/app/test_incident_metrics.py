"""How long it took to find an incident, to look after it, and to end it, as Prometheus sees it."""

from dataclasses import replace

import pytest
from judge_world import World, rules_of

from earwitness.metrics import Metrics
from earwitness.model import Commanded, Effect, Failure, Finding

PLACE = {"channel": "http", "location": "here"}


@pytest.fixture
def measured():
    """What the histograms say after an incident that took 30 s to open, 100 s to acknowledge, and 400 s to end."""
    world, metrics = World(rules_of({"web": ("shop", [])}, resolve_after=1)), Metrics("here")
    broken = Finding(Failure.WRONG_STATUS, "it broke", Effect.BLOCKED)
    began = world.now
    world.see("web", broken, started=began)
    world.now = began + 30
    world.see("web", broken, started=began + 29)
    (incident,) = world.open
    world.tell(Commanded(began + 130, incident.id, "acknowledge", "Kim"))
    world.now = began + 430
    world.see("web", started=began + 429)
    for transition in world.transitions:
        metrics.changed(transition, world.rules)
    return lambda name: metrics.registry.get_sample_value(f"earwitness_incident_{name}", PLACE)


@pytest.mark.parametrize(("name", "seconds"), [("detection", 30.0), ("acknowledgement", 100.0), ("resolution", 400.0)])
def test_each_time_of_an_incident_is_counted_once_in_seconds(measured, name, seconds):
    assert measured(f"{name}_seconds_count") == 1.0
    assert measured(f"{name}_seconds_sum") == pytest.approx(seconds)


def test_a_clock_that_was_set_back_makes_no_time_negative():
    world, metrics = World(rules_of({"web": ("shop", [])})), Metrics("here")
    world.fails("web", times=2)
    (opening,) = world.transitions
    ahead = replace(opening, incident=replace(opening.incident, failing_since=opening.at + 3600))
    metrics.changed(ahead, world.rules)
    assert metrics.registry.get_sample_value("earwitness_incident_detection_seconds_sum", PLACE) == 0.0
