"""Acme's contact centres as data, and the telephone numbers that reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from earwitness.simulator.fault_list import ANSWER_FAULTS, CENTRE_FAULTS, SERVICE_FAULTS, SOUND_FAULTS
from earwitness.simulator.menu import (
    Announce,
    Centre,
    Check,
    Collect,
    Echo,
    HangUp,
    Hold,
    Menu,
    Node,
    Route,
    Tone,
)
from earwitness.simulator.telephone_numbers import (
    BUSY_LINE,
    CONTACT_CENTRE,
    STAGING_CENTRE,
    TEST_LINE,
    UNANSWERED_LINE,
    UNOBTAINABLE_LINE,
)
from earwitness.simulator.tones import busy_tone, fax_answer, silence, special_information_tones

_NODES: dict[str, Node] = {
    "welcome": Announce("welcome", "main", barge_in=True),
    "main": Menu("main_menu", {"1": "account", "2": "card", "3": "bank", "4": "mortgages"}, "goodbye", main=True),
    "account": Menu("account_menu", {"1": "look up", "2": "hours"}, "goodbye"),
    "look up": Check("crm", "balance", "no balance"),
    "balance": Announce("balance", "goodbye", outcome="balance told"),
    "no balance": Announce("balance_unavailable", "goodbye", outcome="balance unavailable"),
    "hours": Announce("opening_hours", "goodbye", outcome="opening hours told"),
    "card": Collect("enter_card", "card processor", "goodbye", refusal="card_not_valid", shortest=12),
    "card processor": Check("card-processor", "paid", "not paid"),
    "paid": Announce("payment_accepted", "goodbye", outcome="payment accepted"),
    "not paid": Announce("payment_failed", "goodbye", outcome="payment failed"),
    "bank": Collect("enter_account", "transfer", "goodbye"),
    "transfer": Check("bank", "transferred", "not transferred"),
    "transferred": Announce("bank_payment_accepted", "goodbye", outcome="bank payment accepted"),
    "not transferred": Announce("bank_payment_failed", "goodbye", outcome="bank payment failed"),
    "mortgages": Route("mortgage team", "lost cards team"),
    "mortgage team": Announce("mortgage_team", "queue", outcome="mortgage team"),
    "sales team": Announce("sales_team", "queue", outcome="sales team"),
    "lost cards team": Announce("lost_cards_team", "queue", outcome="lost cards team"),
    "queue": Hold("still_holding", "goodbye"),
    "goodbye": Announce("goodbye", "end"),
    "end": HangUp(),
}
ACME = Centre("welcome", MappingProxyType(_NODES))
OUT_OF_ORDER = Centre(
    "apology", {"apology": Announce("technical_difficulties", "end", outcome="out of order"), "end": HangUp()}
)
# What answers the centre's number when it is not the centre.
VACANT_NUMBER = Centre(
    "tones",
    {
        "tones": Tone(special_information_tones, "words"),
        "words": Announce("number_unknown", "end", outcome="number not known"),
        "end": HangUp(),
    },
)
ENGAGED = Centre("tone", {"tone": Tone(partial(busy_tone, 30.0), "end"), "end": HangUp()})
FAX_MACHINE = Centre("tone", {"tone": Tone(partial(fax_answer, 30.0), "end"), "end": HangUp()})
PERSON = Centre(
    "hello",
    {
        "hello": Announce("person_answers", "wait", outcome="a person answered"),
        "wait": Tone(partial(silence, 8.0), "wonder"),
        "wonder": Announce("person_wonders", "wait more"),
        "wait more": Tone(partial(silence, 5.0), "end"),
        "end": HangUp(),
    },
)
TEST_TONE = Centre(
    "words",
    {
        "words": Announce("test_line", "echo", outcome="line works"),
        "echo": Echo(10.0, "bye"),
        "bye": Announce("goodbye", "end"),
        "end": HangUp(),
    },
)


@dataclass(frozen=True, slots=True)
class Line:
    """What a telephone number leads to. `exposed` names the faults that touch it."""

    title: str
    ending: str = "answered"  # answered, busy, no-answer, failed
    centre: Centre | None = None
    rings: float = 2.0  # seconds until it is answered
    failure_code: int = 404  # the SIP answer behind `failed`
    exposed: frozenset[str] = frozenset()


_PRODUCTION = frozenset({*SERVICE_FAULTS, *CENTRE_FAULTS, *ANSWER_FAULTS, *SOUND_FAULTS, "number-blocked"})
UNKNOWN_LINE = Line("Not a number of this simulator", "failed")
LINES: Mapping[str, Line] = MappingProxyType(
    {
        CONTACT_CENTRE: Line("Contact centre", centre=ACME, exposed=_PRODUCTION),
        STAGING_CENTRE: Line("Contact centre, staging", centre=ACME, exposed=frozenset({"staging-phone-down"})),
        TEST_LINE: Line("Test line with echo", centre=TEST_TONE),
        BUSY_LINE: Line("Busy", "busy"),
        UNANSWERED_LINE: Line("Nobody answers", "no-answer"),
        UNOBTAINABLE_LINE: Line("Unobtainable", "failed"),
    }
)
