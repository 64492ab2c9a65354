import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.alerting.ack_links import PATH, VALID_FOR, AckLinks, read_or_make_key
from earwitness.config.fields import Secret

BASE = "https://earwitness.example/base"


@pytest.fixture(scope="module")
def links():
    return AckLinks(Secret("ab" * 32), BASE)


def test_a_link_says_what_it_is_good_for(links):
    url = links.url("inc-1", "pager", 1000.0)
    assert url.startswith(BASE + PATH)
    read = links.read(url.rpartition("/")[2])
    assert (read.incident, read.hook, read.expires) == ("inc-1", "pager", 1000.0 + VALID_FOR)
    assert links.url("inc-1", "pager", 1000.0) != url, "each is used once, so each is its own"


def test_a_link_of_another_key_is_none_of_ours(links):
    token = AckLinks(Secret("cd" * 32), BASE).url("inc-1", "pager", 0.0).rpartition("/")[2]
    assert links.read(token) is None


@given(st.text(max_size=200))
def test_what_is_no_link_is_none(text):
    assert AckLinks(Secret("ab" * 32), BASE).read(text) is None


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_"))
def test_a_changed_letter_makes_it_none_of_ours(place, letter):
    links = AckLinks(Secret("ab" * 32), BASE)
    token = links.url("inc-1", "pager", 0.0).rpartition("/")[2]
    told, _, _ = token.partition(".")
    place %= len(told) - 2  # the last letters of base64 may stand for the same bytes
    changed = token[:place] + letter + token[place + 1 :]
    assert changed == token or links.read(changed) is None


def test_the_key_is_made_once_and_for_the_daemons_user_alone(tmp_path):
    path = tmp_path / "ack.key"
    key = read_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert read_or_make_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short")
    with pytest.raises(OSError, match="is damaged"):
        read_or_make_key(path)
