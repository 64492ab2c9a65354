"""What a page paints as text, wherever it comes from: shadow roots, open and closed, style sheets, the alternatives of pictures.

It is read from the browser's layout (`DOMSnapshot.captureSnapshot` of the DevTools protocol), in which scripts and styles of the page
have had their say: what is written in capitals by a style sheet is in capitals here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from playwright.async_api import Error as BrowserError

if TYPE_CHECKING:
    from playwright.async_api import Frame, Page

_DIGITS = re.compile(r"[\d\s.\-]{1,19}")  # a piece of a number that stands in several elements
_HIDDEN = ("hidden", "collapse")
_PAINTED = ("alt", "placeholder")


@dataclass(slots=True)
class Painted:
    """The texts of one document, in their order; a number that is split over elements of one line is one text too."""

    frame: "Frame"  # whose body it is painted in, or the page's own where that is not known
    texts: list[str]


def one_line(text: str) -> str:
    """Return a text as it is painted: whatever is between its words is one space."""
    return " ".join(text.split())


async def painted(page: "Page") -> list[Painted]:
    """Return what is painted in the page and its frames. Raises Playwright's Error where the page does not tell."""
    found: list[Painted] = []
    for frame in page.frames:
        try:
            session = await page.context.new_cdp_session(page if frame == page.main_frame else frame)
        except BrowserError:
            continue  # it is in the process of its parent, and told with it; or has gone
        asked = {"computedStyles": ["visibility"]}
        snapshot = await session.send("DOMSnapshot.captureSnapshot", asked)
        await session.detach()
        found += (Painted(_frame_of(page, frame, address), texts) for address, texts in _documents(snapshot))
    return found


def _frame_of(page: "Page", owner: "Frame", address: str) -> "Frame":
    """Return the frame of a document; where several have its address, all of the process is meant."""
    same = [frame for frame in page.frames if frame.url == address]
    return same[0] if len(same) == 1 else owner


def _documents(snapshot: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of each document, and its texts."""
    strings = snapshot["strings"]
    for document in snapshot["documents"]:
        layout = document["layout"]
        rows = zip(layout["text"], layout["styles"], layout["bounds"], strict=True)
        shown = [
            (one_line(strings[text]), bounds)
            for text, styles, bounds in rows
            if text >= 0 and not any(strings[style] in _HIDDEN for style in styles)
        ]
        pieces = [(text, bounds) for text, bounds in shown if text]
        texts = [*(text for text, _ in pieces), *_numbers(pieces), *_of_elements(document["nodes"], strings)]
        yield strings[document["documentURL"]], texts


def _of_elements(nodes: dict[str, Any], strings: list[str]) -> Iterator[str]:
    """Yield what the browser paints inside elements of its own: the values of fields, and what stands in place of one or of a picture."""
    for place in (*nodes["inputValue"]["value"], *nodes["textValue"]["value"]):
        if place >= 0:  # an empty field has none
            yield one_line(strings[place])
    for listed in nodes["attributes"]:
        for name, value in zip(listed[::2], listed[1::2], strict=True):
            if value >= 0 and strings[name].lower() in _PAINTED:
                yield one_line(strings[value])


def _numbers(pieces: list[tuple[str, list[float]]]) -> Iterator[str]:
    """Yield the numbers that stand in several pieces beside each other."""
    run: list[str] = []
    line: list[float] = []
    for text, bounds in [*pieces, ("end", [0.0, 0.0, 0.0, 0.0])]:
        if run and not (_beside(line, bounds) and _DIGITS.fullmatch(text)):
            if len(run) > 1:
                yield " ".join(run)
            run = []
        if _DIGITS.fullmatch(text):
            run, line = [*run, text], bounds


def _beside(one: list[float], other: list[float]) -> bool:
    """Whether the other stands next to the one, as the columns of a table do not; both are x, y, width and height."""
    high = max(one[3], 1.0)
    return abs(other[1] - one[1]) < high / 2 and other[0] - (one[0] + one[2]) < 2 * high
