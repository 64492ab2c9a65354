"""What the carrier's error codes mean, and whose fault each is. No code of the carrier's makes the number we called the culprit.

From Twilio's error dictionary; a code that is not here is nobody's until a person has looked at it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from earwitness.model import Attribution, Failure


class CarrierError(Exception):
    """The carrier did not do what it was asked.

    `attribution` is MONITOR (our account, configuration, code) or UNKNOWN (its platform, or the way there), never the target.
    `retryable`: asking again may help. `ambiguous`: it may have been done all the same, so a call may be ringing.
    """

    def __init__(
        self,
        message: str,
        *,
        failure: Failure = Failure.CARRIER_API_FAILED,
        attribution: Attribution = Attribution.UNKNOWN,
        retryable: bool = False,
        ambiguous: bool = False,
        status: int | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.failure, self.attribution = failure, attribution
        self.retryable, self.ambiguous = retryable, ambiguous
        self.status, self.code = status, code


_LONG_NUMBER = re.compile(r"(?<![+\w])\d{12,19}")  # what the carrier quotes may be a card number
NOT_IN_PROGRESS = 21220  # something was asked of a call that is over
_LOWEST_CODE = 10000  # below it the SDK has put the HTTP status in the code's place

# Our account, its rights and its money.
ACCOUNT: Mapping[int, str] = MappingProxyType(
    {
        10001: "the account is not active",
        10002: "a trial account may not do this",
        10004: "too many calls of the account at once",
        13805: "a trial call is limited to ten minutes",
        17007: "the account has no advanced insights",
        20003: "the account's SID and token do not fit",
        20005: "the account is not active",
        20006: "the account has no right to this",
        20008: "these are test credentials",
        21608: "a trial account calls verified numbers only",
        21219: "a trial account calls verified numbers only",
        22005: "calls have queued for more than a day",
        32017: "carriers block our number for its reputation",
        90010: "the account is not active",
    }
)
# Where our account or the carrier's policy does not let us dial.
POLICY: Mapping[int, str] = MappingProxyType(
    {
        13225: "the carrier blocks the number",
        13227: "the account may not call that country",
        21202: "the carrier does not call premium numbers",
        21203: "international calls are off",
        21215: "the account may not call that country",
        21216: "the carrier blocks the number",
        32203: "the carrier blocks the number",
        32205: "the account may not call that country",
    }
)
# Our configuration and our script.
OURS: Mapping[int, str] = MappingProxyType(
    {
        12100: "our script does not parse",
        12200: "our script breaks the carrier's schema",
        12300: "our script has the wrong content type",
        13214: "our number is not valid",
        13223: "the number to call is badly written",
        13224: "the number to call is not valid",
        13226: "the country of the number is not supported",
        13247: "our number may not be shown",
        13310: "our script has a bad attribute",
        13520: "our script has a bad attribute",
        20001: "a parameter is not valid",
        21201: "the number to call is missing",
        21205: "the script's address is not valid",
        21210: "our number is not verified",
        21211: "the number to call is not valid",
        21212: "our number is not valid",
        21213: "our number is missing",
        21217: "the number to call is not valid",
        21218: "the application is not valid",
        21401: "the number is not valid",
        32018: "our script is too long",
        32019: "a script and its address are both set",
    }
)
# The carrier's platform, the network, or a race: seen from here nobody can tell.
UNCLEAR: Mapping[int, str] = MappingProxyType(
    {
        12400: "the carrier failed at our script",
        16101: "the recording is too short",
        16102: "the recording is silent and was not stored",
        20404: "there is no such resource",
        20429: "too many requests at once",
        20500: "the carrier's platform failed",
        20503: "the carrier's platform is unavailable",
        21214: "the carrier cannot reach the number",
        NOT_IN_PROGRESS: "the call is no longer in progress",
        32014: "no sound arrived from the far end's network",
        32016: "no network took the call within 60 s",
    }
)


def classify(status: int, code: int | None, message: str) -> CarrierError:
    """Return the error of an answer with HTTP `status` and the carrier's `code`, if it gave one."""
    code = code if code is not None and code >= _LOWEST_CODE else None
    if code is not None:
        known = _by_code(status, code)
        if known is not None:
            return known
    said = f"the carrier answered HTTP {status}" + (f" with error {code}" if code else "")
    if status in (401, 403):
        return CarrierError(
            f"{said}: it refuses our credentials",
            failure=Failure.ACCOUNT_REFUSED,
            attribution=Attribution.MONITOR,
            status=status,
        )
    unanswered = status >= 500 or status < 400
    what = f"{said}: {_LONG_NUMBER.sub('...', message)}" if message and not unanswered else said
    return CarrierError(what, retryable=unanswered or status == 429, ambiguous=unanswered, status=status)


def _by_code(status: int, code: int) -> CarrierError | None:
    tables: tuple[tuple[Mapping[int, str], Failure], ...] = (
        (ACCOUNT, Failure.ACCOUNT_REFUSED),
        (POLICY, Failure.NOT_ALLOWED_TO_DIAL),
        (OURS, Failure.MONITOR_ERROR),
    )
    for table, failure in tables:
        if code in table:
            text = f"{table[code]} (the carrier's error {code})"
            return CarrierError(text, failure=failure, attribution=Attribution.MONITOR, status=status, code=code)
    if code not in UNCLEAR:
        return None
    return CarrierError(
        f"{UNCLEAR[code]} (the carrier's error {code})",
        retryable=status == 429 or status >= 500,
        ambiguous=status >= 500,
        status=status,
        code=code,
    )
