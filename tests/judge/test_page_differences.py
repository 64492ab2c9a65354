"""What a payment page differs in, each difference by itself: when it is told, how often, and when that is over."""

from dataclasses import replace
from zlib import crc32

import pytest
from judge_world import CHANGED, SLOW, UNSEEN, changed, rules_of

from earwitness.model import (
    ClockSetBack,
    Commanded,
    Match,
    QuietBegun,
    QuietKind,
    QuietPeriod,
    Reconfigured,
    Severity,
    Ticked,
)


def muted(w, seconds):
    """Nobody is told of the page for so long."""
    period = QuietPeriod(
        "q", QuietKind.MAINTENANCE, Match(probe=("page",)), w.now, w.now + seconds, w.now, "Kim", "deploy"
    )
    w.tell(QuietBegun(w.now, period))


# --- what comes and goes ---------------------------------------------------------------------------------------------


def returns(w, times):
    """Let a skimmer be met, and the page then pass until it is believed to be well, so many times."""
    for _ in range(times):
        w.now += 1800
        w.see("page", CHANGED)
        w.passes("page", "page")


@pytest.mark.parametrize("share", [2, 4, 10])
def test_a_skimmer_that_some_visitors_meet_is_not_told_at_each_of_its_spells(world, share):
    """Two passes ended its incident, and three sightings opened the next: thirty of them a day."""
    w = world({"page": ("pay", [])})
    for visit in range(288):
        w.now += 299
        w.see("page", *([] if crc32(f"visit {visit}".encode()) % share else [CHANGED]))
    assert w.kinds.count("open") + w.kinds.count("reopen") <= 3
    assert len(w.open) == 1
    for wait, still in ((72_000, 1), (15_000, 0)):  # until it was not met for a day
        w.now += wait
        w.passes("page", "page")
        assert len(w.open) == still


def test_what_is_met_the_third_time_is_said_to_come_and_go(world):
    w = world({"page": ("pay", [])})
    returns(w, 2)
    w.see("page", CHANGED)
    assert w.open[0].flapping
    assert "It is flapping" in w.open[0].reason


def test_a_change_that_is_taken_back_is_over_when_the_page_passes_twice(world):
    w = world({"page": ("pay", [])})
    for _ in range(2):
        for seen in (CHANGED, CHANGED, None, None):
            w.see("page", *([seen] if seen else []))
    assert w.kinds == ["open", "resolve", "reopen", "resolve"]


def test_an_outage_is_over_though_the_page_was_changed_now_and_then_before_it(world):
    w = world({"page": ("pay", [])})
    returns(w, 3)
    assert [i.severity for i in w.open] == [Severity.SEV3]
    w.fails("page", times=2)
    assert [i.severity for i in w.open] == [Severity.SEV1]
    w.passes("page", "page")
    assert w.open == []


def test_an_outage_is_over_though_people_merged_a_page_into_it_that_is_changed_now_and_then(world):
    w = world({"page": ("pay", []), "line": ("talk", [])})
    returns(w, 3)
    w.fails("line", times=2)
    w.tell(Commanded(w.now, w.state.incident_of("page").id, "merge", "Kim", into=w.state.incident_of("line").id))
    w.passes("page", "page", "line", "line")
    assert w.open == []


def test_a_page_that_is_changed_now_and_then_is_not_told_as_the_slowness_of_what_it_needs(world):
    """Its incident went on in that of the slowness, which then stayed open for the page's sake, and hid the skimmer."""
    w = world({"page": ("pay", ["card"]), "line": ("talk", ["card"])})
    returns(w, 3)
    own = w.state.incident_of("page")
    for _ in range(3):
        w.see("line", SLOW)
        w.see("page", SLOW)
    assert w.state.incident_of("page").id == own.id != w.state.incident_of("line").id
    w.passes("line", "line")
    assert w.state.incident_of("line") is None


def test_a_new_configuration_ends_no_incident_that_is_to_stay_well_first(world):
    """It said that the last failing probe was removed."""
    w = world({"page": ("pay", [])})
    returns(w, 3)
    w.tell(Reconfigured(w.now))
    assert len(w.open) == 1
    assert w.kinds == ["open"]
    w.rules = rules_of({"page": ("another-journey", [])})
    w.tell(Reconfigured(w.now))
    assert w.transitions[-1].text == "the configuration of its probes changed, which pass again"


# --- each difference by itself ---------------------------------------------------------------------------------------


def test_a_skimmer_is_told_though_each_visit_that_meets_it_meets_something_else_too(world):
    """No two findings had the same words, and with clean visits between nobody was told."""
    w = world({"page": ("pay", [])})
    for visit in range(3):
        assert w.kinds == []
        w.see("page", changed("skim.js", f"{visit}.js"))
        w.passes("page", "page")
    assert w.kinds[0] == "open"


def test_five_scripts_that_come_by_turns_are_five_changes_and_hide_no_sixth(world):
    """Their thirty-two combinations were more than can be told apart."""
    w = world({"page": ("pay", [])})
    for visit in range(200):
        optional = [f"{number}.js" for number in range(5) if crc32(f"{visit} {number}".encode()) % 2]
        w.see("page", changed("banner.js", *optional))
    assert w.kinds.count("open") <= 6
    before = len(w.transitions)
    for visit in range(2):
        w.see("page", changed("banner.js", "skim.js", f"{visit}.js"))
    assert [t.kind.value for t in w.transitions[before:]] == ["resolve", "open"]
    assert "skim.js" in w.open[0].reason


@pytest.mark.parametrize("known", [changed("banner.js"), UNSEEN])
def test_a_skimmer_that_is_another_at_each_visit_is_told_beside_what_is_known(world, known):
    """Once two visits had found the same banner, no number of others counted."""
    w = world({"page": ("pay", [])})
    for _ in range(3):
        w.see("page", known)
    for visit in range(12):
        w.see("page", changed(*known.differences, f"skim{visit}.js"))
    assert w.kinds == ["open", "resolve", "open"], "told once"
    assert "skim2.js" in w.open[0].reason


def test_a_change_that_the_message_does_not_name_any_more_is_told(world):
    """A message is cut: one long policy that changed hid all that changed after it."""
    w = world({"page": ("pay", [])})
    for _ in range(2):
        w.see("page", replace(CHANGED, message="long...", differences=("long",)))
    for _ in range(2):
        w.see("page", replace(CHANGED, message="long...", differences=("long", "skim.js")))
    assert w.kinds == ["open", "resolve", "open"]


def test_much_that_changes_at_once_is_one_visit_and_one_way(world):
    """As where the shop's developers deliver: it is no third visit, and no page that changes too often to be told apart."""
    w = world({"page": ("pay", [])})
    bundles = [f"bundle{number}.js" for number in range(30)]
    w.see("page", changed(*bundles))
    w.passes("page", "page")
    assert w.kinds == []
    for _ in range(2):
        w.see("page", changed(*bundles))
    for _ in range(2):
        w.see("page", changed(*bundles, "skim.js"))
    assert w.kinds == ["open", "resolve", "open"]


def test_a_page_whose_many_changes_were_told_is_looked_at_again_only_while_that_may_say_more(world):
    """They fill the memory and are no restlessness; nor is each visit followed by another at once for what cannot be told apart."""
    w = world({"page": ("pay", [])})
    for visit in range(4):
        w.now += 2 * 86400
        for _ in range(2):
            w.see("page", changed(*(f"{visit}-{number}.js" for number in range(33))))
    assert w.kinds.count("open") == 4
    for _ in range(2):
        w.see("page", changed("skim.js"))
    assert w.kinds.count("open") == 5
    asked = len(w.requests)
    for _ in range(5):
        w.see("page", changed("skim.js"))
    assert len(w.requests) == asked


def test_of_two_versions_that_come_by_turns_in_a_maintenance_both_are_told_when_it_ends(world):
    """The incident of the first had ended by then, and nobody was told of it any more; so it is where quiet hours hold both back."""
    w = world({"page": ("pay", [])})
    muted(w, 100)
    for script in ("skim.js", "skim.js", "banner.js", "banner.js"):
        w.see("page", changed(script))
    w.now += 200
    w.tell(Ticked(w.now))
    told = w.transitions[-1]
    assert told.kind.value == "unmute"
    assert "new: banner.js; other visits met: skim.js)" in told.text
    for script in ("skim.js", "banner.js") * 5:
        w.see("page", changed(script))
    assert w.kinds.count("open") <= 3


def test_a_change_of_which_nobody_heard_for_an_outage_after_it_is_told_when_that_is_over(world):
    """Its incident opened muted, and told of the outage when that ended; what it had told to nobody counted as told."""
    w = world({"page": ("pay", [])})
    muted(w, 100)
    for _ in range(2):
        w.see("page", CHANGED)
    w.fails("page", times=2)
    w.now += 200
    w.tell(Ticked(w.now))
    told = w.transitions[-1]
    assert (told.kind.value, told.incident.severity) == ("unmute", Severity.SEV1)
    assert "skim.js" not in told.text
    w.see("page", SLOW)
    w.see("page", SLOW)
    for _ in range(2):
        w.see("page", SLOW, CHANGED)
    assert w.kinds[-2:] == ["resolve", "open"]
    assert "skim.js" in w.open[0].reason


def test_a_change_that_took_the_place_of_an_outage_while_nobody_was_told_is_told(world):
    """The incident was as bad as people knew it when it was unmuted, so nothing seemed to be new."""
    w = world({"page": ("pay", [])}, open_after=3)
    for _ in range(3):
        w.see("page", SLOW)
    muted(w, 100)
    w.fails("page", times=3)
    for _ in range(4):
        w.see("page", CHANGED)
    w.now += 200
    w.tell(Ticked(w.now))
    w.see("page", CHANGED)
    told = [t.text for t in w.transitions if t.kind.value in ("open", "unmute") and t.incident.muted is None]
    assert any("skim.js" in text for text in told)


def test_a_change_is_told_though_its_incident_was_unmuted_as_slowness(world):
    """Its reason was of the latest failure that it was judged by."""
    w = world({"page": ("pay", [])})
    muted(w, 100)
    for _ in range(2):
        w.see("page", CHANGED)
    w.see("page", SLOW, location="there")
    w.see("page", SLOW)
    w.see("page", SLOW, location="there")
    w.see("page", CHANGED)
    w.now += 200
    w.tell(Ticked(w.now))
    assert (w.kinds[-1], "skim.js" in w.transitions[-1].text) == ("unmute", False)
    for _ in range(2):
        w.see("page", CHANGED)
    assert w.kinds[-2:] == ["resolve", "open"]


def test_of_what_other_visits_met_an_incident_names_the_latest(world):
    w = world({"page": ("pay", [])})
    for number in range(13):
        for _ in range(2):
            w.see("page", changed(f"{number}.js"))
    assert (
        "(page: new: 12.js; other visits met: 11.js; 10.js; 9.js; 8.js; 7.js; 6.js; 5.js; 4.js; 3.js; 2.js; and 2 more)"
        in w.open[0].reason
    )


def test_what_is_remembered_of_a_page_is_bounded(world):
    w = world({"page": ("pay", [])})
    for visit in range(50):
        w.see("page", changed(*(f"{visit}-{number}.js" for number in range(33))))
    assert w.kinds == ["open"]
    assert len(w.state.probes["page"].changes) == 128


def test_what_was_told_before_the_end_is_told_again_though_the_clock_was_set_back_since(world):
    """By the clock, what was told before the incident opened again was told since."""
    w = world({"page": ("pay", [])})
    for seen in (CHANGED, CHANGED, None, None, SLOW, SLOW, SLOW):
        w.see("page", *([seen] if seen else []))
    w.now -= 30
    w.tell(ClockSetBack(w.now))
    for _ in range(2):
        w.see("page", SLOW, CHANGED)
    assert w.kinds == ["open", "resolve", "reopen", "resolve", "open"]


def test_a_change_is_told_once_however_long_it_is_not_met_while_its_incident_is_open(world):
    w = world({"page": ("pay", [])})
    for seen, times in ((changed("banner.js"), 2), (SLOW, 1), (changed("banner.js"), 2)):
        w.now += 2 * 86400
        for _ in range(times):
            w.see("page", seen)
    assert w.kinds == ["open"]


def test_what_an_incident_told_that_people_took_the_page_out_of_is_told_again(world):
    """Split off while it was well it is of no incident, and what was told of it then is not known in the next."""
    w = world({"page": ("pay", []), "line": ("talk", [])})
    for _ in range(3):
        w.see("line", SLOW)
        w.see("page", CHANGED)
    slow, other = w.state.incident_of("line"), w.state.incident_of("page")
    w.tell(Commanded(w.now, other.id, "merge", "Kim", into=slow.id))
    w.passes("page", "page")
    w.tell(Commanded(w.now, slow.id, "split", "Kim", probes=("page",)))
    assert w.state.incident_of("page") is None
    for _ in range(3):
        w.see("page", SLOW)
    before = w.state.incident_of("page")
    for _ in range(2):
        w.see("page", SLOW, CHANGED)
    assert w.state.incident_of("page").id != before.id
