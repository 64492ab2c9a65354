import pytest

from earwitness.simulator.fault_list import FAULTS

CARD = {"amount": "42.17", "card": "4242 4242 4242 4242", "expiry": "12/30", "code": "123"}
PAGES = {
    "/healthz": "ok",
    "/shop/": "Welcome to Acme",
    "/shop/pay": "Payment accepted",
    "/shop/bank": "Bank payments are available",
    "/staging/shop/pay": "Payment accepted",
    "/crm/customers/1001": "Ada Example",
}
BREAKS = {
    "card-processor-down": {"/shop/pay": 502},
    "bank-down": {"/shop/bank": 502},
    "crm-down": {"/crm/customers/1001": 503},
    "staging-down": {"/staging/shop/pay": 503},
    "shop-down": {"/shop/": 503, "/shop/pay": 503, "/shop/bank": 503},
}


@pytest.mark.parametrize("fault", [None, *FAULTS])
async def test_each_fault_breaks_its_own_pages_and_no_other(http, fault):
    if fault:
        await http.put(f"/faults/{fault}")
    for path, text in PAGES.items():
        reply = await http.get(path)
        assert reply.status_code == BREAKS.get(fault, {}).get(path, 200), path
        assert (text in reply.text) is (reply.status_code == 200), path


async def test_a_card_payment_is_accepted(http):
    reply = await http.post("/shop/pay", data=CARD)
    assert (reply.status_code, "Payment accepted" in reply.text) == (200, True)


@pytest.mark.parametrize("path", ["/shop/pay", "/staging/shop/pay"])
async def test_a_card_number_that_is_none_is_refused_on_the_form(http, path):
    reply = await http.post(path, data={**CARD, "card": "<b>1"})
    assert reply.status_code == 422
    assert "Please check the card number" in reply.text
    assert "<b>1" not in reply.text


async def test_without_its_card_processor_the_shop_says_so(http):
    await http.put("/faults/card-processor-down")
    for reply in (await http.post("/shop/pay", data=CARD), await http.get("/shop/pay")):
        assert reply.status_code == 502
        assert "Card processor unavailable" in reply.text
        assert "accepted" not in reply.text


async def test_a_payment_from_a_bank_account(http):
    assert "Bank payment accepted" in (await http.post("/shop/bank", data={"account": "12345678"})).text
    assert (await http.post("/shop/bank", data={"account": "1"})).status_code == 422
    await http.put("/faults/bank-down")
    assert (await http.post("/shop/bank", data={"account": "12345678"})).status_code == 502


async def test_a_slow_shop_takes_the_time_that_was_asked(http, clock):
    await http.put("/faults/shop-slow", json={"seconds": 7})
    before = clock.seconds
    assert (await http.get("/shop/pay")).status_code == 200
    assert clock.seconds - before == 7


async def test_a_customer_who_does_not_exist_has_no_record(http):
    reply = await http.get("/crm/customers/<i>")
    assert reply.status_code == 404
    assert "<i>" not in reply.text
