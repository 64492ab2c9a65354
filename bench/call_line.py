"""What a telephone line does to the far end's sound: band, level, noise, drift, jitter, G.711, lost packets, clipping.

Everything is drawn from a generator, so that a seed gives the same line. Sounds are float64, (n,), 8 kHz; times are seconds.
"""

from dataclasses import dataclass

import numpy as np

from bench.call_sounds import at_level
from earwitness.audio.wav import mulaw_decode, mulaw_encode
from earwitness.simulator.tones import RATE, with_level

PACKET = 160  # samples, 20 ms
PITCH = (40, 120)  # samples, 5 to 15 ms: the periods that G.711 Appendix I looks for
FILLS = ("zeros", "repeat", "appendix I")
NOISES = ("white", "pink", "babble", "hum")


@dataclass(frozen=True, slots=True)
class Line:
    """`level` in dBFS of active speech; `snr` in dB, None for a line that is digitally silent between words; `loss` a share of the packets.

    `clipped` is the share of the words' samples that are cut off; `drift` a share by which the far end's clock runs slow; `jitter` how many times
    the jitter buffer inserts or deletes 10 to 40 ms; `dc` an offset; `mended` is the fill of lost packets; `burst` the mean length of a loss.
    """

    level: float = -20.0
    snr: float | None = 40.0
    noise: str = "white"
    loss: float = 0.0
    burst: float = 1.0
    mended: str = "zeros"
    clipped: float = 0.0
    drift: float = 0.0
    jitter: int = 0
    dc: float = 0.0
    seed: int = 0


def usual_line(random, snr=(27.0, 45.0), loss=0.005):
    """Return a line that nobody complains of: `snr` dB at the least, up to `loss` of the packets lost."""
    return Line(
        level=float(random.uniform(-30, -10)),
        snr=None if random.random() < 0.12 else float(random.uniform(*snr)),
        noise=str(random.choice(NOISES)),
        loss=float(random.choice([0.0, random.uniform(0, loss)])),
        burst=float(random.choice([1.0, 1.6])),
        mended=str(random.choice(FILLS)),
        drift=float(random.choice([0.0, random.uniform(-5e-4, 5e-4)])),
        jitter=int(random.choice([0, 0, 1, 3])),
        dc=float(random.choice([0.0, random.uniform(-0.004, 0.004)])),
        seed=int(random.integers(1 << 31)),
    )


def over_line(sound, line, babble, marks):
    """Return `sound` (words at -20 dBFS) as it arrives, and `marks`, seconds in it, at their new places. `babble` is what others say nearby."""
    random = np.random.default_rng(line.seed)
    sound = with_level(_banded(sound, 300, 3400), -20.0) if np.any(sound) else sound
    sound, marks = _drifted(sound, line.drift, marks)
    sound, marks = _jittered(sound, line.jitter, marks, random)
    level = min(line.level, -20.0 - 20 * np.log10(np.abs(sound).max() + 1e-9) - 0.5) if not line.clipped else line.level
    sound = sound * 10 ** ((level + 20) / 20)
    if line.snr is not None:
        sound = sound + at_level(_noise(line.noise, len(sound), babble, random), level - line.snr)
    if line.clipped:
        size = np.abs(sound)
        ceiling = np.quantile(size[size > 10 ** ((level - 25) / 20)], 1 - line.clipped)
        sound = np.clip(sound, -ceiling, ceiling)
    sound = mulaw_decode(mulaw_encode(np.clip(sound + line.dc, -1, 1))).astype(np.float64)
    return _lossy(sound, line, random), marks


def _banded(sound, low, high):
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    edges = 1 / (1 + (low / np.maximum(hertz, 1)) ** 8) / (1 + (hertz / high) ** 16)
    return np.fft.irfft(spectrum * edges, len(sound))


def _drifted(sound, drift, marks):
    if not drift:
        return sound, marks
    places = np.arange(round(len(sound) * (1 + drift))) / (1 + drift)
    return np.interp(places, np.arange(len(sound)), sound), [mark * (1 + drift) for mark in marks]


def _jittered(sound, times, marks, random):
    """Insert (the sound before, again) or delete 10 to 40 ms at so many places."""
    for _ in range(times if len(sound) > 3 * RATE else 0):
        at, size = int(random.integers(RATE, len(sound) - RATE)), int(random.uniform(0.01, 0.04) * RATE)
        if random.random() < 0.5:
            sound = np.concatenate([sound[:at], sound[at - size : at], sound[at:]])
        else:
            sound, size = np.delete(sound, slice(at, at + size)), -size
        marks = [mark + size / RATE if mark * RATE >= at else mark for mark in marks]
    return sound, marks


def _noise(kind, count, babble, random):
    if kind == "babble":
        voices = [np.roll(np.resize(voice, count), int(random.integers(count))) for voice in babble]
        return _banded(sum(voices), 300, 3400)
    if kind == "hum":
        time = np.arange(count) / RATE
        mains = float(random.choice([50.0, 60.0]))
        hum = sum(np.sin(2 * np.pi * mains * k * time + k) / k for k in range(1, 9))
        return hum + 0.2 * random.normal(size=count)
    white = random.normal(size=count)
    if kind == "white":
        return _banded(white, 200, 3600)
    spectrum = np.fft.rfft(white)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), count / RATE * 100)), count)


def _lossy(sound, line, random):
    if not line.loss:
        return sound
    out = sound.copy()
    lost = _losses(len(sound) // PACKET, line, random)
    for packet in np.flatnonzero(lost):
        start = packet * PACKET
        if line.mended == "repeat" and start:
            out[start : start + PACKET] = out[start - PACKET : start]
        elif line.mended == "appendix I" and start >= 3 * PITCH[1]:
            gone = packet - np.flatnonzero(~lost[:packet])[-1] - 1 if (~lost[:packet]).any() else packet
            out[start : start + PACKET] = _concealed(out[:start], gone)
        else:
            out[start : start + PACKET] = 0.0
    return out


def _losses(packets, line, random):
    """Return which packets are lost: two states, after E. N. Gilbert, Bell System Technical Journal 39 (1960)."""
    stay, enter = 1 - 1 / line.burst, line.loss / line.burst / max(1e-9, 1 - line.loss)
    draws, lost, state = random.random(packets), np.zeros(packets, bool), False
    for n in range(packets):
        state = draws[n] < (stay if state else enter)
        lost[n] = state
    return lost


def _concealed(before, gone):
    """Return one packet made of the last pitch period, as G.711 Appendix I does: full for 10 ms, then 20 % less every 10 ms."""
    recent = before[-3 * PITCH[1] :]
    last = recent[-PACKET:]
    lags = range(*PITCH)
    likeness = [
        float(last @ recent[-PACKET - lag : -lag]) / np.sqrt(1e-9 + float(np.sum(recent[-PACKET - lag : -lag] ** 2)))
        for lag in lags
    ]
    period = before[-lags[int(np.argmax(likeness))] :]
    fade = 1 - 0.2 * np.clip((np.arange(PACKET) + gone * PACKET) / (PACKET / 2) - 1, 0, 5)
    return np.resize(period, PACKET) * np.maximum(fade, 0)
