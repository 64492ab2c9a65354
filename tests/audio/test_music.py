"""Hold music is told from speech, tones and keys, on bad lines as well."""

import numpy as np
import pytest
from lines import LINES, SPEECH, cadence
from murmurs import RATE, at_level, keys, lossy, murmur, noise, placed, telephone

from earwitness.audio.music import find_music
from earwitness.audio.tones import find_tones
from earwitness.simulator.tones import hold_music

SEMITONE = 2 ** (1 / 12)


def note(hertz, seconds, vibrato, decay=0.0):
    """Return a note of five harmonics whose frequency swings by the share `vibrato`, 5.5 times a second."""
    t = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * hertz * t - vibrato * hertz / 5.5 * np.cos(2 * np.pi * 5.5 * t)
    return sum(np.sin(n * phase) / n for n in range(1, 6)) * np.exp(-decay * t)


def arpeggio(seed):
    rng = np.random.default_rng(seed)
    notes = [note(220 * SEMITONE ** rng.integers(24), 0.35, 0.0, decay=2.0) for _ in range(40)]
    return at_level(np.concatenate(notes), -20)


def chords(seed, vibrato=0.01):
    rng = np.random.default_rng(seed)
    bars = []
    for _ in range(7):
        base = 200 * SEMITONE ** rng.integers(12)
        bars.append(sum(note(base * SEMITONE**step, 2.0, vibrato) for step in (0, 4, 7)))
    return at_level(np.concatenate(bars), -20)


MUSIC = {"simulator": hold_music(14), "arpeggio": arpeggio(1), "chords": chords(2)}
BAD = LINES | {
    "loss 5 %": lambda sound, seed: lossy(telephone(sound), 0.05, seed),
    "faint": lambda sound, _: sound / 5.6,
}


def share(sound):
    return sum(span.duration for span in find_music(np.asarray(sound, np.float32))) / (len(sound) / RATE)


@pytest.mark.parametrize("line", BAD)
@pytest.mark.parametrize("kind", MUSIC)
def test_music_is_music_on_any_line(kind, line):
    assert share(BAD[line](MUSIC[kind], 3)) > 0.8


@pytest.mark.parametrize("line", [line for line in BAD if line not in {"snr 10", "codec"}])
def test_speech_is_no_music(line):
    assert [name for name, sound in SPEECH.items() if share(BAD[line](sound, 1))] == []
    assert share(BAD[line](np.concatenate(list(SPEECH.values())), 2)) == 0
    assert [seed for seed in range(8) if share(BAD[line](murmur(seed, 10), seed))] == []


def test_music_between_words_is_placed():
    line = telephone(placed([(1.0, SPEECH["welcome"]), (5.0, hold_music(12)), (18.0, SPEECH["main_menu"])], 30))
    (span,) = find_music(line)
    assert span.start == pytest.approx(5.0, abs=0.3)
    assert span.end == pytest.approx(17.0, abs=0.3)


@pytest.mark.parametrize(
    "sound",
    [
        cadence(((440, 480), 2), ((), 4), times=4),
        cadence(((425,), 1), ((), 4), times=4),
        cadence(((480, 620), 0.5), ((), 0.5), times=12),
        cadence(((350, 440), 12)),
        keys("123456789" * 6),
        keys("123456789" * 3, on=0.3, off=0.2),
        noise(20, -25),
        np.zeros(20 * RATE),
        np.zeros(10),
    ],
    ids=["us ring", "european ring", "busy", "dial", "keys", "long keys", "noise", "silence", "nothing"],
)
def test_tones_keys_and_noise_are_no_music(sound):
    assert find_music(telephone(sound)) == ()


def test_tones_that_are_known_are_not_searched_again():
    ring = telephone(cadence(((440, 480), 2), ((), 4), times=4))
    assert find_music(ring, find_tones(ring)) == ()
    assert find_music(ring, ()) != ()
