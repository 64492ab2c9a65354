import json

import httpx
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from earwitness.transport.redaction import (
    Redaction,
    mask_cards,
    mask_url,
    passes_luhn,
    redacted,
    redacted_document,
    secrets_of_request,
)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://user:pass@shop.example/pay", "https://shop.example/pay"),
        ("https://shop.example/pay?token=abc&x=#part", "https://shop.example/pay?token=***&x=***"),
        ("https://shop.example:8443", "https://shop.example:8443"),
    ],
)
def test_masks_what_a_url_carries(url, masked):
    assert mask_url(url) == masked
    assert mask_url(httpx.URL(url)) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("card 4111111111111111.", "card ***1111."),
        ("4111-1111 1111-1111", "***1111"),
        ("378282246310005", "***0005"),
        ("order 4111111111111112", "order 4111111111111112"),
        ("call +12025550199", "call +12025550199"),
        ("10 4111 1111 1111 1111 123", "10 ***1111 123"),
        ("card=4111+1111+1111+1111&cvc=1", "card=***1111&cvc=1"),
        ("4111%201111%201111%201111", "***1111"),
        ("4111\u00a01111\u00a01111\u00a01111 and 5555 5555 5555 4444", "***1111 and ***4444"),
        ("+4111111111111111", "+4111111111111111"),
        ("call +4111111111111111", "call +4111111111111111"),
        ("paid+with+4111111111111111", "paid+with+***1111"),
        ("took 0.4111111111111111 s", "took 0.4111111111111111 s"),
        ("4111111111111111222222222222", "4111111111111111222222222222"),
    ],
)
def test_masks_card_numbers_and_nothing_else(text, masked):
    assert mask_cards(text) == masked


@given(st.from_regex(r"[0-9]{15}", fullmatch=True))
def test_any_number_with_its_check_digit_is_masked(digits):
    number = next(digits + check for check in "0123456789" if passes_luhn(digits + check))
    assert number not in mask_cards(f"paid with {number}, thanks")


def test_masks_secrets_that_are_echoed_and_telling_json_keys():
    text = '{"access_token": "a\\"bc", "pin": 1234, "name": "Ann", "echo": "hunter2!"}'
    shown = Redaction(["hunter2!"]).text(text)
    assert shown == '{"access_token": "***", "pin": "***", "name": "Ann", "echo": "***"}'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("user=ann&password=x%20y&amount=10", "user=ann&password=***&amount=10"),
        ("at https://shop.example/?session_id=abc now", "at https://shop.example/?session_id=*** now"),
        ('<input type="hidden" name="csrf_token" value="abc">', '<input type="hidden" name="csrf_token" value="***">'),
        ("<INPUT value='abc' name=password>", '<INPUT value="***" name=password>'),
        ('<input name="amount" value="10">', '<input name="amount" value="10">'),
    ],
)
def test_masks_the_values_of_telling_names(text, masked):
    assert Redaction().text(text) == masked


@pytest.mark.parametrize("text", ['a b/&"<é', "a%20b%2F%26%22%3C%C3%A9", "a+b%2F%26%22%3C%C3%A9", 'a b/&\\"<\\u00e9'])
def test_masks_a_secret_however_it_is_spelled(text):
    assert Redaction(['a b/&"<é']).text(f"[{text}]") == "[***]"


def test_a_secret_that_is_learned_is_hidden_from_then_on():
    redaction = Redaction()
    redaction.hide("tok-12345")
    redaction.hide("no")
    assert redaction.text("no tok-12345") == "no ***"
    assert redaction.url("https://shop.example/orders/tok-12345/pay?x=1") == "https://shop.example/orders/***/pay?x=***"


def test_learns_the_secrets_of_a_request():
    request = httpx.Request(
        "POST",
        "https://shop.example/?page=front&q=x",
        headers={"authorization": "Bearer abc-123", "cookie": "sid=session-1; a=b", "accept": "text/html"},
        content=b'{"password": "p\\u00e4ss", "token": "bad \\x", "pin": 1234, "name": "Ann"} csrf=a%20b&amount=10',
    )
    found = set(secrets_of_request(request))
    assert {"front", "abc-123", "session-1", "päss", "bad \\x", "1234", "a b"} <= found
    assert not {"Ann", "10", "text/html"} & found


def test_masks_headers_by_name():
    headers = httpx.Headers({"Authorization": "Bearer x", "Set-Cookie": "a=b", "X-Api-Key": "k", "Date": "today"})
    assert Redaction().headers(headers) == "authorization: ***\nset-cookie: ***\nx-api-key: ***\ndate: today\n"


def test_a_json_document_stays_json():
    text = json.dumps({"heard": "card 4111 1111 1111 1111, ref AB-12", "at_ms": 4111111111111111, "AB-12": 1})
    shown = redacted_document(text, "application/json", lambda part: redacted(part, [regex.compile("AB-[0-9]+")]))
    assert json.loads(shown) == {"heard": "card ***1111, ref ***", "at_ms": 4111111111111111, "***": 1}


def test_what_cannot_be_searched_in_time_is_not_shown():
    assert redacted("secret " + "a" * 60 + "!", [regex.compile("(?:a|aa)+$")]).startswith("*** (the redact pattern")
