import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from earwitness.transport.cards import mask_cards, passes_luhn


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("card 4111111111111111.", "card ***1111."),
        ("4111-1111 1111-1111", "***1111"),
        ("378282246310005", "***0005"),
        ("order 4111111111111112", "order 4111111111111112"),
        ("10 4111 1111 1111 1111 123", "10 ***1111 123"),
        ("card=4111+1111+1111+1111&cvc=1", "card=***1111&cvc=1"),
        ("4111\u00a01111\u00a01111\u00a01111 and 5555 5555 5555 4444", "***1111 and ***4444"),
        ("paid+with+4111111111111111", "paid+with+***1111"),
        ("n=+4111111111111111", "n=+***1111"),
        ("+4111111111111111", "+***1111"),  # longer than any telephone number
        ("No.4111111111111111", "No.***1111"),
        ("4111111111111111222222222222", "4111111111111111222222222222"),
        ("3782.822463.10005", "***0005"),
        ("4111 1111 1111 1111\n5555 5555 5555 4444", "***1111\n***4444"),
    ],
)
def test_masks_card_numbers(text, masked):
    assert mask_cards(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "call +12025550199",
        "call +493012345678904",  # passes Luhn, and is a telephone number
        "took 0.4111111111111111 s",
        "at 1700000000.4111111111111",
        "2024/01/02 2024/01/03 2024/01/04",
        "10.20.30.40 192.168.100.200 203.0.113.10/24",
        "1.2.3.4.5.6.7.8.9.0.1.2.3.4.5.6.7.8",
    ],
)
def test_leaves_other_numbers_alone(text):
    assert mask_cards(text) == text


GAPS = (
    *("", " ", "-", "+", ".", "/", "_", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u2013", "\u202f"),
    *("%20", "%2d", "%C2%A0", "%e2%80%93", "%0A", "&nbsp;", "&#160;", "&ndash;", "&thinsp;"),
    *("\\u00a0", "\\u2009", "\\t", "\\n"),
)
SHAPES = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (16,))


@given(
    digits=st.from_regex(r"[1-9][0-9]{18}", fullmatch=True),
    shape=st.sampled_from(SHAPES),
    gap=st.sampled_from(GAPS),
    around=st.tuples(
        st.sampled_from(["", "No.", "card: ", "n=", '"', "x" * 30]), st.sampled_from(["", ".", ",", " end"])
    ),
)
@example(digits="4" * 19, shape=(4, 4, 4, 4), gap="&NBSP;", around=("", ""))
def test_any_number_with_its_check_digit_is_masked(digits, shape, gap, around):
    body = digits[: sum(shape) - 1]
    number = next(body + check for check in "0123456789" if passes_luhn(body + check))
    groups, rest = [], number
    for size in shape:
        groups.append(rest[:size])
        rest = rest[size:]
    shown = mask_cards(f"{around[0]}{gap.join(groups)}{around[1]}")
    assert gap.join(groups) not in shown
    assert shown == f"{around[0]}***{number[-4:]}{around[1]}"


HARD = {
    "single digits": "1 ",
    "card after card": "4111 1111 1111 1111 ",
    "one number": "4",
    "columns": "4111\t",
    "points": "1.",
}


@pytest.mark.parametrize("piece", HARD.values(), ids=HARD)
def test_takes_steps_in_proportion_to_the_text(piece, steps_of):
    few, many = (steps_of(mask_cards, piece * (size // len(piece))) for size in (20_000, 80_000))
    assert many < 5 * few + 1000
