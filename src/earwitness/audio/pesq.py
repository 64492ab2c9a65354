"""MOS-LQO of a recognised prompt after ITU-T P.862.1 (narrow-band PESQ), a second opinion for people; no verdict uses it.

The package `pesq` is optional: it is compiled at installation, has code of the ITU in it, and OPTICOM sells licences of P.862.
PESQ hears loss, noise and codecs as people do; it is deaf to level, hum and offset, and means nothing where the prompt is another one.
"""

import importlib.util

import numpy as np

from earwitness.audio.frames import RATE
from earwitness.audio.match import Match
from earwitness.audio.wav import Samples

_SHORTEST = 0.25  # s, below which PESQ is not defined
_PACKAGE = "pesq"


class PesqError(Exception):
    """No score can be given; the message says why, and what to do."""


def is_installed() -> bool:
    return importlib.util.find_spec(_PACKAGE) is not None


def listening_quality(reference: Samples, recording: Samples, match: Match) -> float:
    """Return the MOS-LQO, 1 to 4.55, of the prompt `reference` where `match` found it in `recording`; both of shape (n,) at 8 kHz.

    Raises PesqError if the package is missing, the prompt was not heard whole, or PESQ finds no speech.
    """
    if not is_installed():
        raise PesqError(
            "the package pesq is not installed; a listening quality needs it: pip install 'earwitness[pesq]'"
        )
    if not match.whole:
        raise PesqError("the prompt was not heard whole; PESQ compares only what is the same words")
    start = max(0, int(match.start * RATE))
    heard = recording[start : max(start, int(match.end * RATE))]
    if min(len(heard), len(reference)) < _SHORTEST * RATE:
        raise PesqError(f"{len(heard) / RATE:.2f}s were heard; PESQ needs {_SHORTEST}s")
    return _score(reference, heard)


def _score(reference: Samples, heard: Samples) -> float:
    import pesq  # noqa: PLC0415  # it may not be there, and then this is never reached

    try:
        return float(pesq.pesq(RATE, _pcm(reference), _pcm(heard), "nb"))
    except pesq.PesqError as error:
        raise PesqError(f"PESQ gave no score: {error}") from error


def _pcm(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
