"""Sound made for tests: murmurs with a voice's pitch, formants and pauses, keys, and what a telephone line does to them."""

import numpy as np

from earwitness.audio.wav import mulaw_decode, mulaw_encode

RATE = 8000
TONES = {
    key: (row, column)
    for row, keys in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
    for column, key in zip((1209, 1336, 1477, 1633), keys, strict=True)
}


def murmur(seed, seconds=3.0, level=-20.0):
    """Return `seconds` of syllables of 90 to 260 ms, each a harmonic series under three formants of its own, some after a hiss."""
    rng = np.random.default_rng(seed)
    pitch = rng.uniform(90, 220)
    parts = []
    while sum(map(len, parts)) < seconds * RATE:
        parts.append(_syllable(rng, pitch * rng.uniform(0.85, 1.2), rng.uniform(0.09, 0.26)))
        if rng.random() < 0.3:
            parts.append(np.zeros(int(rng.uniform(0.02, 0.12) * RATE)))
        if rng.random() < 0.3:
            hiss = rng.normal(size=int(rng.uniform(0.04, 0.1) * RATE)) * 0.1
            parts.append(np.diff(hiss, prepend=0.0))
    sound = np.concatenate(parts)[: int(seconds * RATE)]
    return at_level(sound, level)


def _syllable(rng, pitch, seconds):
    t = np.arange(int(seconds * RATE)) / RATE
    glide = pitch * (1 + rng.uniform(-0.12, 0.12) * t / seconds)
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    formants = np.array([rng.uniform(280, 800), rng.uniform(900, 2200), rng.uniform(2300, 3200)])
    drift = rng.uniform(-250, 250, 3)
    sound = np.zeros(len(t))
    for harmonic in range(1, int(3600 / pitch)):
        frequency = harmonic * glide
        gain = sum(
            10 ** (-0.3 * place) / (1 + ((frequency - f - d * t / seconds) / (60 + 40 * place)) ** 2)
            for place, (f, d) in enumerate(zip(formants, drift, strict=True))
        )
        sound += gain * np.cos(harmonic * phase)
    return sound * np.hanning(len(t)) ** 0.4


def at_level(sound, level):
    return sound * 10 ** (level / 20) / np.sqrt(np.mean(sound**2))


def keys(text, *, on=0.1, off=0.1, level=-16.0):
    parts = []
    t = np.arange(int(on * RATE)) / RATE
    for key in text:
        row, column = TONES[key]
        parts += [
            at_level(np.sin(2 * np.pi * row * t) + np.sin(2 * np.pi * column * t), level),
            np.zeros(int(off * RATE)),
        ]
    return np.concatenate(parts)


def noise(seconds, level, seed=0):
    return at_level(np.random.default_rng(seed).normal(size=int(seconds * RATE)), level)


def placed(parts, seconds, floor=-65.0, seed=0):
    """Return `seconds` of faint noise with each (start, sound) of `parts` added."""
    line = noise(seconds, floor, seed) if floor is not None else np.zeros(int(seconds * RATE))
    for start, sound in parts:
        at = int(start * RATE)
        piece = sound[: len(line) - at]
        line[at : at + len(piece)] += piece
    return line


def telephone(sound):
    """Return `sound` after G.711 mu-law."""
    return mulaw_decode(mulaw_encode(sound))


def lossy(sound, share, seed=0):
    """Return `sound` with `share` of its 20 ms packets lost and filled with silence."""
    out = sound.copy()
    lost = np.random.default_rng(seed).random(len(sound) // 160) < share
    for packet in np.flatnonzero(lost):
        out[packet * 160 : packet * 160 + 160] = 0.0
    return out
