"""What was to happen on a call, and what was heard to happen: the question and the answer of an analysis."""

from dataclasses import dataclass, field
from enum import StrEnum

from earwitness.audio.quality import Quality


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of the script. `wait`: seconds until the next step; `minor` and `major`: limits on the delay, seconds."""

    title: str
    verb: str  # expect, press, say, listen, pause
    wait: float = 0.0
    keys: str = field(default="", repr=False)  # may be a card number
    secret: bool = False  # whether its keys may be heard in nothing that is kept
    expect: tuple[str, ...] = ()
    misroute: tuple[str, ...] = ()
    minor: float | None = None
    major: float = 10.0


class Result(StrEnum):
    """How a step went. After a fatal one the rest of the call has no meaning and is not judged."""

    OK = "ok"
    SLOW = "slow"  # past the minor limit
    TOO_SLOW = "too_slow"  # past the major limit
    TRUNCATED = "truncated"
    SKIPPED = "skipped"  # not heard, but a later one was
    MISSING = "missing"
    SILENT = "silent"  # nothing was heard of the far end so far
    WRONG = "wrong"
    MISROUTED = "misrouted"
    KEY_IGNORED = "key_ignored"
    UNINTELLIGIBLE = "unintelligible"
    HUNG_UP = "hung_up"
    NOT_SENT = "not_sent"  # our own key or word is not on our channel: the monitor's fault
    NOT_JUDGED = "not_judged"

    @property
    def fatal(self) -> bool:
        return self not in (Result.OK, Result.SLOW, Result.TOO_SLOW, Result.TRUNCATED, Result.SKIPPED)


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


@dataclass(frozen=True, slots=True)
class StepReport:
    """What was heard of a step. `at`: second of the recording at which it began, `delay`: seconds that it was waited for."""

    step: PlannedStep
    result: Result
    note: str = ""
    at: float | None = None
    end: float | None = None
    delay: float | None = None
    score: float | None = None
    heard: tuple[HeardPrompt, ...] = ()
    unchecked: tuple[str, ...] = ()  # texts without a reference recording, when only speech could be judged


@dataclass(frozen=True, slots=True)
class CallReport:
    """The analysis of one recording. `duration` in seconds; `our_channel` is the index of the channel that holds our side."""

    steps: tuple[StepReport, ...]
    quality: Quality | None
    duration: float
    our_channel: int
