"""A picture of the page as the customer sees it, with everything covered that nobody but the customer should see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earwitness.browser.patience import within

if TYPE_CHECKING:
    from playwright.async_api import Frame, Locator, Page

_PATIENCE = 5.0  # seconds
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
_READ_TEXT = "() => document.body ? document.body.innerText : ''"


@dataclass(frozen=True, slots=True)
class Cover:
    """What is covered. `shown` and `shown_field` return a text without what nobody may see; what they change is covered."""

    filled: "Sequence[Locator]"
    masks: Sequence[str]  # CSS selectors
    shown: Callable[[str], str]
    shown_field: Callable[[str], str]  # for what stands in a field, where short secrets count too


async def screenshot(page: "Page", cover: Cover) -> bytes | None:
    """Return a PNG of the window, or None if the page gives none; nothing uncovered is ever returned."""
    try:
        return await within(2 * _PATIENCE, _taken(page, cover))
    except Exception:  # noqa: BLE001  A page that hangs or has gone has no picture; what was found holds without one.
        return None


async def _taken(page: "Page", cover: Cover) -> bytes:
    selectors = ", ".join((*_FIELDS, *cover.masks))
    covered = list(cover.filled)
    for frame in page.frames:
        covered.append(frame.locator(selectors))
        covered += await _fields(frame, cover)
        covered += await _texts(frame, cover)
    return await page.screenshot(mask=covered, mask_color=COVER, animations="disabled", timeout=_PATIENCE * 1000)


async def _fields(frame: "Frame", cover: Cover) -> "list[Locator]":
    """Return the fields that hold something to cover, whoever put it there."""
    fields = frame.locator("input, textarea, select")
    held: list[list[str]] = await fields.evaluate_all(_READ_VALUES)
    return [fields.nth(place) for place, texts in enumerate(held) if any(cover.shown_field(t) != t for t in texts)]


async def _texts(frame: "Frame", cover: Cover) -> "list[Locator]":
    """Return the elements whose text is to be covered: by the smallest that holds all of its line."""
    text: str = await frame.evaluate(_READ_TEXT)
    if cover.shown(text) == text:
        return []
    parts = dict.fromkeys(part.strip() for line in text.splitlines() for part in line.split("\t"))
    telling = [part for part in parts if cover.shown(part) != part]
    found = [frame.get_by_text(part) for part in telling[:_MOST]]
    if not found or len(telling) > _MOST or not all([await one.count() for one in found]):
        return [frame.locator("body")]  # it goes over several lines, or is nowhere in one piece
    return found
