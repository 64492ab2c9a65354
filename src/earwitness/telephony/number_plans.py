"""What the numbering plans of all countries say of a number: apart, since they are data that only a configuration with numbers needs."""

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, shortnumberinfo

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


def why_never_dialled(number: str) -> str | None:
    """Return why this E.164 number is never dialled; None if it may be."""
    digits = number[1:]
    if len(digits) <= _LONGEST_SHORT_CODE:
        what = "an emergency number" if _is_emergency_anywhere(digits) else "a short code"
        return f"{number} is {what}; those are never dialled"
    try:
        return _why_its_kind_is_not(number, phonenumbers.parse(number))
    except phonenumbers.NumberParseException as error:
        return f"{number} is not a telephone number: {error}"


def _why_its_kind_is_not(number: str, parsed: PhoneNumber) -> str | None:
    code = parsed.country_code or 0
    national = phonenumbers.national_significant_number(parsed)
    regions = phonenumbers.region_codes_for_country_code(code)
    if any(shortnumberinfo.connects_to_emergency_number(national, region) for region in regions):
        return f"{number} reaches an emergency service; it is never dialled"
    if code in _SATELLITE:
        return f"{number} belongs to {_SATELLITE[code]} (+{code}), at satellite prices; those are never dialled"
    if not phonenumbers.is_valid_number(parsed):
        return f"{number} is not a number in use in any country's plan; check its digits"
    costly = _COSTLY.get(phonenumbers.number_type(parsed))
    return costly and f"{number} is {costly}; those are never dialled"


def _is_emergency_anywhere(digits: str) -> bool:
    return any(shortnumberinfo.is_emergency_number(digits, region) for region in phonenumbers.SUPPORTED_SHORT_REGIONS)
