"""Acme's contact centres as data, and the telephone numbers that reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from earwitness.simulator.faults import CENTRE_FAULTS, SERVICE_FAULTS
from earwitness.simulator.menu import Announce, Centre, Check, Collect, Echo, HangUp, Hold, Menu, Node, Route

CONTACT_CENTRE = "+12025550199"
STAGING_CENTRE = "+12025550198"
TEST_LINE = "+12025550100"  # known good, and an echo: for control calls
BUSY_LINE = "+12025550101"
UNANSWERED_LINE = "+12025550102"
UNOBTAINABLE_LINE = "+12025550103"

_NODES: dict[str, Node] = {
    "welcome": Announce("welcome", "main", barge_in=True),
    "main": Menu("main_menu", {"1": "account", "2": "card", "3": "bank", "4": "mortgages"}, "goodbye"),
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
    "lost cards team": Announce("lost_cards_team", "queue", outcome="lost cards team"),
    "queue": Hold("still_holding", "goodbye"),
    "goodbye": Announce("goodbye", "end"),
    "end": HangUp(),
}
ACME = Centre("welcome", MappingProxyType(_NODES))
OUT_OF_ORDER = Centre(
    "apology", {"apology": Announce("technical_difficulties", "end", outcome="out of order"), "end": HangUp()}
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
    exposed: frozenset[str] = frozenset()


UNKNOWN_LINE = Line("Not a number of this simulator", "failed")
LINES: Mapping[str, Line] = MappingProxyType(
    {
        CONTACT_CENTRE: Line("Contact centre", centre=ACME, exposed=frozenset({*SERVICE_FAULTS, *CENTRE_FAULTS})),
        STAGING_CENTRE: Line("Contact centre, staging", centre=ACME, exposed=frozenset({"staging-phone-down"})),
        TEST_LINE: Line("Test line with echo", centre=TEST_TONE),
        BUSY_LINE: Line("Busy", "busy"),
        UNANSWERED_LINE: Line("Nobody answers", "no-answer"),
        UNOBTAINABLE_LINE: Line("Unobtainable", "failed"),
    }
)
