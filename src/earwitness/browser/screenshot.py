"""A picture of the page as the customer sees it, with everything covered that nobody but the customer should see."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.async_api import Error as BrowserError

from earwitness.browser.painted import one_line, painted
from earwitness.browser.patience import within

if TYPE_CHECKING:
    from playwright.async_api import Frame, Locator, Page

_PATIENCE = 5.0  # seconds
_OF_A_FRAME = 2.0  # seconds for a frame to tell what is in it; what does not answer is covered whole
_GONE = ("has been closed", "detached")  # Playwright's words for a frame that is no more
COVER = "#30343f"
_MOST = 200  # texts of a frame that are covered one by one; with more, all of it is
_FIELDS = (
    "input[type=password]",
    'input[name="pin" i]',
    '[autocomplete^="cc-"]',
    '[autocomplete="one-time-code"]',
    *(
        f'{field}[{attribute}*="{word}" i]'
        for field in ("input", "select", "textarea")
        for attribute in ("name", "id")
        for word in ("card", "cvc", "cvv", "csc", "expir", "iban", "account", "passw", "secret", "token", "ssn")
    ),
)
_READ_VALUES = """fields => fields.map(f => [
  f.value || '', f.placeholder || '', f.selectedOptions ? Array.from(f.selectedOptions, o => o.text).join(' ') : ''])"""
_READ_TEXT = """() => {
  const texts = [document.body ? document.body.innerText : ''];
  const walk = root => {
    for (const element of root.querySelectorAll('*'))
      if (element.shadowRoot) {
        for (const child of element.shadowRoot.children) texts.push(child.innerText || '');
        walk(element.shadowRoot);
      }
  };
  walk(document);
  return texts.join('\\n');
}"""


@dataclass(frozen=True, slots=True)
class Cover:
    """What is covered. `shown` and `shown_field` return a text without what nobody may see; what they change is covered."""

    filled: "Sequence[Locator]"
    masks: Sequence[str]  # CSS selectors
    shown: Callable[[str], str]
    shown_field: Callable[[str], str]  # for what stands in a field, where short secrets count too
    secrets: frozenset[str] = frozenset()  # in lower case: a style sheet may write them in capitals

    def tells(self, text: str) -> bool:
        """Whether the text says what nobody may see."""
        lower = text.lower()
        return self.shown(text) != text or any(secret in lower for secret in self.secrets)


class UncoveredError(Exception):
    """Something that nobody may see is painted, and no element of the page was found to cover it by."""


async def screenshot(page: "Page", cover: Cover) -> bytes | None:
    """Return a PNG of the window, or None if the page gives none; nothing uncovered is ever returned."""
    try:
        return await within(2 * _PATIENCE, _taken(page, cover))
    except Exception:  # noqa: BLE001  A page that hangs or has gone has no picture; what was found holds without one.
        return None


async def _taken(page: "Page", cover: Cover) -> bytes:
    known = Counter[str]()
    frames = page.frames
    found = await asyncio.gather(*(_in_frame(frame, cover, known) for frame in frames))
    covered = [place for places in found for place in places or ()]
    silent = [frame for frame, places in zip(frames, found, strict=True) if places is None]
    covered += [await _whole(frame) for frame in [*silent, *await _overlooked(page, cover, known)]]
    covered += [field for field in cover.filled if await _answers(field, silent)]
    return await page.screenshot(mask=covered, mask_color=COVER, animations="disabled", timeout=_PATIENCE * 1000)


async def _in_frame(frame: "Frame", cover: Cover, known: "Counter[str]") -> "list[Locator] | None":
    """Return what is to be covered in a frame; None where it does not answer, such as one that is still to come."""
    if frame.parent_frame is None:
        return await _places(frame, cover, known)
    try:
        return await within(_OF_A_FRAME, _places(frame, cover, known))
    except TimeoutError:
        return None
    except BrowserError as error:
        if _has_gone(error):
            return []
        raise


async def _places(frame: "Frame", cover: Cover, known: "Counter[str]") -> "list[Locator]":
    selectors = ", ".join((*_FIELDS, *cover.masks))
    fields = await _fields(frame, cover, known)
    return [frame.locator(selectors), *fields, *await _texts(frame, cover, known)]


async def _answers(field: "Locator", silent: "Sequence[Frame]") -> bool:
    """Whether a field that was filled in can still be covered by itself: else its frame has gone, or is covered whole."""
    try:
        await within(_OF_A_FRAME, field.count())
    except TimeoutError:
        if not silent:
            raise
        return False
    except BrowserError as error:
        if _has_gone(error):
            return False
        raise
    return True


def _has_gone(error: BrowserError) -> bool:
    return any(words in str(error) for words in _GONE)


async def _fields(frame: "Frame", cover: Cover, known: "Counter[str]") -> "list[Locator]":
    """Return the fields that hold something to cover, whoever put it there; `known` counts what is covered."""
    fields = frame.locator("input, textarea, select")
    held: list[list[str]] = await fields.evaluate_all(_READ_VALUES)
    telling = [place for place, texts in enumerate(held) if any(cover.shown_field(t) != t for t in texts)]
    known.update(one_line(text) for place in telling for text in held[place])
    return [fields.nth(place) for place in telling]


async def _texts(frame: "Frame", cover: Cover, known: "Counter[str]") -> "list[Locator]":
    """Return the elements whose text is to be covered: by the smallest that holds all of its line."""
    text: str = await frame.evaluate(_READ_TEXT)
    if not cover.tells(text):
        return []
    parts = dict.fromkeys(part.strip() for line in text.splitlines() for part in line.split("\t"))
    telling = [part for part in parts if cover.tells(part)]
    found = [frame.get_by_text(part) for part in telling[:_MOST]]
    counts = [await one.count() for one in found]
    if not found or len(telling) > _MOST or not all(counts):
        return [await _whole(frame)]  # it goes over several lines, or is nowhere in one piece
    known.update(dict(zip(map(one_line, telling), counts, strict=True)))
    return found


async def _whole(frame: "Frame") -> "Locator":
    """Return the element in which all of a frame is shown; its own body may be smaller. Raises UncoveredError for the page itself."""
    if frame.parent_frame is not None:
        places = frame.parent_frame.locator("iframe, frame, object, embed")
        for place in await places.all():
            handle = await place.element_handle()
            if await handle.content_frame() == frame:
                return place
    raise UncoveredError


async def _overlooked(page: "Page", cover: Cover, known: "Counter[str]") -> "list[Frame]":
    """Return the frames that paint what is to be covered where no element was found for it: all of them is covered."""
    frames = []
    for document in await painted(page):
        for text in filter(cover.tells, document.texts):
            line = next((part for part in known if text != part and text in part), None)
            if known[text] <= 0 and line is None:
                frames.append(document.frame)
                break
            known[text] -= 1
    return frames
