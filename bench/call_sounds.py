"""What is heard on a line besides words: tones of the network by country, hold music, chimes, breaths, clicks.

Cadences and frequencies: ITU-T E.180 supplement 2 (1994) for the countries named, E.180 for special information tones, Telcordia SR-2275 for
those of North America. Sounds are float64, (n,), 8 kHz.
"""

import numpy as np

from earwitness.simulator.tones import KEYS, RATE

RING_BACK = {  # country: frequencies in Hz, and the cadence: seconds on, off, on, off ...
    "us": ((440, 480), (2.0, 4.0)),
    "uk": ((400, 450), (0.4, 0.2, 0.4, 2.0)),
    "de": ((425,), (1.0, 4.0)),
    "fr": ((440,), (1.5, 3.5)),
    "es": ((425,), (1.5, 3.0)),
    "cn": ((450,), (1.0, 4.0)),
    "jp": ((400,), (1.0, 2.0)),
}
BUSY = {
    "us": ((480, 620), (0.5, 0.5)),
    "uk": ((400,), (0.375, 0.375)),
    "de": ((425,), (0.48, 0.48)),
    "fr": ((440,), (0.5, 0.5)),
    "nl": ((425,), (0.5, 0.5)),
    "cn": ((450,), (0.35, 0.35)),
    "au": ((425,), (0.375, 0.375)),
}
REORDER = {
    "us": ((480, 620), (0.25, 0.25)),
    "uk": ((400,), (0.4, 0.35, 0.225, 0.525)),
    "de": ((425,), (0.24, 0.24)),
    "nl": ((425,), (0.25, 0.25)),
}
SIT = {  # kind: frequencies in Hz and lengths in seconds of the three tones
    "intercept": ((913.8, 1370.6, 1776.7), (0.274, 0.274, 0.38)),
    "vacant code": ((985.2, 1370.6, 1776.7), (0.38, 0.274, 0.38)),
    "reorder": ((913.8, 1428.5, 1776.7), (0.274, 0.38, 0.38)),
    "no circuit": ((985.2, 1428.5, 1776.7), (0.38, 0.38, 0.38)),
    "international": ((950.0, 1400.0, 1800.0), (0.33, 0.33, 0.33)),
}
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_SCALE = (262, 294, 330, 349, 392, 440, 494, 523, 587, 659)


def at_level(sound, level):
    """Return `sound` with an RMS of `level`, dBFS."""
    return sound * (10 ** (level / 20) / max(1e-9, float(np.sqrt(np.mean(sound**2)))))


def silence(seconds):
    return np.zeros(round(seconds * RATE))


def tone(frequencies, seconds, level):
    time = np.arange(round(seconds * RATE)) / RATE
    wave = at_level(sum(np.sin(2 * np.pi * hertz * time) for hertz in frequencies), level)
    ramp = np.minimum(1.0, np.arange(len(wave)) / (0.004 * RATE))
    return wave * ramp * ramp[::-1]


def cadence(kind, seconds, level):
    """Return `seconds` of a tone of the network; `kind` is a value of the tables above."""
    frequencies, lengths = kind
    turn = [tone(frequencies, t, level) if n % 2 == 0 else silence(t) for n, t in enumerate(lengths)]
    turn = np.concatenate(turn)
    return np.tile(turn, int(seconds * RATE / len(turn)) + 1)[: round(seconds * RATE)]


def special_information(kind, level):
    frequencies, lengths = SIT[kind]
    return np.concatenate([tone((hertz,), seconds, level) for hertz, seconds in zip(frequencies, lengths, strict=True)])


def keys(text, random, level):
    """Return keys as one sound, 60 to 200 ms each; `w` and `W` are pauses of 0.5 and 1 s."""
    on, off = random.uniform(0.06, 0.2), random.uniform(0.05, 0.15)
    parts = []
    for key in text:
        if key in "wW":
            parts.append(silence(0.5 if key == "w" else 1.0))
            continue
        place = KEYS.index(key)
        parts += [tone((_ROWS[place // 4], _COLUMNS[place % 4]), on, level), silence(off)]
    return np.concatenate(parts)


def music(seconds, random, level=-24.0):
    """Return `seconds` of a tune over a bass, notes of several harmonics that decay or waver; with drums in half of the pieces."""
    beat = random.uniform(0.28, 0.6)
    line, shift = silence(seconds), random.uniform(0.8, 1.3)
    vibrato, drums = random.uniform(0, 0.006), random.random() < 0.5
    for n, at in enumerate(np.arange(0, seconds, beat)):
        if random.random() < 0.85:
            _add(line, at, _note(random.choice(_SCALE) * shift, beat * random.uniform(0.9, 2.2), vibrato, random))
        if n % 4 == 0:
            _add(line, at, 0.8 * _note(random.choice(_SCALE[:5]) * shift / 2, 4 * beat, 0.0, random))
        if drums and n % 2:
            hit = random.normal(size=round(0.08 * RATE))
            _add(line, at, 0.5 * hit * np.exp(-np.arange(len(hit)) / (0.02 * RATE)))
    return at_level(line, level)


def _note(hertz, seconds, vibrato, random):
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * hertz * (time + vibrato * np.sin(2 * np.pi * 5 * time) / (2 * np.pi * 5))
    wave = sum(np.sin(k * phase) / k ** random.uniform(0.8, 2) for k in range(1, 7) if k * hertz < 3600)
    return wave * np.exp(-time / random.uniform(0.3, 1.5)) * np.minimum(1, time / 0.01)


def chime(random, level=-22.0):
    """Return two or three notes, as an announcement begins with."""
    return np.concatenate(
        [tone((float(random.choice(_SCALE)) * 2,), 0.25, level) for _ in range(random.integers(2, 4))]
    )


def breath(random):
    """Return 0.3 s of air, 25 to 35 dB below the words."""
    air = random.normal(size=round(0.3 * RATE)) * np.hanning(round(0.3 * RATE))
    return at_level(air, -20.0 - random.uniform(25, 35))


def click(random):
    return random.uniform(0.2, 0.6) * np.exp(-np.arange(24) / 4.0) * np.cos(np.arange(24) * random.uniform(0.3, 2.5))


def _add(line, at, sound):
    start = round(at * RATE)
    part = sound[: max(0, len(line) - start)]
    line[start : start + len(part)] += part
