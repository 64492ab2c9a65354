"""Which numbers may be dialled at all. Asked when the configuration is loaded, and again right before every call.

A carrier's API does reach emergency services, so the rules here do not depend on the allow-list being right.
"""

import re
from collections.abc import Container

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


class DialRefusedError(Exception):
    """The number is not dialled; the message says why."""


def check_number(number: str) -> None:
    """Raise DialRefusedError unless `number` is a dialable E.164 number: no emergency, short or premium number."""
    from earwitness.telephony.number_plans import why_never_dialled  # noqa: PLC0415  Only where there are numbers.

    if not _E164.fullmatch(number):
        raise DialRefusedError(f"{number!r} is not an E.164 number; write + and the country code, such as +12025550199")
    refusal = why_never_dialled(number)
    if refusal:
        raise DialRefusedError(refusal)


def check_dial(number: str, allowed: Container[str]) -> None:
    """Raise DialRefusedError unless `number` is dialable and on the allow-list."""
    check_number(number)
    if number not in allowed:
        raise DialRefusedError(f"{number} is not in dial.allow; add it there if this number may be called")
