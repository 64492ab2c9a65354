"""What happens on a line, in seconds since the call was answered."""

import math
from dataclasses import dataclass

from earwitness.simulator.tones import Samples, seconds_to_samples
from earwitness.simulator.webhook import Webhook


@dataclass(frozen=True, slots=True)
class KeyPress:
    """A key, at the moment when the far end has recognised it."""

    at: float
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A sound that begins at `at`."""

    at: float
    sound: Samples

    def until(self, moment: float) -> "Clip":
        """Return the clip, cut at `moment`."""
        return Clip(self.at, self.sound[: seconds_to_samples(max(0.0, moment - self.at))])


@dataclass(frozen=True, slots=True)
class EchoSpan:
    """For `seconds` from `at`, the far end sends back what it hears, `delay` seconds later."""

    at: float
    seconds: float
    delay: float = 0.25


@dataclass(frozen=True, slots=True)
class TranscriptionStart:
    """The carrier begins to write down what is said on `track`."""

    at: float
    webhook: Webhook
    track: str
    language: str


@dataclass(frozen=True, slots=True)
class RecordingStart:
    """A recording begins. `source` is Twilio's word for what began it."""

    at: float
    channels: int
    trim: bool
    source: str
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """What a media stream is to carry, and where to."""

    url: str
    name: str = ""
    track: str = "inbound_track"
    parameters: tuple[tuple[str, str], ...] = ()
    webhook: Webhook | None = None

    @property
    def tracks(self) -> tuple[str, ...]:
        """Return the tracks as the messages name them: what the carrier hears is inbound, what it says outbound."""
        named = {"inbound_track": ("inbound",), "outbound_track": ("outbound",), "both_tracks": ("inbound", "outbound")}
        return named[self.track]


@dataclass(frozen=True, slots=True)
class StreamStart:
    """A media stream begins, and goes on until `until` or the end of the call."""

    at: float
    order: StreamOrder
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class StreamStop:
    """A stream is stopped: that of the `name`, or the one that was the call's `number`th to begin."""

    at: float
    name: str | None = None
    number: int | None = None

    def stops(self, number: int, start: StreamStart) -> bool:
        return start.at <= self.at and (
            number == self.number or (self.name is not None and start.order.name == self.name)
        )
