"""Silenced keys put back where they were, so that a recording that was kept can be judged again: tones of the keys of today's steps.

Where secret words were, noise stands for them.

The transcript that was kept beside the recording says which seconds are silent, and on which channel we were. Nothing is learnt of
the keys that were sent: what is played is what the configuration holds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from earwitness.audio.dtmf import tone
from earwitness.audio.script import PlannedStep
from earwitness.audio.silencing import AFTER, BEFORE
from earwitness.audio.wav import read_wav, write_wav

_TONE = 0.5  # share of a key's time in which it sounds; the rest is the gap
_LEVEL = 0.2  # amplitude of each of the two tones
_WORDS_LEVEL = 0.05  # rms
_KEYS = re.compile(r"[0-9A-D*#]")

Span = tuple[float, float]


class TranscriptError(ValueError):
    """The transcript is none, or one of other steps; the message says which."""


def restore_keys(wav: bytes, script: Sequence[PlannedStep], transcript: Mapping[str, Any]) -> bytes:
    """Return the recording with the secret keys of `script` where `transcript` says that keys were silenced.

    Raises WavError and TranscriptError.
    """
    recording = read_wav(wav)
    try:
        words = _words(script, transcript)
        places = _places(script, transcript, words)
        ours = recording.samples[int(transcript["channels"]["ours"])]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise TranscriptError(
            f"the transcript is no transcript of such a call ({type(error).__name__}: {error})"
        ) from error
    for keys, (start, end) in places:
        _play(ours, recording.rate, keys, start, end)
    for start, end in words:
        _murmur(ours, recording.rate, start, end)
    return write_wav(recording.samples, recording.rate) if places or words else wav


def _words(script: Sequence[PlannedStep], transcript: Mapping[str, Any]) -> list[Span]:
    """Return where secret words of ours were said that were made out."""
    secret = {step.title for step in script if step.verb == "say" and step.secret}
    said = [step for step in transcript["steps"] if step["step"] in secret]
    return [
        span for span in _spans(transcript) if any(step["at"] is not None and _began_in(step, span) for step in said)
    ]


def _spans(transcript: Mapping[str, Any]) -> list[Span]:
    return [(float(start) + BEFORE, float(end) - AFTER) for start, end in (transcript["recording"] or {})["silenced"]]


def _places(
    script: Sequence[PlannedStep], transcript: Mapping[str, Any], words: Sequence[Span]
) -> list[tuple[str, Span]]:
    """Return which keys sound from and to which second."""
    presses = [step for step in script if step.verb == "press"]
    steps = [step for step in transcript["steps"] if str(step["step"]).startswith("press ")]
    if [step.title for step in presses] != [step["step"] for step in steps]:  # what else is expected may have changed
        raise ValueError("other keys were pressed than the probe presses now")
    spans = [span for span in _spans(transcript) if span not in words]
    secret = [(place, "".join(_KEYS.findall(step.keys))) for place, step in enumerate(presses) if step.secret]
    found: list[tuple[str, Span]] = []
    for span in spans:
        inside = [(place, keys) for place, keys in secret if _began_in(steps[place], span)]
        unheard = [(place, keys) for place, keys in secret if steps[place]["at"] is None]
        taken = inside or unheard[:1]
        secret = [pair for pair in secret if pair not in taken]
        if taken:
            found.append(("".join(keys for _, keys in taken), span))
    return found


def _began_in(step: Mapping[str, Any], span: Span) -> bool:
    return step["at"] is not None and span[0] - BEFORE <= float(step["at"]) <= span[1]


def _play(channel: np.ndarray[Any, np.dtype[np.float32]], rate: int, keys: str, start: float, end: float) -> None:
    """Play the keys evenly from `start` to `end`; seconds."""
    each = (end - start) / (len(keys) - 1 + _TONE) if keys else 0.0
    for number, key in enumerate(keys):
        first = round((start + number * each) * rate)
        room = channel[first : first + round(each * _TONE * rate)]
        room += (_LEVEL * tone(key, len(room), rate)).astype(np.float32)


def _murmur(channel: np.ndarray[Any, np.dtype[np.float32]], rate: int, start: float, end: float) -> None:
    """Put noise from `start` to `end`, seconds, which tells that words were said, and when."""
    room = channel[round(start * rate) : round(end * rate)]
    room += np.random.default_rng(0).normal(0.0, _WORDS_LEVEL, len(room)).astype(np.float32)
