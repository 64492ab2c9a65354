"""What was to happen on a call, and what was heard to happen: the question and the answer of an analysis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from earwitness.audio.quality import Quality


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of the script. `wait`: seconds until the next step; `minor` and `major`: limits on the delay, seconds."""

    title: str
    verb: str  # expect, hold, press, say, listen, silence, pause, hang_up
    wait: float = 0.0
    keys: str = field(default="", repr=False)  # may be a card number
    secret: bool = False  # whether its keys may be heard in nothing that is kept
    expect: tuple[str, ...] = ()
    misroute: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # of a misroute's text: its name
    minor: float | None = None
    major: float = 10.0
    match_minor: float | None = None  # share of the prompt below which it is only partly what was expected
    match_major: float | None = None  # below which it is not what was expected
    silence: float = 0.0  # seconds that the line must be silent
    optional: bool = False

    @property
    def hears(self) -> bool:
        """Whether the step waits for a prompt."""
        return self.verb in ("expect", "hold")


class Result(StrEnum):
    """How a step went. After a fatal one the rest of the call has no meaning and is not judged."""

    OK = "ok"
    LEFT_OUT = "left_out"  # optional, and not there
    SLOW = "slow"  # past the minor limit
    TOO_SLOW = "too_slow"  # past the major limit
    HELD_LONG = "held_long"  # on hold past the minor limit
    HELD_TOO_LONG = "held_too_long"  # past the major limit
    STILL_HOLDING = "still_holding"  # on hold for all of the wait
    PARTLY = "partly"  # less of it was recognised than the minor limit of its match asks for
    CHANGED = "changed"  # other words, fluently said, and the call went on to its goal
    TRUNCATED = "truncated"
    SKIPPED = "skipped"  # not heard, but a later one was
    MISSING = "missing"
    SILENT = "silent"  # nothing was heard of the far end so far
    NO_MEDIA = "no_media"  # no sound at all came from the far end, not even its noise
    WRONG = "wrong"
    MISROUTED = "misrouted"
    KEY_IGNORED = "key_ignored"
    UNINTELLIGIBLE = "unintelligible"
    HUNG_UP = "hung_up"
    BUSY = "busy"  # the busy tone
    CONGESTED = "congested"  # the network's tone for no circuit
    UNOBTAINABLE = "unobtainable"  # special information tones
    STILL_RINGING = "still_ringing"
    FAX = "fax"
    NOISY_LINE = "noisy_line"  # the line was never silent
    NOT_SENT = "not_sent"  # our own key or word is not on our channel: the monitor's fault
    NOT_JUDGED = "not_judged"

    @property
    def fatal(self) -> bool:
        return self not in _GOES_ON


_GOES_ON = frozenset(
    {
        Result.OK,
        Result.LEFT_OUT,
        Result.SLOW,
        Result.TOO_SLOW,
        Result.HELD_LONG,
        Result.HELD_TOO_LONG,
        Result.PARTLY,
        Result.CHANGED,
        Result.TRUNCATED,
        Result.SKIPPED,
        Result.NOISY_LINE,
    }
)


@dataclass(frozen=True, slots=True)
class HeardPrompt:
    """A prompt of the library that was recognised; seconds into the recording."""

    name: str
    text: str
    start: float
    end: float
    score: float
    coverage: float
    whole: bool  # or only a part of it
    last_part: float = 0.0  # when the last part of it begins that was heard


@dataclass(frozen=True, slots=True)
class StepReport:
    """What was heard of a step. `at`: second of the recording at which it began, `delay`: seconds that it was waited for.

    `share` is how much of the expected prompt was recognised, `method` by what: its sound, its loudness or its words.
    """

    step: PlannedStep
    result: Result
    note: str = ""
    at: float | None = None
    end: float | None = None
    delay: float | None = None
    score: float | None = None
    share: float | None = None
    method: str = ""
    heard: tuple[HeardPrompt, ...] = ()
    words: str = ""  # what an engine transcribed where the prompt was expected
    lost: float = 0.0  # seconds of the prompt that are missing at its ends
    foreign: bool = False  # words that no reference recording holds, and none of them means failure
    unchecked: tuple[str, ...] = ()  # texts without a reference recording, when only speech could be judged


@dataclass(frozen=True, slots=True)
class CallMeasures:
    """What a call was like. Seconds, dB, counts; None where there was nothing to measure."""

    dead_air: float  # the longest silence of the far end while we waited for it
    talk_over: float  # both sides spoke
    hold: float  # hold music
    keys_sent: int
    keys_heard: int  # on our own channel
    keys_accepted: int  # steps of keys after which the next expected prompt came
    key_delay: float | None  # the longest time from a key to the prompt that answers it
    own_echo: float | None  # our own voice or keys coming back, dB
    own_echo_delay: float | None


@dataclass(frozen=True, slots=True)
class CallReport:
    """The analysis of one recording. `duration` in seconds; `our_channel` is the index of the channel that holds our side."""

    steps: tuple[StepReport, ...]
    quality: Quality | None
    duration: float
    our_channel: int
    measures: CallMeasures
    mos: float | None = None  # MOS-LQO after ITU-T P.862.1, where its package is installed and a prompt was recognised
