"""Days with maintenance, silences, rules of the user's and critical periods, in the language of `scenario.py`."""

import pytest
from scenario import play

CAST = """
    probe pay-web of pay-by-card needs card-processor
    probe pay-ivr of pay-by-card needs card-processor every 5m call
    probe bank-web of pay-by-bank needs bank
"""
ALONE = """
    probe web of shop
"""

SCENARIOS = {
    # --- maintenance
    "muted: it opens, nobody is told; what is still open at its end is told then": ALONE
    + """
        maintenance deploy of web from 2m to 20m
        at 5m: fail web
        expect within 2m: open sev1
        expect nothing told for 12m
        at 19m: fail web
        expect within 2m: told unmute sev1
        at 25m: mend web
        expect within 2m: told resolve""",
    "muted: what opens and ends in it is told to nobody": ALONE
    + """
        maintenance deploy of web from 2m to 20m
        at 5m: fail web
        expect within 2m: open sev1
        at 10m: mend web
        expect within 2m: resolve
        expect nothing told for 30m""",
    "muted: what was told before gets its resolve": ALONE
    + """
        maintenance deploy of web from 5m to 20m
        at 1m: fail web
        expect within 2m: told open sev1
        expect within 5m: mute
        at 10m: mend web
        expect within 2m: told resolve""",
    "muted: nothing new since it was told is not told again": ALONE
    + """
        maintenance deploy of web from 5m to 20m
        at 1m: fail web
        expect within 2m: told open sev1
        at 4m: fail web
        expect within 2m: mute
        expect nothing told for 40m""",
    "muted: what got worse meanwhile is told at its end": ALONE
    + """
        maintenance deploy of web from 5m to 20m
        at 1m: fail web diverted
        expect within 2m: told open sev2
        at 10m: fail web
        expect within 3m: raise sev1
        expect nothing told for 6m
        at 19m: fail web
        expect within 2m: told unmute sev1""",
    "muted: what ended and comes back in it is told only at its end": ALONE
    + """
        maintenance deploy of web from 8m to 20m
        at 1m: fail web
        expect within 2m: told open sev1
        at 5m: mend web
        expect within 2m: told resolve
        at 9m: fail web
        expect within 2m: reopen
        expect nothing told for 8m
        expect within 2m: told unmute sev1""",
    "muted: what came back and ended in it is told to nobody: its end was told before": ALONE
    + """
        maintenance deploy of web from 8m to 30m
        at 1m: fail web
        expect within 2m: told open sev1
        at 5m: mend web
        expect within 2m: told resolve
        at 9m: fail web
        expect within 2m: reopen
        expect nothing told for 1m
        at 12m: mend web
        expect nothing told for 30m
        expect open: 0""",
    "a failure that the maintenance is not of is told": CAST
    + """
        maintenance deploy of pay-web from 1m to 60m
        at 2m: fail pay-web
        expect within 2m: open
        expect nothing told for 2m
        at 10m: fail pay-ivr
        expect within 12m: told unmute sev1 cause card-processor""",
    "maintenance of a dependency mutes all that need it": CAST
    + """
        maintenance cards of card-processor from 1m to 30m
        at 5m: break card-processor
        expect within 90s: open sev1 cause card-processor
        expect nothing told for 20m""",
    "maintenance of what a dependency depends on mutes as well": """
        probe a of one needs cards
        dependency cards needs gateway
        maintenance gate of gateway from 1m to 30m
        at 5m: fail a
        expect within 2m: open sev1
        expect nothing told for 20m""",
    "stopped: nothing is run and nothing opens; probing goes on afterwards": ALONE
    + """
        maintenance deploy of web from 2m to 20m stop
        at 5m: fail web
        expect nothing for 14m
        expect within 3m: told open sev1""",
    "stopped: what was open stays open, and ends when it is seen to pass": ALONE
    + """
        maintenance deploy of web from 5m to 20m stop
        at 1m: fail web
        expect within 2m: told open sev1
        at 6m: mend web
        expect nothing told for 13m
        expect open: 1
        expect within 4m: told resolve""",
    # --- silences
    "silenced by a person: not told until the silence ends": ALONE
    + """
        at 1m: silence web for 10m
        at 2m: fail web
        expect within 2m: open sev1
        expect nothing told for 7m
        expect within 3m: told unmute sev1""",
    "a silence that is ended early": ALONE
    + """
        at 1m: silence web for 10m
        at 2m: fail web
        expect within 2m: open sev1
        at 5m: end silence
        expect within 1s: told unmute sev1""",
    "a silence of one severity does not silence a worse one": ALONE
    + """
        at 1m: silence sev2 for 60m
        at 2m: fail web diverted
        expect within 2m: open sev2
        expect nothing told for 3m
        at 8m: fail web
        expect within 3m: told unmute sev1""",
    "silenced after it was told: the resolve comes all the same": ALONE
    + """
        at 1m: fail web
        expect within 2m: told open
        at 4m: silence web for 60m
        at 5m: mend web
        expect within 2m: told resolve""",
    "acknowledged while silenced: those who were told hear of it": ALONE
    + """
        at 1m: fail web
        expect within 2m: told open
        at 4m: silence web for 60m
        at 5m: acknowledge
        expect within 1s: told acknowledge""",
    # --- rules and critical periods
    "a rule of the user's comes before the table": ALONE
    + """
        rule nuisance of shop: sev2
        at 1m: fail web nuisance
        expect within 5m: open sev2""",
    "a rule for another journey changes nothing": """
        probe web of shop
        probe other of bank
        rule nuisance of bank: sev1
        at 1m: fail web nuisance
        expect within 5m: open sev3""",
    "a rule that names no environment is for production": """
        probe web of shop in staging
        rule blocked of shop: sev1
        at 1m: fail web
        expect within 2m: open nonprod""",
    "a critical period raises while it lasts": ALONE
    + """
        critical friday of shop from 5m to 20m: sev2 as sev1
        at 1m: fail web diverted
        expect within 2m: told open sev2
        at 4m: fail web diverted
        expect within 61s: told raise sev1
        expect nothing for 10m
        at 19m: fail web diverted
        expect within 61s: told lower sev2""",
    "what opens in a critical period is as bad as it counts": ALONE
    + """
        critical friday of shop from 1m to 60m: sev3 as sev1
        at 2m: fail web nuisance
        expect within 5m: told open sev1""",
    "a critical period may lower": ALONE
    + """
        critical night of shop from 1m to 60m: sev1 as sev2
        at 2m: fail web
        expect within 2m: told open sev2""",
    "a critical period of another journey raises nothing": CAST
    + """
        critical friday of pay-by-bank from 1m to 60m: sev2 as sev1
        at 2m: fail pay-web diverted
        expect within 2m: open sev2
        expect nothing for 10m""",
    "a defect outside production stays one in a critical period": """
        probe web of shop in staging
        critical friday of shop from 1m to 60m: sev2 as sev1
        at 2m: fail web
        expect within 2m: open nonprod""",
    "what begins to fail while people test is a defect, and is over with it": ALONE
    + """
        test drill of shop from 2m to 20m
        at 3m: fail web
        expect within 2m: told open nonprod
        at 10m: mend web
        expect within 2m: told resolve
        expect nothing for 20m""",
    "what outlasts the test is an outage": ALONE
    + """
        test drill of shop from 2m to 20m
        at 3m: fail web
        expect within 2m: told open nonprod
        expect nothing for 14m
        at 1199s: fail web
        expect within 61s: told raise sev1""",
    "what failed before the test stays an outage": ALONE
    + """
        test drill of shop from 5m to 20m
        at 1m: fail web
        expect within 2m: told open sev1
        expect nothing for 20m""",
    "an outage that passes once while people test stays an outage": ALONE
    + """
        test drill of shop from 5m to 20m
        at 1m: fail web
        expect within 2m: told open sev1
        at 6m: mend web
        expect within 3m: told resolve
        at 10m: fail web
        expect within 2m: told reopen sev1
        expect nothing for 20m""",
    "a test of one journey excuses no other": CAST
    + """
        test drill of pay-by-bank from 1m to 60m
        at 2m: fail pay-web
        expect within 2m: open sev1""",
    "a period that begins while the incident is about to end raises nothing": ALONE
    + """
        critical friday of shop from 5m to 20m: sev2 as sev1
        at 1m: fail web diverted
        expect within 2m: open sev2
        at 299s: mend web
        expect within 2m: resolve
        expect nothing for 10m""",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    play(SCENARIOS[name])
