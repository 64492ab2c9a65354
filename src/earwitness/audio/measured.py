"""What the detectors measure of a channel's frames, each at most once, whoever asks; and the same of a sound that grows, as a live call's does.

A live call is looked at several times a second. Of each look only the new sound is measured, with as much before it as its first frames need;
what was measured of older frames is kept, as long as somebody may ask for it. What comes of it is what measuring the whole anew gives.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.audio.dtmf import KEY_POWERS, KeyPowers
from earwitness.audio.fingerprint import BAND_ENERGIES
from earwitness.audio.frames import RATE, Floats, Framewise
from earwitness.audio.music import SPECTRAL_PEAKS, SpectralPeaks
from earwitness.audio.sinusoids import PURE_TONES, PureTones
from earwitness.audio.speech import LEVELS
from earwitness.audio.wav import Samples

GRID = 320  # samples: every detector has a frame that begins at each multiple of it

Rows = tuple[NDArray[Any], ...]


class Measured:
    """A channel of shape (n,) at 8 kHz, and what is measured of its frames."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._known: dict[Framewise, Rows] = {}

    def rows(self, what: Framewise) -> Rows:
        """Return what is measured of each frame; the last ones reach beyond the end."""
        if what not in self._known:
            self._known[what] = what.of(self.samples)
        return self._known[what]

    @property
    def levels(self) -> Floats:
        return self.rows(LEVELS)[0]

    @property
    def key_powers(self) -> KeyPowers:
        powers, total = self.rows(KEY_POWERS)
        return powers, total

    @property
    def band_energies(self) -> Floats:
        return self.rows(BAND_ENERGIES)[0]

    @property
    def pure_tones(self) -> PureTones:
        tones, power = self.rows(PURE_TONES)
        return tones, power

    @property
    def spectral_peaks(self) -> SpectralPeaks:
        peaks, power = self.rows(SPECTRAL_PEAKS)
        return peaks, power


class Growing:
    """The latest `kept` seconds of a sound at 8 kHz, and a little more, and what is measured of them. `analysed`: samples looked at so far, all detectors together."""

    def __init__(self, kept: float) -> None:
        self._most = round(kept * RATE)
        self._samples = np.zeros(0, np.float32)
        self._origin = 0  # the first sample that is kept, a multiple of GRID
        self._rows: dict[Framewise, Rows] = {}  # of complete frames, from the origin on
        self.analysed = 0

    @property
    def duration(self) -> float:
        """Seconds of sound that have come."""
        return (self._origin + len(self._samples)) / RATE

    def take(self, samples: Samples) -> None:
        """Append `samples`, and forget what is too old."""
        self._samples = np.concatenate((self._samples, samples))
        spare = (len(self._samples) - self._most) // GRID * GRID
        if spare > self._most // 4:  # not at each time: what is kept is copied
            self._samples, self._origin = self._samples[spare:], self._origin + spare
            self._rows = {what: tuple(part[spare // what.hop :] for part in rows) for what, rows in self._rows.items()}

    def since(self, start: float) -> tuple[float, Measured]:
        """Return the sound from `start` seconds on, or as much of it as is kept, and the second at which it begins: at the next multiple of 40 ms."""
        first = max(self._origin, -(-int(start * RATE) // GRID) * GRID)
        first = min(first, self._origin + len(self._samples) // GRID * GRID)
        return first / RATE, _Part(self, first - self._origin)

    def samples_from(self, first: int) -> Samples:
        return self._samples[first:]

    def rows_from(self, what: Framewise, first: int) -> Rows:
        """Return what is measured of the frames from sample `first` of the kept ones on. Only what is new is measured."""
        known = self._rows.get(what)
        done = 0 if known is None else len(known[0])
        again = min(done, -(-what.before // what.hop))  # frames that give the first new one what lies before it
        new = self._measured(what, (done - again) * what.hop, again)
        rows = new if known is None else tuple(np.concatenate(pair) for pair in zip(known, new, strict=True))
        complete = max(done, (len(self._samples) - what.after) // what.hop + 1)
        self._rows[what] = tuple(part[:complete] for part in rows)
        return tuple(part[first // what.hop :] for part in rows)

    def _measured(self, what: Framewise, start: int, leave: int) -> Rows:
        """Return what is measured of the sound from sample `start` on, without the first `leave` frames."""
        sound = self._samples[start:]
        self.analysed += len(sound)
        return tuple(part[leave:] for part in what.of(sound))


class _Part(Measured):
    """The latest part of a sound that grows, as it is now."""

    def __init__(self, whole: Growing, first: int) -> None:
        super().__init__(whole.samples_from(first))
        self._whole, self._first = whole, first

    def rows(self, what: Framewise) -> Rows:
        if what not in self._known:
            self._known[what] = self._whole.rows_from(what, self._first)
        return self._known[what]
