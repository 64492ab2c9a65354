"""Card numbers that a line reads back, as digits and as engines write them, and what is no such number."""

import json

import numpy as np
import pytest
from murmurs import murmur, placed

from earwitness.audio.alignment import Word
from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.wav import write_wav
from earwitness.telephony import findings
from earwitness.telephony.baselines import Baselines
from earwitness.telephony.changes import Lesson, compared
from earwitness.telephony.hearing import listen
from earwitness.telephony.spec import CallSpec


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("card 4111 1111 1111 1234 thanks", "card ****1234 thanks"),
        ("4111.1111.1111.1234", "****1234"),
        ("4111,1111,\n1111/1234.", "****1234."),
        ("you entered four one one one one one one one one one two three four", "you entered ****1234"),
        ("forty one eleven eleven eleven eleven eleven twelve thirty four ok", "****1234 ok"),
        ("Double four, triple one two double five six seven double eight oh o two.", "****8002."),
        ("number for two for two for two for two for two for two for two please", "number ****4242 please"),
        ("4 two 4 two dash 4 two 4 two dash 4 two 4 two", "****4242"),
        ("forty-two forty-two forty-two forty-two forty-two forty-two", "****4242"),
        ("4242\u20134242\u20134242\u20134242", "****4242"),
        ("4242 \u2014 4242 \u2014 4242 \u2014 4242", "****4242"),
        ("4242|4242|4242|4242", "****4242"),
        ("four two four two, um, four two four two, uh, then four two four two", "****4242"),
        ("Karte vier zwei vier zwo vier zwei vier zwei acht null eins drei danke", "Karte ****8013 danke"),
        ("zweiundvierzig zweiundvierzig zweiundvierzig zweiundvierzig zweiundvierzig dreizehn", "****4213"),
        ("quatre deux quatre deux quatre deux quatre deux quatre zéro sept un cinq", "****0715"),
        ("cuatro dos cuatro dos cuatro dos cuatro dos cuatro cero siete nueve", "****4079"),
        ("quattro due quattro due quattro due quattro due quattro zero sette nove", "****4079"),
        ("quarantadue quarantadue quarantadue quarantadue quarantadue ventotto", "****4228"),
        ("vier twee vier twee vier twee vier twee vijf zes tweeënveertig", "****5642"),
        ("quatro dois quatro dois quatro dois quatro dois quatro meia sete um nove", "****6719"),
    ],
)
def test_a_card_number_shows_its_last_four_digits(said, shown):
    assert mask_numbers(said) == shown
    assert mask_numbers(shown) == shown


@pytest.mark.parametrize(
    "said",
    [
        "for your balance press one for our opening hours press two for an adviser press three or hold to go on",
        "call 1 800 555 0199 or +44 20 7946 0018",
        "your balance is one hundred and five dollars and forty two cents",
        "expected it within 12.5s, it came after 13.25s",
        "press one, um, then wait; due in six to twelve weeks, once a month",
        "",
    ],
)
def test_what_is_no_card_number_stays(said):
    assert mask_numbers(said) == said


class ReadsBack:
    """An engine that hears the line read a card back."""

    said = "you entered four two double four two four two four two four two four two four two nine thank you"

    def transcribe(self, _samples):
        return tuple(Word(word, 1.0 + n * 0.15, 1.1 + n * 0.15) for n, word in enumerate(self.said.split()))

    def unknown(self, _text):
        return ()


async def test_what_an_engine_heard_of_a_card_is_told_and_kept_masked(tmp_path):
    line = placed([(1.0, murmur(3, 3.0))], 12).astype(np.float32)
    wav = write_wav(np.stack([np.zeros_like(line), line]), 8000)
    spec = CallSpec.model_validate({"to": "+12025550199", "steps": [{"expect": "Please enter your card number now"}]})
    script = findings.planned(spec.steps, (10,))
    heard = listen(wav, script, PromptLibrary(()), Phrases((), ()), None, ReadsBack)
    (finding,) = findings.findings(spec, heard.report)
    shown = [
        finding.message,
        json.dumps(findings.transcript(heard.report, None)),
        repr(findings.observed_steps(heard.report, 0.0)),
    ]
    baselines = Baselines(tmp_path)
    await compared([finding], heard.report, {0: wav}, Lesson(baselines, "phone", "run-1", PromptLibrary(()), 5.0))
    shown.append(repr(baselines.proposals()))
    for text in shown:
        assert "****2429" in text
        assert "four two" not in text
