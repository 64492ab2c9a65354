"""What happens on a line, in seconds since the call was answered."""

from dataclasses import dataclass

from earwitness.simulator.tones import Samples, seconds_to_samples


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
class RecordingStart:
    """A recording begins. `source` is Twilio's word for what began it."""

    at: float
    channels: int
    trim: bool
    source: str
