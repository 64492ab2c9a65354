"""What is kept of a call with secret keys, made here: our own detector must not hear them any more."""

import json
from dataclasses import replace

import numpy as np
import pytest
from murmurs import RATE, keys, murmur, placed, telephone

from earwitness.audio.analysis import analyse
from earwitness.audio.dtmf import find_keys
from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.restoring import restore_keys
from earwitness.audio.script import PlannedStep, Result
from earwitness.audio.silencing import silence_keys
from earwitness.audio.speech import level
from earwitness.audio.wav import Recording, WavError, read_wav, write_wav
from earwitness.telephony.findings import transcript

CARD = "4111111111111111#"
SCRIPT = (
    PlannedStep("listen", "listen", wait=4),
    PlannedStep("press 2", "press", keys="2"),
    PlannedStep("pause", "pause", wait=2),
    PlannedStep("press card", "press", keys=CARD, secret=True),
    PlannedStep("listen", "listen", wait=4),
)
MENU_AT, CARD_AT, SECONDS = 4.2, 6.5, 16.0
ECHO = 0.35  # seconds
KEYS = ((MENU_AT, keys("2")), (CARD_AT, keys(CARD)))


def call(*ours, echo=0.1, rate=RATE):
    """Return the two channels of a call with `ours`, (second, sound), echoed by the far end."""
    echoes = [(at + ECHO, sound * echo) for at, sound in ours]
    theirs = telephone(placed([(0.5, murmur(1, 3)), (CARD_AT + 4.5, murmur(2, 2)), *echoes], SECONDS, seed=1))
    both = np.stack([theirs, telephone(placed(ours, SECONDS, floor=None))]).astype(np.float32)
    return both if rate == RATE else np.repeat(both, rate // RATE, axis=1)


def kept(samples, *, script=SCRIPT, reported=True, rate=RATE, mulaw=False):
    wav = write_wav(samples, rate, mulaw=mulaw)
    report = analyse(read_wav(wav), script, PromptLibrary()) if reported else None
    return silence_keys(wav, script, report)


def heard(wav):
    samples = read_wav(wav).samples
    return ["".join(key.key for key in find_keys(channel)) for channel in samples]


def test_the_card_is_silent_on_both_channels_and_the_rest_sounds_as_it_did():
    samples = call(*KEYS)
    assert heard(write_wav(samples, RATE)) == ["2" + CARD, "2" + CARD]
    silenced = kept(samples)
    assert heard(silenced.wav) == ["2", "2"]
    after = read_wav(silenced.wav)
    assert (after.rate, after.samples.shape) == (RATE, samples.shape)
    assert [end - start for start, end in silenced.spans] == pytest.approx([len(CARD) * 0.2 + ECHO + 0.3], abs=0.2)
    before = read_wav(write_wav(samples, RATE)).samples
    untouched = np.ones(samples.shape[1], bool)
    for start, end in silenced.spans:
        untouched[round(start * RATE) : round(end * RATE)] = False
        assert not after.samples[:, round(start * RATE) : round(end * RATE)].any()
    assert np.array_equal(before[:, untouched], after.samples[:, untouched])


@pytest.mark.parametrize("mulaw", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_neither_codec_nor_order_matters(swapped, mulaw):
    samples = call(*KEYS)[::-1] if swapped else call(*KEYS)
    silenced = kept(samples, mulaw=mulaw)
    assert heard(silenced.wav) == ["2", "2"]
    assert read_wav(silenced.wav).duration == SECONDS


def test_other_sampling_rates_are_silenced_at_the_right_places():
    silenced = kept(call(*KEYS, rate=16000), rate=16000)
    recording = read_wav(silenced.wav)
    assert (recording.rate, recording.duration) == (16000, SECONDS)
    assert heard(write_wav(recording.samples[:, ::2], RATE)) == ["2", "2"]


def test_an_echo_too_faint_to_be_found_is_silent_too():
    silenced = kept(call(*KEYS, echo=10 ** (-45 / 20)))
    start, end = (round((CARD_AT + at) * RATE) for at in (0.0, 3.5))
    assert not read_wav(silenced.wav).samples[:, start:end].any()


def test_keys_of_a_step_that_was_not_judged_are_secret_all_the_same():
    script = (PlannedStep("expect", "expect", wait=4, expect=("Welcome",)), *SCRIPT[1:])
    dead = call(*KEYS)
    dead[0] = 0.0
    wav = write_wav(dead, RATE)
    report = analyse(read_wav(wav), script, PromptLibrary())
    assert report.steps[3].result is Result.NOT_JUDGED
    assert heard(silence_keys(wav, script, report).wav) == ["", ""]


def test_a_number_that_was_sent_in_part_is_no_less_secret():
    silenced = kept(call(KEYS[0], (CARD_AT, keys(CARD[:6]))))
    assert heard(silenced.wav) == ["2", "2"]


def test_what_resembles_keys_in_the_far_ends_own_sound_stays():
    samples = call(*KEYS)
    samples[0] += placed([(1.0, keys("55")), (14.5, keys("9"))], SECONDS, floor=None).astype(np.float32)
    silenced = kept(samples)
    assert len(silenced.spans) == 1
    assert heard(silenced.wav)[1] == "2"
    assert heard(silenced.wav)[0].endswith("9")


def test_without_a_report_every_key_goes():
    assert heard(kept(call(*KEYS), reported=False).wav) == ["", ""]
    mono = call(*KEYS).mean(axis=0)
    assert heard(kept(mono, reported=False).wav) == [""]


def test_a_script_without_secrets_leaves_the_file_as_it_is():
    script = (SCRIPT[0], SCRIPT[1])
    wav = write_wav(call(KEYS[0]), RATE)
    assert silence_keys(wav, script, None).wav is wav


def test_what_cannot_be_read_is_an_error():
    with pytest.raises(WavError):
        silence_keys(b"RIFF", SCRIPT, None)


def test_the_sound_that_was_analysed_is_not_changed():
    recording = Recording(RATE, call(*KEYS))
    wav = write_wav(recording.samples, RATE)
    kept(recording.samples)
    assert write_wav(recording.samples, RATE) == wav


SAYS = (
    PlannedStep("listen", "listen", wait=4),
    PlannedStep("press 2", "press", keys="2"),
    PlannedStep("say hello", "say"),
    PlannedStep("pause", "pause", wait=2),
    PlannedStep("say ****", "say", secret=True),
    PlannedStep("listen", "listen", wait=4),
)
HELLO, NUMBER = (5.0, murmur(7, 1.5)), (8.5, murmur(8, 2.0))


def loudness(wav, start, end):
    samples = read_wav(wav).samples[:, round(start * RATE) : round(end * RATE)]
    return [level(channel) for channel in samples]


def test_secret_words_are_silent_on_both_channels_and_others_are_kept():
    samples = call(KEYS[0], HELLO, NUMBER)
    script = (*SAYS[:5], PlannedStep("pause", "pause", wait=4))
    silenced = kept(samples, script=script)
    assert max(loudness(silenced.wav, NUMBER[0], NUMBER[0] + 2.0)) < -90
    assert loudness(silenced.wav, HELLO[0], HELLO[0] + 1.5)[1] > -40
    assert heard(silenced.wav)[1] == "2"
    before, again = (
        analyse(read_wav(wav), script, PromptLibrary()) for wav in (write_wav(samples, RATE), silenced.wav)
    )
    assert before.steps[4].result is Result.OK
    assert again.steps[4].result is not Result.OK
    told = json.loads(json.dumps(transcript(before, silenced)))
    restored = analyse(read_wav(restore_keys(silenced.wav, script, told)), script, PromptLibrary())
    assert [step.result for step in restored.steps] == [step.result for step in before.steps]
    assert restored.steps[4].at == pytest.approx(before.steps[4].at, abs=0.1)
    assert kept(samples, script=(*SAYS[:4], replace(SAYS[4], secret=False))).spans == ()


def test_secret_words_are_silent_where_nobody_could_tell_which_they_were():
    silenced = kept(call(KEYS[0], HELLO, NUMBER), script=SAYS, reported=False)
    for at, sound in (HELLO, NUMBER):
        assert max(loudness(silenced.wav, at, at + len(sound) / RATE)) < -90
