"""From a recording's bytes to what was heard on it; runs in a worker thread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earwitness.audio.analysis import analyse
from earwitness.audio.fingerprint import fingerprint
from earwitness.audio.frames import RATE, at_telephone_rate
from earwitness.audio.match import Heard, find
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import SHORTEST, PromptLibrary
from earwitness.audio.script import CallReport, PlannedStep, Result
from earwitness.audio.silencing import silence_keys
from earwitness.audio.speech import trimmed
from earwitness.audio.transcript import MakeEngine
from earwitness.audio.wav import mulaw_decode, read_wav, write_wav

_LONGEST = 16 * 60.0  # s; a call is cut after 15 minutes
_CUT = 2.0  # s by which a recording may be shorter than its call; the carrier counts whole seconds


class UnusableError(Exception):
    """There is a recording, but nobody can be judged by it."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard. `cuts` are the sounds of prompts that no reference recording holds yet, as WAV files, by the step's place."""

    report: CallReport
    cuts: Mapping[int, bytes]


def listen(
    wav: bytes,
    script: Sequence[PlannedStep],
    library: PromptLibrary,
    phrases: Phrases,
    call_seconds: float | None,
    make_engine: MakeEngine | None,
    far_end: bytes | None = None,
) -> Hearing:
    """Return what was heard on the recording; `far_end` is the mu-law sound that was streamed live. Raises UnusableError, WavError, ChannelError and EngineError."""
    recording = read_wav(wav)
    if recording.duration < SHORTEST:
        raise UnusableError(f"it holds {recording.duration:.2f}s, too little to hear anything in")
    if recording.duration > _LONGEST:
        raise UnusableError(f"it holds {recording.duration / 60:.0f} min, longer than any call of ours")
    if call_seconds is not None and recording.duration < call_seconds - _CUT:
        raise UnusableError(f"it holds {recording.duration:.1f}s of a call of {call_seconds:.0f}s")
    report = analyse(
        recording, script, library, phrases, make_engine, None if far_end is None else mulaw_decode(far_end)
    )
    return Hearing(report, _cuts(wav, script, report))


def _cuts(wav: bytes, script: Sequence[PlannedStep], report: CallReport) -> dict[int, bytes]:
    """Return the new prompts' sounds, without secret keys; one too short to be recognised again is none."""
    new = [(n, step) for n, step in enumerate(report.steps) if step.result is Result.CHANGED or step.unchecked]
    if not new:
        return {}
    line = at_telephone_rate(read_wav(silence_keys(wav, script, report).wav))
    theirs = line.samples[1 - report.our_channel]
    cuts = {place: theirs[int((step.at or 0.0) * RATE) : int((step.end or 0.0) * RATE)] for place, step in new}
    return {place: write_wav(cut[None], RATE) for place, cut in cuts.items() if trimmed(cut).size >= SHORTEST * RATE}


def same_sound(left: bytes, right: bytes) -> bool:
    """Whether two recordings, WAV files of one channel, hold the same prompt."""
    reference, heard = (trimmed(at_telephone_rate(read_wav(wav)).samples[0]) for wav in (left, right))
    return find(fingerprint(reference), reference, Heard(heard, fingerprint(heard))).whole
