"""MOS-LQO of a recognised prompt after ITU-T P.862.1 (narrow-band PESQ), a second opinion for people; no verdict uses it.

The package `pesq` is optional: it is compiled at installation, has code of the ITU in it, and OPTICOM sells licences of P.862.
PESQ hears loss, noise and codecs as people do; it is deaf to level, hum and offset, and means nothing where the prompt is another one.
"""

import importlib.util
from collections.abc import Sequence

import numpy as np
import structlog

from earwitness.audio.frames import RATE
from earwitness.audio.match import Match
from earwitness.audio.prompts import Prompt
from earwitness.audio.wav import Samples

_SHORTEST = 0.25  # s, below which PESQ is not defined
_PACKAGE = "pesq"
_log = structlog.get_logger(__name__)


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


def listening_quality_of(recording: Samples, recognised: Sequence[tuple[Prompt, Match]]) -> float | None:
    """Return the mean MOS-LQO of the prompts that were recognised whole; None without the package, or where none could be scored."""
    if not is_installed():
        return None
    scores: list[float] = []
    for prompt, match in recognised:
        try:
            scores.append(listening_quality(prompt.samples, recording, match))
        except PesqError as error:
            _log.info("pesq_gave_no_score", prompt=prompt.name, why=str(error))
    return sum(scores) / len(scores) if scores else None


def _score(reference: Samples, heard: Samples) -> float:
    import pesq  # noqa: PLC0415  # it may not be there, and then this is never reached

    try:
        return float(pesq.pesq(RATE, _pcm(reference), _pcm(heard), "nb"))
    except pesq.PesqError as error:
        raise PesqError(f"PESQ gave no score: {error}") from error


def _pcm(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
