"""Long waits with little speech, words that must never be heard, and sound that is no speech."""

from pathlib import Path

import numpy as np
import pytest

import earwitness.simulator
from earwitness.audio.prompts import load_prompts
from earwitness.audio.wav import write_wav
from earwitness.model import Effect, Failure
from earwitness.telephony.hearing import UnusableError
from earwitness.telephony.offline import judge_recording
from earwitness.telephony.spec import CallSpec

RATE = 8000
PROMPTS = Path(earwitness.simulator.__file__).parent / "prompts"
SAID = {prompt.name: prompt for prompt in load_prompts(PROMPTS).prompts}
WELCOME = {"expect": SAID["welcome"].text}
ADVISER = {"hold": SAID["mortgage_team"].text, "within": {"major": "300s"}}
PAID = {"expect": SAID["payment_accepted"].text, "within": {"major": "20s"}}


def judged(seconds, events, *steps, noise_from=900.0):
    """Return the findings of a call in which the far end says each prompt at its second; at last there is only loud noise."""
    random = np.random.default_rng(1)
    theirs = random.normal(0, 0.001, int(seconds * RATE)).astype(np.float32)
    loud = theirs[int(noise_from * RATE) :]
    loud[:] = random.normal(0, 0.3, len(loud))
    for at, name in events:
        sound = SAID[name].samples[: len(theirs) - int(at * RATE)]
        theirs[int(at * RATE) :][: len(sound)] += sound
    ours = random.normal(0, 0.0005, len(theirs)).astype(np.float32)
    spec = CallSpec.model_validate({"to": "+12025550199", "steps": list(steps), "length_limit": "15m"})
    wav = write_wav(np.stack([ours, np.clip(theirs, -1, 1)]), RATE, mulaw=True)
    return judge_recording(wav, spec, [PROMPTS]).findings


@pytest.mark.parametrize("hold", [60, 240])
def test_a_silent_hold_however_long_hides_no_speech_and_makes_no_line_poor(hold):
    events = [(1, "welcome"), (hold + 5, "mortgage_team")]
    assert judged(hold + 12, events, WELCOME, ADVISER, {"hang_up": "true"}) == ()


def test_after_a_long_silence_it_is_known_that_somebody_spoke():
    (finding,) = judged(310, [(1, "welcome")], WELCOME, ADVISER)
    assert finding.failure is Failure.PROMPT_MISSING


def test_the_same_words_again_and_again_are_a_hold_and_no_wrong_prompt():
    steps = WELCOME, {**ADVISER, "within": {"major": "60s"}}
    (finding,) = judged(75, [(1, "welcome"), *((n, "still_holding") for n in (10, 30, 50))], *steps)
    assert (finding.failure, finding.effect) == (Failure.HOLD_TOO_LONG, Effect.BLOCKED)
    assert "again and again" in finding.message


@pytest.mark.parametrize(
    "events",
    [
        [(1, "welcome"), (5, "payment_failed"), (12, "payment_accepted")],
        [(1, "welcome"), (5, "payment_accepted"), (10, "technical_difficulties")],
        [(1, "technical_difficulties"), (8, "welcome"), (14, "payment_accepted")],
    ],
    ids=["between", "after", "before"],
)
def test_what_must_not_be_heard_is_a_failure_though_the_goal_is_reached(events):
    findings = judged(22, events, WELCOME, PAID)
    assert [(f.failure, f.effect) for f in findings] == [(Failure.WRONG_PROMPT, Effect.BLOCKED)]
    assert "which means failure" in findings[0].message


def test_an_expected_prompt_may_say_what_must_not_be_heard_elsewhere():
    refused = {"expect": SAID["payment_failed"].text}
    assert judged(14, [(1, "welcome"), (5, "payment_failed")], WELCOME, refused) == ()


def test_loud_noise_is_poor_audio_and_no_dead_air():
    (finding,) = judged(12, [], WELCOME, noise_from=0.0)
    assert finding.failure is Failure.POOR_AUDIO
    assert "nothing but noise" in finding.message


def test_a_recording_longer_than_any_call_is_refused():
    with pytest.raises(UnusableError, match="longer than any call of ours"):
        judged(17 * 60, [(1, "welcome")], WELCOME)
