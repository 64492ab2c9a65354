"""The carrier's client against recorded misbehaviour of the API and of the SDK."""

import httpx
import pytest
import respx

from earwitness.clock import SystemClock
from earwitness.config.carriers import CarrierSpec
from earwitness.config.fields import parse_money
from earwitness.model import Attribution, Failure
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.errors import ACCOUNT, OURS, POLICY, UNCLEAR, CarrierError, classify

API = "http://carrier.test:4020"
SID, TOKEN = "AC" + "1" * 32, "not-to-be-shown"
ROOT = f"{API}/2010-04-01/Accounts/{SID}"
CALL_SID = "CA" + "2" * 32
TO, FROM = "+12025550199", "+12025550143"
CALL = {
    "sid": CALL_SID,
    "status": "queued",
    "to": TO,
    "from": FROM,
    "price": None,
    "price_unit": "USD",
    "duration": None,
    "date_created": "Fri, 23 Jan 2026 10:00:00 +0000",
    "end_time": None,
    "queue_time": "1500",
}
CREATED = 1769162400.0


@pytest.fixture
async def carrier():
    account = {"account_sid": SID, "auth_token": TOKEN, "from": FROM, "api_url": API + "/"}
    async with httpx.AsyncClient() as http:
        yield Carrier(CarrierSpec.model_validate({"twilio": account}), http, SystemClock())


@pytest.fixture
def api():
    with respx.mock(using="httpx") as router:
        yield router


async def dial(carrier):
    return await carrier.create_call(TO, FROM, "<Response/>", ring_timeout=29.5, length_limit=180.0)


async def test_a_call_is_created_with_everything_that_judging_needs(carrier, api):
    route = api.post(f"{ROOT}/Calls.json").respond(201, json=CALL)
    call = await dial(carrier)
    request = route.calls.last.request
    form = dict(httpx.QueryParams(request.content.decode()))
    assert form == {
        "To": TO,
        "From": FROM,
        "Twiml": "<Response/>",
        "Record": "true",
        "RecordingChannels": "dual",
        "Trim": "do-not-trim",
        "Timeout": "30",
        "TimeLimit": "180",
    }
    assert request.headers["authorization"].startswith("Basic ")
    assert (call.sid, call.status, call.created_at, call.over) == (CALL_SID, "queued", CREATED, False)
    assert call.queued == 1.5


@pytest.mark.parametrize(
    ("effect", "ambiguous"),
    [
        (httpx.ReadTimeout("slow"), True),
        (httpx.WriteTimeout("slow"), True),
        (httpx.RemoteProtocolError("gone"), True),
        (httpx.ReadError("reset"), True),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ConnectError("refused"), False),
        (httpx.PoolTimeout("busy"), False),
        (httpx.Response(500, json={"code": 20500, "message": "sorry", "status": 500}), True),
        (httpx.Response(503, html="<html>unavailable</html>"), True),
        (httpx.Response(201, html="<html>hello</html>"), True),
        (httpx.Response(201, json={}), True),
        (httpx.Response(201, json=["x"]), True),
        (httpx.Response(302, headers={"location": "https://evil.example/"}), True),
        (httpx.Response(429, json={"code": 20429, "message": "slow down", "status": 429}), False),
        (httpx.Response(400, json={"code": 21217, "message": f"{TO} is not valid", "status": 400}), False),
        (httpx.Response(401, json={"code": 20003, "message": "Authenticate", "status": 401}), False),
        (httpx.Response(403, text="forbidden"), False),
    ],
)
async def test_only_what_may_have_dialled_is_ambiguous_and_nothing_is_sent_twice(carrier, api, effect, ambiguous):
    is_answer = isinstance(effect, httpx.Response)
    route = api.post(f"{ROOT}/Calls.json").mock(**{"return_value" if is_answer else "side_effect": effect})
    with pytest.raises(CarrierError) as caught:
        await dial(carrier)
    assert caught.value.ambiguous is ambiguous
    assert caught.value.attribution in (Attribution.MONITOR, Attribution.UNKNOWN)
    assert TOKEN not in str(caught.value)
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("answer", "failure", "attribution", "retryable"),
    [
        ((401, {"code": 20003}), Failure.ACCOUNT_REFUSED, Attribution.MONITOR, False),
        ((403, {"code": 10001}), Failure.ACCOUNT_REFUSED, Attribution.MONITOR, False),
        ((400, {"code": 21215}), Failure.NOT_ALLOWED_TO_DIAL, Attribution.MONITOR, False),
        ((400, {"code": 32018}), Failure.MONITOR_ERROR, Attribution.MONITOR, False),
        ((400, {"code": 99999}), Failure.CARRIER_API_FAILED, Attribution.UNKNOWN, False),
        ((429, {"code": 20429}), Failure.CARRIER_API_FAILED, Attribution.UNKNOWN, True),
        (
            (403, {"type": "about:blank", "title": "no", "status": 403, "code": 20003}),
            Failure.ACCOUNT_REFUSED,
            Attribution.MONITOR,
            False,
        ),
    ],
)
@pytest.mark.parametrize("listing", [True, False])
async def test_errors_are_told_apart_in_every_shape_they_come_in(
    carrier, api, answer, failure, attribution, retryable, listing
):
    status, body = answer
    api.get(url__startswith=f"{ROOT}/Calls").respond(status, json={"message": "m", "status": status, **body})
    with pytest.raises(CarrierError) as caught:
        await (carrier.find_calls(TO, FROM, CREATED) if listing else carrier.fetch(CALL_SID))
    error = caught.value
    assert (error.failure, error.attribution, error.retryable) == (failure, attribution, retryable)


@pytest.mark.parametrize("answer", [{"html": "<html/>"}, {"json": {"calls": [], "more": []}}, {"json": []}])
async def test_a_list_that_makes_no_sense_is_an_error_of_the_carriers(carrier, api, answer):
    api.get(url__startswith=f"{ROOT}/Calls.json").respond(200, **answer)
    with pytest.raises(CarrierError) as caught:
        await carrier.find_calls(TO, FROM, CREATED)
    assert caught.value.retryable


async def test_calls_of_others_and_earlier_ones_do_not_fit_a_lost_create(carrier, api):
    def call(sid, created):
        return {**CALL, "sid": "CA" + sid * 32, "date_created": created}

    listed = [call("a", "Fri, 23 Jan 2026 10:00:01 +0000"), call("b", "Fri, 23 Jan 2026 09:50:00 +0000"), CALL]
    api.post(f"{ROOT}/Calls.json").respond(201, json=CALL)
    route = api.get(url__startswith=f"{ROOT}/Calls.json").respond(200, json={"calls": listed, "next_page_uri": None})
    await dial(carrier)
    found = await carrier.find_calls(TO, FROM, CREATED)
    assert [call.sid for call in found] == ["CA" + "a" * 32]
    assert dict(route.calls.last.request.url.params)["To"] == TO


async def test_an_ended_call_has_its_price_and_length(carrier, api):
    ended = {
        **CALL,
        "status": "completed",
        "price": "-0.01400",
        "duration": "61",
        "end_time": "Fri, 23 Jan 2026 10:01:30 +0000",
    }
    api.get(f"{ROOT}/Calls/{CALL_SID}.json").respond(200, json=ended)
    call = await carrier.fetch(CALL_SID)
    assert (str(call.price), call.duration, call.ended_at, call.over) == ("0.01400 USD", 61.0, CREATED + 90, True)


async def test_a_busy_call_has_empty_fields_which_are_no_numbers(carrier, api):
    api.get(f"{ROOT}/Calls/{CALL_SID}.json").respond(200, json={**CALL, "status": "busy", "price": "", "duration": ""})
    call = await carrier.fetch(CALL_SID)
    assert (call.price, call.duration, call.over) == (None, None, True)


async def test_media_is_fetched_with_credentials_and_both_channels(carrier, api):
    route = api.get(f"{ROOT}/Recordings/RE1.wav").respond(200, content=b"RIFF")
    assert await carrier.download("RE1") == b"RIFF"
    request = route.calls.last.request
    assert request.url.params["RequestedChannels"] == "2"
    assert request.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [404, 400, 401, 500])
async def test_media_that_is_not_to_be_had_says_so(carrier, api, status):
    api.get(f"{ROOT}/Recordings/RE1.wav").respond(status)
    with pytest.raises(CarrierError) as caught:
        await carrier.download("RE1")
    assert (caught.value.status, caught.value.retryable) == (status, status == 500)


async def test_notifications_give_their_errors_and_not_their_warnings(carrier, api):
    listed = [
        {"error_code": "13224", "log": "0"},
        {"error_code": "32019", "log": "1"},
        {"error_code": None, "log": "0"},
    ]
    api.get(url__startswith=f"{ROOT}/Calls/{CALL_SID}/Notifications.json").respond(200, json={"notifications": listed})
    assert await carrier.errors_of(CALL_SID) == (13224,)


async def test_the_balance_is_money(carrier, api):
    api.get(f"{ROOT}/Balance.json").respond(200, json={"balance": "12.340", "currency": "USD"})
    assert str(await carrier.balance()) == "12.340 USD"


async def test_no_repr_or_error_shows_the_token(carrier):
    assert TOKEN not in repr(carrier.spec)
    assert TOKEN not in repr(carrier)


def test_begun_minutes_are_paid(carrier):
    assert [str(carrier.cost(seconds)) for seconds in (0, 1, 60, 61)] == [
        "0.0000 USD",
        "0.0165 USD",
        "0.0165 USD",
        "0.0330 USD",
    ]


@pytest.mark.parametrize(
    ("price", "seconds", "cost"),
    [(None, 61.0, None), ("0.020 USD", 61.0, "0.0250 USD"), ("0 USD", 0.0, "0.0000 USD"), ("0.020 EUR", 61.0, None)],
)
def test_what_is_charged_besides_is_added_to_the_carriers_price(carrier, price, seconds, cost):
    call = CarrierCall("CA1", "completed", seconds, parse_money(price) if price else None, 0.0, seconds)
    booked = carrier.price_of(call)
    assert (str(booked) if booked else None) == cost


@pytest.mark.parametrize("code", [*ACCOUNT, *POLICY, *OURS, *UNCLEAR])
def test_no_code_of_the_carriers_blames_the_target(code):
    assert classify(400, code, "").attribution in (Attribution.MONITOR, Attribution.UNKNOWN)


def test_each_code_is_in_one_table():
    codes = [*ACCOUNT, *POLICY, *OURS, *UNCLEAR]
    assert len(codes) == len(set(codes))


def test_a_card_number_that_the_carrier_quotes_is_not_repeated():
    error = classify(400, 99999, f"Invalid digits 4242424242424242# for {TO}")
    assert "4242" not in str(error)
    assert TO in str(error)


def test_an_http_status_in_the_codes_place_is_no_code():
    assert "error 503" not in str(classify(503, 503, ""))
