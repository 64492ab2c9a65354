"""What must not be seen in evidence: credentials, card numbers, and the values in a URL's query."""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

import httpx
import regex

from earwitness.transport.cards import MASK, mask_cards
from earwitness.transport.remembering import remembering
from earwitness.transport.spelling import needles, without

_SENSITIVE_HEADER = re.compile(
    r"authorization|authentic|^x-auth|cookie|token|secret|passw|passcode|(^|-)key($|-)|api-?key|session|signature"
    r"|credential|csrf|xsrf",
    re.IGNORECASE,
)
_HARMLESS_HEADER = re.compile(
    r"accept(-.*)?|cache-control|connection|content-(type|length|encoding|language)|dnt|expect|from|host|if-.*|origin|pragma"
    r"|prefer|range|referer|sec-(ch|fetch)-.*|te|trace(parent|state)|upgrade-insecure-requests|user-agent"
    r"|x-(requested-with|request-id|correlation-id)",
    re.IGNORECASE,
)
"""What a request may carry that is nobody's secret. Of any other header of a request nobody but its owner knows."""
_URL_HEADERS = frozenset({"location", "content-location", "referer", "origin"})
_SENSITIVE_FIELD = re.compile(
    r"pass(word|wd|phrase|code)?$|pwd|secret|token|api-?_?key|card|pan$|cvv|cvc|cvn|^csc$|^cid$|security_?-?code|verification"
    r"|pin$|iban|account|ssn|csrf|xsrf|session|credential|signature|assertion|authorization|^otp$",
    re.IGNORECASE,
)
_JSON_FIELD = re.compile(  # a text, a number or a list of them; or cut off
    r'("([^"\\]{1,64})"\s*:\s*)("(?:[^"\\]|\\.)*+(?:"|\\?\Z)|-?\d[\d.]*|\[\s*["\d-][^\[\]{}]*+(?:\]|\Z))', re.DOTALL
)
_ELEMENT = re.compile(r"(<(?:[\w.-]{1,64}:)?([\w.-]{1,64})(?:\s[^<>]{0,500})?>)([^<>]+)(?=</)")  # of XML
_QUOTED_FIELD = re.compile(
    r'(\\{1,7}"([^"\\]{1,64})\\{1,7}"\s*:\s*)(\\{1,7}"[^"\\]*\\{1,7}"|-?\d[\d.]*)'
)  # JSON in JSON
_FORM_FIELD = re.compile(r"(?:(?<=[&?;\s\"'])|^)([\w.%\[\]-]{1,64})=([^&;\s\"'<>]+)")
_PART = re.compile(  # of multipart/form-data: its head up to the empty line, the name in it, and what it holds (RFC 7578)
    r"""(content-disposition:(?:(?!\bname="?[^"\r\n;])[^\r\n]){0,500}+\bname="?([^"\r\n;]{1,64}+)[^\r\n]{0,500}+\r?\n"""
    r"""(?:[^\r\n]{1,500}+\r?\n){0,8}+\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.IGNORECASE | re.DOTALL,
)
_INPUT = re.compile(r"<input\b[^<>]{0,2000}>", re.IGNORECASE)
_INPUT_NAME = re.compile(r"""\bname\s*=\s*["']?([^"'\s>]{1,64})""", re.IGNORECASE)
_INPUT_VALUE = re.compile(r"""(\bvalue\s*=\s*)("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(?i:(\b(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:[a-z]{3,12} )?|\bbearer[ +]))[\w.~+/=%*-]{3,}"
    r"|(?<![\w-])eyJ[\w-]{5,}\.[\w-]{2,}\.?[\w-]*"  # a JSON web token (RFC 7519)
)
_USER_OF_URL = re.compile(r"""(:(?:\\?/){2})[^\s/\\"'<>]{1,500}@""")
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SHORTEST = 4  # characters; hiding shorter secrets would hide half of every text
_LONG = 32 * 1024  # characters


def mask_url(url: httpx.URL | str) -> str:
    """Return the URL without user, password and fragment, each query value masked."""
    return _masked_url(str(url))


@remembering
def _masked_url(url: str) -> str:
    url = url.strip()  # as browsers do
    try:
        parsed = httpx.URL(url)
        pieces = [_masked_piece(piece) for piece in parsed.query.decode("ascii", "replace").split("&") if piece]
        bare = parsed.copy_with(userinfo=b"", query=None, fragment=None)
    except (httpx.InvalidURL, UnicodeError):  # a server or a page may name what is none
        return _without_user(_USER.sub(r"\1", re.split(r"[?#]", url, maxsplit=1)[0][:_URL_SHOWN]))
    shown = _without_user(str(bare))
    return f"{shown}?{'&'.join(pieces)}" if pieces else shown


def _without_user(url: str) -> str:
    """Return the URL without what would be user and password in it, were it spelled right, or stood it alone."""
    return _SLIPPED_USER.sub(r"\1\2\3", url) if "@" in url else url


def _masked_piece(piece: str) -> str:
    """Return a piece of a query by its name; what has none is masked whole."""
    return MASK if _nameless(piece) else f"{unquote_plus(piece.partition('=')[0])}={MASK}"


def _nameless(piece: str) -> bool:
    """Whether a piece of a query may be a token as it stands, base64's padding included: no value follows, and it is no plain word."""
    name, _, value = piece.partition("=")
    return not value.strip("=") and _PLAIN_WORD.fullmatch(name) is None


_PLAIN_WORD = re.compile(r"[A-Za-z_.-]{1,20}")
_SLIPPED_USER = re.compile(  # with one slash or none, with backslashes, without a scheme, or inside another address
    r"^((?:https?|wss?|ftp):[/\\]*)[^/\\]+@|^([/\\]*)(?!mailto:)[^/\\:]*:[^/\\]*@|([/\\]{2})[^/\\]+@", re.IGNORECASE
)
_USER = re.compile(r"^([\w+.-]{0,20}:?//).*@", re.DOTALL)
_URL_SHOWN = 500  # characters of an address that is none


def sensitive_header(name: str) -> bool:
    """Whether the name of a header tells that it holds a credential."""
    return _SENSITIVE_HEADER.search(name) is not None


@lru_cache(maxsize=1024)
def harmless_header(name: str) -> bool:
    """Whether a header of this name, in a request, is surely none that holds a credential."""
    return _HARMLESS_HEADER.fullmatch(name) is not None and not sensitive_header(name)


def sensitive_field(name: str) -> bool:
    """Whether a form field or JSON key of this name holds what nobody but its owner should see."""
    return _SENSITIVE_FIELD.search(_bare(name)) is not None


@lru_cache(maxsize=1024)
def _bare(name: str) -> str:
    """Return the name without brackets, as forms write `user[password]`."""
    return unquote_plus(name).replace("[", " ").replace("]", " ").strip()


def _mask_json_field(match: re.Match[str]) -> str:
    return f'{match[1]}"{MASK}"' if sensitive_field(match[2]) else match[0]


def _mask_quoted_field(match: re.Match[str]) -> str:
    quote = match[3].partition('"')[0] + '"' if match[3].startswith("\\") else ""
    return f"{match[1]}{quote}{MASK}{quote}" if sensitive_field(match[2]) else match[0]


def _mask_form_field(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if sensitive_field(match[1]) else match[0]


def _mask_input(match: re.Match[str]) -> str:
    name = _INPUT_NAME.search(match[0])
    if name is None or not sensitive_field(name[1]):
        return match[0]
    return _INPUT_VALUE.sub(rf'\1"{MASK}"', match[0])


def _mask_what_follows(match: re.Match[str]) -> str:
    """Mask what comes after the beginning (group 1) of a form's part or an XML element, if its name (group 2) is telling."""
    return f"{match[1]}{MASK}" if sensitive_field(match[2]) else match[0]


@remembering
def mask_fields(text: str) -> str:
    """Return the text with the values of telling JSON keys, form fields and HTML inputs masked, and with them what looks like a token or the user of a URL."""
    if '"' in text:
        text = _JSON_FIELD.sub(_mask_json_field, text)
    if '\\"' in text:
        text = _QUOTED_FIELD.sub(_mask_quoted_field, text)
    if "name=" in text:
        text = _PART.sub(_mask_what_follows, text)
    if "<" in text:
        text = _INPUT.sub(_mask_input, text)
    if "</" in text:
        text = _ELEMENT.sub(_mask_what_follows, text)
    if "=" in text:
        text = _FORM_FIELD.sub(_mask_form_field, text)
    if "@" in text:
        text = _USER_OF_URL.sub(rf"\1{MASK}@", text)
    return _CREDENTIAL.sub(lambda found: f"{found[1] or ''}{MASK}", text)


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


def is_long(text: str | bytes) -> bool:
    """Whether it takes so long to search that it should be done on a thread, lest every other probe wait."""
    return len(text) > _LONG


_JSON_INSIDE = re.compile(r'"([^"\\]{1,64})"\s*:\s*(?=[{\[])')  # what an object or a list is the value of


def _leaves(text: str) -> Iterator[str]:
    """Yield a JSON text or number as it was meant, of a list all of them; what is no JSON after all, as it stands there."""
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        value = text.strip('"')
    yield from _scalars(value)


def _inside(body: str, start: int) -> Iterator[str]:
    """Yield the texts and numbers of the JSON that begins there; none, if it is no JSON after all."""
    try:
        value, _ = _DECODER.raw_decode(body, start)
    except (ValueError, RecursionError):
        return
    yield from _scalars(value)


_DECODER = json.JSONDecoder(strict=False)


def _scalars(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif value is not None and not isinstance(value, bool):
            yield str(value)


_WORD = 6  # characters of a word inside a header's secret that are hidden by themselves


def secrets_of_request(request: httpx.Request) -> Iterator[str]:
    """Yield what a request carries under telling names or unknown ones, and what the queries of its URL and `referer` hold."""
    for name, value in request.headers.multi_items():
        if sensitive_header(name):  # `Bearer abc` and `a=b; c=d` may be echoed without what is around the secret
            yield from (value, *(word for word in re.split(r"[\s;=,]+", value) if len(word) >= _WORD))
        elif not harmless_header(name) and len(value) >= _WORD:
            yield value
        elif name in _URL_HEADERS and "?" in value:
            yield from _secrets_of_header(value)
    yield from _secrets_of_url(request.url)
    body = request.content.decode("utf-8", "replace")
    for found in _JSON_FIELD.finditer(body):
        if sensitive_field(found[2]):
            yield from _leaves(found[3])
    for found in _JSON_INSIDE.finditer(body):
        if sensitive_field(found[1]):
            yield from _inside(body, found.end())
    yield from (html.unescape(found[3]) for found in _ELEMENT.finditer(body) if sensitive_field(found[2]))
    yield from (unquote_plus(found[2]) for found in _FORM_FIELD.finditer(body) if sensitive_field(found[1]))
    yield from (found[3] for found in _PART.finditer(body) if sensitive_field(found[2]))


def _secrets_of_url(url: httpx.URL) -> Iterator[str]:
    """Yield of its query every value, and what has no name."""
    if url.query:
        yield from (value for _, value in url.params.multi_items())
        pieces = url.query.decode("ascii", "replace").split("&")
        yield from (unquote_plus(piece.rstrip("=")) for piece in pieces if piece and _nameless(piece))


def _secrets_of_header(value: str) -> Iterator[str]:
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, UnicodeError):  # of what is no address nothing is shown from its question mark on
        return
    yield from _secrets_of_url(url)


class Redaction:
    """The secrets of one run, and how texts look without them. Secrets are added while the run learns them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._sought: set[str] = set()
        self._words: set[str] = set()
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Let no text show this from now on. What is shorter than 4 characters cannot be told from other text."""
        if len(secret) >= _SHORTEST:
            self._sought.update(needle for needle in needles(secret) if len(needle) >= _SHORTEST)

    def hide_word(self, secret: str) -> None:
        """Let no text that `entered` returns show this, however short, where it stands alone."""
        self.hide(secret)
        if secret and len(secret) < _SHORTEST:
            self._words.add(secret)

    def text(self, text: str) -> str:
        """Return the text without the secrets, should it echo them, without card numbers and values of telling names."""
        return mask_cards(mask_fields(without(text, self._sought, MASK)))

    def entered(self, text: str) -> str:
        """Return a text that says what somebody entered, such as a form's, without the short secrets too."""
        if self._words:
            listed = "|".join(re.escape(word) for word in sorted(self._words, key=len, reverse=True))
            text = re.sub(rf"(?<![^\W_])(?:{listed})(?![^\W_])", MASK, text)
        return self.text(text)

    def beginning(self, text: str, length: int) -> str:
        """Return what the first `length` characters show, and perhaps less: a secret may not be cut in two and half shown."""
        margin = max(map(len, self._sought), default=0) * _SPELLED + _WIDEST
        if len(text) <= length + margin:
            return self.text(text)
        cut = text[: length + margin]
        found = self.text(cut)
        return found[: max(0, len(found) - margin)]

    def url(self, url: httpx.URL | str) -> str:
        """Return the URL without credentials, query values and secrets in its path."""
        return self.text(mask_url(url))

    def header(self, name: str, value: str, *, asked: bool) -> str:
        """Return what may be shown of a header; `asked`: it was part of a request, where unknown ones are taken for secrets."""
        if sensitive_header(name) or (asked and not harmless_header(name)):
            return MASK
        return self.url(value) if name.lower() in _URL_HEADERS else self.text(value)

    def headers(self, headers: httpx.Headers, *, asked: bool) -> str:
        """Return the headers as lines, with MASK for the value of each that may hold a credential."""
        shown = ((name, self.header(name, value, asked=asked)) for name, value in headers.multi_items())
        return "".join(f"{name}: {value}\n" for name, value in shown)


_SPELLED = 12  # characters of one character's longest usual spelling
_WIDEST = 2500  # characters of the widest thing that is masked by its shape, an HTML input
