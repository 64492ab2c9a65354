"""What receivers put in the place of a lost packet: silence, the packet before, or waveform substitution after ITU-T G.711 Appendix I."""

import numpy as np

PACKET, FRAME = 160, 80  # samples
_LAGS = range(40, 121)  # samples: pitch periods of 5 to 15 ms
_HISTORY = 390  # samples


def lost_packets(sound, share, seed):
    """Return which packets of `sound` are lost: exactly `share` of them, at random places."""
    count = len(sound) // PACKET
    lost = np.zeros(count, bool)
    lost[np.random.default_rng(seed).choice(count, round(share * count), replace=False)] = True
    return lost


def silence(sound, lost):
    received = np.array(sound, float)
    for packet in np.flatnonzero(lost):
        received[packet * PACKET : (packet + 1) * PACKET] = 0.0
    return received


def repetition(sound, lost):
    received = np.array(sound, float)
    for packet in np.flatnonzero(lost):
        if packet:
            received[packet * PACKET : (packet + 1) * PACKET] = received[(packet - 1) * PACKET : packet * PACKET]
    return received


def substitution(sound, lost):
    """Repeat the last pitch period, of more periods as the loss lasts, fading by a fifth every 10 ms, and overlap at the seams."""
    received = np.array(sound, float)
    erased, frame = np.repeat(lost, PACKET // FRAME), 0
    while frame < len(erased):
        if not erased[frame]:
            frame += 1
            continue
        first = frame
        while frame < len(erased) and erased[frame]:
            frame += 1
        if first * FRAME >= _HISTORY:
            _conceal(received, first * FRAME, frame - first)
    return received


def _conceal(received, start, frames):
    history = received[start - _HISTORY : start].copy()
    pitch = _pitch(history)
    overlap = pitch // 4
    rising = np.arange(1, overlap + 1) / overlap
    place = 0
    for frame in range(frames):
        periods = min(frame + 1, 3)
        loop = history[-periods * pitch :].copy()
        before = history[-periods * pitch - overlap : -periods * pitch]
        loop[-overlap:] = history[-overlap:] * (1 - rising) + before * rising
        if frame == 0:
            received[start - overlap : start] = loop[-overlap:]
        piece = loop[(place + np.arange(FRAME)) % len(loop)]
        fade = np.linspace(1 - 0.2 * max(0, frame - 1), 1 - 0.2 * frame, FRAME)
        received[start + frame * FRAME : start + (frame + 1) * FRAME] = piece * np.maximum(fade, 0)
        place = (place + FRAME) % pitch
    end = start + frames * FRAME
    seam = np.arange(min(FRAME, 32 * frames, len(received) - end))
    rest = loop[(place + seam) % len(loop)] * max(0.0, 1 - 0.2 * frames)
    share = seam / max(1, len(seam))
    received[end : end + len(seam)] = rest * (1 - share) + received[end : end + len(seam)] * share


def _pitch(history):
    last = history[-PACKET:]
    return max(_LAGS, key=lambda lag: _likeness(last, history[-PACKET - lag : -lag]))


def _likeness(left, right):
    return float(left @ right) / np.sqrt(max(float(right @ right), 1e-9))


CONCEALMENTS = {"silence": silence, "repetition": repetition, "substitution": substitution}
