import json
import time

import httpx
import pytest
import regex

from earwitness.transport.redaction import (
    Redaction,
    mask_url,
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
        ("https://shop.example/reset?8f7a62c1b0&debug", "https://shop.example/reset?***&debug=***"),
        ("https://shop.example/reset?U0VDUkVUMTI=&c2VjcmV0cw==&debug=", "https://shop.example/reset?***&***&debug=***"),
        ("https://shop.example/r?token%3Dabc&a%20b=c", "https://shop.example/r?***&a b=***"),
    ],
)
def test_masks_what_a_url_carries(url, masked):
    assert mask_url(url) == masked
    assert mask_url(httpx.URL(url)) == masked


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


def test_learns_secrets_wherever_they_stand_in_a_body():
    request = httpx.Request(
        "POST",
        "https://shop.example/",
        content=b'{"tokens": ["tok-1", "tok-2"], "credential": {"user": {"key": "deep-1"}}, "names": ["Annie"]}'
        b" user%5Bpassword%5D=hunter2&user[name]=Annie"
        b"<soap:Body><ns:Password a='b'>xml&amp;1</ns:Password><Town>Leeds</Town></soap:Body>",
    )
    found = set(secrets_of_request(request))
    assert {"tok-1", "tok-2", "deep-1", "hunter2", "xml&1"} <= found
    assert not {"Annie", "Leeds"} & found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"tokens": ["a", "b"], "names": ["c"]}', '{"tokens": "***", "names": ["c"]}'),
        ('{"tokens": ["a", "b', '{"tokens": "***"'),
        ("user[password]=abc&user[name]=Ann", "user[password]=***&user[name]=Ann"),
        ("user%5Bpassword%5D=abc&a=b", "user%5Bpassword%5D=***&a=b"),
        ('<input name="user[pin]" value="abc">', '<input name="user[pin]" value="***">'),
        ("<Password>abc</Password><p>def</p>", "<Password>***</Password><p>def</p>"),
        ("<x:token a='b'>a&amp;b</x:token>", "<x:token a='b'>***</x:token>"),
        ("<token>abc", "<token>abc"),
    ],
)
def test_masks_values_of_telling_names_in_lists_brackets_and_elements(text, shown):
    assert Redaction().text(text) == shown


def test_learns_what_stands_in_a_query_without_a_name():
    request = httpx.Request("GET", "https://shop.example/reset?8f7a62c1b0&U0VDUkVUMTI==&debug&flag=&two%2Dfa9")
    found = set(secrets_of_request(request))
    assert {"8f7a62c1b0", "U0VDUkVUMTI", "two-fa9"} <= found
    assert not {"debug", "flag"} & found


def test_learns_what_an_address_in_a_header_carries():
    headers = {"referer": "https://shop.example/basket?session=canary-one&debug", "origin": "https://shop.example"}
    assert set(secrets_of_request(httpx.Request("GET", "https://shop.example/", headers=headers))) == {"canary-one", ""}
    odd = httpx.Request("GET", "https://shop.example/", headers={"referer": "http://[::1"})
    assert not set(secrets_of_request(odd))


def test_masks_headers_by_name():
    headers = httpx.Headers({"Authorization": "Bearer x", "Set-Cookie": "a=b", "X-Api-Key": "k", "Date": "today"})
    shown = Redaction().headers(headers, asked=False)
    assert shown == "authorization: ***\nset-cookie: ***\nx-api-key: ***\ndate: today\n"


@pytest.mark.parametrize("name", ["X-Auth", "Ocp-Apim-Subscription-Key", "x-functions-key", "X-Passcode", "X-Whatever"])
def test_takes_an_unknown_header_of_a_request_for_a_secret(name):
    request = httpx.Request("GET", "https://shop.example/", headers={name: "open-sesame", "Accept": "text/html"})
    shown = Redaction().headers(request.headers, asked=True)
    assert "open-sesame" not in shown
    assert "accept: text/html" in shown
    assert "open-sesame" in set(secrets_of_request(request))


def test_masks_the_codes_in_an_address_that_a_header_holds():
    headers = httpx.Headers({"Location": "https://a.example/cb?code=abc#access_token=def", "Referer": "/x?y=abc"})
    shown = Redaction().headers(headers, asked=False)
    assert shown == "location: https://a.example/cb?code=***\nreferer: /x?y=***\n"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("http://user:pass@[::1/x?token=abc", "http://[::1/x"),
        ("http://user:pa/ss@shop.example/x", "http://shop.example/x"),
        ("https://shop.example/" + "a" * 70_000 + "?token=abc", "https://shop.example/" + "a" * 479),
    ],
)
def test_masks_what_is_no_address_at_all(url, masked):
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https:/u:p@h/x?a=b", "https:/h/x?a=***"),
        ("https:/token@h", "https:/h"),
        ("https:/u:p@q@h", "https:/h"),
        ("https:u:p@h/x", "https:h/x"),
        ("https:///u:p@h/x", "https:/h/x"),
        ("https:////u:p@h/x", "https://h/x"),
        ("https//u:p@h/x", "https//h/x"),
        ("https%3A//u:p@h/x", "https%3A//h/x"),
        (" HTTPS:/u:p@h", "https:/h"),
        ("https:\\\\u:p@h/x", "https:\\\\h/x"),
        ("https:/\\u:p@h/x", "https:/\\h/x"),
        ("/u:p@h/x", "/h/x"),
        ("u:p@h/x", "h/x"),
        ("https:/u:p@h:99999999/\x01", "https:/h:99999999/\x01"),
        ("blob:https://u:p@h/x", "blob:https://h/x"),
        ("https://archive.example/web/https://u:p@h/x", "https://archive.example/web/https://h/x"),
        ("https://h/a@b", "https://h/a@b"),
        ("https:/h/a@b", "https:/h/a@b"),
        ("/@ann/12:30@home", "/@ann/12:30@home"),
        ("mailto:ann@shop.example", "mailto:ann@shop.example"),
    ],
)
def test_masks_user_and_password_of_a_url_that_is_misspelled(url, masked):
    assert mask_url(url) == masked


MULTIPART = (
    '--x\r\nContent-Disposition: form-data; name="cvv"\r\n\r\n737\r\n'
    '--x\r\nContent-Disposition: form-data; name="csrf_token"\r\nContent-Type: text/plain\r\n\r\nabc\r\ndef\r\n'
    '--x\r\nContent-Disposition: form-data; name="town"\r\n\r\nLeeds\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"securityCode": "737", "cvn": 737, "csc": "737"}', '{"securityCode": "***", "cvn": "***", "csc": "***"}'),
        ('{"verification_value":"737","cid":"737"}', '{"verification_value":"***","cid":"***"}'),
        ('{"card":"{\\"cvv\\":\\"737\\"', '{"card":"***"'),
        ('{"sent":"{\\"cvv\\":\\"737\\",\\"n\\":1}"}', '{"sent":"{\\"cvv\\":\\"***\\",\\"n\\":1}"}'),
        ('{"password": "cut off in the mid', '{"password": "***"'),
        ("Authorization: Bearer abcdefghi.jkl", "Authorization: Bearer ***"),
        ('{"Authorization":"Basic dXNlcjpwYXNz"}', '{"Authorization":"***"}'),
        ("sent bearer abcdefghi, got 401", "sent bearer ***, got 401"),
        ("cannot reach postgres://shop:s3cr@t:x@db.example/shop", "cannot reach postgres://***@db.example/shop"),
        ('{"next": "https:\\/\\/ann:pw@shop.example\\/"}', '{"next": "https:\\/\\/***@shop.example\\/"}'),
        ("git clone https://ghp_16C7@code.example/x", "git clone https://***@code.example/x"),
        ("at https://shop.example/@ann and a@b.example", "at https://shop.example/@ann and a@b.example"),
        ("token eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl here", "token *** here"),
        (MULTIPART, MULTIPART.replace("737", "***").replace("abc\r\ndef", "***")),
    ],
)
def test_masks_what_a_page_sends_and_says(text, masked):
    assert Redaction().text(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("code 737", "code ***"),
        ('{"a":"737"}', '{"a":"***"}'),
        ("1737 7370", "1737 7370"),
        ("a=737&b=12%2F30", "a=***&b=***"),
    ],
)
def test_hides_what_was_entered_however_short_where_it_stands_alone(text, masked):
    redaction = Redaction()
    for word in ("737", "12/30", ""):
        redaction.hide_word(word)
    assert redaction.entered(text) == masked


def test_the_beginning_of_a_text_shows_no_half_of_a_secret():
    secret = "hunter2-" * 500
    redaction = Redaction([secret])
    for before in (0, 50, 1990, 2000, 20_000, 60_000):
        shown = redaction.beginning("x" * before + secret + "y" * 100_000, 2000)
        assert "hunter2-" not in shown
    assert Redaction().beginning("x" * 100_000, 2000).startswith("x" * 2000)


def test_a_json_document_stays_json():
    text = json.dumps({"heard": "card 4111 1111 1111 1111, ref AB-12", "at_ms": 4111111111111111, "AB-12": 1})
    shown = redacted_document(text, "application/json", lambda part: redacted(part, [regex.compile("AB-[0-9]+")]))
    assert json.loads(shown) == {"heard": "card ***1111, ref ***", "at_ms": 4111111111111111, "***": 1}


def test_what_cannot_be_searched_in_time_is_not_shown():
    assert redacted("secret " + "a" * 60 + "!", [regex.compile("(?:a|aa)+$")]).startswith("*** (the redact pattern")


def test_the_beginning_of_a_text_costs_the_same_whatever_follows(steps_of):
    short, long = (steps_of(Redaction().beginning, "1 " * size, 2000) for size in (10_000, 500_000))
    assert long < 1.1 * short  # what is loaded once aside


PART = 'content-disposition: form-data; filename="n; name="; name="{}"\r\ncontent-type: text/plain\r\n\r\n{}\r\n--x--'


@pytest.mark.parametrize(("name", "shown"), [("password", "***"), ("city", "Berlin")])
def test_masks_the_telling_parts_of_a_form(name, shown):
    assert Redaction().text(PART.format(name, "Berlin")) == PART.format(name, shown)


@pytest.mark.parametrize("beginning", ["content-disposition:name=", "content-disposition:" + "name=a" * 60])
def test_what_only_looks_like_a_form_holds_nobody_up(beginning):
    """One search holds up all of the process: nothing else runs until it ends."""
    text = beginning * (64 * 1024 // len(beginning))
    began = time.process_time()
    Redaction().text(text)
    assert time.process_time() - began < 1.0
