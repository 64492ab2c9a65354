"""What a recording of the call sounds like: both sides on one time axis, through a telephone line.

Channel 0 is what the carrier received (the contact centre), channel 1 what it sent (our side).
"""

import zlib
from collections.abc import Iterable

import numpy as np

from earwitness.audio.wav import mulaw_decode, mulaw_encode
from earwitness.simulator.timeline import Clip, EchoSpan
from earwitness.simulator.tones import RATE, Samples, noise, seconds_to_samples, silence

NOISE_FLOOR = -65.0  # dBFS
_PACKET = 160  # samples, 20 ms
_SILENT_BELOW = -50.0  # dBFS, RMS of 20 ms


def random_of(name: str) -> np.random.Generator:
    """Return a generator of random numbers that is the same for the same name, so that a call always sounds the same."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def laid_out(clips: Iterable[Clip], seconds: float) -> Samples:
    """Return the clips at their places in `seconds` of silence; what overlaps is summed, what hangs over is cut."""
    channel = silence(seconds)
    for clip in clips:
        start = seconds_to_samples(clip.at)
        part = clip.sound[: max(0, len(channel) - start)]
        channel[start : start + len(part)] += part
    return channel


def with_echo(channel: Samples, heard: Samples, spans: Iterable[EchoSpan]) -> Samples:
    """Return `channel` with what was `heard` sent back during `spans`."""
    echoed = channel.copy()
    for span in spans:
        delay = seconds_to_samples(span.delay)
        start, end = seconds_to_samples(span.at), seconds_to_samples(span.at + span.seconds)
        part = heard[start : min(end, len(channel) - delay)]
        echoed[start + delay : start + delay + len(part)] += part
    return echoed


def over_telephone(channel: Samples, random: np.random.Generator) -> Samples:
    """Return the channel with a line's noise floor, after G.711 mu-law."""
    return mulaw_decode(mulaw_encode(channel + noise(len(channel), NOISE_FLOOR, random)))


def degraded(channel: Samples, level: float, random: np.random.Generator) -> Samples:
    """Return the channel noisy and overdriven: at level 0, 0.5, 1 noise at -56, -44, -32 dBFS, and 0, 9, 18 dB too loud."""
    noisy = channel + noise(len(channel), -56 + 24 * level, random)
    driven: Samples = np.clip(noisy * np.float32(10 ** (18 * level / 20)), -0.5, 0.5)
    return driven


def is_silent(sound: Samples) -> bool:
    """Whether nothing in `sound`, shape (channels, n), is louder than a line's noise."""
    return not _loud_packets(sound).any()


def trimmed(sound: Samples) -> Samples:
    """Return `sound`, shape (channels, n), without the silence at its head and tail."""
    loud = np.flatnonzero(_loud_packets(sound))
    return sound[:, loud[0] * _PACKET : (loud[-1] + 1) * _PACKET] if loud.size else sound[:, :0]


def mono(sound: Samples) -> Samples:
    """Return the channels of `sound`, shape (channels, n), mixed into one."""
    mixed: Samples = np.clip(sound.sum(axis=0, keepdims=True), -1, 1)
    return mixed


def cut(sound: Samples, start: float, end: float) -> Samples:
    """Return `sound`, shape (channels, n), from `start` to `end` (seconds)."""
    return sound[:, round(start * RATE) : round(end * RATE)]


def _loud_packets(sound: Samples) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    packets = sound[:, : sound.shape[1] // _PACKET * _PACKET].reshape(len(sound), -1, _PACKET)
    loud: np.ndarray[tuple[int], np.dtype[np.bool_]] = ((packets**2).mean(axis=2) > 10 ** (_SILENT_BELOW / 10)).any(
        axis=0
    )
    return loud
