"""What the ear is claimed to do, in figures, on sound made here."""

import numpy as np
import pytest
from murmurs import RATE, keys, lossy, murmur, noise, placed, telephone

from earwitness.audio.dtmf import find_keys
from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.frames import at_telephone_rate
from earwitness.audio.match import Heard, Verdict, find
from earwitness.audio.speech import speech, trimmed
from earwitness.audio.wav import Recording

PROMPTS = [murmur(seed, 1.6 + 0.35 * seed) for seed in range(8)]
PRINTS = [fingerprint(prompt) for prompt in PROMPTS]


def hear(line):
    samples = np.asarray(line, np.float32)
    return Heard(samples, fingerprint(samples))


def bad_line(line, seed):
    """Mu-law, noise 20 dB below the speech, 2 % of packets lost."""
    return lossy(telephone(line + noise(len(line) / RATE, -40, seed)), 0.02, seed)


@pytest.mark.parametrize("snr", [20, 10, 5])
def test_every_key_is_heard_under_noise(snr):
    text = "".join(np.random.default_rng(snr).choice(list("0123456789*#ABCD"), 200))
    line = keys(text, on=0.08, off=0.08, level=-20)
    heard = find_keys(telephone(line + noise(len(line) / RATE, -20 - snr, snr)))
    assert "".join(key.key for key in heard) == text


def test_keys_survive_lost_packets():
    text = "0123456789*#" * 15
    heard = "".join(key.key for key in find_keys(lossy(telephone(keys(text)), 0.05)))
    assert heard == text


def test_a_key_is_timed_within_10_ms():
    (key,) = find_keys(telephone(placed([(1.0, keys("5"))], 3)))
    assert key.start == pytest.approx(1.0, abs=0.01)
    assert key.end == pytest.approx(1.1, abs=0.01)


def test_noise_and_silence_hold_no_keys():
    assert find_keys(noise(60, -25, 1)) == ()
    assert find_keys(np.zeros(RATE)) == ()
    assert find_keys(np.zeros(10)) == ()


@pytest.mark.parametrize("which", range(len(PROMPTS)))
def test_a_prompt_is_found_on_a_bad_line_within_20_ms_and_no_other(which):
    at = 0.4 + 0.37 * which
    line = placed([(at, PROMPTS[which])], at + len(PROMPTS[which]) / RATE + 2, seed=which)
    heard = hear(bad_line(line, which))
    found = find(PRINTS[which], PROMPTS[which], heard)
    assert found.verdict is Verdict.MATCH
    assert found.start == pytest.approx(at, abs=0.02)
    assert found.end == pytest.approx(at + len(PROMPTS[which]) / RATE, abs=0.05)
    assert max(found.head, found.tail, found.gap) < 0.1
    others = [find(PRINTS[n], PROMPTS[n], heard) for n in range(len(PROMPTS)) if n != which]
    assert {other.verdict for other in others} == {Verdict.NONE}


@pytest.mark.parametrize(
    "line", [noise(8, -25, 3), np.zeros(8 * RATE), keys("123456789" * 3)], ids=["noise", "silence", "keys"]
)
def test_what_is_no_prompt_matches_none(line):
    heard = hear(line)
    assert {find(print_, prompt, heard).verdict for print_, prompt in zip(PRINTS, PROMPTS, strict=True)} == {
        Verdict.NONE
    }


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8])
@pytest.mark.parametrize("which", [2, 4, 6])
def test_a_prompt_cut_short_says_how_much_of_its_tail_is_missing(which, share):
    prompt = PROMPTS[which]
    cut = int(len(prompt) * share)
    found = find(PRINTS[which], prompt, hear(telephone(placed([(1.0, prompt[:cut])], 9))))
    assert found.verdict is not Verdict.NONE
    lost = (len(prompt) - cut) / RATE
    assert 0.7 * lost < found.tail <= lost + 0.01  # pauses within it do not count
    assert found.head < 0.1


def test_a_prompt_whose_head_was_lost_before_the_window_is_still_placed():
    prompt = PROMPTS[6]
    found = find(PRINTS[6], prompt, hear(telephone(placed([(0.0, prompt[int(1.5 * RATE) :])], 6))))
    assert found.start == pytest.approx(-1.5, abs=0.02)
    assert found.head == pytest.approx(1.5, abs=0.25)


def test_silence_inserted_into_a_prompt_is_measured():
    prompt = PROMPTS[5]
    half = len(prompt) // 2
    line = placed([(1.0, prompt[:half]), (1.0 + half / RATE + 1.2, prompt[half:])], 8)
    assert find(PRINTS[5], prompt, hear(telephone(line))).gap == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("thirds", [(1.0, 12.0, 24.0), (1.0, 2.5, 20.0)])
def test_pieces_that_lie_too_far_apart_are_no_prompt(thirds):
    prompt = PROMPTS[5]
    third = len(prompt) // 3
    line = placed([(at, prompt[n * third : (n + 1) * third]) for n, at in enumerate(thirds)], 28)
    found = find(PRINTS[5], prompt, hear(telephone(line)))
    assert not found.whole
    assert found.end - found.start < 4 + len(prompt) / RATE


def test_only_the_window_asked_for_is_searched():
    samples = telephone(placed([(1.0, PROMPTS[0]), (6.0, PROMPTS[0])], 9))
    print_ = fingerprint(samples)
    assert find(PRINTS[0], PROMPTS[0], Heard(samples, print_, start=4.0)).start == pytest.approx(6.0, abs=0.02)
    assert find(PRINTS[0], PROMPTS[0], Heard(samples, print_, end=4.0)).start == pytest.approx(1.0, abs=0.02)
    assert find(PRINTS[0], PROMPTS[0], Heard(samples, print_, start=2.7, end=5.9)).verdict is Verdict.NONE
    assert find(PRINTS[0], PROMPTS[0], Heard(samples, print_, start=8.99)).verdict is Verdict.NONE


def test_speech_is_segmented_and_noise_is_not_speech():
    line = telephone(placed([(1.0, PROMPTS[0]), (5.0, PROMPTS[3])], 10, floor=-50))
    first, second = speech(line)
    assert first.start == pytest.approx(1.0, abs=0.05)
    assert first.end == pytest.approx(1.0 + len(PROMPTS[0]) / RATE, abs=0.1)
    assert second.start == pytest.approx(5.0, abs=0.05)
    assert first.level == pytest.approx(-20, abs=1.5)
    assert speech(noise(10, -30)) == ()
    assert speech(np.zeros(RATE)) == ()


def test_speech_is_found_between_digital_silences():
    (segment,) = speech(telephone(placed([(2.0, PROMPTS[1])], 8, floor=None)))
    assert segment.start == pytest.approx(2.0, abs=0.05)
    assert segment.duration == pytest.approx(len(PROMPTS[1]) / RATE, abs=0.1)


def test_trimming_leaves_the_speech():
    assert len(trimmed(placed([(1.0, PROMPTS[2])], 6))) / RATE == pytest.approx(len(PROMPTS[2]) / RATE, abs=0.1)
    assert len(trimmed(np.zeros(100))) == 100


@pytest.mark.parametrize("rate", [16000, 44100])
def test_other_sampling_rates_are_brought_to_8_khz(rate):
    t = np.arange(rate * 2) / rate
    tone = np.sin(2 * np.pi * 1000 * t).astype(np.float32)[None]
    resampled = at_telephone_rate(Recording(rate, tone))
    expected = np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE)
    assert resampled.samples.shape == (1, 2 * RATE)
    assert np.abs(resampled.samples[0] - expected)[100:-100].max() < 0.01
