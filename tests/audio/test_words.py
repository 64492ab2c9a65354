import pytest

from earwitness.audio.numbers import spoken
from earwitness.audio.words import blanked, constant_spans, expected_words, having_words, normalise, same_word
from earwitness.simulator.wording import WORDING
from earwitness.telephony.steps import StepSpec

KNOWN = [normalise(text) for text in WORDING.values()]


def found(text):
    names = list(WORDING)
    return [names[KNOWN.index(words)] for words in having_words(text, KNOWN, str)]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Twenty-one, TWENTY and one hundred", "21 20 and 1 0 0"),
        ("one hundred and five; a hundred two; a balance", "1 0 5 1 0 2 a balance"),
        ("105 and 0800", "1 0 5 and 0 8 0 0"),
        ("twenty one two", "21 2"),
        ("twenty ten", "20 10"),
        ("hundred", "hundred"),
        ("nine hundred and", "9 0 0 and"),
        ("a", "a"),
        ("", ""),
    ],
)
def test_numbers_become_digits(text, normalised):
    assert normalise(text) == normalised


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Soci\u00e9t\u00e9 G\u00e9n\u00e9rale", "Socie\u0301te\u0301 Ge\u0301ne\u0301rale"),
        ("\uff11\uff12 \ufb01nd", "12 find"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u0937"),  # a joiner that changes only how it is written
    ],
)
def test_words_are_the_same_however_their_letters_are_encoded(left, right):
    assert normalise(left) == normalise(right)
    assert len(normalise(left).split()) == len(left.split())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("\u0926\u093f\u0928", "\u0926\u093e\u0928"),  # Hindi: day, gift
        ("\u0915\u093f\u0924\u093e\u092c", "\u0915\u0924\u093e\u092c"),
        ("\u0e19\u0e35\u0e49", "\u0e19\u0e31\u0e49"),  # Thai
    ],
)
def test_words_that_differ_in_their_vowel_signs_are_others(left, right):
    assert (len(normalise(left).split()), len(normalise(right).split())) == (1, 1)
    assert normalise(left) != normalise(right)
    assert not same_word(normalise(left), normalise(right))
    assert having_words(left, [normalise(right)], str) == ()
    StepSpec(expect=[left, right])  # two texts, not one twice


@pytest.mark.parametrize("number", range(100))
def test_what_is_said_for_a_number_is_that_number(number):
    assert normalise(" ".join(spoken(str(number)))) == str(number)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*", ()),
        (" ... * ", ()),
        ("*, please hold", ("*", "please", "hold")),
        ("please * * hold *", ("please", "*", "hold", "*")),
        ("please* hold", ("please", "*", "hold")),
    ],
)
def test_wildcards_are_words_of_an_expected_text(text, words):
    assert expected_words(text) == words


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The balance of your account is * dollars and * cents.", ["balance"]),
        ("The balance * is * dollars and * cents", ["balance"]),
        ("* press one. * press two.", ["account_menu"]),
        ("* press one. * press two. *", ["main_menu", "account_menu"]),
        ("your * payment was accepted", ["payment_accepted", "bank_payment_accepted"]),
        ("Please enter your * number, followed by the hash key", ["enter_card", "enter_account"]),
        ("Please enter your bank account number * followed by the hash key.", ["enter_account"]),
        ("The balanse of your acount is * dollars and * cents.", ["balance"]),
        ("The balance of your account is * pounds", []),
        ("payment * payment", []),
        ("*", []),
    ],
)
def test_a_wildcard_stands_for_any_words_of_a_reference(text, names):
    assert found(text) == names


def test_words_that_cannot_be_heard_become_wildcards():
    assert blanked("Welcome to Contoso, * for O'Brien!", ("contoso", "o'brien")) == "welcome to * * for *"
    assert expected_words(blanked("Contoso", ["contoso"])) == ()


def test_a_text_without_wildcards_covers_the_whole_reference():
    assert constant_spans(WORDING["welcome"], WORDING["welcome"]) == ((0.0, 1.0),)


def test_the_constant_parts_are_told_by_their_share():
    spans = constant_spans("The balance of your account is * dollars and * cents.", WORDING["balance"])
    said = ["thebalanceofyouraccountis", "fortytwo", "dollarsand", "seventeen", "cents"]
    total = sum(map(len, said))
    ends = [sum(map(len, said[:n])) / total for n in range(6)]
    assert spans == (pytest.approx((0.0, ends[1])), pytest.approx((ends[2], ends[3])), pytest.approx((ends[4], 1.0)))


def test_what_a_reference_says_besides_is_not_in_the_constant_parts():
    ((start, end),) = constant_spans("your payment was accepted", "Thank you. Your payment was accepted. Goodbye.")
    assert 0.1 < start < 0.3
    assert 0.7 < end < 0.9


def test_a_prompt_without_the_words_has_no_constant_parts():
    assert constant_spans("your * was refused", WORDING["payment_accepted"]) == ()
    assert constant_spans("*", WORDING["payment_accepted"]) == ()


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("adviser", "advisor", True),
        ("2", "too", True),
        ("available", "unavailable", False),
        ("valid", "invalid", False),
        ("12345", "12346", False),
        ("tuesday", "thursday", False),
        ("can", "cant", False),
    ],
)
def test_words_that_sound_alike_are_the_same_but_never_opposites_or_numbers(left, right, same):
    assert same_word(left, right) is same
    assert same_word(right, left) is same
