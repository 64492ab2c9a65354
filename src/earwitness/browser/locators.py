"""Which element of a page a step means, in the words a person sees there: label, text, role; a test id, or CSS, where those do not do.

Card number                  the field of that label, else of that placeholder, else what bears that text
label=Card number            only by label; likewise placeholder=, text=, title=, testid=
role=button:Pay now          by ARIA role and accessible name; role=alert alone is the only one of its role
css=#pay                     by CSS selector
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, PlainSerializer

from earwitness.config.fields import problem

if TYPE_CHECKING:
    from playwright.async_api import Frame, FrameLocator, Locator, Page

    Scope = Page | Frame | FrameLocator

WAYS = ("label", "placeholder", "text", "title", "testid", "role", "css")


@dataclass(frozen=True, slots=True)
class Target:
    """An element as a step names it. `way` is one of WAYS, or empty for a bare text, which several ways may find."""

    way: str
    what: str
    name: str = ""  # the accessible name, where a role is given

    def __str__(self) -> str:
        if not self.way:
            return self.what
        return f"{self.way}={self.what}:{self.name}" if self.name else f"{self.way}={self.what}"


def parse_target(value: Any) -> Target:
    if isinstance(value, Target):
        return value
    text = str(value).strip()
    way, found, rest = text.partition("=")
    if not found or way not in WAYS:
        if not text:
            raise problem("names no element; write the words of its label, or one of role=, testid=, css=")
        return Target("", text)
    if not rest.strip():
        raise problem(f"{text!r} names no element; write what to look for after {way}=")
    if way != "role":
        return Target(way, rest.strip())
    role, _, name = rest.partition(":")
    return Target(way, role.strip(), name.strip())


ElementTarget = Annotated[
    Target,
    BeforeValidator(parse_target, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
]

Purpose = Literal["field", "button", "anything"]


def candidates(scope: "Scope", target: Target, purpose: Purpose) -> "list[Locator]":
    """Return the ways to look for the target, the best first. Bare words: what such an element is named by, before any text."""
    what = target.what
    if target.way == "role":
        role = cast("Any", what)  # Playwright lists the roles of ARIA as a type
        return [scope.get_by_role(role, name=target.name) if target.name else scope.get_by_role(role)]
    one: dict[str, Callable[[str], Locator]] = {
        "label": scope.get_by_label,
        "placeholder": scope.get_by_placeholder,
        "text": scope.get_by_text,
        "title": scope.get_by_title,
        "testid": scope.get_by_test_id,
        "css": scope.locator,
    }
    if target.way:
        return [one[target.way](what)]
    named = [scope.get_by_label(what), scope.get_by_placeholder(what)]
    if purpose == "field":
        return [*named, scope.get_by_test_id(what)]
    roles = [scope.get_by_role("button", name=what), scope.get_by_role("link", name=what)]
    rest = [scope.get_by_text(what), scope.get_by_test_id(what)]
    return [*roles, *named, *rest] if purpose == "button" else [*named, *roles, *rest]


async def settled(scope: "Scope", target: Target, purpose: Purpose, milliseconds: float) -> "Locator":
    """Return the one locator that finds the target, once anything does. Raises playwright's TimeoutError.

    The best way that finds something wins; where it finds several, an exact match of the words does.
    """
    ways = candidates(scope, target, purpose)
    union = ways[0]
    for way in ways[1:]:
        union = union.or_(way)
    await union.first.wait_for(state="attached", timeout=milliseconds)
    for way in ways:
        if await way.count() > 0:
            return await _one_of(scope, target, way)
    return union.first  # it went away again; whatever is done with it waits for it anew


async def _one_of(scope: "Scope", target: Target, found: "Locator") -> "Locator":
    if await found.count() == 1 or target.way in ("css", "testid"):
        return found
    visible = found.filter(visible=True)
    if await visible.count() == 1:
        return visible
    words = target.name or target.what
    for exact in (scope.get_by_label(words, exact=True), scope.get_by_text(words, exact=True)):
        both = visible.and_(exact)
        if await both.count() == 1:
            return both
    return found
