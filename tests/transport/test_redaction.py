import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.transport.redaction import header_text, mask_cards, mask_text, mask_url, passes_luhn


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
    assert mask_text(text, ["hunter2!"]) == '{"access_token": "***", "pin": "***", "name": "Ann", "echo": "***"}'


def test_masks_headers_by_name():
    headers = httpx.Headers({"Authorization": "Bearer x", "Set-Cookie": "a=b", "X-Api-Key": "k", "Date": "today"})
    assert header_text(headers) == "authorization: ***\nset-cookie: ***\nx-api-key: ***\ndate: today\n"
