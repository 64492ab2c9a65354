"""Days in the life of a monitor, told in the language of `scenario.py`. Each is one promise of `docs/judgement.md`."""

import pytest
from scenario import BrokenPromiseError, play

CAST = """
    probe pay-web of pay-by-card needs card-processor
    probe pay-ivr of pay-by-card needs card-processor every 5m call
    probe bank-web of pay-by-bank needs bank
"""
ALONE = """
    probe web of shop
"""
PHONE = """
    probe ivr of pay every 5m call
"""

SCENARIOS = {
    # --- the six examples of the levels
    "an IVR prompt fails to load: sev1": PHONE + "at 1m: fail ivr\nexpect within 10m: open sev1 cause unknown",
    "the CRM is down: sev1": """
        probe record of find-customer needs crm
        at 1m: break crm
        expect within 2m: open sev1 cause crm""",
    "calls are misrouted and transferred by hand: sev2": PHONE
    + "at 1m: fail ivr diverted\nexpect within 10m: open sev2",
    "poor audio: sev3, and only when it stays": PHONE
    + """
        at 1m: fail ivr nuisance
        expect nothing for 9m
        expect within 10m: open sev3""",
    "a fail-over that breaks in a load test: a defect": """
        probe second-site of pay in load-test
        at 1m: fail second-site
        expect within 3m: open nonprod""",
    "Black Friday: cards fail on web and phone alike, one sev1 names the processor": CAST
    + """
        at 2m: break card-processor
        expect within 90s: open sev1 cause card-processor
        expect open: 1
        expect nothing for 10m
        at 15m: mend card-processor
        expect within 8m: resolve
        expect open: 0""",
    # --- when it is believed
    "one failure opens nothing": ALONE
    + """
        at 59s: fail web
        at 60s: mend web
        expect nothing for 10m""",
    "a second look comes at once, not at the next slot": ALONE + "at 1m: fail web\nexpect within 65s: open sev1",
    "two failures open once": ALONE
    + "at 1m: fail web\nexpect within 2m: open sev1\nexpect nothing for 20m\nexpect open: 1",
    "a nuisance waits for three of its slots": ALONE
    + """
        at 1m: fail web nuisance
        expect nothing for 90s
        expect within 3m: open sev3""",
    "what the monitor could not tell opens nothing": ALONE + "at 1m: unknown web\nexpect nothing for 30m",
    "what it could not tell resolves nothing": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 4m: unknown web
        expect nothing for 20m
        expect open: 1""",
    "what it could not tell confirms nothing": ALONE
    + """
        at 59s: fail web
        at 60s: unknown web
        expect nothing for 10m
        expect open: 0""",
    "one pass is no recovery": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        expect nothing for 3m
        at 5m: mend web
        expect within 2m: resolve""",
    "it resolves only when every probe of it passes": CAST
    + """
        at 2m: break card-processor
        expect within 90s: open sev1
        at 12m: mend pay-web
        expect nothing for 15m
        at 30m: mend pay-ivr
        expect within 8m: resolve""",
    "after the end a new failure is a new incident": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 5m: mend web
        expect within 2m: resolve
        at 20m: fail web
        expect within 2m: open sev1""",
    "it comes and goes: one incident": ALONE
    + """
        at 59s: fail web
        at 60s: mend web
        at 119s: fail web
        at 120s: mend web
        at 179s: fail web
        expect within 2m: open sev1
        expect open: 1""",
    # --- severity
    "blocked without a workaround: sev1": ALONE + "at 1m: fail web\nexpect within 2m: open sev1",
    "diverted: sev2": ALONE + "at 1m: fail web diverted\nexpect within 2m: open sev2",
    "blocked in staging is a defect": """
        probe web of shop in staging
        at 1m: fail web
        expect within 2m: open nonprod""",
    "a nuisance in staging is a defect too": """
        probe web of shop in staging
        at 1m: fail web nuisance
        expect within 5m: open nonprod""",
    "it gets worse: raised": ALONE
    + """
        at 1m: fail web diverted
        expect within 2m: open sev2
        at 5m: fail web
        expect within 3m: raise sev1""",
    "it gets better without being well: lowered": ALONE
    + """
        at 1m: fail web
        expect within 2m: open sev1
        at 5m: fail web diverted
        expect within 3m: lower sev2""",
    "one worse look raises nothing": ALONE
    + """
        at 1m: fail web diverted
        expect within 2m: open sev2
        at 179s: fail web
        at 180s: fail web diverted
        expect nothing for 10m""",
    "an outage that becomes a nuisance is lowered": ALONE
    + """
        at 1m: fail web
        expect within 2m: open sev1
        at 5m: fail web nuisance
        expect within 3m: lower sev3""",
    # --- workarounds
    "a workaround that works: sev2": CAST
    + """
        workaround of pay-by-card: pay-by-bank
        at 2m: break card-processor
        expect within 90s: open sev2 cause card-processor""",
    "a workaround that fails as well: sev1": CAST
    + """
        workaround of pay-by-card: pay-by-bank
        at 1m: break bank
        expect within 2m: open sev1 cause bank
        at 5m: break card-processor
        expect within 2m: open sev1 cause card-processor""",
    "the workaround breaks later: raised": CAST
    + """
        workaround of pay-by-card: pay-by-bank
        at 2m: break card-processor
        expect within 90s: open sev2
        at 10m: break bank
        expect within 2m: raise sev1""",
    "the workaround comes back: lowered": CAST
    + """
        workaround of pay-by-card: pay-by-bank
        at 1m: break bank
        expect within 2m: open sev1 cause bank
        at 5m: break card-processor
        expect within 2m: open sev1 cause card-processor
        at 15m: mend bank
        expect within 3m: lower sev2""",
    "a workaround in another environment helps nobody": """
        probe web of shop
        probe other of shop-by-phone in staging
        workaround of shop: shop-by-phone
        at 1m: fail web
        expect within 2m: open sev1""",
    "a slow workaround is good enough": CAST
    + """
        workaround of pay-by-card: pay-by-bank
        at 1m: fail bank-web nuisance
        at 2m: break card-processor
        expect within 90s: open sev2 cause card-processor""",
    "a workaround that the monitor cannot see is not believed": """
        probe web of shop
        probe phone of shop-by-phone every 5m
        workaround of shop: shop-by-phone
        at 0s: unknown phone
        at 1m: fail web
        expect within 2m: open sev1""",
    "a workaround that nobody can test any more raises nothing": """
        probe a of j1
        probe w of j2
        workaround of j1: w
        at 1m: fail a
        expect within 2m: open sev2
        at 5m: unknown w
        expect nothing for 1h""",
    "a workaround that maintenance stopped raises nothing": """
        probe a of j1
        probe w of j2
        workaround of j1: w
        maintenance m of w from 3m to 40m stop
        at 1m: fail a
        expect within 2m: open sev2
        expect nothing for 30m""",
    "a workaround that nobody could test for a while is believed broken once it is seen to fail": """
        probe a of j1
        probe w of j2
        workaround of j1: w
        at 1m: fail a
        expect within 2m: open sev2
        at 5m: unknown w
        at 20m: fail w
        expect within 2m: raise sev1""",
    "of two workarounds the one that worked breaks, and the other was never seen: raised": """
        probe a of j1
        probe w of j2
        probe v of j2
        workaround of j1: j2
        at 0s: unknown v
        at 1m: fail a
        expect within 2m: open sev2
        at 5m: fail w
        expect within 3m: raise sev1""",
    "a workaround that is seen for the first time lowers": """
        probe a of j1
        probe w of j2
        workaround of j1: w
        at 0s: unknown w
        at 1m: fail a
        expect within 2m: open sev1
        at 5m: mend w
        expect within 2m: lower sev2""",
    "a named probe is a workaround": """
        probe web of shop
        probe phone of shop-by-phone
        workaround of shop: phone
        at 1m: fail web
        expect within 2m: open sev2""",
    # --- cause
    "two probes on one dependency confirm each other": """
        probe a of one needs crm every 10m
        probe b of two needs crm every 10m
        at 1m: break crm
        expect within 11m: open sev1 cause crm
        expect open: 1""",
    "a probe that passes rules the cause out": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: fail a
        expect within 3m: open sev1
        expect within 3m: note cause unknown""",
    "two faults at once make two incidents": """
        probe a of one needs crm
        probe b of two needs bank
        at 1m: break crm bank
        expect within 2m: open sev1 cause crm
        expect within 2m: open sev1 cause bank
        expect open: 2""",
    "a third failure on the same cause joins without a page": """
        probe a of one needs crm
        probe b of two needs crm
        probe c of three needs crm every 10m
        at 1m: break crm
        expect within 90s: open sev1 cause crm
        expect nothing for 15m
        expect open: 1""",
    "another channel is asked first, so that the telephone's evidence comes soon": CAST
    + """
        at 6m: break card-processor
        expect within 70s: open sev1 cause card-processor
        expect within 10s: attach""",
    "production and staging never share an incident": """
        probe a of one needs crm
        probe b of two needs crm in staging
        at 1m: break crm
        expect within 2m: open
        expect within 2m: open
        expect open: 2""",
    "outages and nuisances never share an incident": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: fail a
        at 1m: fail b nuisance
        expect within 2m: open sev1
        expect within 5m: open sev3
        expect open: 2""",
    "a nuisance that grows into an outage is raised": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: fail b nuisance
        expect within 5m: open sev3
        at 10m: break crm
        expect within 4m: raise sev1
        expect within 4m: note cause crm
        expect open: 1""",
    "a nuisance that becomes part of an outage moves to it": """
        probe a of one needs crm
        probe b of two needs crm
        at 1m: fail b nuisance
        expect within 5m: open sev3
        at 10m: fail a
        expect within 2m: open sev1
        at 15m: fail b
        expect within 3m: resolve
        expect open: 1""",
    "without a dependency no cause is named": ALONE + "at 1m: fail web\nexpect within 2m: open sev1 cause unknown",
    "of two dependencies the one that explains all is named": """
        probe a of one needs crm,bank
        probe b of two needs bank
        probe c of three needs crm
        at 1m: break bank
        expect within 3m: open sev1 cause bank""",
    # --- the telephone
    "the telephone alone waits for the control call": PHONE + "at 1m: fail ivr\nexpect within 6m: open sev1",
    "a carrier that reaches nobody is no outage of the customer's": PHONE
    + """
        at 1m: fail ivr
        at 1m: control fails
        expect nothing for 1h""",
    "once the control call passes again the outage is told": PHONE
    + """
        at 1m: fail ivr
        at 1m: control fails
        expect nothing for 20m
        at 22m: control passes
        expect within 10m: open sev1""",
    "the control call has no say in a nuisance": PHONE
    + """
        at 1m: fail ivr nuisance
        at 1m: control fails
        expect within 20m: open sev3""",
    "two carriers that fail alike need no control call": """
        probe one of pay needs ivr every 5m call
        probe two of pay needs ivr every 5m call through backup
        at 1m: break ivr
        at 1m: control fails
        expect within 7m: open sev1 cause ivr""",
    "the web failing too needs no control call": CAST
    + """
        at 1m: control fails
        at 2m: break card-processor
        expect within 90s: open sev1 cause card-processor""",
    "a call that fails once and passes from another number opens nothing": PHONE
    + """
        at 299s: fail ivr
        at 300s: mend ivr
        expect nothing for 30m""",
    "the control line failing alone is nobody's outage": PHONE + "at 1m: control fails\nexpect nothing for 1h",
    # --- people
    "acknowledged: nothing more is told while it lasts": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 3m: acknowledge
        expect nothing for 10m
        at 15m: mend web
        expect within 3m: resolve""",
    "resolved by hand while it still fails: it opens again": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 5m: resolve
        expect open: 0
        expect within 3m: told reopen sev1""",
    "acknowledging does not keep it from getting worse": ALONE
    + """
        at 1m: fail web diverted
        expect within 2m: open sev2
        at 3m: acknowledge
        at 4m: fail web
        expect within 3m: raise sev1""",
    # --- calm
    "all is well: nothing is ever said": CAST + "expect nothing for 6h",
    "a slow schedule is confirmed at once as well": """
        probe night of report every 6h
        at 1h: fail night
        expect within 6h: open sev1""",
    "a failure between two slots is not seen": ALONE
    + """
        at 70s: fail web
        at 100s: mend web
        expect nothing for 10m""",
    "a flood of one cause is one incident": "\n".join(f"probe p{n} of j{n % 7} needs crm" for n in range(200))
    + """
        at 3m: break crm
        expect within 90s: open sev1 cause crm
        expect nothing for 5m
        expect open: 1
        at 15m: mend crm
        expect within 5m: resolve
        expect open: 0""",
    "everything at once and everything back": CAST
    + """
        probe record of find-customer needs crm
        at 5m: break card-processor bank crm
        expect within 90s: open sev1
        expect within 90s: open sev1
        expect within 90s: open sev1
        at 30m: mend card-processor bank crm
        expect within 12m: resolve
        expect within 12m: resolve
        expect within 12m: resolve
        expect open: 0""",
    "it breaks, mends and breaks again within minutes": ALONE
    + """
        at 1m: fail web
        expect within 2m: open
        at 4m: mend web
        expect within 2m: resolve
        at 7m: fail web
        expect within 2m: told reopen
        at 10m: mend web
        expect within 2m: resolve
        expect open: 0""",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    play(SCENARIOS[name])


def test_there_are_as_many_as_were_promised():
    assert len(SCENARIOS) >= 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALONE + "expect within 5m: open sev1", "expected 'open sev1', heard \\[\\]"),
        (ALONE + "at 1m: fail web\nexpect within 2m: open sev2", "heard .*open sev1"),
        (ALONE + "at 1m: fail web\nexpect nothing for 5m", "expected nothing"),
        (ALONE + "at 1m: fail web\nexpect within 2m: open\nexpect open: 2", "1 incidents are open"),
        (ALONE + "at 1m: silence web for 1h\nat 2m: fail web\nexpect within 2m: told open", "heard .*open sev1"),
        (ALONE + "at 1m: fail web\nexpect nothing told for 5m", "expected nothing"),
        (ALONE + "at 1m: fail web\nexpect within 5m: open flapping", "heard .*open sev1"),
    ],
)
def test_a_scenario_that_is_not_kept_fails(text, said):
    with pytest.raises(BrokenPromiseError, match=said):
        play(text)


@pytest.mark.parametrize("line", ["at 1m: dance", "expect miracles", "whatever"])
def test_a_line_that_means_nothing_is_refused(line):
    with pytest.raises(AssertionError):
        play(ALONE + line)
