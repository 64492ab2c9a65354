"""One run of a call probe: dial, wait, fetch the recording, listen, say what was found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from earwitness.audio.analysis import analyse
from earwitness.audio.channels import ChannelError
from earwitness.audio.prompts import PromptLibrary, load_prompts
from earwitness.audio.script import CallReport, PlannedStep
from earwitness.audio.silencing import silence_keys
from earwitness.audio.wav import WavError, read_wav
from earwitness.audio.words import PromptError
from earwitness.audio.workers import in_worker
from earwitness.model import Attribution, Evidence, Failure, Finding, Observation, Scalar, Step, Why
from earwitness.probes.context import CallLedger, InterruptedCall, OverBudgetError, RunContext
from earwitness.telephony import findings
from earwitness.telephony.carrier import CarrierCall
from earwitness.telephony.dial_guard import DialRefusedError
from earwitness.telephony.driver import SILENT_NOT_STORED, CallDriver, Ended, Recorded
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.twiml import Plan, PlanTooLongError, PromptLength, compile_plan, step_waits

_CUT = 2.0  # seconds by which a recording may be shorter than its call; the carrier counts whole seconds
_log = structlog.get_logger(__name__)


class _UnusableError(Exception):
    """There is a recording, but nobody can be judged by it."""


@dataclass(slots=True)
class _Seen:
    """What the run has seen so far."""

    findings: list[Finding] = field(default_factory=list)
    steps: tuple[Step, ...] = ()
    evidence: list[Evidence] = field(default_factory=list)
    facts: dict[str, Scalar] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)


class Attempt:
    """One try. Raises ValueError when the run was given no carrier or no ledger."""

    def __init__(self, spec: CallSpec, ctx: RunContext) -> None:
        if ctx.carrier is None or ctx.calls is None:
            raise ValueError("a call probe needs a carrier and a ledger; configure carriers")
        self.spec, self.ctx = spec, ctx
        self.ledger: CallLedger = ctx.calls
        self.driver = CallDriver(spec, ctx, ctx.carrier(spec.carrier), self.ledger)
        self.seen = _Seen(facts={"to": spec.to, "from": self.driver.from_})

    async def run(self) -> Observation:
        prepared = await self._prepared()
        if prepared is None:
            return self._observation()
        library, plan = prepared
        try:
            call = await self.driver.dial(plan.twiml)
        except OverBudgetError:
            return self.ctx.observe(facts=self.seen.facts, skipped="over_budget")
        except DialRefusedError as error:
            return self._unknown(Failure.NOT_ALLOWED_TO_DIAL, str(error), Attribution.MONITOR)
        except CarrierError as error:
            return self._carrier_failed(error)
        await self._keep(plan.masked.encode(), "script", "application/xml", "call-script.xml")
        return await self._finish(call, library)

    async def resume(self, interrupted: InterruptedCall) -> Observation:
        """Take up the call where the earlier process left it. Never dials."""
        self.driver.from_ = interrupted.from_
        self.seen.facts |= {"to": interrupted.to, "from": interrupted.from_}
        try:
            call = await self._left_behind(interrupted)
        except CarrierError as error:
            return await self._lost(f"the monitor was interrupted while it dialled, and {error}")
        if call is None:
            return await self._lost("the monitor was interrupted while it dialled; the carrier knows of no such call")
        prepared = await self._prepared()
        return self._observation() if prepared is None else await self._finish(call, prepared[0])

    async def _left_behind(self, interrupted: InterruptedCall) -> CarrierCall | None:
        if interrupted.sid is not None:
            return self.driver.carrier.adopt(await self.driver.carrier.fetch(interrupted.sid))
        call = await self.driver.find(interrupted.to, interrupted.from_, interrupted.intended_at)
        if call is not None:
            await self.ledger.dialled(call.sid)
        return call

    async def _lost(self, message: str) -> Observation:
        await self.ledger.settle(self.driver.worst_cost)
        return self._unknown(Failure.INTERRUPTED, message, Attribution.MONITOR)

    async def _prepared(self) -> tuple[PromptLibrary, Plan] | None:
        """Return the references and the script; None when they cannot be had, which is noted."""
        try:
            library = await in_worker(load_prompts, self.ctx.prompts)
            plan = compile_plan(self.spec.steps, _lengths(library))
        except (PromptError, PlanTooLongError) as error:
            self._unknown(Failure.MONITOR_ERROR, str(error), Attribution.MONITOR)
            return None
        if plan.seconds > self.spec.length_limit:
            text = (
                f"the steps need up to {plan.seconds:.0f}s, above length_limit ({self.spec.length_limit:g}s); raise it"
            )
            self._unknown(Failure.MONITOR_ERROR, text, Attribution.MONITOR)
            return None
        return library, plan

    async def _finish(self, call: CarrierCall, library: PromptLibrary) -> Observation:
        self.seen.facts["call_sid"] = call.sid
        try:
            ended = await self.driver.follow(call)
        except CarrierError as error:
            await self.ledger.settle(self.driver.worst_cost)
            return self._carrier_failed(error)
        self.ctx.release()
        cost = await self.driver.settle(ended.call)
        self.seen.facts |= {"call_status": ended.call.status, "cost": str(cost), "call_seconds": ended.call.duration}
        if ended.answer is not None:
            self.seen.measures["answer"] = ended.answer
        try:
            await self._judge(ended, library)
        except CarrierError as error:
            return self._carrier_failed(error)
        return self._observation()

    async def _judge(self, ended: Ended, library: PromptLibrary) -> None:
        status = ended.call.status
        if status == "completed":
            await self._hear(ended, library)
        elif status == "busy":
            self._blame(Failure.BUSY, "the line was busy")
        elif status == "no-answer":
            self._blame(Failure.NO_ANSWER, f"nobody answered within {self.spec.ring_timeout:g}s")
        elif status == "failed":
            failure, attribution, message = await self.driver.why_failed(ended.call)
            self._blame(failure, message, attribution)
        else:
            self._unknown(Failure.MONITOR_ERROR, f"the call ended as {status}: somebody at our end stopped it")

    async def _hear(self, ended: Ended, library: PromptLibrary) -> None:
        recorded = await self.driver.recording(ended.call)
        self.seen.facts["recording_sid"] = recorded.sid
        if recorded.wav is None:
            self._no_recording(recorded, ended.call)
            return
        waits = step_waits(self.spec.steps, _lengths(library))
        script = findings.planned(self.spec.steps, waits)
        try:
            report = await in_worker(
                _listen, recorded.wav, script, library, self.spec.must_not_hear, ended.call.duration
            )
        except (WavError, ChannelError, _UnusableError) as error:
            self._unknown(Failure.RECORDING_UNREADABLE, f"the recording cannot be judged: {error}")
            await self._keep_unheard(recorded.wav, script)
            return
        self.seen.findings += findings.findings(self.spec, report)
        self.seen.steps = findings.observed_steps(report, self.seen.measures.get("answer", 0.0))
        self.seen.measures |= findings.measures(report, ended.answer)
        if await self._keep_heard(report, script, recorded.wav):
            await self._delete_recording(recorded.sid)

    async def _keep_heard(self, report: CallReport, script: Sequence[PlannedStep], wav: bytes) -> bool:
        """Keep the transcript always, the sound when somebody will want to hear it. Return whether all of it was kept."""
        silenced = None
        if self.seen.findings or self.ctx.run.why is Why.MANUAL:
            silenced = await in_worker(silence_keys, wav, script, report)
        text = json.dumps(findings.transcript(report, silenced), indent=1).encode()
        kept = await self._keep(text, "transcript", "application/json", "call-transcript.json")
        if silenced is None:
            return kept
        return await self._keep(silenced.wav, "recording", "audio/wav", "call-recording.wav") and kept

    async def _keep_unheard(self, wav: bytes, script: Sequence[PlannedStep]) -> None:
        """Keep a recording that nobody can be judged by, if no secret key can be heard on it. It stays at the carrier."""
        try:
            silenced = await in_worker(silence_keys, wav, script, None)
        except WavError:
            if any(step.secret for step in script):
                _log.info("recording_not_kept", run=self.ctx.run.id, why="secret keys in it could not be silenced")
            else:
                await self._keep(wav, "recording", "application/octet-stream", "call-recording.unreadable")
            return
        await self._keep(silenced.wav, "recording", "audio/wav", "call-recording.wav")

    async def _delete_recording(self, sid: str) -> None:
        try:
            await self.driver.carrier.delete_recording(sid)
            self.seen.facts["recording_deleted"] = True
        except CarrierError as error:
            self.seen.facts["recording_deleted"] = False
            _log.warning("recording_not_deleted", recording_sid=sid, error=str(error))

    def _no_recording(self, recorded: Recorded, call: CarrierCall) -> None:
        """Say what it means that the carrier kept no recording.

        It keeps none of silence. If we pressed a key or spoke, there was no silence, and the recording is the carrier's loss.
        """
        we_sounded = any(step.verb in ("press", "say") for step in self.spec.steps)
        if recorded.error_code == SILENT_NOT_STORED and not we_sounded and (call.duration or 0) > _CUT:
            self._blame(Failure.DEAD_AIR, "nothing was heard from the line: the carrier found the whole call silent")
            return
        code = f" (the carrier's code {recorded.error_code})" if recorded.error_code else ""
        self._unknown(Failure.RECORDING_MISSING, f"the carrier kept no recording of the call{code}")

    async def _keep(self, data: bytes, kind: str, media_type: str, name: str) -> bool:
        kept = await self.ctx.keep(data, kind=kind, media_type=media_type, name=name)
        self.seen.evidence += kept
        return bool(kept)

    def _blame(self, failure: Failure, message: str, attribution: Attribution = Attribution.TARGET) -> None:
        self.seen.findings.append(Finding(failure, message, self.spec.effect, attribution))

    def _unknown(self, failure: Failure, message: str, attribution: Attribution = Attribution.UNKNOWN) -> Observation:
        self._blame(failure, message, attribution)
        return self._observation()

    def _carrier_failed(self, error: CarrierError) -> Observation:
        return self._unknown(error.failure, str(error), error.attribution)

    def _observation(self) -> Observation:
        seen = self.seen
        return self.ctx.observe(
            findings=seen.findings, steps=seen.steps, evidence=seen.evidence, facts=seen.facts, measures=seen.measures
        )


def _lengths(library: PromptLibrary) -> PromptLength:
    """Return the function that tells how long the recordings of a text are, at most, in seconds."""
    return lambda text: max((prompt.duration for prompt in library.find(text)), default=None)


def _listen(
    wav: bytes, script: Sequence[PlannedStep], library: PromptLibrary, errors: Sequence[str], call_seconds: float | None
) -> CallReport:
    """Return what was heard on the recording; runs in a worker thread."""
    recording = read_wav(wav)
    if call_seconds is not None and recording.duration < call_seconds - _CUT:
        raise _UnusableError(f"it holds {recording.duration:.1f}s of a call of {call_seconds:.0f}s")
    return analyse(recording, script, library, errors)
