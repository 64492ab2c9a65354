"""Where a captured value goes: `{{NAME}}` in the URL, headers and body of a later step, escaped right for its place."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from earwitness.config.fields import problem
from earwitness.probes.http_fields import parsed_url, web_url
from earwitness.transport.redirects import has_port

_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_IN_HOST = re.compile(r"https?://[^/?#]*\{\{", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class UnusableValueError(Exception):
    """A captured value cannot stand where it is wanted; the text says why, without the value."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A value that an answer gave: text, or what stood there in JSON. Secret ones are shown nowhere."""

    value: Any
    secret: bool = True

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)


Values = Mapping[str, Captured]


def names_in(value: Any) -> Iterator[str]:
    """Yield the names that a text, or any text inside a mapping or list, asks for."""
    if isinstance(value, str):
        yield from (found[1] for found in _NAME.finditer(value))
    elif isinstance(value, Mapping):
        for item in (*value, *value.values()):
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def templated_url(value: Any) -> str:
    """Return the text if it is a web address, or begins with a captured one. Raises a problem for the configuration."""
    text = str(value).strip()
    if _NAME.match(text):
        return text
    if _IN_HOST.match(text):
        raise problem("the host of a URL cannot be captured alone; capture the whole address and begin the URL with it")
    web_url(_NAME.sub("captured", text))
    return text


def _filled(text: str, values: Values, escape: Callable[[str], str]) -> str:
    return _NAME.sub(lambda found: escape(values[found[1]].text) if found[1] in values else found[0], text)


def _percent(text: str) -> str:
    return quote(text, safe="")


def fill_url(text: str, values: Values, base: httpx.URL | None) -> httpx.URL:
    """Return the URL. One that begins with a captured value may be relative to `base`, the last answer's.

    Raises UnusableValueError.
    """
    whole = _NAME.match(text)
    if whole is None or whole[1] not in values:
        return _with_captured(text, values)
    try:
        url = httpx.URL(values[whole[1]].text + _filled(text[whole.end() :], values, _percent))
        url = url if base is None else base.join(url)
        usable = url.scheme in ("http", "https") and url.host and not url.userinfo and has_port(url)
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter of a host that is no international name
        raise UnusableValueError(f"the captured {whole[1]} is not a web address") from error
    if not usable:
        raise UnusableValueError(f"the captured {whole[1]} is not a web address")
    return url


def _with_captured(text: str, values: Values) -> httpx.URL:
    if not values:
        return parsed_url(text)
    try:
        return httpx.URL(_filled(text, values, _percent))
    except httpx.InvalidURL as error:
        raise UnusableValueError("with what was captured the URL is too long to be asked") from error


def fill_headers(headers: Mapping[str, str], values: Values) -> dict[str, str]:
    filled = {name: _filled(text, values, str) for name, text in headers.items()}
    for name, text in filled.items():
        if (_CONTROL.search(text) or not text.isascii()) and text != headers[name]:
            raise UnusableValueError(f"what was captured for the header {name} cannot stand in one")
    return filled


def fill_form(form: Mapping[str, str], values: Values) -> dict[str, str]:
    return {_filled(name, values, str): _filled(text, values, str) for name, text in form.items()}


def fill_json(tree: Any, values: Values) -> Any:
    """Return the document. A text that is a captured value and nothing else becomes that value with its JSON type."""
    if isinstance(tree, Mapping):
        return {_filled(str(key), values, str): fill_json(item, values) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [fill_json(item, values) for item in tree]
    if not isinstance(tree, str):
        return tree
    whole = _NAME.fullmatch(tree)
    return values[whole[1]].value if whole and whole[1] in values else _filled(tree, values, str)


def fill_body(text: str, values: Values, content_type: str) -> str:
    """Return the text with each value escaped as the content type wants it; as it is where that is none we know."""
    if "json" in content_type:
        return _filled(text, values, lambda value: json.dumps(value)[1:-1])
    if "x-www-form-urlencoded" in content_type:
        return _filled(text, values, quote_plus)
    if "xml" in content_type or "html" in content_type:
        return _filled(text, values, html.escape)
    return _filled(text, values, str)
