"""Recordings of calls: when they are ready, and what they hold."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from earwitness.audio.wav import write_wav
from earwitness.simulator import mixer
from earwitness.simulator.call import Call, Plan
from earwitness.simulator.line_sound import line_sound
from earwitness.simulator.timeline import RecordingStart
from earwitness.simulator.tones import RATE, Samples

PROCESSING = 2.0  # seconds from the end of the call until the recording is ready
TOO_SHORT, SILENT = 16101, 16102  # Twilio's codes for recordings that were not kept
_SHORTEST = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of one call. Times are seconds since the call was created."""

    sid: str
    call: Call
    start: RecordingStart

    @property
    def begins_at(self) -> float:
        assert self.call.plan.answered_at is not None, "recording begins after the answer"
        return self.call.plan.answered_at + self.start.at

    @property
    def ready_at(self) -> float:
        faults = self.call.plan.faults
        if "recording-never" in faults:
            return float("inf")
        late = faults.number("recording-late", "seconds") if "recording-late" in faults else 0.0
        return self.call.plan.ended_at + PROCESSING + late

    def status(self, elapsed: float) -> str:
        if elapsed < self.call.plan.ended_at:
            return "in-progress"
        if elapsed < self.ready_at:
            return "processing"
        return "absent" if self.error_code() else "completed"

    def error_code(self) -> int | None:
        """Return Twilio's code for why a finished recording was not kept."""
        return _result(self.call.plan, self.start).error_code

    def duration(self) -> float:
        """Seconds."""
        return _result(self.call.plan, self.start).duration

    def wav(self, channels: int) -> bytes:
        """Return a 16-bit WAV of 1 or 2 channels. Raises ValueError for two channels of a mono recording."""
        sound = recorded_sound(self.call.plan, self.start)
        if channels > len(sound):
            raise ValueError("the recording has one channel")
        return write_wav(mixer.mono(sound) if channels < len(sound) else sound, RATE)


@dataclass(frozen=True, slots=True)
class _Result:
    duration: float  # seconds
    error_code: int | None


@lru_cache(maxsize=4096)
def _result(plan: Plan, start: RecordingStart) -> _Result:
    span = mixer.cut(line_sound(plan), start.at, plan.talk)
    if span.shape[1] < _SHORTEST * RATE:
        return _Result(0.0, TOO_SHORT)
    if "recording-absent" in plan.faults or mixer.is_silent(span):
        return _Result(0.0, SILENT)
    return _Result(recorded_sound(plan, start).shape[1] / RATE, None)


def recorded_sound(plan: Plan, start: RecordingStart) -> Samples:
    """Return what a recording of the call holds, shape (channels, n) at 8 kHz."""
    sound, faults = mixer.cut(line_sound(plan), start.at, plan.talk), plan.faults
    if start.trim:
        sound = mixer.trimmed(sound)
    if "recording-truncated" in faults:
        sound = sound[:, : int(sound.shape[1] * faults.number("recording-truncated", "share"))]
    if start.channels == 1:
        return mixer.mono(sound)
    return sound[::-1] if "channels-swapped" in faults else sound


def recordings_of(call: Call, elapsed: float) -> list[Recording]:
    """Return the recordings of `call` that had begun after `elapsed` seconds."""
    if call.plan.answered_at is None:
        return []
    begun = [s for s in call.plan.ours.recordings if call.plan.answered_at + s.at <= elapsed]
    return [Recording(_sid(call, number), call, start) for number, start in enumerate(begun)]


def _sid(call: Call, number: int) -> str:
    return "RE" + hashlib.sha256(f"{call.sid}/{number}".encode()).hexdigest()[:32]
