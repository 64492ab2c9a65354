import re

import pytest

from earwitness.simulator.checkout import CLIENT, CLIENT_SECRET, PASSWORD, USER

LOGIN = {"user": USER, "password": PASSWORD}


def csrf(page):
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


@pytest.fixture
async def page(http):
    """The basket of somebody who has logged in."""
    http.auth = None
    form = {**LOGIN, "csrf_token": csrf((await http.get("/shop/login")).text)}
    reply = await http.post("/shop/login", data=form, follow_redirects=True)
    assert reply.status_code == 200
    return reply.text


async def pay(http, page, **payment):
    token = re.search(r'data-token="([^"]+)"', page)[1]
    body = {"card": "4242 4242 4242 4242", "amount": 42.17, **payment}
    return await http.post("/shop/api/payments", json=body, headers={"authorization": f"Bearer {token}"})


async def test_a_customer_pays_from_login_to_logout(http, page):
    assert "0 in your basket" in page
    added = await http.post("/shop/basket", data={"item": "bill", "csrf_token": csrf(page)})
    assert "1 in your basket: bill" in added.text
    paid = await pay(http, page)
    assert (paid.status_code, paid.json()["payment"]["state"]) == (201, "accepted")
    assert "logged out" in (await http.post("/shop/logout")).text
    assert (await http.get("/shop/basket")).status_code == 401
    assert (await pay(http, page)).status_code == 401


@pytest.mark.parametrize(("change", "status"), [({"csrf_token": "old"}, 403), ({"password": "wrong"}, 401)])
async def test_a_login_that_is_wrong_is_refused(http, change, status):
    form = {**LOGIN, "csrf_token": csrf((await http.get("/shop/login")).text), **change}
    assert (await http.post("/shop/login", data=form)).status_code == status


async def test_a_form_from_another_page_changes_no_basket(http, page):
    assert (await http.post("/shop/basket", data={"item": "bill", "csrf_token": "forged"})).status_code == 403
    assert "0 in your basket" in (await http.post("/shop/basket", data={"empty": "1", "csrf_token": csrf(page)})).text


@pytest.mark.parametrize("wrong", [{"amount": "42.17"}, {"amount": True}, {"card": "1234"}])
async def test_a_payment_that_makes_no_sense_is_refused(http, page, wrong):
    assert (await pay(http, page, **wrong)).status_code == 422


async def test_without_its_card_processor_the_api_says_so(http, page):
    await http.put("/faults/card-processor-down")
    reply = await pay(http, page)
    assert (reply.status_code, reply.json()) == (502, {"error": "card_processor_unavailable"})


@pytest.mark.parametrize("where", ["header", "form"])
async def test_a_program_signs_in_by_oauth(http, where):
    grant, client = {"grant_type": "client_credentials"}, (CLIENT, CLIENT_SECRET)
    if where == "form":
        http.auth = None
        grant |= {"client_id": CLIENT, "client_secret": CLIENT_SECRET}
    reply = await http.post("/shop/oauth2/token", data=grant, **({"auth": client} if where == "header" else {}))
    token = reply.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 300)
    http.auth = None
    good = await http.get("/shop/api/orders", headers={"authorization": f"Bearer {token['access_token']}"})
    bad = await http.get("/shop/api/orders", headers={"authorization": "Bearer other"})
    assert (good.status_code, bad.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("grant", "error"), [({"grant_type": "password"}, "unsupported_grant_type"), ({"client_id": "x"}, "invalid_client")]
)
async def test_a_client_that_is_none_gets_no_token(http, grant, error):
    http.auth = None
    reply = await http.post("/shop/oauth2/token", data={"grant_type": "client_credentials", **grant})
    assert reply.json() == {"error": error}
