"""What must not be seen in evidence: credentials, card numbers, and the values in a URL's query."""

import re
from collections.abc import Iterable
from functools import lru_cache

import httpx

MASK = "***"

_SENSITIVE_HEADER = re.compile(
    r"authorization|cookie|token|secret|password|api-?key|session|signature|credential", re.IGNORECASE
)
_SENSITIVE_FIELD = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|api-?_?key|card|pan$|cvv|cvc|pin$|iban|account|ssn", re.IGNORECASE
)
_JSON_FIELD = re.compile(r'("([^"\\]{1,64})"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.]*)')
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def mask_url(url: httpx.URL | str) -> str:
    """Return the URL without user, password and fragment, each query value masked."""
    return _masked_url(str(url))


@lru_cache(maxsize=4096)
def _masked_url(url: str) -> str:
    parsed = httpx.URL(url)
    names = [name for name, _ in parsed.params.multi_items()]
    bare = parsed.copy_with(userinfo=b"", query=None, fragment=None)
    return f"{bare}?{'&'.join(f'{name}={MASK}' for name in names)}" if names else str(bare)


def sensitive_header(name: str) -> bool:
    return _SENSITIVE_HEADER.search(name) is not None


def sensitive_field(name: str) -> bool:
    """Whether a form field or JSON key of this name holds what nobody but its owner should see."""
    return _SENSITIVE_FIELD.search(name) is not None


def passes_luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mask_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    return f"{MASK}{digits[-4:]}" if passes_luhn(digits) else match[0]


def mask_cards(text: str) -> str:
    """Return the text with every number that can be a payment card's cut down to its last four digits."""
    return _CARD.sub(_mask_card, text)


def _mask_field(match: re.Match[str]) -> str:
    return f'{match[1]}"{MASK}"' if sensitive_field(match[2]) else match[0]


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without the `secrets`, should it echo them, card numbers, and the values of telling JSON keys."""
    for secret in sorted((s for s in secrets if len(s) > 3), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return mask_cards(_JSON_FIELD.sub(_mask_field, text))


def header_text(headers: httpx.Headers) -> str:
    """Return the headers as lines, with MASK for the value of each that may hold a credential."""
    shown = ((name, MASK if sensitive_header(name) else mask_text(value)) for name, value in headers.multi_items())
    return "".join(f"{name}: {value}\n" for name, value in shown)
