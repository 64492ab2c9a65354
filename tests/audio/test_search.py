"""Many references at once: what is found is what a slow, literal search finds, and the coarse look loses nothing."""

import itertools

import numpy as np
import pytest
from lines import LINES, SPEECH, hiss
from murmurs import RATE, lossy, murmur, placed, telephone

from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.lags import best_path, best_sum, lag_scores
from earwitness.audio.listener import Listener
from earwitness.audio.match import NO_MATCH, Heard, find, may_match, search
from earwitness.audio.prompts import Prompt

MURMURS = {f"murmur {seed}": murmur(seed + 300, 1.5 + 0.4 * seed).astype(np.float32) for seed in range(6)}
SOUNDS = SPEECH | MURMURS
PRINTS = {name: fingerprint(sound) for name, sound in SOUNDS.items()}
REFERENCES = [(PRINTS[name], SOUNDS[name]) for name in SOUNDS]
BAD = LINES | {
    "snr 5": lambda sound, seed: telephone(sound + hiss(sound, -25, seed)),
    "loss 10 %": lambda sound, seed: lossy(telephone(sound), 0.1, seed),
    "jitter": lambda sound, seed: telephone(jittered(sound, seed)),
}


def jittered(sound, seed):
    """Return `sound` with 40 to 120 ms left out or inserted every second or so."""
    rng = np.random.default_rng(seed)
    parts, at = [], 0
    while at < len(sound):
        n, slip = int(rng.uniform(0.8, 1.4) * RATE), int(rng.uniform(0.04, 0.12) * RATE)
        parts.append(sound[at : at + n])
        at += n
        if rng.random() < 0.5:
            parts.append(np.zeros(slip))
        else:
            at += slip
    return np.concatenate(parts)


def hear(sound):
    samples = np.asarray(sound, np.float32)
    return Heard(samples, fingerprint(samples))


def literal_scores(reference, recording, segments, lags, step):
    scores = np.zeros((len(segments), lags))
    for (place, (first, last)), lag in itertools.product(enumerate(segments), range(lags)):
        part = recording[:, lag + first * step : lag + (last - 1) * step + 1 : step]
        scores[place, lag] = np.mean(reference[:, first:last] * part)
    return scores


def literal_best(scores, weights, slack, jump):
    """Return the best sum, trying every lag after every lag."""
    total = weights[0] * scores[0]
    for score, weight in zip(scores[1:], weights[1:], strict=True):
        stay = [max(total[max(0, lag - slack) : lag + slack + 1]) for lag in range(len(total))]
        leap = [max(total[: lag + jump + 1]) - 0.3 * max(weights) for lag in range(len(total))]
        total = np.maximum(stay, leap) + weight * score
    return max(total)


@pytest.mark.parametrize("step", [1, 2])
def test_the_agreement_at_each_lag_is_what_its_definition_says(step):
    rng = np.random.default_rng(step)
    reference = np.sign(rng.normal(size=(32, 90))).astype(np.float32)
    recording = np.sign(rng.normal(size=(32, 4300 + 90 * step))).astype(np.float32)
    segments = [(0, 40), (20, 60), (50, 90)]
    scores = lag_scores(reference, recording, segments, 4300, step)
    assert scores == pytest.approx(literal_scores(reference, recording, segments, 4300, step), abs=1e-6)


@pytest.mark.parametrize(("slack", "jump", "lags"), [(3, 15, 200), (2, 7, 60), (0, 1, 9), (3, 15, 10)])
def test_the_best_path_is_the_best_of_all(slack, jump, lags):
    rng = np.random.default_rng(lags)
    for _ in range(20):
        scores, weights = rng.normal(size=(6, lags)).astype(np.float32), rng.uniform(0.1, 1, 6)
        assert best_sum(scores, weights, slack, jump) == pytest.approx(
            literal_best(scores, weights, slack, jump), abs=1e-5
        )
        path = best_path(scores, weights, slack, jump)
        leaps = [step for step in np.diff(path) if abs(step) > slack]
        assert all(step >= -jump for step in leaps)
        worth = sum(w * s[lag] for w, s, lag in zip(weights, scores, path, strict=True))
        assert worth - len(leaps) * 0.3 * max(weights) == pytest.approx(
            best_sum(scores, weights, slack, jump), abs=1e-4
        )


def two_prompts(number):
    names = list(SOUNDS)
    said = [names[(5 * number) % len(names)], names[(5 * number + 11) % len(names)]]
    second = 1.5 + len(SOUNDS[said[0]]) / RATE
    line = placed([(0.5, SOUNDS[said[0]]), (second, SOUNDS[said[1]])], second + 10, seed=number)
    return said, {said[0]: 0.5, said[1]: second}, line


@pytest.mark.parametrize("line", BAD)
def test_of_all_prompts_those_said_are_found_and_the_coarse_look_loses_none(line):
    for number in range(len(line) % 4, 12, 4):
        said, starts, sound = two_prompts(number)
        heard = hear(BAD[line](sound, number))
        closely = [find(print_, sample, heard) for print_, sample in REFERENCES]
        for quick, close in zip(search(REFERENCES, heard), closely, strict=True):
            assert quick in (close, NO_MATCH)
            assert quick == close or not (close.lags and (close.whole or close.clear))
        for name, match in zip(SOUNDS, closely, strict=True):
            assert match.whole == (name in said), (name, match)
            if name in said and line != "jitter":
                assert match.start == pytest.approx(starts[name], abs=0.02)


def test_most_of_what_was_not_said_is_not_looked_at_closely():
    heard = hear(telephone(placed([(0.5, MURMURS["murmur 3"])], 30)))
    assert sum(may_match(PRINTS[name], heard) for name in SPEECH) < len(SPEECH) / 2


def test_a_quarter_of_an_hour_is_searched():
    name = "main_menu"
    line = np.asarray(telephone(placed([(880.0, SPEECH[name])], 900)), np.float32)
    (match,) = search([(PRINTS[name], SPEECH[name])], hear(line))
    assert match.whole
    assert match.start == pytest.approx(880.0, abs=0.02)


def test_a_listener_gives_the_same_answer_whatever_was_asked_before():
    line = np.asarray(telephone(placed([(1.0, SPEECH["welcome"]), (5.0, SPEECH["main_menu"])], 20)), np.float32)
    prompts = [Prompt(name, name, SPEECH[name]) for name in ("welcome", "main_menu", "goodbye")]
    asked = Listener(line)
    everything = asked.identify(prompts, 0.0, 20.0)
    assert [prompt.name for prompt in everything] == ["welcome", "main_menu"]
    assert asked.best(prompts, 4.0, 20.0) == Listener(line).best(prompts, 4.0, 20.0)
    assert asked.identify(prompts[1:2], 0.0, 20.0) == Listener(line).identify(prompts[1:2], 0.0, 20.0)
    assert asked.identify(prompts, 0.0, 20.0) == everything
