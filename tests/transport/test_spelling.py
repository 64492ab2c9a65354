import base64
import html
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.transport.redaction import Redaction
from earwitness.transport.spelling import needles, places

SECRET = "a b/&\"<é'+😀"


def by_character(text, spell):
    return "".join(spell(character) for character in text)


SPELLINGS = {
    "as it is": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent but /": quote,
    "a form": quote_plus,
    "percent in lower case": lambda text: by_character(text, lambda c: "".join(f"%{b:02x}" for b in c.encode())),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON without ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON for HTML": lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003C"),
    "HTML": html.escape,
    "HTML of PHP": lambda text: html.escape(text, quote=False).replace("'", "&#039;").replace('"', "&#34;"),
    "HTML by numbers": lambda text: by_character(text, lambda c: f"&#{ord(c)};"),
    "HTML by hexadecimal numbers": lambda text: by_character(text, lambda c: f"&#x{ord(c):X};"),
    "JavaScript": lambda text: by_character(
        text, lambda c: f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{{{ord(c):x}}}"
    ),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_masks_a_secret_however_it_is_spelled(spell):
    assert Redaction([SECRET]).text(f"[{spell(SECRET)}]") == "[***]"


@given(
    secret=st.text(min_size=4, max_size=30).filter(lambda text: text.isprintable() and not text.isspace()),
    spells=st.lists(st.sampled_from(list(SPELLINGS.values())), min_size=1, max_size=3),
    around=st.tuples(
        st.sampled_from(["", "x=", "é%41&amp;\\n", '{"a": "']), st.sampled_from(["", "&y", '"}', "%2", "\\"])
    ),
)
def test_no_spelling_of_a_secret_escapes(secret, spells, around):
    spelled = secret
    for spell in spells:
        spelled = spell(spelled)
    text = around[0] + spelled + around[1]
    first, last = len(around[0]), len(around[0]) + len(spelled)
    assert any(start <= first and end >= last for start, end in places(text, needles(secret))), text


@given(
    st.text(alphabet='ab%25&#39;amp\\u0041nx/"+ ', max_size=60), st.text(alphabet="ab%2&;\\ ", min_size=4, max_size=8)
)
def test_only_masks_and_never_changes_the_rest(text, secret):
    spots = places(text, needles(secret))
    assert all(0 <= start < end <= len(text) for start, end in spots)
    assert all(one[1] <= other[0] for one, other in pairwise(spots))


HARD = {
    "percent": "%41",
    "backslashes": "\\",
    "entities": "&amp;",
    "signs": "&",
    "codes": "\\u00",
    "the secret": "aaaa",
}


@pytest.mark.parametrize("piece", HARD.values(), ids=HARD)
def test_takes_steps_in_proportion_to_the_text(piece, steps_of):
    redaction = Redaction(["aaaa", "secret"])
    few, many = (steps_of(redaction.text, piece * (size // len(piece))) for size in (20_000, 80_000))
    assert many < 5 * few + 1000


ALPHABETS = {"standard": base64.b64encode, "for URLs": base64.urlsafe_b64encode}
WRAPPED = {"as it is": str, "percent": quote, "JSON of PHP": SPELLINGS["JSON of PHP"], "HTML": html.escape}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("encode", ALPHABETS.values(), ids=ALPHABETS)
@pytest.mark.parametrize("secret", ["hunter2!", "hunter2!!", "hunter2!!!", "???>>>~~~"])
def test_masks_a_secret_in_base64_whole(secret, encode, padded):
    spelled = encode(secret.encode()).decode()
    spelled = spelled if padded else spelled.rstrip("=")
    assert Redaction([secret]).text(f"[{spelled}]").rstrip("=]") == "[***"


@pytest.mark.parametrize("user", ["u", "us", "use", "user"])
def test_masks_the_password_in_what_basic_authentication_sends(user):
    spelled = base64.b64encode(f"{user}:hunter2!".encode()).decode()
    shown = Redaction(["hunter2!"]).text(f"proxy said {spelled}").removeprefix("proxy said ")
    seen, _, end = shown.partition("***")
    assert len(seen) <= len(base64.b64encode(f"{user}:".encode()).rstrip(b"="))
    assert end.strip("=") == ""


@given(
    secret=st.text(min_size=7, max_size=30).filter(lambda text: text.isprintable() and not text.isspace()),
    around=st.tuples(st.binary(max_size=7), st.binary(max_size=7)),
    encode=st.sampled_from(list(ALPHABETS.values())),
    wrap=st.sampled_from(list(WRAPPED.values())),
)
def test_no_secret_inside_base64_escapes(secret, around, encode, wrap):
    octets = secret.encode()
    spelled = encode(around[0] + octets + around[1]).decode()
    first, last = len(around[0]) * 8 // 6 + 1, (len(around[0]) + len(octets)) * 8 // 6 - 1
    text = f"<{wrap(spelled)}>"
    begin = 1 + len(wrap(spelled[:first]))
    end = 1 + len(wrap(spelled[: last + 1]))
    assert any(start <= begin and stop >= end for start, stop in places(text, needles(secret))), text
