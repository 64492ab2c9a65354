"""Payment pages that changed: when it is told, and apart from what."""

from dataclasses import replace
from zlib import crc32

import pytest
from judge_world import CHANGED, SLOW, UNSEEN

from earwitness.judge.state import ProbeState, State
from earwitness.model import (
    Commanded,
    Incident,
    Severity,
    Why,
)
from earwitness.store.codec import decode, encode


def test_a_payment_page_that_changed_is_looked_at_again_at_once_and_told(world):
    """It may be visited weekly, as PCI DSS 11.6.1 asks, and nobody waits three weeks to hear of a skimmer."""
    w = world({"page": ("pay", [])})
    w.see("page", CHANGED)
    assert [(r.probe, r.why) for r in w.requests] == [("page", Why.CONFIRM)]
    assert w.open == []
    w.see("page", CHANGED)
    assert [i.severity for i in w.open] == [Severity.SEV3]


def test_a_slow_page_that_then_changes_is_told_as_an_incident_of_its_own(world):
    """Everybody knows that it is slow: in that incident nobody would hear of a skimmer."""
    w = world({"page": ("pay", [])})
    for _ in range(3):
        w.see("page", SLOW)
    (slow,) = w.open
    w.see("page", SLOW, CHANGED)
    assert [(r.probe, r.why) for r in w.requests] == [("page", Why.CONFIRM)], "at once"
    assert [i.id for i in w.open] == [slow.id]
    w.see("page", SLOW, CHANGED)
    assert w.kinds == ["open", "resolve", "open"]
    (changed,) = w.open
    assert changed.title == "The payment page of “Pay” is not as it was accepted"
    assert w.transitions[1].incident.merged_into == changed.id
    w.see("page", SLOW)
    for _ in range(4):
        w.see("page", SLOW, CHANGED)
    assert w.open[0].id == changed.id, "told once"
    w.passes("page")
    w.passes("page")
    assert w.kinds[-1] == "resolve"


def test_a_changed_page_leaves_the_others_to_their_incident(world):
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for _ in range(3):
        w.see("page", SLOW)
        w.see("line", SLOW)
    (slow,) = w.open
    w.see("page", CHANGED)
    w.see("page", CHANGED)
    assert [i.probes for i in w.open] == [("line",), ("page",)]
    assert w.open[0].id == slow.id


def test_a_page_that_changes_again_before_the_first_change_is_accepted_is_told_again(world):
    """A new banner waits over the weekend to be accepted; the skimmer comes on Saturday."""
    w = world({"page": ("pay", [])})
    banner, skimmer = (
        replace(CHANGED, message=f"new: {script}") for script in ("banner.js", "banner.js; new: skim.js")
    )
    for seen in (banner, banner, skimmer, banner, skimmer):
        w.see("page", seen)
    assert w.kinds == ["open", "resolve", "open"]
    assert "skim.js" in w.open[0].reason
    for seen in (banner, skimmer, skimmer, banner):  # as where two servers deliver two pages
        w.see("page", seen)
    assert w.kinds == ["open", "resolve", "open"], "each is told once"


@pytest.mark.parametrize("interval", [60.0, 86400.0])
def test_a_page_that_differs_each_time_is_told_once_and_visited_at_its_own_pace(world, interval):
    w = world({"page": ("pay", [])})
    w.rules = replace(w.rules, probes={"page": replace(w.rules.probes["page"], interval=interval)})
    for number in range(20):
        w.now += interval
        w.see("page", replace(CHANGED, message=f"new: {number}.js"))
    assert w.kinds == ["open"]
    assert len(w.requests) <= 3


def test_a_skimmer_that_only_some_visits_meet_is_told_at_the_third(world):
    w = world({"page": ("pay", [])})
    for seen in (CHANGED, None, None, None, CHANGED, None, None, None, CHANGED):
        assert w.kinds == []
        w.see("page", *([seen] if seen else []))
    assert w.kinds == ["open"]


def test_what_was_seen_once_and_again_the_next_week_is_seen_once(world):
    w = world({"page": ("pay", [])})
    w.see("page", CHANGED)
    w.passes("page")
    w.now += 7 * 86400
    w.see("page", CHANGED)
    assert w.kinds == []


def test_one_changed_page_among_slow_visits_is_not_believed(world):
    """It takes the nuisance's three visits, of which the change was in one."""
    w = world({"page": ("pay", [])})
    w.see("page", SLOW)
    w.see("page", CHANGED)
    assert w.open == []


def test_a_page_that_changed_is_told_though_a_part_of_it_could_not_be_looked_over(world):
    """A skimmer needs only a frame that does not answer, and everybody knew of that."""
    w = world({"page": ("pay", [])})
    for _ in range(2):
        w.see("page", UNSEEN)
    (unseen,) = w.open
    for _ in range(2):
        w.see("page", UNSEEN, CHANGED)
    (changed,) = w.open
    assert changed.id != unseen.id
    assert changed.title == "The payment page of “Pay” is not as it was accepted"
    assert "skim.js" in changed.reason


def test_a_page_that_could_not_be_looked_over_is_worth_no_new_incident_beside_what_is_known(world):
    w = world({"page": ("pay", [])})
    for _ in range(3):
        w.see("page", CHANGED)
    for _ in range(3):
        w.see("page", UNSEEN, CHANGED)
    assert w.kinds == ["open"]


@pytest.mark.parametrize("open_after", [1, 2, 3])
@pytest.mark.parametrize("variants", [20, 40, 1440])
def test_a_page_of_many_variants_is_not_told_for_ever(world, open_after, variants):
    """Of too many to be remembered each was new again and again: hundreds of incidents a day, each the end of the one before."""
    w = world({"page": ("pay", [])}, open_after=open_after)
    for visit in range(1440):
        w.now += 59
        met = crc32(str(visit).encode()) % variants
        w.see("page", replace(CHANGED, message=f"new: {met}.js"))
    assert w.kinds.count("open") <= 16
    assert w.kinds[:1] == ["open"]


@pytest.mark.parametrize("first", ["page", "line"])
def test_a_changed_page_is_not_told_as_the_slowness_of_what_it_needs(world, first):
    """One visit in between that met the slowness alone made it the card processor's, and ended the incident that told of the skimmer."""
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for probe, seen, times in sorted((("page", CHANGED, 2), ("line", SLOW, 3)), key=lambda row: row[0] != first):
        for _ in range(times):
            w.see(probe, seen)
    for _ in range(3):
        w.see("page", SLOW)
        w.see("line", SLOW)
    watched = w.state.incident_of("page")
    assert watched.title == "The payment page of “Pay” is not as it was accepted"
    w.passes("page")
    w.see("line", SLOW)
    watched = w.state.incident_of("page")
    assert (watched.probes, watched.cause.dependency) == (("page",), None)
    assert w.kinds.count("open") == 2
    assert "resolve" not in w.kinds


def test_a_changed_page_that_then_blocks_customers_belongs_to_the_outage(world):
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for _ in range(2):
        w.see("page", CHANGED)
    for _ in range(3):
        w.fails("line")
        w.fails("page")
    (outage,) = w.open
    assert (set(outage.probes), outage.cause.dependency) == ({"line", "page"}, "card")


def test_what_was_told_before_the_incident_ended_is_told_again_when_it_is_back(world):
    """Slowness opened the incident of the change again, under whose history the same skimmer hid."""
    w = world({"page": ("pay", [])})
    for seen in (CHANGED, CHANGED, None, None, SLOW, SLOW, SLOW):
        w.see("page", *([seen] if seen else []))
    assert w.kinds == ["open", "resolve", "reopen"]
    (slow,) = w.open
    for _ in range(2):
        w.see("page", SLOW, CHANGED)
    (changed,) = w.open
    assert changed.id != slow.id
    assert w.kinds[3:] == ["resolve", "open"]


def test_the_incident_that_a_changed_page_leaves_names_the_one_that_it_has_then(world):
    """Its own ended a moment ago and is opened again, so there is no other."""
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for seen in (SLOW, SLOW, SLOW):
        w.see("line", seen)
    for seen in (CHANGED, CHANGED, None, None):
        w.see("page", *([seen] if seen else []))
    own = next(t.incident for t in w.transitions if t.kind.value == "resolve")
    w.see("line", SLOW)
    for _ in range(2):
        w.see("page", SLOW)
        w.see("line", SLOW)
    assert w.state.incident_of("page") == w.state.incident_of("line")
    for _ in range(2):
        w.see("page", SLOW, CHANGED)
    left, again = w.transitions[-2:]
    assert (again.kind.value, again.incident.id) == ("reopen", own.id)
    assert left.text == f"page tells of a payment page that changed, which is {own.id}"


def test_the_incident_that_a_changed_page_leaves_is_that_of_the_others(world):
    """It went on saying that customers could not pay well, though only the line was left."""
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for _ in range(3):
        w.see("page", SLOW)
        w.see("line", SLOW)
    assert w.open[0].title == "Card: customers finish “Pay”, but are annoyed"
    for _ in range(2):
        w.see("page", CHANGED)
    slow = w.state.incident_of("line")
    assert (slow.probes, slow.journeys) == (("line",), ("talk",))
    assert slow.title == "Customers finish “Talk”, but are annoyed", "one probe alone shows no cause"
    assert "page" not in slow.reason


def test_an_incident_whose_others_are_well_ends_when_a_changed_page_leaves_it(world):
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for _ in range(3):
        w.see("page", SLOW)
        w.see("line", SLOW)
    w.passes("line", "line")
    for _ in range(2):
        w.see("page", CHANGED)
    assert [i.probes for i in w.open] == [("page",)]


def test_a_slow_page_whose_skimmer_is_another_at_each_visit_is_told(world):
    """No two visits find the same change, and none of them ever left the incident of the slowness."""
    w = world({"page": ("pay", [])})
    for _ in range(3):
        w.see("page", SLOW)
    for visit in range(30):
        w.see("page", SLOW, replace(CHANGED, message=f"new: {visit}.js"))
    assert w.kinds == ["open", "resolve", "open"], "told once"
    assert w.open[0].title == "The payment page of “Pay” is not as it was accepted"


def test_a_page_that_is_now_and_then_another_is_not_told_while_it_is_well_in_between(world):
    """As where a script does not load once in a while, and each time another one."""
    w = world({"page": ("pay", [])})
    for visit in range(9):
        w.see("page", replace(CHANGED, message=f"gone: {visit}.js"))
        w.passes("page", "page")
    assert w.kinds == []


def test_a_page_that_is_another_at_each_visit_is_told_once_however_its_incident_began(world):
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    for _ in range(3):
        w.see("line", SLOW)
    w.see("page", SLOW)
    for visit in range(6):
        w.see("page", replace(CHANGED, message=f"new: {visit}.js"))
    w.see("page", SLOW)
    w.see("line", SLOW)
    assert w.state.incident_of("page") != w.state.incident_of("line")
    assert w.kinds.count("open") == 2
    assert "resolve" not in w.kinds


def test_a_page_that_is_another_at_each_changed_visit_is_told_at_the_third(world):
    w = world({"page": ("pay", [])})
    for visit in range(3):
        assert w.kinds == []
        w.passes("page")
        w.see("page", replace(CHANGED, message=f"new: {visit}.js"))
    assert w.kinds == ["open"]


@pytest.mark.parametrize("open_after", [1, 2])
def test_an_outage_that_comes_and_goes_is_not_ended_by_a_change_of_its_page(world, open_after):
    """The change took the outage's place, as bad as that was, and ended it."""
    w = world({"page": ("pay", [])}, open_after=open_after)
    w.fails("page", times=2)
    (outage,) = w.open
    for _ in range(2):
        w.see("page", CHANGED)
        w.fails("page")
    w.see("page", CHANGED)
    assert w.open[0].id == outage.id
    assert w.kinds[0] == "open"
    assert {"resolve", "lower"}.isdisjoint(w.kinds)
    w.see("page", CHANGED)
    assert w.kinds[-2:] == ["resolve", "open"]
    assert [i.severity for i in w.open] == [Severity.SEV3]


@pytest.mark.parametrize("open_after", [1, 2, 3])
def test_a_changed_page_stays_where_people_merged_it(world, open_after):
    w = world({"page": ("pay", []), "line": ("talk", [])}, open_after=open_after)
    for _ in range(3):
        w.see("line", SLOW)
        w.see("page", CHANGED)
    slow, changed = w.state.incident_of("line"), w.state.incident_of("page")
    w.tell(Commanded(w.now, changed.id, "merge", "Kim", into=slow.id))
    for _ in range(5):
        w.see("page", CHANGED)
    assert [i.id for i in w.open] == [slow.id]


def test_a_change_that_is_met_in_one_slow_spell_after_another_is_told(world):
    """With the end of each incident it was forgotten."""
    w = world({"page": ("pay", [])})
    for _ in range(3):
        w.now += 1000
        for seen in (SLOW, SLOW, SLOW, CHANGED, None, None):
            w.see("page", *([seen] if seen else []))
    titles = [t.incident.title for t in w.transitions if t.kind.value == "open"]
    assert titles[-1] == "The payment page of “Pay” is not as it was accepted"


@pytest.mark.parametrize(
    ("then", "title"),
    [
        (SLOW, "Customers finish “Pay”, but are annoyed"),
        (CHANGED, "The payment page of “Pay” is not as it was accepted"),
    ],
)
def test_a_slow_page_is_not_called_changed_for_one_visit(world, then, title):
    w = world({"page": ("pay", [])})
    for seen in (SLOW, SLOW, CHANGED):
        w.see("page", seen)
    assert w.kinds == []
    assert [r.probe for r in w.requests] == ["page"], "it is looked at again at once"
    w.see("page", then)
    assert [i.title for i in w.open] == [title]


def test_what_was_told_of_a_page_is_known_after_a_restart(world):
    """The state is read from the store: each change is told once all the same."""
    w = world({"page": ("pay", [])})
    other = replace(CHANGED, message="new: banner.js")
    for seen in (CHANGED, CHANGED, other, other, CHANGED, CHANGED, other):
        w.see("page", seen)
        probes = [decode(ProbeState, encode(probe)) for probe in w.state.probes.values()]
        w.state = State.of(probes, [decode(Incident, encode(incident)) for incident in w.open])
    assert w.kinds == ["open", "resolve", "open"]
