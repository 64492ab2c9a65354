"""The peer: prompts found as a textbook would, by normalised cross-correlation of log-mel spectra. Nothing of ours is in it.

Each expected prompt is slid over the far end's log-mel spectrum, 24 bands of 100 to 3800 Hz, frames of 32 ms, 10 ms apart; the mean of each band is
taken away first. It is there if the correlation coefficient passes a threshold that was chosen on made calls.
"""

import numpy as np

RATE, HOP, WIDTH, BANDS = 8000, 80, 256, 24
THRESHOLD = 0.55


def log_mel(samples):
    """Return the log-mel spectrum of `samples`, (n,) at 8 kHz, shape (24, frames)."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, WIDTH // 2), WIDTH)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WIDTH), axis=1)) ** 2
    return np.log(power @ _BANK + 1e-5).T


def _bank():
    edges = 700 * (10 ** (np.linspace(_mel(100), _mel(3800), BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WIDTH, 1 / RATE)
    rise = (hertz[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[None, 2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rise, fall), 0, None)


def _mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


_BANK = _bank()


def find(reference, heard):
    """Return the best correlation of `reference` (24, m) in `heard` (24, n), and the frame at which it begins; (0, 0) where it is too short."""
    width = reference.shape[1]
    if heard.shape[1] < width:
        return 0.0, 0
    template = reference - reference.mean(axis=1, keepdims=True)
    size = 1 << (heard.shape[1] + width).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(template, size)), size).sum(axis=0)
    sums = np.cumsum(np.pad(heard, ((0, 0), (1, 0))), axis=1)
    squares = np.cumsum(np.pad(heard**2, ((0, 0), (1, 0))), axis=1)
    mean, square = sums[:, width:] - sums[:, :-width], squares[:, width:] - squares[:, :-width]
    energy = np.maximum((square - mean**2 / width).sum(axis=0), 1e-9)
    scores = product[: energy.size] / np.sqrt(energy * (template**2).sum())
    place = int(np.argmax(scores))
    return float(scores[place]), place
