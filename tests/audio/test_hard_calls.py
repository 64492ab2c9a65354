"""Made calls with their truth, by the benchmark's own corpus: every way to fail once or more, on lines that nobody complains of.

Only the simulator's recorded voice speaks, so that the calls are the same on every machine.
"""

import numpy as np
import pytest
from bench import call_sounds
from bench.bench_hearing import judged
from bench.call_corpus import made
from bench.call_faults import FAULTS
from bench.call_line import Line
from bench.hearing_corpus import CorpusError, read_corpus, write_corpus
from murmurs import RATE, keys, murmur, noise, placed, telephone

from earwitness.audio.cadences import find_cadences
from earwitness.audio.line import Line as FarEnd
from earwitness.audio.listener import Listener
from earwitness.audio.sinusoids import find_bursts
from earwitness.audio.tones import ToneName

CLEAN = Line(level=-20.0, snr=38.0, seed=3)
ON_THIS_LINE = [fault.name for fault in FAULTS if fault.name not in ("noise", "clipping", "packet loss", "no media")]


def right(case):
    found, report, _ = judged(case)
    said = [] if report is None else [f"{step.step.title[:30]}: {step.result} {step.note}" for step in report.steps]
    return found in case.acceptable, f"{case.detail}: {found}; {said}"


@pytest.mark.parametrize("fault", [fault.name for fault in FAULTS])
def test_each_way_to_fail_is_told_apart(fault):
    line = CLEAN if fault in ON_THIS_LINE else None
    ok, why = right(made(5, fault, line, only_recorded=True))
    assert ok, why


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_found_on_healthy_calls(seed):
    ok, why = right(made(100 + seed, "healthy", CLEAN, only_recorded=True))
    assert ok, why


def test_prompts_are_found_where_they_begin():
    errors = []
    for seed in range(3):
        case = made(200 + seed, "healthy", CLEAN, only_recorded=True)
        _, report, _ = judged(case)
        errors += [abs(report.steps[place].at - onset) for place, onset in case.onsets.items()]
    assert np.median(errors) < 0.01
    assert max(errors) < 0.05


def test_a_corpus_written_is_the_one_that_is_read(tmp_path):
    case = made(5, "menu again", CLEAN, only_recorded=True)
    write_corpus(tmp_path, [case])
    (read,) = read_corpus(tmp_path)
    assert (read.script, read.failure, read.acceptable) == (case.script, case.failure, case.acceptable)
    assert read.onsets == pytest.approx(case.onsets, abs=0.001)
    assert judged(read)[0] == judged(case)[0]


@pytest.mark.parametrize("text", ["{", "{}", '{"steps": [{"expect": "x"}], "failure": "unheard of"}'])
def test_a_corpus_that_cannot_be_judged_says_which_file(tmp_path, text):
    case = made(5, "menu again", CLEAN, only_recorded=True)
    write_corpus(tmp_path, [case])
    (tmp_path / "calls" / "5.json").write_text(text)
    with pytest.raises(CorpusError, match=r"5\.json"):
        list(read_corpus(tmp_path))


def network(kind, seconds=20.0):
    sound = np.concatenate([call_sounds.silence(0.7), call_sounds.cadence(kind, seconds, -20.0)])
    return telephone(sound + noise(len(sound) / RATE, -60)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (((450,), (1.0, 4.0)), ToneName.RING_BACK),
        (((425,), (1.5, 3.0)), ToneName.RING_BACK),
        (((400,), (0.4, 0.2, 0.4, 2.0)), ToneName.RING_BACK),
        (((450,), (0.35, 0.35)), ToneName.BUSY),
        (((425,), (0.375, 0.375)), ToneName.BUSY),
        (((450,), (0.25, 0.25)), ToneName.REORDER),
        (((400,), (0.4, 0.35, 0.225, 0.525)), ToneName.REORDER),
    ],
)
def test_tones_of_any_country_are_told_by_their_cadence(kind, name):
    (found,) = find_cadences(find_bursts(network(kind)))
    assert found.name is name


def test_the_echo_of_our_keys_does_not_hide_a_tone():
    line = network(((400,), (1.0, 2.0)), 9.0)
    echo = keys("42")
    line[800 : 800 + len(echo)] += echo.astype(np.float32) * 0.2
    (found,) = FarEnd(Listener(line)).cadences_in(0.0, 10.0)
    assert found.name is ToneName.RING_BACK


@pytest.mark.parametrize("seed", range(3))
def test_a_melody_and_a_voice_have_no_cadence(seed):
    tune = call_sounds.music(40.0, np.random.default_rng(seed))
    assert find_cadences(find_bursts(tune.astype(np.float32))) == ()
    assert find_cadences(find_bursts(murmur(seed, 20.0).astype(np.float32))) == ()


def hum(seconds, level):
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 9))
    return call_sounds.at_level(wave, level)


def test_a_hum_is_no_hold_music():
    line = telephone(placed([(1.0, murmur(1, 3.0))], 20) + hum(20, -48)).astype(np.float32)
    assert FarEnd(Listener(line)).music == ()


@pytest.mark.parametrize(("lost", "stopped"), [((), True), (range(60, 300, 20), True), (range(60, 300), False)])
def test_media_that_stop_during_a_wait_are_missed_whatever_packets_were_lost_before(lost, stopped):
    line = telephone(placed([(1.0, murmur(1, 3.0))], 16)).astype(np.float32)
    for packet in lost:  # alone, or so many together that the line is silent by nature
        line[packet * 160 : packet * 160 + 160] = 0.0
    line[int(9.0 * RATE) :] = 0.0
    assert FarEnd(Listener(line)).has_no_media(8.0, 15.0) is stopped


def test_a_beginning_that_an_error_prompt_shares_with_others_is_no_error_prompt():
    ok, why = right(made(301, "other words", only_recorded=True))
    assert ok, why


def test_a_likeness_in_the_middle_of_an_announcement_is_no_cut_prompt():
    ok, why = right(made(302, "unobtainable", only_recorded=True))
    assert ok, why


def test_people_talking_in_the_background_are_no_prompt():
    line = Line(level=-22.0, snr=27.0, noise="babble", seed=9)
    for seed in range(400, 404):
        ok, why = right(made(seed, "then silence", line, only_recorded=True))
        assert ok, why
