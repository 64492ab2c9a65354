"""Which numbers may be dialled at all. Asked when the configuration is loaded, and again right before every call.

A carrier's API does reach emergency services, so the rules here do not depend on the allow-list being right.
"""

import re
from collections.abc import Container

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, shortnumberinfo

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SATELLITE = {
    870: "Inmarsat",
    881: "a global satellite system",
    882: "an international network",
    883: "an international network",
}
_COSTLY = {
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which costs as much as a premium-rate one",
}
_LONGEST_SHORT_CODE = 6  # digits; subscriber numbers with their country code are longer everywhere


class DialRefusedError(Exception):
    """The number is not dialled; the message says why."""


def check_number(number: str) -> None:
    """Raise DialRefusedError unless `number` is a dialable E.164 number: no emergency, short or premium number."""
    if not _E164.fullmatch(number):
        raise DialRefusedError(f"{number!r} is not an E.164 number; write + and the country code, such as +12025550199")
    digits = number[1:]
    if len(digits) <= _LONGEST_SHORT_CODE:
        what = "an emergency number" if _is_emergency_anywhere(digits) else "a short code"
        raise DialRefusedError(f"{number} is {what}; those are never dialled")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as error:
        raise DialRefusedError(f"{number} is not a telephone number: {error}") from error
    _check_kind(number, parsed)


def check_dial(number: str, allowed: Container[str]) -> None:
    """Raise DialRefusedError unless `number` is dialable and on the allow-list."""
    check_number(number)
    if number not in allowed:
        raise DialRefusedError(f"{number} is not in dial.allow; add it there if this number may be called")


def _check_kind(number: str, parsed: PhoneNumber) -> None:
    national = phonenumbers.national_significant_number(parsed)
    regions = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    if any(shortnumberinfo.connects_to_emergency_number(national, region) for region in regions):
        raise DialRefusedError(f"{number} reaches an emergency service; it is never dialled")
    network = _SATELLITE.get(parsed.country_code or 0)
    if network is not None:
        raise DialRefusedError(
            f"{number} belongs to {network} (+{parsed.country_code}), at satellite prices; those are never dialled"
        )
    if not phonenumbers.is_valid_number(parsed):
        raise DialRefusedError(f"{number} is not a number in use in any country's plan; check its digits")
    costly = _COSTLY.get(phonenumbers.number_type(parsed))
    if costly is not None:
        raise DialRefusedError(f"{number} is {costly}; those are never dialled")


def _is_emergency_anywhere(digits: str) -> bool:
    return any(shortnumberinfo.is_emergency_number(digits, region) for region in phonenumbers.SUPPORTED_SHORT_REGIONS)
