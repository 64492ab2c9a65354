"""TwiML: what Twilio does on our side of the call.

Understood: Pause, Play digits, Say, Hangup, Start/Recording, Start/Stream, Stop/Stream and Start/Transcription. As at Twilio, a document that cannot be parsed ends the call
with an announced application error (12100, 12102), and an element or attribute that is not in the schema is skipped with
warning 12200. This stand-in fetches nothing: `<Play>URL</Play>` is skipped with error 11200.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from earwitness.simulator.carrier_errors import TwilioError
from earwitness.simulator.timeline import (
    Clip,
    KeyPress,
    RecordingStart,
    StreamOrder,
    StreamStart,
    StreamStop,
    TranscriptionStart,
)
from earwitness.simulator.tones import KEY_GAP, KEY_SECONDS, KEYS, RATE, key_tone
from earwitness.simulator.voice import recorded_prompts, spoken
from earwitness.simulator.webhook import RECORDING_EVENTS, Webhook, webhook_of

RECOGNITION_DELAY = 0.06  # seconds from the onset of a tone until the far end knows the key
_WAITS = {"w": 0.5, "W": 1.0}  # seconds
_TRACKS = ("inbound_track", "outbound_track", "both_tracks")


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class PressKeys:
    digits: str  # keys, and w (0.5 s) and W (1 s)


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class StartRecording:
    channels: int
    trim: bool
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True)
class StartStream:
    order: StreamOrder


@dataclass(frozen=True, slots=True)
class StartTranscription:
    webhook: Webhook
    track: str
    language: str


@dataclass(frozen=True, slots=True)
class StopStream:
    name: str


@dataclass(frozen=True, slots=True)
class ApplicationError:
    """Twilio apologises to the line, and hangs up."""


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


Verb = (
    Say | PressKeys | Pause | StartRecording | StartStream | StartTranscription | StopStream | ApplicationError | Hangup
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What Twilio's debugger says of a document; it becomes a Notification of the call."""

    code: int
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    verbs: tuple[Verb, ...]
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class Performance:
    """Our side of the call: what it sounds like, which keys the far end could recognise, and when we had `spoken`."""

    clips: list[Clip] = field(default_factory=list)
    keys: list[KeyPress] = field(default_factory=list)
    recordings: list[RecordingStart] = field(default_factory=list)
    streams: list[StreamStart] = field(default_factory=list)
    stops: list[StreamStop] = field(default_factory=list)
    spoken: list[float] = field(default_factory=list)
    transcriptions: list[TranscriptionStart] = field(default_factory=list)
    ends_at: float = 0.0

    def before(self, moment: float) -> "Performance":
        """Return what is heard before `moment`, the end being then."""
        return Performance(
            [clip.until(moment) for clip in self.clips if clip.at < moment],
            [key for key in self.keys if key.at < moment],
            [start for start in self.recordings if start.at < moment],
            [start for start in self.streams if start.at < moment],
            [stop for stop in self.stops if stop.at < moment],
            [end for end in self.spoken if end < moment],
            [start for start in self.transcriptions if start.at < moment],
            min(self.ends_at, moment),
        )

    def then(self, following: "Performance") -> "Performance":
        """Return this and what follows as one."""
        return Performance(
            self.clips + following.clips,
            self.keys + following.keys,
            self.recordings + following.recordings,
            self.streams + following.streams,
            self.stops + following.stops,
            self.spoken + following.spoken,
            self.transcriptions + following.transcriptions,
            following.ends_at,
        )


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_twiml(text: str) -> Program:
    """Return what Twilio would do with the document; never raises for what stands in it."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return _refused(12100, "Document parse failure: a document type is not allowed")
    try:
        root = ET.fromstring(text)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        return _refused(12100, f"Document parse failure: {error}")
    if root.tag != "Response":
        return _refused(12102, f"Invalid TwiML: the document's root is {root.tag}, not Response")
    reader = _Reader()
    for element in root:
        reader.read(element)
    return Program(tuple(reader.verbs), tuple(reader.notices))


def _refused(code: int, message: str) -> Program:
    return Program((ApplicationError(),), (Notice(code, message),))


class _Reader:
    def __init__(self) -> None:
        self.verbs: list[Verb] = []
        self.notices: list[Notice] = []

    def read(self, element: ET.Element) -> None:
        reader = _VERBS.get(element.tag)
        if reader is None:
            self.warn(f"Invalid content was found starting with element '{element.tag}'")
        else:
            reader(self, element)

    def warn(self, message: str) -> None:
        self.notices.append(Notice(12200, f"Schema validation warning: {message}", warning=True))

    def attributes(self, element: ET.Element, *known: str) -> Mapping[str, str]:
        for name in set(element.attrib) - set(known):
            self.warn(f"Attribute '{name}' is not allowed to appear in element '{element.tag}'")
        return element.attrib

    def pause(self, element: ET.Element) -> None:
        length = self.attributes(element, "length").get("length", "1")
        if not re.fullmatch(r"\d+", length):
            self.warn(f"'{length}' is not a valid length of Pause")
            length = "1"
        self.verbs.append(Pause(float(length)))

    def say(self, element: ET.Element) -> None:
        self.attributes(element, "voice", "language", "loop")
        text = "".join(element.itertext()).strip()
        if text:
            self.verbs.append(Say(text))
        else:
            self.notices.append(Notice(13520, "Say: Invalid text"))

    def play(self, element: ET.Element) -> None:
        digits = self.attributes(element, "digits", "loop").get("digits")
        if digits is None:
            self.notices.append(Notice(11200, "HTTP retrieval failure: this stand-in fetches no sound; use Say"))
        elif set(digits) - set(KEYS) - set(_WAITS):
            self.warn(f"'{digits}' is not a valid value of attribute 'digits'")
        else:
            self.verbs.append(PressKeys(digits))

    def hangup(self, element: ET.Element) -> None:
        self.attributes(element)
        self.verbs.append(Hangup())

    def start(self, element: ET.Element) -> None:
        for child in element:
            if child.tag == "Recording":
                self.recording(child)
            elif child.tag == "Stream":
                self.stream(child)
            elif child.tag == "Transcription":
                self.transcription(child)
            else:
                self.warn(f"Invalid content was found starting with element '{child.tag}'")

    def stop(self, element: ET.Element) -> None:
        for child in element:
            if child.tag == "Stream":
                self.verbs.append(StopStream(self.attributes(child, "name").get("name", "")))
            else:
                self.warn(f"Invalid content was found starting with element '{child.tag}'")

    def recording(self, element: ET.Element) -> None:
        callbacks = ("recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent")
        given = self.attributes(element, "channels", "trim", "track", "name", *callbacks)
        channels = 1 if given.get("channels", "dual") == "mono" else 2
        trim = given.get("trim", "trim-silence") != "do-not-trim"
        webhook = self.webhook(given, "recordingStatusCallback", RECORDING_EVENTS)
        self.verbs.append(StartRecording(channels, trim, webhook))

    def stream(self, element: ET.Element) -> None:
        given = self.attributes(element, "url", "name", "track", "statusCallback", "statusCallbackMethod")
        track = given.get("track", "inbound_track")
        if track not in _TRACKS:
            self.notices.append(Notice(31941, f"Stream - Invalid track configuration: {track!r}"))
        elif not is_stream_url(given.get("url", "")):
            self.notices.append(
                Notice(31920, f"Stream - WebSocket - Handshake error: {given.get('url', '')!r} is no URL")
            )
        else:
            parameters = tuple((p.get("name", ""), p.get("value", "")) for p in element.iter("Parameter"))
            webhook = self.webhook(given, "statusCallback", frozenset({"completed"}))
            self.verbs.append(StartStream(StreamOrder(given["url"], given.get("name", ""), track, parameters, webhook)))

    def transcription(self, element: ET.Element) -> None:
        known = ("statusCallbackUrl", "statusCallbackMethod", "track", "languageCode", "partialResults", "name")
        given = self.attributes(element, *known, "transcriptionEngine", "speechModel", "hints", "profanityFilter")
        form = {
            "statusCallback": given.get("statusCallbackUrl", ""),
            "statusCallbackMethod": given.get("statusCallbackMethod", "POST"),
        }
        webhook = self.webhook(form, "statusCallback", frozenset({"completed"}))
        track = given.get("track", "both_tracks")
        if webhook is None or track not in _TRACKS:
            self.warn("Transcription needs a statusCallbackUrl, and a track that there is")
        else:
            self.verbs.append(StartTranscription(webhook, track, given.get("languageCode", "en-US")))

    def webhook(self, given: Mapping[str, str], name: str, known: frozenset[str]) -> Webhook | None:
        """Return the webhook in the attributes NAME, NAMEMethod and NAMEEvent; one that makes no sense is warned of."""
        try:
            return webhook_of(given, name, known)
        except TwilioError as error:
            self.warn(error.message)
            return None


def is_stream_url(url: str) -> bool:
    """Whether a media stream could be sent there. Twilio takes wss only; ws is for tests on this machine."""
    return urlsplit(url).scheme in ("ws", "wss") and bool(urlsplit(url).hostname)


_VERBS: Mapping[str, Callable[[_Reader, ET.Element], None]] = MappingProxyType(
    {
        "Pause": _Reader.pause,
        "Say": _Reader.say,
        "Play": _Reader.play,
        "Hangup": _Reader.hangup,
        "Start": _Reader.start,
        "Stop": _Reader.stop,
    }
)


# --- doing -----------------------------------------------------------------------------------------------------------


def perform(verbs: Iterable[Verb], at: float) -> Performance:
    """Return what our side does from `at` on, until the verbs run out or hang up."""
    done = Performance(ends_at=at)
    for verb in verbs:
        if isinstance(verb, Hangup):
            break
        _do(verb, done)
        if isinstance(verb, ApplicationError):
            break
    return done


def _do(verb: Verb, done: Performance) -> None:
    match verb:
        case Pause(seconds):
            done.ends_at += seconds
        case Say(text):
            _sound(Clip(done.ends_at, spoken(text)), done)
            done.spoken.append(done.ends_at)
        case PressKeys(digits):
            _press(digits, done)
        case StartRecording(channels, trim, webhook):
            start = RecordingStart(done.ends_at, channels, trim, "StartCallRecordingAPI", webhook)
            done.recordings.append(start)
        case StartStream(order):
            done.streams.append(StreamStart(done.ends_at, order))
        case StartTranscription(webhook, track, language):
            done.transcriptions.append(TranscriptionStart(done.ends_at, webhook, track, language))
        case StopStream(name):
            done.stops.append(StreamStop(done.ends_at, name))
        case ApplicationError():
            _sound(Clip(done.ends_at, recorded_prompts()["application_error"]), done)


def _sound(clip: Clip, done: Performance) -> None:
    done.clips.append(clip)
    done.ends_at += len(clip.sound) / RATE


def _press(digits: str, done: Performance) -> None:
    for digit in digits:
        if digit in _WAITS:
            done.ends_at += _WAITS[digit]
            continue
        done.clips.append(Clip(done.ends_at, key_tone(digit)))
        done.keys.append(KeyPress(done.ends_at + RECOGNITION_DELAY, digit))
        done.ends_at += KEY_SECONDS + KEY_GAP
