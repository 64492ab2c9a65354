import itertools

import numpy as np
import pytest
from murmurs import murmur, placed

from earwitness.audio.frames import RATE
from earwitness.audio.transcription.stretches import at_16_khz, pcm16, stretches


def spans(samples, longest=10.0):
    return [(s.start, s.start + len(s.samples) / RATE) for s in stretches(samples.astype(np.float32), longest)]


def test_only_speech_is_yielded_with_its_time():
    first, second = spans(placed([(2.0, murmur(1, 3.0)), (20.0, murmur(2, 2.0))], 30))
    assert first == pytest.approx((1.75, 5.25), abs=0.1)
    assert second == pytest.approx((19.75, 22.25), abs=0.1)


def test_a_short_pause_does_not_divide():
    assert len(spans(placed([(1.0, murmur(1, 2.0)), (3.7, murmur(2, 2.0))], 8))) == 1
    assert len(spans(placed([(1.0, murmur(1, 2.0)), (4.5, murmur(2, 2.0))], 8))) == 2


def test_twelve_minutes_of_speech_without_a_pause_come_in_short_parts():
    sound = np.tile(murmur(3, 6.0), 120)
    found = spans(sound)
    assert max(end - start for start, end in found) <= 10.6
    assert sum(end - start for start, end in found) == pytest.approx(720, rel=0.1)
    assert all(later[0] >= start for (start, _), later in itertools.pairwise(found))


def test_silence_and_nothing_hold_no_speech():
    assert spans(np.zeros(5 * RATE)) == []
    assert spans(np.zeros(0)) == []


@pytest.mark.parametrize("level", [-10.0, -20.0, -45.0])
def test_every_recording_comes_at_one_level(level):
    (found,) = stretches(placed([(1.0, murmur(1, 3.0, level=level))], 5).astype(np.float32))
    spoken = found.samples[int(0.25 * RATE) : int(3.25 * RATE)]
    assert 20 * np.log10(np.sqrt(np.mean(spoken**2))) == pytest.approx(-26, abs=1.5)
    assert np.abs(found.samples).max() <= 1


def test_twice_the_rate_is_the_same_sound():
    t = np.arange(RATE) / RATE
    twice = at_16_khz(np.sin(2 * np.pi * 440 * t).astype(np.float32))
    assert twice.dtype == np.float32
    assert np.abs(twice - np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / (2 * RATE))).max() < 1e-3


def test_pcm_is_little_endian_and_clipped():
    assert pcm16(np.array([0.0, 1.0, -2.0], np.float32)) == b"\x00\x00\xff\x7f\x01\x80"
