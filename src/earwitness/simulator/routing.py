"""Where a call comes out: the line that its number leads to, as the faults of the moment have it; or why it is not placed."""

from dataclasses import replace

from earwitness.simulator.carrier_errors import TwilioError, bad_request
from earwitness.simulator.centre import (
    ENGAGED,
    FAX_MACHINE,
    LINES,
    OUT_OF_ORDER,
    PERSON,
    UNKNOWN_LINE,
    VACANT_NUMBER,
    Line,
)
from earwitness.simulator.faults import ActiveFaults

_ENDINGS = {"line-busy": "busy", "line-unanswered": "no-answer", "line-unobtainable": "failed"}
ANSWERED_BY = {
    "staging-phone-down": OUT_OF_ORDER,
    "announced-unobtainable": VACANT_NUMBER,
    "busy-tone-after-answer": ENGAGED,
    "fax-answers": FAX_MACHINE,
    "number-ported": PERSON,
}
_NO_ROUTE, _FORBIDDEN = 503, 403  # SIP


def refuse(to: str, faults: ActiveFaults) -> None:
    """Raise the TwilioError with which a call is refused before it exists, if there is one."""
    if "account-suspended" in faults or "balance-gone" in faults:
        raise TwilioError(403, 10001, "Account is not active")
    if "concurrency-limit" in faults:
        raise TwilioError(429, 10004, "Call concurrency limit exceeded")
    if "geo-permission" in faults:
        raise bad_request(21215, f"Account not authorized to call {to}. Perhaps you need to enable some permissions")
    if "number-invalid" in faults and to == faults.word("number-invalid", "number"):
        raise bad_request(21211, f"The phone number you are attempting to call, {to}, is not valid.")


def line_for(account: str, to: str, from_: str, faults: ActiveFaults) -> Line:
    """Return the line that a call of the account reaches."""
    line = LINES.get(to, UNKNOWN_LINE)
    if _no_route(account, to, faults):
        return replace(line, ending="failed", failure_code=_NO_ROUTE)
    touching = faults.only(line.exposed)
    if "number-blocked" in touching and from_ == touching.word("number-blocked", "number"):
        return replace(line, ending=touching.word("number-blocked", "ending"), failure_code=_FORBIDDEN)
    for fault, ending in _ENDINGS.items():
        if fault in touching:
            return replace(line, ending=ending)
    if "late-answer" in touching:
        line = replace(line, rings=touching.number("late-answer", "seconds"))
    return replace(line, centre=next((c for fault, c in ANSWERED_BY.items() if fault in touching), line.centre))


def _no_route(account: str, to: str, faults: ActiveFaults) -> bool:
    if "carrier-down" in faults and faults.word("carrier-down", "account") in ("", account):
        return True
    if "route-down" not in faults or to != faults.word("route-down", "number"):
        return False
    return faults.word("route-down", "account") in ("", account)
