"""Healthy and poor lines told apart, with the references of what was said and without; each defect by its name."""

from dataclasses import dataclass

import numpy as np
import pytest
from concealment import CONCEALMENTS, lost_packets, silence
from lines import SPEECH, band_limited, cadence, hiss
from murmurs import RATE, at_level, keys, placed, telephone

from earwitness.audio.dtmf import find_keys
from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.listener import Listener
from earwitness.audio.losses import find_losses
from earwitness.audio.match import Heard, find
from earwitness.audio.quality import POOR, judge_quality
from earwitness.audio.tones import find_tones

PROMPTS = {name: at_level(sound, -20).astype(np.float32) for name, sound in SPEECH.items()}
PRINTS = {name: fingerprint(sound) for name, sound in PROMPTS.items()}
NAMES = list(PROMPTS)
CALLS = 8


@dataclass(frozen=True)
class Call:
    names: tuple[str, ...]
    starts: tuple[float, ...]
    line: np.ndarray


def call(number, prompts=4):
    """Return a call with `prompts` of the prompts, and a floor of noise of -65 dBFS."""
    names = tuple(NAMES[(3 * number + 7 * place) % len(NAMES)] for place in range(prompts))
    starts, at = [], 0.7
    for name in names:
        starts.append(at)
        at += len(PROMPTS[name]) / RATE + 0.9
    said = list(zip(starts, (PROMPTS[name] for name in names), strict=True))
    return Call(names, tuple(starts), placed(said, at + 0.5, seed=number))


def verdicts(said, line):
    """Return the quality of `line`, a call on which `said` was said, without and with the references."""
    samples = np.asarray(telephone(line), np.float32)
    print_ = fingerprint(samples)
    recognised = []
    for name, start in zip(said.names, said.starts, strict=True):
        heard = Heard(samples, print_, start - 0.5, start + len(PROMPTS[name]) / RATE + 0.5)
        match = find(PRINTS[name], PROMPTS[name], heard)
        if match.whole:
            recognised.append((PROMPTS[name], match))
    agreement = float(np.mean([match.score for _, match in recognised])) if recognised else None
    return judge_quality(samples), judge_quality(samples, agreement, recognised)


def pink(sound, level, seed):
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=len(sound)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return at_level(np.fft.irfft(spectrum, len(sound)), level)


def drifted(sound, share):
    """Return `sound` by a clock that is off by `share`."""
    return np.interp(np.arange(int(len(sound) * (1 + share))) / (1 + share), np.arange(len(sound)), sound)


def with_loss(kind, share):
    return lambda line, seed: CONCEALMENTS[kind](telephone(line), lost_packets(line, share, seed))


def with_dropouts(line, seed):
    random = np.random.default_rng(seed)
    torn = line.copy()
    for start in range(0, len(line), RATE):
        hole = torn[start + int(random.uniform(0, 0.7) * RATE) :][: int(0.3 * RATE)]
        hole[:] = 0.00056 * random.normal(size=len(hole))
    return torn


def with_echo(line, delay, gain):
    at = int(delay * RATE)
    return line + 10 ** (gain / 20) * np.pad(line, (at, 0))[: len(line)]


def hum(line, level):
    return line + at_level(np.sin(2 * np.pi * 50 * np.arange(len(line)) / RATE), level)


HEALTHY = {
    "clean": lambda line, _: line,
    "white noise 27 dB below": lambda line, seed: line + hiss(line, -47, seed),
    "pink noise 27 dB below": lambda line, seed: line + pink(line, -47, seed),
    "the telephone's band": lambda line, _: band_limited(line),
    "a drifting clock": lambda line, _: drifted(line, 0.0003),
    "faint": lambda line, _: 0.316 * line,
    "strong": lambda line, _: np.clip(2.5 * line, -1, 1),
    "silence for 0.5 %": with_loss("silence", 0.005),
    "repetition for 0.5 %": with_loss("repetition", 0.005),
    "substitution for 0.5 %": with_loss("substitution", 0.005),
    "a bit of all": lambda line, seed: (
        0.5 * band_limited(drifted(with_loss("silence", 0.005)(line + hiss(line, -48, seed), seed), 0.0001))
    ),
}
POOR_LINES = {
    "silence for 3 %": (with_loss("silence", 0.03), "packet loss"),
    "repetition for 3 %": (with_loss("repetition", 0.03), "packet loss"),
    "substitution for 3 %": (with_loss("substitution", 0.03), "packet loss"),
    "substitution for 6 %": (with_loss("substitution", 0.06), "packet loss"),
    "noise 10 dB below": (lambda line, seed: line + hiss(line, -30, seed), "noise"),
    "pink noise 10 dB below": (lambda line, seed: line + pink(line, -30, seed), "noise"),
    "clipped": (lambda line, _: np.clip(8 * line, -0.5, 0.5), "clipping"),
    "clipped and faint": (lambda line, _: 0.2 * np.clip(8 * line, -0.5, 0.5), "clipping"),
    "hum": (lambda line, _: hum(line, -20), "hum"),
    "offset": (lambda line, _: line + 0.05, "offset"),
    "dropouts": (with_dropouts, "dropouts"),
    "too quiet": (lambda line, _: 0.05 * line, "quiet"),
}
ONLY_WITH_REFERENCE = {
    "echo": (lambda line, _: with_echo(line, 0.2, -12), "echo"),
    "lost before a noisy leg": (
        lambda line, seed: with_loss("substitution", 0.05)(line, seed) + hiss(line, -50, seed),
        "packet loss",
    ),
    "lost before a filter": (lambda line, seed: band_limited(with_loss("silence", 0.05)(line, seed)), "packet loss"),
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_a_healthy_line_is_never_poor(kind):
    for number in range(CALLS):
        said = call(number)
        for quality in verdicts(said, HEALTHY[kind](said.line, number)):
            assert quality.defects == (), (number, quality)
            assert quality.index > POOR


@pytest.mark.parametrize("kind", POOR_LINES)
def test_a_poor_line_is_poor_for_its_defect_with_a_reference_and_without(kind):
    degrade, defect = POOR_LINES[kind]
    for number in range(CALLS):
        said = call(number)
        for quality in verdicts(said, degrade(said.line, number)):
            assert defect in quality.defects, (number, quality)
            assert quality.index <= POOR


@pytest.mark.parametrize("kind", ONLY_WITH_REFERENCE)
def test_what_nobody_hears_alone_is_heard_beside_the_reference(kind):
    degrade, defect = ONLY_WITH_REFERENCE[kind]
    found = 0
    for number in range(CALLS):
        said = call(number)
        alone, beside = verdicts(said, degrade(said.line, number))
        assert defect not in alone.defects
        found += defect in beside.defects
    assert found >= CALLS - 1


@pytest.mark.parametrize("offset", [0.0, 0.004, -0.004])
def test_clipping_counts_on_both_sides_whatever_the_offset(offset):
    for number in range(CALLS):
        said = call(number)
        ceiling = np.quantile(np.abs(said.line[np.abs(said.line) > 0.01]), 0.96)
        clipped = 0.4 * np.clip(said.line, -ceiling, ceiling) + offset
        for quality in verdicts(said, clipped):
            assert quality.clipping > 0.015, (number, quality)


def test_what_only_one_prompt_seems_to_have_is_no_echo_of_the_line():
    for number in range(CALLS):
        said = call(number, prompts=4)
        first, end = (round((at - 0.2) * RATE) for at in said.starts[1:3])
        line = said.line.copy()
        line[first:end] = with_echo(line[first:end], 0.2, -12)
        _, beside = verdicts(said, line)
        assert "echo" not in beside.defects, (number, beside)


@pytest.mark.parametrize("kind", CONCEALMENTS)
def test_short_prompts_are_enough(kind):
    """Four packets of one short prompt, in its speech, against one."""
    for number in range(len(NAMES)):
        said = call(number, prompts=1)
        spoken = said.starts[0] + len(PROMPTS[said.names[0]]) / RATE
        inside = np.arange(int(said.starts[0] * 50) + 10, int(spoken * 50) - 20)
        packets = said.line[: len(said.line) // 160 * 160].reshape(-1, 160)
        audible = inside[(packets[inside] ** 2).mean(axis=1) > 10**-2.5 * (packets[inside] ** 2).mean()]
        lost = np.zeros(len(packets), bool)
        lost[np.random.default_rng(number).choice(audible[::3], len(inside) // 20 + 1, replace=False)] = True
        for quality in verdicts(said, CONCEALMENTS[kind](telephone(said.line), lost)):
            assert "packet loss" in quality.defects, (number, quality.loss)
        lost[np.flatnonzero(lost)[1:]] = False
        for quality in verdicts(said, CONCEALMENTS[kind](telephone(said.line), lost)):
            assert quality.defects == ()


def test_lost_packets_are_placed_and_counted():
    said = call(1)
    line = telephone(said.line)
    lost = np.zeros(len(line) // 160, bool)
    lost[[60, 75, 120]] = True
    found = find_losses(np.asarray(telephone(silence(line, lost)), np.float32))
    assert [start for start, _ in found] == pytest.approx([9600, 12000, 19200], abs=20)
    assert find_losses(np.asarray(line, np.float32)) == ()


def test_a_hole_that_the_reference_has_too_is_no_loss():
    name = "main_menu"
    holes = np.zeros(len(PROMPTS[name]) // 160, bool)
    holes[30:400:20] = True
    reference = silence(PROMPTS[name], holes).astype(np.float32)
    line = np.asarray(telephone(placed([(1.0, reference)], 12)), np.float32)
    match = find(fingerprint(reference), reference, Heard(line, fingerprint(line)))
    assert judge_quality(line, match.score, [(reference, match)]).loss < 0.01


def test_a_gap_and_time_slips_are_measured():
    name = "main_menu"
    prompt = PROMPTS[name]
    third = len(prompt) // 3
    pieces = [prompt[:third], np.zeros(2400), prompt[third : 2 * third], np.zeros(960), prompt[2 * third :]]
    line = np.asarray(telephone(placed([(1.0, np.concatenate(pieces))], 13)), np.float32)
    match = find(PRINTS[name], prompt, Heard(line, fingerprint(line)))
    quality = judge_quality(line, match.score, [(prompt, match)])
    assert "gaps" in quality.defects
    assert quality.gaps == pytest.approx(0.3, abs=0.03)
    assert quality.jitter == pytest.approx(0.12, abs=0.03)


TONES = {
    "keys": keys("4242424242424242#"),
    "short keys": keys("4242424242424242#", on=0.06, off=0.06),
    "uk ring": cadence(((400, 450), 0.4), ((), 0.2), ((400, 450), 0.4), ((), 2), times=3),
    "reorder": cadence(((480, 620), 0.25), ((), 0.25), times=10),
}


@pytest.mark.parametrize("floor", [None, -65.0])
@pytest.mark.parametrize("kind", TONES)
def test_the_pauses_of_tones_and_keys_are_no_lost_packets(kind, floor):
    line = np.asarray(telephone(placed([(1.0, PROMPTS["welcome"]), (5.0, TONES[kind])], 18, floor=floor)), np.float32)
    quality = judge_quality(line)
    assert (quality.loss, quality.defects) == (0.0, ())
    assert judge_quality(line, apart_from=[*find_tones(line), *find_keys(line)]) == quality
    heard = Listener(line).quality()
    assert heard is not None
    assert (heard.loss, heard.defects) == (0.0, ())


def test_what_was_drowned_is_noise_and_silence_is_nothing():
    said = call(2)
    line = np.asarray(said.line + hiss(said.line, -5, 1), np.float32)
    assert judge_quality(line, agreement=0.3).defects == ("noise",)
    assert judge_quality(np.zeros(RATE, np.float32)) is None
    assert judge_quality(np.zeros(10, np.float32)) is None
