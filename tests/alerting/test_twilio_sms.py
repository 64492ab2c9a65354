import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from providers import PROVIDERS
from pydantic import ValidationError
from told import held, opened, resolved

from earwitness.hooks.base import Reason, Reply
from earwitness.hooks.twilio import _GSM, _GSM_TWICE, KIND, TwilioSmsSpec, fitting, plain, septets

SID = "AC" + "0" * 32
SECTION = {"account_sid": SID, "auth_token": "a token", "from": "+12025550143", "to": "+12025550199"}
SPEC = TwilioSmsSpec.model_validate(SECTION)
QUEUED = PROVIDERS["twilio"].answers["POST Messages.json"]


def text(told):
    (message,), outcome = held(KIND, SPEC, told, QUEUED)
    assert outcome.detail.startswith("queued as SM")
    assert message.url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json"
    form = parse_qs(message.body.decode(), strict_parsing=True)
    assert (form["From"], form["To"]) == (["+12025550143"], ["+12025550199"])
    return form["Body"][0]


def test_a_message_says_what_happened_and_where_to_read_on():
    told = opened()
    assert text(told) == f'Sev1: Card processor: customers cannot finish "Pay by card"\n{told.url}'
    assert text(resolved()).startswith("Sev1, resolved: Card processor")


@pytest.mark.parametrize(
    "title", ["Caf\u00e9\u00a0“x” – y…", "Ωmega ★ 漢字 🔥", "{[~]}|^€" * 300, "a\u202fb\u00adc" * 400]
)
def test_every_message_is_gsm_7_and_at_most_three_parts(title):
    made = text(replace(opened(), title=title))
    assert set(made) <= _GSM | _GSM_TWICE
    assert septets(made) <= 459
    assert made.endswith(opened().url)


def test_the_nearest_letter_stands_for_one_that_is_none():
    assert plain("naïve “Zürich” – 5\u00a0€…") == 'naive "Zürich" - 5 €...'
    assert plain("漢") == "?"


def test_a_text_is_cut_by_septets():
    assert fitting("€" * 10, 20) == "€" * 10
    assert fitting("€" * 11, 20) == "€" * 8 + "..."


@pytest.mark.parametrize(
    ("status", "code", "result", "reason"),
    [
        (400, 21211, "refused", Reason.REJECTED),
        (401, 20003, "retry", Reason.AUTHENTICATION),
        (429, 20429, "retry", Reason.RATE_LIMITED),
        (503, 20503, "retry", Reason.SERVER_ERROR),
    ],
)
def test_twilios_own_words_are_told_without_numbers(status, code, result, reason):
    said = {"code": code, "message": "The 'To' number +12025550199 is not valid", "status": status}
    _, outcome = held(KIND, SPEC, opened(), Reply(status, {"retry-after": "7"}, json.dumps(said).encode()))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.detail == f"HTTP {status}, error {code}: The 'To' number <number> is not valid"
    assert outcome.retry_after == (None if result == "refused" else 7.0)


@pytest.mark.parametrize("wrong", [{"from": None}, {"messaging_service_sid": "MG" + "0" * 32}, {"to": "911"}])
def test_a_section_needs_one_sender_and_a_whole_number(wrong):
    with pytest.raises(ValidationError):
        TwilioSmsSpec.model_validate(SECTION | wrong)
