"""A picture of the page as the customer sees it, with everything covered that nobody but the customer should see."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from earwitness.browser.patience import within

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

_PATIENCE = 5.0  # seconds
COVER = "#30343f"
_SHORTEST = 4  # characters; covering shorter texts would cover half of every page
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
_CARD = re.compile(r"\d[ -]?(?:\d[ -]?){11,17}\d")  # card numbers that stand in the text of a page


async def screenshot(
    page: "Page", filled: "Sequence[Locator]", masks: Sequence[str], secrets: Iterable[str]
) -> bytes | None:
    """Return a PNG of the window, or None if the page gives none; nothing uncovered is ever returned.

    Texts are searched in the browser's isolated world, into which no script of the page sees.
    """
    selectors = ", ".join((*_FIELDS, *masks))
    covered = list(filled)
    for frame in page.frames:
        covered.append(frame.locator(selectors))
        covered.append(frame.get_by_text(_CARD))
        covered += [frame.get_by_text(secret) for secret in secrets if len(secret) >= _SHORTEST]
    try:
        shot = page.screenshot(mask=covered, mask_color=COVER, animations="disabled", timeout=_PATIENCE * 1000)
        return await within(_PATIENCE, shot)
    except Exception:  # noqa: BLE001  A page that hangs or has gone has no picture; what was found holds without one.
        return None
