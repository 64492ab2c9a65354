"""The carrier's real-time transcription of a call: what its webhook is told of the words that the centre said.

The simulator hears no sound here: it knows what it said. Of a prompt that was cut, it writes as much as was played.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from earwitness.simulator.call import Call
from earwitness.simulator.callbacks import Event, Fields
from earwitness.simulator.ivr import Said
from earwitness.simulator.timeline import TranscriptionStart
from earwitness.simulator.tones import RATE
from earwitness.simulator.voice import recorded_prompts
from earwitness.simulator.wording import UNFORESEEN, WORDING

_LAG = 0.8  # seconds from the end of what was said until it is told
_CONFIDENCE = 0.93
_ERROR = {"TranscriptionError": "the transcription engine is unavailable", "TranscriptionErrorCode": "32651"}


def transcription_events(call: Call) -> list[Event]:
    """Return what the webhooks of the call's transcriptions will be told as its plan is now."""
    return [event for start in call.plan.ours.transcriptions for event in _of(call, start)]


def _of(call: Call, start: TranscriptionStart) -> Iterator[Event]:
    answered, plan = call.plan.answered_at, call.plan
    if answered is None or start.track == "outbound_track":
        return
    if "transcription-fails" in plan.faults:
        yield _event(call, start, answered + start.at, 1, "transcription-error", _ERROR)
        return
    yield _event(call, start, answered + start.at, 1, "transcription-started", {})
    said = [(s, _end(call, s)) for s in plan.theirs.said if s.at >= start.at]
    for number, (prompt, end) in enumerate(said, 2):
        words = _words(prompt, end)
        if words:
            data = json.dumps({"transcript": words, "confidence": _CONFIDENCE})
            content = {"TranscriptionData": data, "Track": "inbound_track", "Final": "true"}
            yield _event(call, start, answered + end + _LAG, number, "transcription-content", content)
    yield _event(call, start, plan.ended_at + _LAG, len(said) + 2, "transcription-stopped", {})


def _end(call: Call, prompt: Said) -> float:
    """Return when the prompt was over, or was cut, seconds since the answer."""
    clip = next((c for c in call.plan.theirs.clips if c.at == prompt.at), None)
    return min(call.plan.talk, prompt.at + (len(clip.sound) / RATE if clip else 0.0))


def _words(prompt: Said, end: float) -> str:
    words = (WORDING.get(prompt.prompt) or UNFORESEEN[prompt.prompt]).split()
    whole = len(recorded_prompts().get(prompt.prompt, ())) / RATE
    heard = round(len(words) * min(1.0, (end - prompt.at) / whole)) if whole else len(words)
    return " ".join(words[:heard])


def _event(call: Call, start: TranscriptionStart, at: float, number: int, name: str, more: Fields) -> Event:
    sid = "GT" + hashlib.sha256(f"{call.sid}/{start.at}".encode()).hexdigest()[:32]
    moment = datetime.fromtimestamp(call.created_at + at, UTC).isoformat(timespec="milliseconds")
    fields = {
        "AccountSid": call.account,
        "CallSid": call.sid,
        "TranscriptionSid": sid,
        "TranscriptionEvent": name,
        "SequenceId": str(number),
        "LanguageCode": start.language,
        "Timestamp": moment.replace("+00:00", "Z"),
        **more,
    }
    return Event(at, f"{sid}/{number}/{name}", start.webhook, partial(dict, fields))
