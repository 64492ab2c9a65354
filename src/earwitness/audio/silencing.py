"""Secret keys and words taken out of a recording before it is kept: whoever plays a DTMF tone can read the digit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from earwitness.audio.dtmf import Key, find_keys
from earwitness.audio.frames import Timed, at_telephone_rate
from earwitness.audio.script import CallReport, PlannedStep, Result
from earwitness.audio.speech import Segment, speech
from earwitness.audio.wav import Recording, Samples, read_wav, write_wav

BEFORE, AFTER = 0.1, 0.3  # s around a key; after it for its echo, which may be too faint to be found
_ECHO = 2.0  # s after a key in which the far end's channel may hold it too
_SAME_NUMBER = 1.0  # s between two keys of one number, with room for one that was not made out
_ROUNDING = 0.005  # s

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Silenced:
    """A WAV file in which `spans`, (start, end) in seconds, are silent on every channel."""

    wav: bytes
    spans: tuple[Span, ...]


def silence_keys(wav: bytes, script: Sequence[PlannedStep], report: CallReport | None) -> Silenced:
    """Return the recording without any key of ours that can be heard on it, but for those of steps that are not secret.

    Where words of ours are secret, all that we say goes but for the words that are not, if they were made out.

    Without a report nobody knows which keys and words those are, and all of them go. A script without a secret leaves the file as it is.
    Raises WavError.
    """
    recording = read_wav(wav)
    if not any(step.secret for step in script):
        return Silenced(wav, ())
    line = at_telephone_rate(recording)
    spans = _joined(_secret_words(line, report)) if any(s.secret and s.verb == "say" for s in script) else []
    for span in spans:
        _silence(line, span)
        _silence(recording, span)
    while found := _joined(_secret_keys(line, report, spans)):
        for span in found:
            _silence(line, span)
            _silence(recording, span)
        spans += found
    return Silenced(write_wav(recording.samples, recording.rate) if spans else wav, tuple(sorted(spans)))


def _secret_words(line: Recording, report: CallReport | None) -> list[Segment]:
    """Return our speech apart from what is no secret; without a report, all speech, since nobody knows who is who."""
    if report is None:
        return [segment for channel in line.samples for segment in _words_on(channel)]
    shown = [
        (step.at, step.end)
        for step in report.steps
        if step.step.verb == "say" and not step.step.secret and step.at is not None and step.end is not None
    ]
    said = _words_on(line.samples[report.our_channel])
    return [word for word in said if not any(start < word.end and word.start < end for start, end in shown)]


def _words_on(channel: Samples) -> tuple[Segment, ...]:
    return speech(channel, find_keys(channel))


def _secret_keys(line: Recording, report: CallReport | None, silent: Sequence[Span]) -> list[Key]:
    """Return the keys that are left: ours, but for those of menus, and among the far end's sound, which may resemble keys, their echo."""
    heard = [find_keys(channel) for channel in line.samples]
    if report is None:
        return [key for keys in heard for key in keys]
    shown = tuple(_shown(report))
    ours = [key for key in heard.pop(report.our_channel) if not _within(key, shown)]
    echoed = [(start, end + _ECHO) for start, end in (*silent, *_joined(ours))]
    return ours + [key for keys in heard for key in keys if _within(key, echoed)]


def _shown(report: CallReport) -> Iterator[Span]:
    """Yield where the keys that are no secret were heard."""
    for step in report.steps:
        if step.step.verb == "press" and not step.step.secret and step.result is Result.OK:
            assert step.at is not None
            assert step.end is not None
            yield step.at - _ROUNDING, step.end + _ROUNDING


def _within(key: Key, spans: Sequence[Span]) -> bool:
    return any(start <= key.start and key.end <= end for start, end in spans)


def _joined(keys: Sequence[Timed]) -> list[Span]:
    """Return the spans to silence: keys, or words, that follow closely are one number, and nothing of it is left between them."""
    spans: list[Span] = []
    for key in sorted(keys, key=lambda key: key.start):
        start, end = max(0.0, key.start - BEFORE), key.end + AFTER
        if spans and start <= spans[-1][1] + _SAME_NUMBER:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _silence(recording: Recording, span: Span) -> None:
    start, end = (round(at * recording.rate) for at in span)
    recording.samples[:, start:end] = 0.0
