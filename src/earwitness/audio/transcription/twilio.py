"""Words that Twilio transcribed: the pure part, from what its API and its callbacks say to words with times.

Three forms: the Transcription of a recording (`transcription_text`, by REST, or `TranscriptionText` in a transcribeCallback), the
callbacks of a real-time `<Start><Transcription>`, and the Sentences of a Conversational Intelligence transcript. Only the last
has times; the words of the others are spread over the speech in the recording.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from earwitness.audio.alignment import Word
from earwitness.audio.speech import speech
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.transcription.spreading import spread
from earwitness.audio.wav import Samples


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something that was said. `start` and `end` in seconds, if they are known."""

    text: str
    confidence: float | None = None
    start: float | None = None
    end: float | None = None


class CarrierTranscript:
    """What Twilio heard on one channel of a recording, as an engine for that channel."""

    def __init__(self, utterances: Iterable[Utterance]) -> None:
        self._utterances = tuple(utterances)

    def transcribe(self, samples: Samples) -> tuple[Word, ...]:
        timed = [u for u in self._utterances if u.start is not None and u.end is not None]
        if len(timed) == len(self._utterances):
            return tuple(
                w for u in timed for w in spread(u.text.split(), [(u.start or 0.0, u.end or 0.0)], u.confidence)
            )
        words = [word for utterance in self._utterances for word in utterance.text.split()]
        return tuple(spread(words, ((s.start, s.end) for s in speech(samples)), self._confidence))

    @property
    def _confidence(self) -> float | None:
        """The least of all, since it is not known which word is where."""
        return min((u.confidence for u in self._utterances if u.confidence is not None), default=None)

    def unknown(self, _text: str) -> tuple[str, ...]:
        return ()


def transcript_of(resource: Mapping[str, Any]) -> Utterance | None:
    """Return the text of a recording's Transcription, or of a transcribeCallback; None while it is in progress. Raises EngineError."""
    status = resource.get("status") or resource.get("TranscriptionStatus")
    text = resource.get("transcription_text", resource.get("TranscriptionText"))
    if status == "in-progress":
        return None
    if status == "completed" and isinstance(text, str):
        return Utterance(text)
    sid = resource.get("sid") or resource.get("TranscriptionSid")
    raise EngineError(f"Twilio did not transcribe the recording: transcription {sid} has the status {status!r}")


def utterance_of(callback: Mapping[str, str], track: str) -> Utterance | None:
    """Return what a callback of a real-time transcription says of `track`, such as inbound_track.

    None for another track, for a result that is not final, and for the events of its start and stop. Raises EngineError
    for transcription-error, and for what is no such callback.
    """
    event = callback.get("TranscriptionEvent", "")
    if event == "transcription-error":
        code, said = callback.get("TranscriptionErrorCode", ""), callback.get("TranscriptionError", "")
        raise EngineError(f"Twilio's real-time transcription failed: {code} {said}".rstrip())
    if event in ("transcription-started", "transcription-stopped"):
        return None
    if event != "transcription-content":
        raise EngineError(f"not a callback of a transcription: TranscriptionEvent is {event!r}")
    if callback.get("Track") != track or callback.get("Final", "true") == "false":
        return None
    return _spoken(callback.get("TranscriptionData", ""))


def _spoken(data: str) -> Utterance:
    try:
        content = json.loads(data)
        return Utterance(str(content["transcript"]), _number(content.get("confidence")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"TranscriptionData of a callback is not JSON with a transcript: {error!r}") from error


def utterances_of(sentences: Iterable[Mapping[str, Any]], channel: int) -> list[Utterance]:
    """Return what was said on the recording's `channel` (`media_channel`, from 1), by the Sentences of a transcript. Raises EngineError."""
    try:
        return [
            Utterance(
                str(sentence["transcript"]),
                _number(sentence.get("confidence")),
                _number(sentence["start_time"]),
                _number(sentence["end_time"]),
            )
            for sentence in sentences
            if sentence["media_channel"] == channel
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"a sentence of Twilio's transcript is not as documented: {error!r}") from error


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
