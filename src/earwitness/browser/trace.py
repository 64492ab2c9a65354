"""Playwright's trace of a run, without what nobody may see: what was done, the pages as a tree, and the requests without their bodies.

Left out are the pictures, which cannot be searched, the bodies of requests and answers but for style sheets, and where our own code is
on this machine. What is left is text, and goes through the redaction of all evidence; what stands in fields is masked whole.
"""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from earwitness.transport.cards import MASK
from earwitness.transport.redaction import Redaction, sensitive_field

_LARGEST = 64 * 1024**2  # bytes of what is kept, unpacked; a page that never rests makes more
_LINES = (".trace", ".network")  # JSON, a document a line
_STYLES = ".css"
_NAMES = frozenset(
    {
        "callId",
        "class",
        "frameId",
        "guid",
        "method",
        "pageId",
        "pageref",
        "phase",
        "type",
        "_file",
        "_frameref",
        "_resourceType",
    }
)
"""What the parts of a trace name each other by."""
_ADDRESSES = frozenset({"action", "frameUrl", "href", "redirectURL", "src", "url"})
_FIELDS = frozenset({"INPUT", "TEXTAREA"})
_LABELS = frozenset({"button", "checkbox", "radio", "reset", "submit"})  # types of fields into which nobody writes
_VALUES = ("value", "__playwright_value_", "placeholder")
_TYPED = ("value", "text", "key", "options")
_WRITTEN = ("value", "text")  # of these, what may stand elsewhere too
_PAIRS = frozenset({"headers", "cookies", "localStorage", "queryString", "params"})
_ENTERS = re.compile(
    r"fill|type|press|insert|select|keyboard", re.IGNORECASE
)  # what methods that enter something begin with
_LOGGED = re.compile(r"\b((?:fill|type|press|insertText|selectOption)\w*)\(.*\)", re.DOTALL)  # as the log tells of them
_SEEN = re.compile(r'(unexpected value )".*"', re.DOTALL)  # and of what they find in a field
_SAID = frozenset({"message", "stack"})  # what holds lines of the log
_SHORT = 200  # characters of a text that may stand in pieces


class TooLargeError(Exception):
    """The trace is larger than what is kept."""


def redacted_trace(archive: bytes, redaction: Redaction, shown: Callable[[str], str]) -> bytes:
    """Return the trace as a zip that Playwright's viewer opens. `shown` returns a text as it may be seen. Raises TooLargeError."""
    trace, made = _Trace(redaction, shown), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        kept = [one for one in before.infolist() if one.filename.endswith((*_LINES, _STYLES))]
        if sum(one.file_size for one in kept) > _LARGEST:
            raise TooLargeError
        for one in kept:
            if one.filename.endswith(_LINES):
                trace.learn(before.read(one).decode("utf-8", "replace"))
        for one in kept:
            text = before.read(one).decode("utf-8", "replace")
            seen = trace.lines(text) if one.filename.endswith(_LINES) else shown(text)
            after.writestr(one.filename, seen)
    return made.getvalue()


class _Trace:
    """Redacts the documents of one trace. The same text looks the same everywhere, so that they still fit together."""

    def __init__(self, redaction: Redaction, shown: Callable[[str], str]) -> None:
        self._redaction, self._shown = redaction, shown
        self._known: dict[str, str] = {}
        self._entering: set[str] = set()  # ids of the calls that enter something

    def learn(self, text: str) -> None:
        """Take note of what is entered, which is seen nowhere then: pages show it beside fields too, and calls return it."""
        for line in text.split("\n"):
            document = json.loads(line) if '"params"' in line else {}
            if _enters(document):
                self._entering.add(str(document.get("callId", "")))
                for entered in (document["params"].get(key) for key in _WRITTEN):
                    self._redaction.hide_word(entered if isinstance(entered, str) else "")

    def lines(self, text: str) -> str:
        return "".join(f"{json.dumps(self._document(json.loads(line)))}\n" for line in text.split("\n") if line.strip())

    def _text(self, text: str) -> str:
        if text not in self._known:
            self._known[text] = self._shown(text)
        return self._known[text]

    def _document(self, document: dict[str, Any]) -> dict[str, Any]:
        if _enters(document):
            masked = {key: [] if key == "options" else MASK for key in document["params"] if key in _TYPED}
            document = {**document, "params": {**document["params"], **masked}}
        elif "result" in document and document.get("callId") in self._entering:
            document = {**document, "result": {}}
        found: dict[str, Any] = self._value(document, "")
        return found

    def _value(self, value: Any, key: str) -> Any:
        """Return a value of the document as it may be seen; `key` is what it is called there."""
        if isinstance(value, dict):
            return {name: self._value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return self._list(value, key)
        if isinstance(value, str):
            return self._named(value, key)
        return value

    def _list(self, values: list[Any], key: str) -> list[Any]:
        if key == "html":
            tree: list[Any] = self._node(values)
            return tree
        if key in _PAIRS:
            return [self._pair(pair, key) for pair in values]
        return [self._value(inner, key) for inner in values]

    def _pair(self, pair: Any, key: str) -> Any:
        """Return a header, of a request or of an answer, a cookie, or a parameter."""
        if not isinstance(pair, dict) or not isinstance(pair.get("value"), str):
            return self._value(pair, key)
        name = str(pair.get("name", ""))
        value = self._redaction.header(name, pair["value"], asked=True) if key == "headers" else MASK
        return {**pair, "value": self._text(value)}

    def _named(self, text: str, key: str) -> str:
        if key in _NAMES:
            return text
        if key in _SAID:
            text = _SEEN.sub(rf'\1"{MASK}"', _LOGGED.sub(rf"\1({MASK})", text))
        if key in _ADDRESSES and "://" in text:
            return self._text(self._redaction.url(text))
        return MASK if text and sensitive_field(key) else self._text(text)

    # --- the tree of a page ------------------------------------------------------------------------------------------

    def _node(self, node: Any) -> Any:
        """Return an element: its name, its attributes and its children, of which numbers are references to earlier trees."""
        if isinstance(node, str):
            return self._text(node)
        if not isinstance(node, list) or not node or not isinstance(node[0], str):
            return node
        name, attributes, children = node[0], node[1] if len(node) > 1 else {}, node[2:]
        if name.upper() in _FIELDS or self._is_in_pieces(children):
            children = [_masked(child) for child in children]
        return (
            [name, self._attributes(name.upper(), attributes), *map(self._node, children)] if len(node) > 1 else [name]
        )

    def _attributes(self, element: str, attributes: dict[str, str]) -> dict[str, str]:
        shown = {name: self._attribute(name, value) for name, value in attributes.items()}
        telling = any(sensitive_field(attributes.get(name, "")) for name in ("name", "id", "property"))
        if (element in _FIELDS and attributes.get("type", "").lower() not in _LABELS) or telling:
            shown |= {name: MASK for name in (*_VALUES, "content") if name in attributes}
        return shown

    def _attribute(self, name: str, value: str) -> str:
        return self._text(value) if name in _NAMES else self._named(value, name)

    def _is_in_pieces(self, children: list[Any]) -> bool:
        """Whether the texts of several of these elements are a secret together; what one of them holds whole is masked there."""
        texts = [list(_pieces(child)) for child in children]
        return self._tell([piece for pieces in texts if not self._tell(pieces) for piece in pieces])

    def _tell(self, pieces: list[str]) -> bool:
        """Whether they are a secret together that none of them is alone."""
        if len(pieces) < 2 or sum(map(len, pieces)) > _SHORT or any(self._text(piece) != piece for piece in pieces):
            return False
        together = ("".join(pieces), " ".join(piece.strip() for piece in pieces))
        return any(self._text(text) != text for text in together)


def _enters(document: dict[str, Any]) -> bool:
    """Whether it tells of a call that enters something."""
    return isinstance(document.get("params"), dict) and _ENTERS.match(str(document.get("method", ""))) is not None


def _pieces(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, list) and node and isinstance(node[0], str):
        for child in node[2:]:
            yield from _pieces(child)


def _masked(node: Any) -> Any:
    """Return an element with all its texts masked."""
    if isinstance(node, str):
        return MASK if node.strip() else node
    if isinstance(node, list) and len(node) > 1 and isinstance(node[0], str):
        return [*node[:2], *map(_masked, node[2:])]
    return node
