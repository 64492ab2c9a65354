"""The shop's checkout for customers with an account: log in, fill the basket, pay through the API, log out.

Everything a flow has to cope with is here: a form with a token against forgery, a session in a cookie, a bearer token that
stands in a page, JSON, and an API for programs that sign in by OAuth 2.0.
"""

import base64
import binascii
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from earwitness.simulator.shop import Faults, TheForm, card_processor_down, is_card, page, shop_down, sorry

USER, PASSWORD = "ada@example.com", "correct-horse"  # Told to everybody in the documentation.
CLIENT, CLIENT_SECRET = "earwitness", "battery-staple"  # As above.
_MOST_VISITORS = 1000
_TOKEN_LIFE = 300  # seconds, as the token endpoint tells it
_COOKIE = "visitor"
router = APIRouter()


@dataclass(slots=True)
class Visitor:
    """Somebody with a cookie of ours; `token` is there once they logged in."""

    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    token: str | None = None
    basket: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Checkout:
    """Who is in the shop, and which tokens are good. The oldest are forgotten when there are too many."""

    visitors: OrderedDict[str, Visitor] = field(default_factory=OrderedDict)
    tokens: OrderedDict[str, str] = field(default_factory=OrderedDict)  # token -> whose

    def enter(self) -> tuple[str, Visitor]:
        name, visitor = secrets.token_urlsafe(16), Visitor()
        self.visitors[name] = visitor
        while len(self.visitors) > _MOST_VISITORS:
            self.visitors.popitem(last=False)
        return name, visitor

    def issue(self, owner: str) -> str:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = owner
        while len(self.tokens) > _MOST_VISITORS:
            self.tokens.popitem(last=False)
        return token


def _checkout(request: Request) -> Checkout:
    checkout: Checkout = request.app.state.checkout
    return checkout


def _visitor(request: Request) -> Visitor | None:
    return _checkout(request).visitors.get(request.cookies.get(_COOKIE, ""))


def _bearer(request: Request) -> str | None:
    """Return whose token the request carries, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return _checkout(request).tokens.get(token) if scheme.lower() == "bearer" else None


Here = Annotated[Checkout, Depends(_checkout)]
Who = Annotated[Visitor | None, Depends(_visitor)]
Bearer = Annotated[str | None, Depends(_bearer)]


def _logged_out() -> Response:
    return sorry("Please log in", "You are not logged in.", 401, "/shop/login")


@router.get("/shop/login")
async def login_page(faults: Faults, here: Here) -> Response:
    broken = shop_down(faults)
    if broken:
        return broken
    name, visitor = here.enter()
    answer = page("login.html", csrf=visitor.csrf)
    answer.set_cookie(_COOKIE, name, httponly=True, samesite="lax")
    return answer


@router.post("/shop/login")
async def login(faults: Faults, form: TheForm, here: Here, visitor: Who) -> Response:
    broken = shop_down(faults)
    if broken:
        return broken
    if visitor is None or form.get("csrf_token") != visitor.csrf:
        return sorry("Please try again", "This page is too old.", 403, "/shop/login")
    if (form.get("user"), form.get("password")) != (USER, PASSWORD):
        return page("login.html", 401, csrf=visitor.csrf, refusal="Please check your name and password.")
    visitor.token = here.issue(USER)
    return RedirectResponse("/shop/basket", 303)


@router.get("/shop/basket")
async def basket(faults: Faults, visitor: Who) -> Response:
    broken = shop_down(faults)
    if broken or visitor is None or visitor.token is None:
        return broken or _logged_out()
    return page("basket.html", visitor=visitor)


@router.post("/shop/basket")
async def change_basket(faults: Faults, form: TheForm, visitor: Who) -> Response:
    """Put an item into the basket, or take everything out of it."""
    broken = shop_down(faults)
    if broken or visitor is None or visitor.token is None:
        return broken or _logged_out()
    if form.get("csrf_token") != visitor.csrf:
        return sorry("Please try again", "This page is too old.", 403, "/shop/basket")
    if "empty" in form:
        visitor.basket.clear()
    else:
        visitor.basket = [*visitor.basket, form.get("item", "bill")][-20:]
    return page("basket.html", visitor=visitor)


@router.post("/shop/logout")
async def logout(faults: Faults, here: Here, visitor: Who) -> Response:
    broken = shop_down(faults)
    if broken:
        return broken
    if visitor is not None:
        here.tokens.pop(visitor.token or "", None)
        visitor.token = None
        visitor.basket.clear()
    return page("result.html", title="Goodbye", text="You are logged out.", good=True)


# --- the API ---------------------------------------------------------------------------------------------------------


def _refused(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status, headers={"www-authenticate": "Bearer"} if status == 401 else None)


@router.post("/shop/api/payments")
async def pay_by_api(request: Request, faults: Faults, owner: Bearer) -> Response:
    """Take a payment: `{"card": TEXT, "amount": NUMBER}`."""
    if shop_down(faults):
        return _refused(503, "unavailable")
    if owner is None:
        return _refused(401, "invalid_token")
    if card_processor_down(faults, "/shop/pay"):
        return _refused(502, "card_processor_unavailable")
    asked = await _json(request)
    amount = asked.get("amount")
    if not is_card(str(asked.get("card", ""))) or isinstance(amount, bool) or not isinstance(amount, int | float):
        return _refused(422, "invalid_payment")
    payment = {"id": secrets.token_hex(6), "state": "accepted", "amount": amount}
    return JSONResponse({"payment": payment}, 201)


@router.get("/shop/api/orders")
async def orders(faults: Faults, owner: Bearer) -> Response:
    if shop_down(faults):
        return _refused(503, "unavailable")
    return JSONResponse({"orders": []}) if owner else _refused(401, "invalid_token")


@router.post("/shop/oauth2/token")
async def token(request: Request, faults: Faults, form: TheForm, here: Here) -> Response:
    """Issue a token by the client credentials grant (RFC 6749, 4.4)."""
    if shop_down(faults):
        return _refused(503, "unavailable")
    if form.get("grant_type") != "client_credentials":
        return _refused(400, "unsupported_grant_type")
    if _client(request, form) != (CLIENT, CLIENT_SECRET):
        return _refused(401, "invalid_client")
    issued = {"access_token": here.issue(CLIENT), "token_type": "Bearer", "expires_in": _TOKEN_LIFE}
    return JSONResponse(issued, headers={"cache-control": "no-store"})


def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Return the client and its secret, from the header or else from the form (RFC 6749, 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


async def _json(request: Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
