"""Where a text holds a secret, however it is spelled there: by percent, in JSON or JavaScript, in HTML, in several of them at once, or in base64.

What is escaped is read, not guessed: the text is decoded, again and again while that changes it, and each character remembers
where it stood. It takes time in proportion to the text.
"""

import html
import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_DEPTH = 4  # escapes in escapes; more than JSON in a form in JSON in a page
_TAIL = "%[89AB][0-9A-F]"
_ESCAPE = re.compile(
    rf"(?P<percent>%[0-7][0-9A-F]|%[CD][0-9A-F]{_TAIL}|%E[0-9A-F]{_TAIL}{_TAIL}|%F[0-7]{_TAIL}{_TAIL}{_TAIL}|%[89A-F][0-9A-F])"
    r"|(?P<pair>\\u(?P<high>D[89AB][0-9A-F]{2})\\u(?P<low>D[C-F][0-9A-F]{2}))"
    r"|(?P<code>\\(?:u(?P<four>[0-9A-F]{4})|x(?P<two>[0-9A-F]{2})|u\{0{0,8}(?P<many>[0-9A-F]{1,5})\}))"
    r"|(?P<slash>\\[/\"'\\bfnrt])"
    r"|(?P<entity>&(?:#0{0,8}\d{1,7}|#x0{0,8}[0-9A-F]{1,6}|[a-z][a-z0-9]{1,31});)",
    re.IGNORECASE,
)
_SLASHED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_TELLING = 6  # characters of base64 that are hardly there by chance
_SIGNS = re.compile(r"[%\\&]")


@dataclass(frozen=True, slots=True)
class _View:
    """A text with its escapes decoded. From `here[i]` on, a character stands for the one as far on from `there[i]` before."""

    text: str
    here: list[int]
    there: list[int]

    def before(self, place: int) -> int:
        """Return where a place of this view was in the text that it was made from."""
        mark = bisect_right(self.here, place) - 1
        return self.there[mark] + place - self.here[mark]


def _character(found: re.Match[str]) -> str:
    """Return what an escape stands for."""
    if found["percent"]:
        octets = bytes.fromhex(found["percent"].replace("%", ""))
        return octets.decode(
            "latin-1" if len(octets) == 1 else "utf-8", "replace"
        )  # as older forms send it, or as URLs do
    if found["pair"]:
        return chr(0x10000 + ((int(found["high"], 16) & 0x3FF) << 10) + (int(found["low"], 16) & 0x3FF))
    if found["code"]:
        return chr(int(found["four"] or found["two"] or found["many"], 16))
    if found["slash"]:
        return _SLASHED.get(found["slash"][1], found["slash"][1])
    return html.unescape(found["entity"])


def _decoded(text: str) -> _View | None:
    """Return the text with one level of escapes decoded, or None if it has none."""
    if not _SIGNS.search(text):
        return None
    parts: list[str] = []
    here, there = [0], [0]
    size = kept = 0
    for found in _ESCAPE.finditer(text):
        character = _character(found)
        if character == found[0]:
            continue
        parts += [text[kept : found.start()], character]
        begins = size + found.start() - kept
        size, kept = begins + len(character), found.end()
        here += [begins, size]
        there += [found.start(), kept]
    if not parts:
        return None
    return _View("".join([*parts, text[kept:]]), here, there)


def _levels(text: str) -> Iterator[str]:
    yield text
    for _ in range(_DEPTH):
        view = _decoded(text)
        if view is None:
            return
        text = view.text
        yield text


@lru_cache(maxsize=1024)
def needles(secret: str) -> frozenset[str]:
    """Return what to look for in a decoded text: the secret, what is left of it when it looks escaped itself, and both in base64."""
    levels = [level for level in _levels(secret) if level.strip("+ ")]
    encoded = (spelled for level in levels for spelled in _in_base64(level.encode("utf-8", "surrogatepass")))
    return frozenset(spelled.replace("+", " ") for spelled in (*levels, *encoded))


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield how base64 spells the secret, in both alphabets, alone or as a part: three ways, by the place where it begins (RFC 4648).

    At either end a character may hold bits of what is beside it, and may stay in sight: four bits of the secret at most.
    """
    for before in range(3):
        text = b64encode(bytes(before) + secret).rstrip(b"=").decode("ascii")
        begins, ends = (before * 8 + 5) // 6, (before + len(secret)) * 8 // 6
        for spelled in (text[begins:], text[begins:ends]):
            if len(spelled) >= _TELLING:
                yield spelled
                yield spelled.replace("+", "-").replace("/", "_")


def places(text: str, sought: Iterable[str]) -> list[tuple[int, int]]:
    """Return where the text holds one of the needles, in order; what overlaps is one place."""
    sought = tuple(sought)
    if not sought:
        return []
    views: list[_View] = []
    found = _found(text, sought, views)
    while len(views) < _DEPTH and (view := _decoded(views[-1].text if views else text)) is not None:
        views.append(view)
        found += _found(view.text, sought, views)
    return _merged(found)


def without(text: str, sought: Iterable[str], mask: str) -> str:
    """Return the text with the mask in place of each of the needles."""
    parts, kept = [], 0
    for start, end in places(text, sought):
        parts += [text[kept:start], mask]
        kept = end
    return "".join([*parts, text[kept:]]) if parts else text


def _found(text: str, sought: tuple[str, ...], views: list[_View]) -> list[tuple[int, int]]:
    spans = []
    text = text.replace("+", " ")  # forms send spaces so, and whoever reads them may do it once too often
    for needle in sought:
        at = text.find(needle)
        while at >= 0:
            spans.append((_origin(at, views), _origin(at + len(needle), views)))
            at = text.find(needle, at + len(needle))
    return spans


def _origin(place: int, views: list[_View]) -> int:
    for view in reversed(views):
        place = view.before(place)
    return place


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
