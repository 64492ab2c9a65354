"""What must not be seen in evidence: credentials, card numbers, and the values in a URL's query."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote_plus

import httpx
import regex

MASK = "***"

_SENSITIVE_HEADER = re.compile(
    r"authorization|authentic|cookie|token|secret|password|api-?key|session|signature|credential|csrf|xsrf",
    re.IGNORECASE,
)
_SENSITIVE_FIELD = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|api-?_?key|card|pan$|cvv|cvc|pin$|iban|account|ssn"
    r"|csrf|xsrf|session|credential|signature|assertion|^otp$",
    re.IGNORECASE,
)
_JSON_FIELD = re.compile(r'("([^"\\]{1,64})"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.]*)')
_FORM_FIELD = re.compile(r"(?:(?<=[&?;\s])|^)([\w.%\[\]-]{1,64})=([^&;\s\"'<>]+)")
_INPUT = re.compile(r"<input\b[^<>]{0,2000}>", re.IGNORECASE)
_INPUT_NAME = re.compile(r"""\bname\s*=\s*["']?([^"'\s>]{1,64})""", re.IGNORECASE)
_INPUT_VALUE = re.compile(r"""(\bvalue\s*=\s*)("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_GAP = r"(?:[ \u00a0+-]|%20)"  # between the groups of a card number, as people and forms write it
_DIGITS = re.compile(rf"(?<![\d.])(?<!\W\+)(?<!^\+)\d(?:{_GAP}?\d){{12,}}(?!\d)")
_GROUP = re.compile(r"\d+")
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHORTEST = 4  # characters; hiding shorter secrets would hide half of every text


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


def _mask_cards_in(match: re.Match[str]) -> str:
    """Mask the cards in a run of digits: groups in a row that make 13 to 19 digits with a right check digit."""
    run, groups = match[0].replace("%20", "   "), []
    groups = [(found.start(), found.end()) for found in _GROUP.finditer(run)]
    text, kept, first = "", 0, 0
    while first < len(groups):
        last = _card_from(run, groups, first)
        if last is None:
            first += 1
            continue
        start, end = groups[first][0], groups[last][1]
        text += match[0][kept:start] + MASK + re.sub(r"\D", "", run[start:end])[-4:]
        kept, first = end, last + 1
    return text + match[0][kept:]


def _card_from(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """Return the group with which a card number ends that begins with the group `first`, the longest of them."""
    digits, found = "", None
    for last in range(first, len(groups)):
        digits += run[slice(*groups[last])]
        if len(digits) > 19:
            break
        if len(digits) >= 13 and passes_luhn(digits):
            found = last
    return found


def mask_cards(text: str) -> str:
    """Return the text with every number that can be a payment card's cut down to its last four digits."""
    return _DIGITS.sub(_mask_cards_in, text)


def _mask_json_field(match: re.Match[str]) -> str:
    return f'{match[1]}"{MASK}"' if sensitive_field(match[2]) else match[0]


def _mask_form_field(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if sensitive_field(match[1]) else match[0]


def _mask_input(match: re.Match[str]) -> str:
    name = _INPUT_NAME.search(match[0])
    if name is None or not sensitive_field(name[1]):
        return match[0]
    return _INPUT_VALUE.sub(rf'\1"{MASK}"', match[0])


def mask_fields(text: str) -> str:
    """Return the text with the values of telling JSON keys, form fields and HTML inputs masked."""
    text = _JSON_FIELD.sub(_mask_json_field, text)
    return _FORM_FIELD.sub(_mask_form_field, _INPUT.sub(_mask_input, text))


_PATTERN_TIME = 1.0  # seconds for one pattern on one text; what takes longer takes the text with it


def redacted(text: str, patterns: Sequence[regex.Pattern[str]]) -> str:
    """Return the text without what any of the patterns matches. A text that cannot be searched in time is not shown at all."""
    for pattern in patterns:
        try:
            text = pattern.sub(MASK, text, timeout=_PATTERN_TIME)
        except TimeoutError:
            return (
                f"{MASK} (the redact pattern {pattern.pattern!r} takes too long here; write it without nested repeats)"
            )
    return text


def redacted_document(text: str, media_type: str, redact: Callable[[str], str]) -> str:
    """Return a document of text without card numbers and what `redact` takes out. JSON stays JSON: only its texts change."""

    def without(part: str) -> str:
        return redact(mask_cards(part))

    if media_type.partition(";")[0] == "application/json":
        return _JSON_TEXT.sub(lambda found: f'"{without(found[0][1:-1])}"', text)
    return without(text)


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may stand in a URL, a form, JSON or HTML."""
    escaped = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), escaped, html.escape(secret)}


def _unquoted(text: str) -> str:
    """Return a JSON text or number as it was meant; what is no JSON after all, as it stands there."""
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text.strip('"')


_WORD = 6  # characters of a word inside a header's secret that are hidden by themselves


def secrets_of_request(request: httpx.Request) -> Iterator[str]:
    """Yield what a request carries under telling names, and every value in the query of its URL."""
    for name, value in request.headers.multi_items():
        if sensitive_header(name):  # `Bearer abc` and `a=b; c=d` may be echoed without what is around the secret
            yield from (value, *(word for word in re.split(r"[\s;=,]+", value) if len(word) >= _WORD))
    if request.url.query:
        yield from (value for _, value in request.url.params.multi_items())
    body = request.content.decode("utf-8", "replace")
    for found in _JSON_FIELD.finditer(body):
        if sensitive_field(found[2]):
            yield _unquoted(found[3])
    yield from (unquote_plus(found[2]) for found in _FORM_FIELD.finditer(body) if sensitive_field(found[1]))


class Redaction:
    """The secrets of one run, and how texts look without them. Secrets are added while the run learns them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spelled: set[str] = set()
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Let no text show this from now on. What is shorter than 4 characters cannot be told from other text."""
        if len(secret) >= _SHORTEST:
            self._spelled |= spellings(secret)

    def text(self, text: str) -> str:
        """Return the text without the secrets, should it echo them, without card numbers and values of telling names."""
        for secret in sorted(self._spelled, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return mask_cards(mask_fields(text))

    def url(self, url: httpx.URL | str) -> str:
        """Return the URL without credentials, query values and secrets in its path."""
        return self.text(mask_url(url))

    def headers(self, headers: httpx.Headers) -> str:
        """Return the headers as lines, with MASK for the value of each that may hold a credential."""
        shown = ((name, MASK if sensitive_header(name) else self.text(value)) for name, value in headers.multi_items())
        return "".join(f"{name}: {value}\n" for name, value in shown)
