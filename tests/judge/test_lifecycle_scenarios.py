"""Days on which incidents come back, flap, share hosts, are merged and split, in the language of `scenario.py`."""

import pytest
from scenario import play

CAST = """
    probe pay-web of pay-by-card needs card-processor
    probe pay-ivr of pay-by-card needs card-processor every 5m call
"""
ALONE = """
    probe web of shop
"""
FLAPS = "\n".join(f"at {minute}m: {'fail' if minute % 4 == 1 else 'mend'} web" for minute in range(1, 61, 2))

SCENARIOS = {
    # --- the end, and the time after it
    "it comes back within minutes: the same incident, told to all who were told of its end": ALONE
    + """
        at 1m: fail web
        expect within 2m: told open sev1
        at 4m: mend web
        expect within 2m: told resolve
        at 12m: fail web diverted
        expect within 2m: told reopen sev2
        expect open: 1""",
    "it comes back late: a new incident": ALONE
    + """
        reopen within 5m
        at 1m: fail web
        expect within 2m: open
        at 4m: mend web
        expect within 2m: resolve
        at 12m: fail web
        expect within 2m: open""",
    "another cause opens another incident, however soon": """
        probe a of one needs crm
        probe b of two needs bank
        at 1m: break crm
        expect within 2m: open sev1 cause crm
        at 4m: mend crm
        expect within 2m: resolve
        at 7m: break bank
        expect within 2m: open sev1 cause bank""",
    "another probe on the cause that ended a moment ago opens it again": """
        probe a of one needs crm
        probe b of two needs crm every 10m
        at 1m: fail a
        expect within 2m: open sev1 cause crm
        at 2m: mend a
        expect within 3m: resolve
        at 6m: break crm
        expect within 5m: reopen sev1""",
    # --- flapping
    "what came back twice has to stay well for ten minutes before its end is told": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 3m: mend web
        expect within 2m: resolve
        at 5m: fail web
        expect within 2m: reopen
        at 7m: mend web
        expect within 2m: resolve
        at 9m: fail web
        expect within 2m: reopen flapping
        at 11m: mend web
        expect nothing for 8m
        expect open: 1
        expect within 4m: resolve""",
    "it comes and goes: the incident says that it flaps": ALONE
    + """
        at 59s: fail web
        at 60s: mend web
        at 119s: fail web
        at 120s: mend web
        at 179s: fail web
        expect within 2m: open flapping
        expect open: 1""",
    # --- hosts and numbers, and what dependencies depend on
    "two pages of one host that fail together are one incident of the host": """
        probe a of one at shop.example
        probe b of two at shop.example
        at 1m: break shop.example
        expect within 2m: told open sev1
        expect within 2m: note cause shop.example
        expect open: 1
        expect nothing told for 5m""",
    "one page alone says nothing of its host": """
        probe a of one at shop.example
        at 1m: fail a
        expect within 2m: open sev1 cause unknown""",
    "a page of the host that passes rules the host out": """
        probe a of one at shop.example
        probe b of two at shop.example
        probe c of three at shop.example every 10s
        at 1m: fail a
        expect within 2m: open sev1 cause unknown
        at 3m: fail b
        expect within 2m: open sev1 cause unknown
        expect open: 2""",
    "what joined only for its host is judged and told by itself when the host is seen to work": """
        probe card of pay needs cards at shop.example
        probe crm of crm at shop.example
        probe bank of bank needs bank at shop.example every 10m
        at 1m: fail crm
        expect within 10s: told open sev1
        at 4m: fail card
        expect within 70s: attach
        expect within 2m: told open sev1 cause cards
        expect open: 2
        expect nothing told for 30m
        at 40m: mend card
        expect within 2m: told resolve
        at 45m: mend crm
        expect within 2m: told resolve
        expect open: 0""",
    "one failure that joined for its host, which works, opens nothing by itself": """
        probe card of pay at shop.example every 5m
        probe crm of crm at shop.example
        probe bank of bank at shop.example every 10m
        at 1m: fail crm
        expect within 70s: told open sev1
        at 4m: fail card
        expect within 70s: attach
        at 301s: mend card
        expect nothing told for 30m
        expect open: 1""",
    "many that joined for their host, of which one page works, are no chance and stay one incident": """
        probe a of one at shop.example
        probe b of two at shop.example
        probe c of three at shop.example
        probe d of four at shop.example
        probe e of five at shop.example
        probe f of six at shop.example every 10m
        at 1m: fail a
        at 1m: fail b
        at 1m: fail c
        at 1m: fail d
        at 1m: fail e
        expect within 70s: told open sev1
        expect within 10m: note cause unknown
        expect nothing told for 30m
        expect open: 1""",
    "a workaround that was broken and is only a nuisance by now works again": """
        probe web of pay
        probe bank of banking
        workaround of pay: bank
        at 1m: fail web
        at 1m: fail bank
        expect within 3m: open sev1
        at 10m: fail bank nuisance
        expect within 2m: lower sev2
        at 20m: fail bank
        expect within 2m: raise sev1""",
    "a dependency that explains two failures comes before their host": """
        probe a of one needs crm at shop.example
        probe b of two needs crm at shop.example
        at 1m: break crm
        expect within 90s: open sev1 cause crm
        expect nothing for 5m
        expect open: 1""",
    "a host explains two failures of different dependencies": """
        probe a of one needs crm at shop.example
        probe b of two needs bank at shop.example
        at 1m: break shop.example
        expect within 90s: open sev1
        expect within 2m: note cause shop.example
        expect open: 1""",
    "two journeys of one number": """
        probe a of one at +12025550199 every 5m call
        probe b of two at +12025550199 every 5m call
        at 1m: break +12025550199
        expect within 8m: open sev1
        expect within 8m: note cause +12025550199
        expect open: 1""",
    "a gateway explains what fails behind it, and nobody is paged for its children": """
        probe a of one needs cards
        probe b of two needs wallets
        dependency cards needs gateway
        dependency wallets needs gateway
        at 1m: break gateway
        expect within 2m: told open sev1
        expect within 3m: note cause gateway
        expect open: 1
        expect nothing told for 5m""",
    "behind a gateway that works the nearer cause is named": """
        probe a of one needs cards
        probe b of two needs wallets
        dependency cards needs gateway
        dependency wallets needs gateway
        at 1m: break cards
        expect within 2m: open sev1 cause cards""",
    "two incidents that turn out to have one cause become one": """
        probe c of three needs crm every 10s
        probe a of one needs crm
        probe b of two needs crm
        at 65s: fail a
        expect within 3m: open
        at 4m: fail b
        expect within 2m: open
        at 7m: fail c
        expect within 2m: attach sev1 cause crm
        expect within 2m: told resolve
        expect open: 1""",
    # --- merge, split, notes
    "merged by a person: the absorbed one resolves, the survivor goes on": """
        probe a of one needs crm
        probe b of two needs bank
        at 1m: break crm bank
        expect within 2m: open
        expect within 2m: open
        at 5m: merge
        expect within 1s: told resolve
        expect open: 1
        at 10m: mend crm bank
        expect within 3m: told resolve
        expect open: 0""",
    "split by a person: each goes on for itself, though the cause is the same": CAST
    + """
        at 2m: break card-processor
        expect within 90s: open sev1
        expect within 5m: attach
        at 12m: split pay-ivr
        expect within 1s: told open sev1
        expect open: 2
        expect nothing told for 15m
        at 30m: mend pay-web
        expect within 3m: told resolve
        expect open: 1""",
    "split by a person, ended and failing again: its own incident is open again, and whoever heard of its end hears of it": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: break crm
        expect within 2m: open sev1
        expect within 2m: attach
        at 5m: split b
        expect within 1s: told open sev1
        at 8m: mend b
        expect within 3m: told resolve
        expect open: 1
        at 12m: fail b
        expect within 2m: told reopen sev1
        expect open: 2
        expect nothing told for 10m""",
    "split by a person, and failing again much later: it is still not joined to the first": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: break crm
        expect within 2m: open sev1
        expect within 2m: attach
        at 5m: split b
        at 8m: mend b
        expect within 3m: told resolve
        at 60m: fail b
        expect within 2m: told open sev1
        expect open: 2
        expect nothing told for 10m""",
    "split by a person, both ended and both failing again: each is open again for itself": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: break crm
        expect within 2m: open sev1
        expect within 2m: attach
        at 5m: split b
        at 8m: mend crm
        expect within 3m: told resolve
        expect within 3m: told resolve
        at 12m: break crm
        expect within 2m: told reopen
        expect within 2m: told reopen
        expect open: 2
        expect nothing told for 10m""",
    "a note tells nobody": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 3m: note
        expect within 1s: note
        expect nothing told for 5m""",
    # --- late, doubled, out of order
    "a run that is told twice counts once": ALONE
    + """
        at 59s: fail web
        at 60s: repeat web
        at 60s: mend web
        expect nothing for 10m""",
    "a failure that comes late changes nothing": ALONE
    + """
        at 10m: late web blocked
        at 11m: late web blocked
        expect nothing for 10m
        expect open: 0""",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    play(SCENARIOS[name])


WITH_WORKAROUND = """
    probe a of j1
    probe w of j2
    workaround of j1: w
    at 1m: fail a
"""


def _swings_of(kinds_at, stage):
    """Return what the hook was told of the incident of `a`."""
    incidents = [t for _, t in stage.said if "a" in t.incident.probes and t.kind.value in kinds_at]
    return [t.kind.value for t in incidents]


def test_a_workaround_that_comes_and_goes_for_an_hour_raises_and_lowers_once():
    flaps = "\n".join(f"at {minute}m: {'fail' if minute % 6 == 2 else 'mend'} w" for minute in range(2, 62, 3))
    stage = play(WITH_WORKAROUND + flaps)
    stage.until(3700)
    assert _swings_of(("open", "raise", "lower"), stage) == ["open", "raise", "lower", "raise"]
    (incident,) = [i for i in stage.state.incidents.values() if "a" in i.probes]
    assert incident.severity.value == "sev1"
    assert "flapping" in next(t.text for _, t in reversed(stage.said) if t.kind.value == "raise")
    assert "its severity fell and rose again" in incident.reason
    stage.act("mend w")
    stage.until(4100)
    assert incident.id in stage.state.incidents
    assert _swings_of(("lower",), stage) == ["lower"], "it has not been well for ten minutes"
    assert (
        "It stays Sev1 until it has been better for 10 min; by itself it would be Sev2, because"
        in stage.state.incidents[incident.id].reason
    )
    stage.until(4300)
    assert _swings_of(("lower",), stage) == ["lower", "lower"]
    assert stage.state.incidents[incident.id].severity.value == "sev2"


def test_a_workaround_that_was_only_seen_late_has_not_flapped_when_it_breaks():
    stage = play(WITH_WORKAROUND.replace("at 1m", "at 0s: unknown w\n    at 1m"))
    stage.until(250)
    for moment, what in ((250, "mend w"), (600, "fail w"), (900, "mend w")):
        stage.until(moment)
        stage.act(what)
    stage.until(1200)
    assert _swings_of(("open", "raise", "lower"), stage) == ["open", "lower", "raise", "lower"]
    assert not any("flapping" in t.text for _, t in stage.said)


def test_an_effect_that_comes_and_goes_is_held_at_the_worse_as_well():
    changes = "\n".join(f"at {minute}m: fail a{' diverted' if minute % 8 == 4 else ''}" for minute in range(4, 60, 4))
    stage = play("probe a of j1\nat 1m: fail a\n" + changes)
    stage.until(3700)
    assert _swings_of(("raise", "lower"), stage) == ["lower", "raise"]


def test_what_calendars_raise_and_lower_is_no_flapping():
    periods = "\n".join(f"critical p{n} of j1 from {n}m to {n + 10}m: sev2 as sev1" for n in (10, 30, 50))
    stage = play(f"probe a of j1\n{periods}\nat 1m: fail a diverted")
    stage.until(4000)
    assert _swings_of(("raise", "lower"), stage) == ["raise", "lower"] * 3


def test_an_hour_of_flapping_is_told_a_bounded_number_of_times():
    stage = play(ALONE + FLAPS)
    stage.until(7200)
    told = [stage.said[place][1].kind.value for place in sorted(stage.told)]
    assert told == ["open", "resolve", "reopen", "resolve", "reopen", "resolve"]
    assert not stage.state.incidents
