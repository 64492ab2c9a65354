"""What a browser probe's section may say, and how it refuses what makes no sense."""

import pytest
from pydantic import ValidationError

from earwitness.browser.locators import parse_target
from earwitness.model import Effect
from earwitness.probes.browser_spec import BrowserSpec

OPEN = {"open": "https://shop.example/?session=1"}


def spec(*steps, **more):
    return BrowserSpec.model_validate({"steps": [OPEN, *steps], **more})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({}, "nothing to do"),
        ({"steps": [{"click": "Pay"}]}, "the first step has to open an address"),
        ({"steps": [OPEN, {}]}, "this step has nothing to do"),
        ({"steps": [OPEN, {"click": "a", "check": "b"}]}, "both click and check"),
        ({"steps": [{"open": "file:///etc/passwd"}]}, "is not a web address"),
        ({"steps": [OPEN, {"click": "css="}]}, "names no element"),
        ({"steps": [OPEN, {"click": "a", "frame": {}}]}, "exactly one of name, url and selector"),
        ({"steps": [OPEN, {"expect_title": "a", "frame": "f"}]}, "is about the whole page"),
        ({"steps": [OPEN, {"wait_for": {"text": "a", "url": "b"}}]}, "exactly one of element, text and url"),
        ({"steps": [OPEN, {"click": "a", "name": "n"}, {"click": "b", "name": "n"}]}, "name of an earlier step"),
        ({"steps": [OPEN, {"click": "a", "always": True}, {"click": "b"}]}, "they come last"),
        ({"steps": [OPEN, {"click": "a", "within": {"major": "60s"}}]}, "within.major is never passed"),
        ({"steps": [OPEN], "watch": {"at": "pay"}}, "there is no step pay"),
        ({"steps": [OPEN], "user": "a"}, "user and password go together"),
        ({"steps": [OPEN], "values": {"a": "b"}}, "values are for a script"),
        ({"steps": [OPEN, {"fill": {"Card": ""}}]}, "an empty secret"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(section, said):
    with pytest.raises(ValidationError) as refused:
        BrowserSpec.model_validate(section)
    assert said in str(refused.value)


def test_what_is_filled_in_is_a_secret_and_is_in_no_title():
    made = spec({"fill": {"Card number": "4111111111111111", "Code": "123"}})
    assert made.flow[0].title == "open https://shop.example/"
    assert made.flow[1].title == "fill Card number, Code"
    assert "4111" not in repr(made)
    assert list(made.secrets()) == ["4111111111111111", "123"]


def test_the_effect_of_the_probe_is_that_of_its_steps_and_clean_up_is_a_nuisance_at_most():
    made = spec({"click": "a", "effect": "nuisance"}, {"click": "b", "always": True}, effect="diverted")
    assert [step.harm for step in made.flow] == [Effect.DIVERTED, Effect.NUISANCE, Effect.NUISANCE]


@pytest.mark.parametrize(
    "text", ["Pay now", "label=Card", "role=button:Pay now", "role=alert", "css=#a > b=c", "testid=x"]
)
def test_a_target_is_written_as_it_was_read(text):
    assert str(parse_target(text)) == text


def test_a_run_may_take_its_time_and_that_of_what_cleans_up():
    assert spec({"click": "a", "always": True, "timeout": "7s"}, timeout="30s").longest == 30 + 7 + 15
