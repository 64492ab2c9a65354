"""What a probe is given for one run: its ports to the rest of the house. A probe reaches nothing else of ours."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

from earwitness.clock import Clock
from earwitness.config.fields import Money, Spec
from earwitness.model import Channel, Evidence, Finding, Observation, Run, Scalar, Step
from earwitness.probes.hosts import HostMap
from earwitness.probes.http_oauth2 import TokenCache
from earwitness.probes.memo import Memo
from earwitness.transport.redaction import is_long, redacted_document

if TYPE_CHECKING:
    from pathlib import Path

    from earwitness.audio.transcription.base import Engine
    from earwitness.browser.engine import BrowserEngine
    from earwitness.browser.pages import PageBaselines
    from earwitness.telephony.baselines import Baselines
    from earwitness.telephony.carrier import Carrier
    from earwitness.telephony.switchboard import Extension, Switchboard
    from earwitness.transport.client import WebClient

_TEXT = ("text/", "application/json", "application/xml")
_log = structlog.get_logger(__name__)


_BRIEF = 2000  # characters of a text that is stored with each run, sent and listed; evidence has it whole


def _brief(text: str) -> str:
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


class Transcriber(Protocol):
    """Turns speech into words."""

    def script(self, extension: "Extension | None") -> str:
        """Return what the call's script begins with, so that the carrier transcribes; empty where an engine of ours does."""

    async def settled(self, extension: "Extension | None") -> None:
        """Return when the carrier has told what it heard, where it was to listen, or is late with it."""

    def engine(self, texts: Sequence[str], extension: "Extension | None") -> "Engine":
        """Return the engine that listens for `texts`, all that may be said. Takes seconds. Raises EngineError."""


class EvidenceSink(Protocol):
    """Keeps what a run saw. The file is on disk when the call returns. Raises OSError when the disk refuses."""

    async def save(self, data: bytes, *, kind: str, media_type: str, name: str) -> Evidence: ...


class OverBudgetError(Exception):
    """The run would spend more than the budget allows."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What is left to do about a call at the carrier, in `wait` seconds or later, as soon as it lets us."""

    kind: Literal["delete_recordings", "read_price"]
    carrier: str
    call_sid: str
    reason: str
    recording_sid: str | None = None
    wait: float = 0.0


class CallLedger(Protocol):
    """The memory of one run's call, written before each thing that cannot be undone."""

    async def reserve(self, cost: Money) -> None:
        """Set the money aside. Raises OverBudgetError."""

    async def intent(self, to: str, from_: str, script: str) -> None:
        """Record that the next thing to happen is the POST that dials; `script` is what the probe needs to judge the call later."""

    async def dialled(self, sid: str) -> None:
        """Record the carrier's name of the call."""

    async def settle(self, cost: Money) -> None:
        """Replace what was reserved by what it cost."""

    async def leave(self, leftover: Leftover) -> None:
        """Record what is left at the carrier; it is seen to when the run is over."""


@dataclass(frozen=True, slots=True)
class InterruptedCall:
    """A call that was in flight when an earlier process ended. `sid` is None when its POST was never answered."""

    to: str
    from_: str
    intended_at: float
    sid: str | None
    script: str | None = None  # as the ledger was given it


@dataclass(slots=True)
class RunContext:
    """The ports of one run."""

    run: Run
    clock: Clock
    evidence: EvidenceSink
    web: "WebClient | None" = None
    hosts: HostMap = field(default_factory=HostMap)  # whose host it is that fails
    tokens: TokenCache = field(default_factory=TokenCache)  # that earlier runs signed in with
    memo: Memo = field(default_factory=Memo)
    redact: Callable[[str], str] = lambda text: text  # takes out of a text what the configuration lets nobody see
    browser: "BrowserEngine | None" = None
    pages: "PageBaselines | None" = None  # what payment pages delivered, as people accepted it
    calls: CallLedger | None = None
    carrier: "Callable[[str | None], Carrier] | None" = None  # by name; None is the only one
    dial_allowed: frozenset[str] = frozenset()
    prompts: "Path | None" = None  # folder of reference recordings
    baselines: "Baselines | None" = None  # what earlier calls taught
    transcriber: "Transcriber | None" = None  # where an engine is configured
    switchboard: "Switchboard | None" = None  # where what the carrier sends arrives
    on_released: Callable[[], None] = lambda: None
    started_at: float = field(init=False)
    _started: float = field(init=False)
    _lost: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.started_at = self.clock.now()
        self._started = self.clock.monotonic()

    @property
    def prompt_folders(self) -> "list[Path]":
        """Where reference recordings are: the configuration's, and those that people accepted."""
        accepted = self.baselines.accepted if self.baselines is not None and self.baselines.accepted.is_dir() else None
        return [folder for folder in (self.prompts, accepted) if folder is not None]

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock.monotonic() - self._started

    def release(self) -> None:
        """Say that what is left is waiting (for a recording): the probe no longer counts as running."""
        self.on_released()

    async def keep(self, data: bytes, *, kind: str, media_type: str, name: str) -> tuple[Evidence, ...]:
        """Keep a file of evidence. Empty when the disk refuses: what was found holds all the same, and `observe` counts the loss."""
        if media_type.startswith(_TEXT):
            data = await self._redacted(data, media_type)
        try:
            return (await self.evidence.save(data, kind=kind, media_type=media_type, name=name),)
        except OSError as error:
            self._lost += 1
            # The error's own text would name the path.
            why = os.strerror(error.errno) if error.errno is not None else ""
            _log.warning(
                "evidence_not_kept", run=self.run.id, kind=kind, bytes=len(data), error=type(error).__name__, why=why
            )
            return ()

    async def _redacted(self, data: bytes, media_type: str) -> bytes:
        text = data.decode("utf-8", "replace")
        if is_long(text):
            return (await asyncio.to_thread(redacted_document, text, media_type, self.redact)).encode()
        return redacted_document(text, media_type, self.redact).encode()

    def _shown(self, text: str) -> str:
        return _brief(redacted_document(text, "text/plain", self.redact))

    def _told(self, step: Step) -> Step:
        name, note = self._shown(step.name), self._shown(step.note)
        return step if (name, note) == (step.name, step.note) else replace(step, name=name, note=note)

    def _found(self, finding: Finding) -> Finding:
        differences = tuple(map(self._shown, finding.differences))
        return replace(finding, message=self._shown(finding.message), differences=differences)

    def observe(
        self,
        *,
        findings: Sequence[Finding] = (),
        steps: Sequence[Step] = (),
        evidence: Sequence[Evidence] = (),
        facts: dict[str, Scalar] | None = None,
        measures: dict[str, float] | None = None,
        skipped: str | None = None,
    ) -> Observation:
        """Return the observation of this run, with its times filled in and `evidence_lost` among its facts if any was."""
        lost: dict[str, Scalar] = {"evidence_lost": self._lost} if self._lost else {}
        facts = {
            name: _brief(self.redact(fact)) if isinstance(fact, str) else fact for name, fact in (facts or {}).items()
        }
        return Observation(
            run=self.run,
            started_at=self.started_at,
            duration=self.elapsed,
            findings=tuple(map(self._found, findings)),
            steps=tuple(map(self._told, steps)),
            evidence=tuple(evidence),
            facts={**facts, **lost},
            measures=measures or {},
            skipped=skipped,
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of probe: the section of the configuration that describes one, and the function that runs it."""

    channel: Channel
    spec: type[Spec]
    run: Callable[[Any, RunContext], Awaitable[Observation]]
    budget: Callable[[Any], float]  # seconds that a run of this spec may occupy its probe
    resume: Callable[[Any, RunContext, InterruptedCall], Awaitable[Observation]] | None = None
