"""What a document's markup holds beside scripts' own elements: code in attributes, integrity attributes, policies in meta elements.

It is read from the browser's snapshot of the whole tree (`DOMSnapshot.captureSnapshot` of the DevTools protocol), with shadow roots, open
and closed, and the frames of the same process; no script of the page takes part.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

_HANDLER = re.compile(r"on[a-z]{3,}", re.IGNORECASE)
_CODE_URL = re.compile(r"[\s\x00-\x1f]*javascript:", re.IGNORECASE)
_URLS = frozenset({"href", "xlink:href", "src", "action", "formaction", "data"})


@dataclass(slots=True)
class Markup:
    """One document. `code` is what attributes hold, `scripts` the addresses of script elements with their integrity."""

    frame: str  # the DevTools protocol's id
    code: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)  # by name in lower case


def markup_of(snapshot: dict[str, Any]) -> Iterator[Markup]:
    """Yield the documents of a snapshot."""
    strings = snapshot["strings"]
    for document in snapshot["documents"]:
        made = Markup(strings[document["frameId"]] if document["frameId"] >= 0 else "")
        base = strings[document["baseURL"]] if document["baseURL"] >= 0 else ""
        nodes = document["nodes"]
        for name, listed in zip(nodes["nodeName"], nodes["attributes"], strict=True):
            if listed:
                values = [strings[place] if place >= 0 else "" for place in listed]
                _read(made, strings[name].lower(), dict(zip(values[::2], values[1::2], strict=True)), base)
        yield made


def _read(made: Markup, element: str, attributes: dict[str, str], base: str) -> None:
    for name, value in attributes.items():
        if (_HANDLER.fullmatch(name) and value.strip()) or (name in _URLS and _CODE_URL.match(value)):
            made.code.append(value)
    source = attributes.get("src") or attributes.get("href") or attributes.get("xlink:href")
    if element == "script" and source:
        made.scripts[_joined(base, source)] = attributes.get("integrity", "")
    if element == "meta" and attributes.get("http-equiv"):
        made.policies[attributes["http-equiv"].lower()] = attributes.get("content", "")


def _joined(base: str, source: str) -> str:
    try:
        return urljoin(base, source.strip())
    except ValueError:
        return source.strip()  # no address, and so never loaded


def hash_of(text: str) -> str:
    """Return the SHA-256 of a script's text, as the JavaScript engine gives it."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
