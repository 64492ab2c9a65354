"""Media streams of a call: which there are, and the messages that carry its sound to a WebSocket server as Twilio sends them.

`sequenceNumber`, `chunk` and `timestamp` are strings, the sound is mu-law at 8 kHz in frames of 20 ms, and each track counts
its own chunks.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from earwitness.simulator.call import Call
from earwitness.simulator.timeline import StreamStart

FRAME = 0.02  # seconds
FRAME_SAMPLES = 160


@dataclass(frozen=True, slots=True)
class MediaStream:
    """One stream of one call: the `number`th that began."""

    call: Call
    number: int

    @property
    def sid(self) -> str:
        return "MZ" + hashlib.sha256(f"{self.call.sid}/stream/{self.number}".encode()).hexdigest()[:32]

    @property
    def start(self) -> StreamStart:
        """Return the stream as the call's plan has it now; a later plan may end it earlier, and moves its start never."""
        return self.call.plan.ours.streams[self.number]

    @property
    def begins_at(self) -> float:
        """Seconds since the call was created."""
        assert self.call.plan.answered_at is not None, "a stream begins after the answer"
        return self.call.plan.answered_at + self.start.at

    @property
    def ends_at(self) -> float:
        """Seconds since the call was created, as far as is known now."""
        assert self.call.plan.answered_at is not None, "a stream begins after the answer"
        return min(self.call.plan.ended_at, self.call.plan.answered_at + self.start.until)

    def status(self, elapsed: float) -> str:
        return "in-progress" if elapsed < self.ends_at else "stopped"


def streams_of(call: Call, elapsed: float) -> list[MediaStream]:
    """Return the streams of `call` that had begun after `elapsed` seconds."""
    answered = call.plan.answered_at
    if answered is None:
        return []
    return [MediaStream(call, n) for n, start in enumerate(call.plan.ours.streams) if answered + start.at <= elapsed]


@dataclass(slots=True)
class StreamMessages:
    """The messages of one stream, each a JSON text. They must be sent in the order in which they are asked for."""

    stream: MediaStream
    sent: int = 0
    chunks: dict[str, int] = field(default_factory=dict)

    def opening(self) -> Iterator[str]:
        """Yield `connected` and `start`."""
        yield json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        order, call = self.stream.start.order, self.stream.call
        start: dict[str, object] = {
            "streamSid": self.stream.sid,
            "accountSid": call.account,
            "callSid": call.sid,
            "tracks": list(order.tracks),
            "customParameters": dict(order.parameters),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        yield self._numbered("start", start)

    def media(self, track: str, at: float, frame: bytes) -> str:
        """Return a frame of mu-law that begins `at` seconds after the stream began."""
        self.chunks[track] = self.chunks.get(track, 0) + 1
        payload = base64.b64encode(frame).decode()
        chunk = str(self.chunks[track])
        return self._numbered(
            "media", {"track": track, "chunk": chunk, "timestamp": str(round(at * 1000)), "payload": payload}
        )

    def stop(self) -> str:
        return self._numbered("stop", {"accountSid": self.stream.call.account, "callSid": self.stream.call.sid})

    def _numbered(self, event: str, body: dict[str, object]) -> str:
        self.sent += 1
        return json.dumps({"event": event, "sequenceNumber": str(self.sent), event: body, "streamSid": self.stream.sid})
