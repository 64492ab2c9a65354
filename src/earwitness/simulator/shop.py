"""Acme's web shop, its staging twin, and the page that its agents open for a customer."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from earwitness.clock import Clock
from earwitness.simulator.faults import ActiveFaults, FaultBoard
from earwitness.simulator.telephone_numbers import CONTACT_CENTRE

_PAGES = Environment(loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True, trim_blocks=True)
_TRY_LATER = "Your payment was not taken. Please try again later."


@dataclass(frozen=True, slots=True)
class Customer:
    number: str
    name: str
    balance: str
    last_contact: str


CUSTOMERS = {
    "1001": Customer("1001", "Ada Example", "$42.17", "Called about an invoice"),
    "1002": Customer("1002", "Sam Sample", "$0.00", "Changed address online"),
}
router = APIRouter()


def page(name: str, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_PAGES.get_template(name).render(values), status)


def sorry(title: str, text: str, status: int, again: str | None = None) -> HTMLResponse:
    return page("result.html", status, title=title, text=text, good=False, again=again)


async def the_faults(request: Request) -> ActiveFaults:
    """Return the faults of now, after the wait that one of them may ask for."""
    board: FaultBoard = request.app.state.faults
    clock: Clock = request.app.state.clock
    now = board.now()
    if "shop-slow" in now:
        await clock.sleep(now.number("shop-slow", "seconds"))
    return now


async def the_form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


Faults = Annotated[ActiveFaults, Depends(the_faults)]
TheForm = Annotated[dict[str, str], Depends(the_form)]


def shop_down(faults: ActiveFaults) -> Response | None:
    return sorry("Service unavailable", "The shop is closed for a moment.", 503) if "shop-down" in faults else None


def card_processor_down(faults: ActiveFaults, again: str) -> Response | None:
    if "card-processor-down" not in faults:
        return None
    return sorry("Card processor unavailable", _TRY_LATER, 502, again)


@router.get("/shop/")
async def home(faults: Faults) -> Response:
    return shop_down(faults) or page("home.html", number=CONTACT_CENTRE)


@router.get("/shop/pay")
async def paymentpage(faults: Faults) -> Response:
    """Show the card form, after a test authorisation with the card processor whose result the page tells."""
    broken = shop_down(faults) or card_processor_down(faults, "/shop/pay")
    return broken or page("pay.html", action="/shop/pay")


@router.post("/shop/pay")
async def pay(faults: Faults, form: TheForm) -> Response:
    return shop_down(faults) or card_processor_down(faults, "/shop/pay") or _paid(form, "/shop/pay")


def is_card(text: str) -> bool:
    return re.fullmatch(r"\d{12,19}", re.sub(r"[\s-]", "", text)) is not None


def _paid(form: dict[str, str], action: str) -> Response:
    if not is_card(form.get("card", "")):
        return page("pay.html", 422, action=action, refusal="Please check the card number.")
    text = "Payment accepted. Thank you for your payment."
    return page("result.html", title="Payment accepted", text=text, good=True)


@router.get("/shop/bank")
async def bankpage(faults: Faults) -> Response:
    return shop_down(faults) or _bank_down(faults) or page("bank.html")


@router.post("/shop/bank")
async def pay_from_bank(faults: Faults, form: TheForm) -> Response:
    broken = shop_down(faults) or _bank_down(faults)
    if broken:
        return broken
    if not re.fullmatch(r"\d{6,19}", re.sub(r"[\s-]", "", form.get("account", ""))):
        return page("bank.html", 422, refusal="Please check the bank account number.")
    text = "Bank payment accepted. It will arrive within one working day."
    return page("result.html", title="Bank payment accepted", text=text, good=True)


def _bank_down(faults: ActiveFaults) -> Response | None:
    if "bank-down" not in faults:
        return None
    return sorry("Bank payments unavailable", _TRY_LATER, 502, "/shop/bank")


@router.get("/staging/shop/pay")
async def staging_paymentpage(faults: Faults) -> Response:
    """Show the staging shop, which has a card processor of its own, a sandbox."""
    return _staging_down(faults) or page("pay.html", action="/staging/shop/pay", staging=True)


@router.post("/staging/shop/pay")
async def staging_pay(faults: Faults, form: TheForm) -> Response:
    return _staging_down(faults) or _paid(form, "/staging/shop/pay")


def _staging_down(faults: ActiveFaults) -> Response | None:
    return sorry("Service unavailable", "Staging is down.", 503) if "staging-down" in faults else None


@router.get("/crm/customers/{number}")
async def customer_record(number: str, faults: Faults) -> Response:
    """Show what an agent sees of a customer."""
    if "crm-down" in faults:
        return sorry("Customer records unavailable", "The record cannot be opened.", 503)
    customer = CUSTOMERS.get(number)
    if customer is None:
        return sorry("No such customer", f"There is no customer {number}.", 404)
    return page("customer.html", customer=customer)
