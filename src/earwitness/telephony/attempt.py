"""One run of a call probe: dial, wait, fetch the recording, listen, say what was found."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from earwitness.audio.channels import ChannelError
from earwitness.audio.prompts import PromptLibrary, load_prompts
from earwitness.audio.script import PlannedStep
from earwitness.audio.silencing import silence_keys
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.wav import WavError
from earwitness.audio.words import PromptError
from earwitness.audio.workers import in_worker
from earwitness.model import Attribution, Evidence, Failure, Finding, Observation, Scalar, Step, Why
from earwitness.probes.context import CallLedger, InterruptedCall, Leftover, OverBudgetError, RunContext
from earwitness.telephony import changes, findings
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.dial_guard import DialRefusedError
from earwitness.telephony.driver import SILENT_NOT_STORED, CallDriver, Ended, Recorded
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.hearing import Hearing, UnusableError, listen
from earwitness.telephony.live import LiveConversation, live_waits, stream_twiml
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.switchboard import Extension
from earwitness.telephony.twiml import Plan, PlanTooLongError, Timings, compile_plan

_AS_PLANNED = (Failure.WORDS_NOT_CHECKED, Failure.PROMPT_CHANGED)  # findings of calls that others may be timed by
_OF_THE_LINE = (Failure.POOR_AUDIO, Failure.PROMPT_CHANGED)  # findings that hold whoever answers
_NOT_DONE = (Failure.EARLY_HANGUP, Failure.CARRIER_API_FAILED)  # what a step is called that we left out ourselves
_SILENT_CALL = 2.0  # seconds that a call must last before its silence is the far end's
_log = structlog.get_logger(__name__)
_ONLY_EVIDENCE = 7 * 24 * 3600.0  # seconds that a recording stays at the carrier which is kept nowhere else


@dataclass(slots=True)
class _Seen:
    """What the run has seen so far."""

    findings: list[Finding] = field(default_factory=list)
    steps: tuple[Step, ...] = ()
    evidence: list[Evidence] = field(default_factory=list)
    facts: dict[str, Scalar] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)


class Attempt:
    """One try through `carrier`, from one of its numbers. Raises ValueError when the run was given no ledger."""

    def __init__(self, spec: CallSpec, ctx: RunContext, carrier: Carrier, from_: str) -> None:
        if ctx.calls is None:
            raise ValueError("a call probe needs a ledger")
        self.spec, self.ctx = spec, ctx
        self.ledger: CallLedger = ctx.calls
        self.extension = _extension(ctx, carrier)
        self.driver = CallDriver(spec, ctx, carrier, self.ledger, from_, self.extension)
        self.titles = [step.title for step in spec.steps]
        self.left: Leftover | None = None  # recordings at the carrier, from when the call exists until they are deleted
        self.unpriced: Leftover | None = None  # the call's price, until the carrier has told it
        self.seen = _Seen(facts={"to": spec.to, "from": from_, "carrier": carrier.name, "driver": spec.driver})

    async def run(self) -> Observation:
        try:
            return await self._cleared(await self._run())
        finally:
            if self.extension is not None and self.ctx.switchboard is not None:
                self.ctx.switchboard.close(self.extension)

    async def _run(self) -> Observation:
        prepared = await self._prepared()
        if prepared is None:
            return self._observation()
        library, plan = prepared
        live = self._conversation(library)
        if live is None and self.spec.driver == "live":
            return self._unknown(Failure.MONITOR_ERROR, _NOT_LIVE, Attribution.MONITOR)
        try:
            twiml = plan.twiml if live is None else stream_twiml(live.extension, self._opening())
            call = await self.driver.dial(twiml, json.dumps({"steps": self.titles, "waits": plan.waits}))
        except OverBudgetError as error:
            return self.ctx.observe(facts={**self.seen.facts, "over_budget": str(error)}, skipped="over_budget")
        except DialRefusedError as error:
            return self._unknown(Failure.NOT_ALLOWED_TO_DIAL, str(error), Attribution.MONITOR)
        except CarrierError as error:
            return self._carrier_failed(error)
        if live is None:
            await self._keep(plan.masked.encode(), "script", "application/xml", "call-script.xml")
        return await self._finish(call, library, plan, live)

    async def resume(self, interrupted: InterruptedCall) -> Observation:
        """Take up the call where the earlier process left it. Never dials."""
        return await self._cleared(await self._resume(interrupted))

    async def _cleared(self, seen: Observation) -> Observation:
        """Return what was seen; what is left to do at the carrier is put on the list: recordings to delete, a price to read."""
        for left in (self.left, self.unpriced):
            if left is not None:
                await self.ledger.leave(left)
        return seen

    def _owns(self, sid: str) -> None:
        """Note what is to be done about a call of ours, until it is done."""
        self.left = Leftover("delete_recordings", self.driver.carrier.name, sid, "never judged")
        self.unpriced = Leftover("read_price", self.driver.carrier.name, sid, "not told yet")

    async def _resume(self, interrupted: InterruptedCall) -> Observation:
        self.driver.from_ = interrupted.from_
        self.seen.facts |= {"to": interrupted.to, "from": interrupted.from_}
        if interrupted.sid is not None:
            self._owns(interrupted.sid)
        try:
            call = await self._left_behind(interrupted)
        except CarrierError as error:
            return await self._lost(f"the monitor was interrupted while it dialled, and {error}")
        if call is None:
            return await self._lost("the monitor was interrupted while it dialled; the carrier knows of no such call")
        if self.spec.driver == "live":
            await self.driver.hang_up(call)
            return await self._lost(
                "the monitor was interrupted while it talked; nobody else can go on with a conversation"
            )
        waits = self._waits_of(interrupted)
        if waits is None:
            await self.driver.hang_up(call)
            return await self._lost("its steps were edited while it was under way; nobody can judge it by the new ones")
        prepared = await self._prepared()
        if prepared is None:
            return self._observation()
        library, plan = prepared
        return await self._finish(call, library, replace(plan, waits=waits or plan.waits), None)

    def _waits_of(self, interrupted: InterruptedCall) -> tuple[int, ...] | None:
        """Return the waits by which the call went; empty if they are not on record, None if the steps are others now."""
        if interrupted.script is None:
            return ()
        script = json.loads(interrupted.script)
        return tuple(script["waits"]) if script["steps"] == self.titles else None

    async def _left_behind(self, interrupted: InterruptedCall) -> CarrierCall | None:
        if interrupted.sid is not None:
            return self.driver.carrier.adopt(await self.driver.carrier.fetch(interrupted.sid))
        call = await self.driver.find(interrupted.to, interrupted.from_, interrupted.intended_at)
        if call is not None:
            await self.ledger.dialled(call.sid)
            self._owns(call.sid)
        return call

    async def _lost(self, message: str) -> Observation:
        await self.ledger.settle(self.driver.worst_cost)
        return self._unknown(Failure.INTERRUPTED, message, Attribution.MONITOR)

    async def _prepared(self) -> tuple[PromptLibrary, Plan] | None:
        """Return the references and the script; None when they cannot be had, which is noted."""
        try:
            library = await in_worker(self._references)
            plan = self._plan(library)
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

    def _plan(self, library: PromptLibrary) -> Plan:
        """Return the script: by what calls measured, or without that where it would not fit. Raises PlanTooLongError."""
        if timings := self._timings():
            try:
                plan = compile_plan(self.spec, library.length, timings, self._opening())
            except PlanTooLongError as error:
                why = str(error)
            else:
                if plan.seconds <= self.spec.length_limit:
                    return plan
                why = f"it would take {plan.seconds:.0f}s of {self.spec.length_limit:g}s"
            _log.warning("measured_pauses_not_used", probe=self.ctx.run.probe, why=why)
        return compile_plan(self.spec, library.length, {}, self._opening())

    def _references(self) -> PromptLibrary:
        """Return the recordings that the call is held against. Raises PromptError."""
        library = load_prompts(*self.ctx.prompt_folders)
        if self.ctx.baselines is None or self.ctx.run.why is Why.CONTROL:
            return library
        return library.without(self.ctx.baselines.superseded(self.ctx.run.probe))

    def _opening(self) -> str:
        return self.ctx.transcriber.script(self.extension) if self.ctx.transcriber else ""

    def _timings(self) -> Timings:
        """Return what earlier calls measured. A confirming call has more patience: it may be that the line has slowed down."""
        if self.ctx.baselines is None or self.ctx.run.why in (Why.CONFIRM, Why.CONTROL):
            return {}
        return self.ctx.baselines.timings(self.ctx.run.probe, self.titles)

    def _conversation(self, library: PromptLibrary) -> LiveConversation | None:
        if self.spec.driver != "live" or self.extension is None:
            return None
        return LiveConversation(self.spec, library, self.driver.carrier, self.extension)

    async def _finish(
        self, call: CarrierCall, library: PromptLibrary, plan: Plan, live: LiveConversation | None
    ) -> Observation:
        self.seen.facts["call_sid"] = call.sid
        self._owns(call.sid)
        try:
            ended = await self.driver.follow(call) if live is None else await live.during(call, self.driver.follow)
        except CarrierError as error:
            await self.ledger.settle(self.driver.worst_cost)
            return self._carrier_failed(error)
        self.ctx.release()
        cost = await self.driver.settle(ended.call)
        if ended.call.price is not None or not cost.amount:
            self.unpriced = None
        self.seen.facts |= {"call_status": ended.call.status, "cost": str(cost), "call_seconds": ended.call.duration}
        self.seen.measures |= {name: value for name, value in ended.measures.items() if value is not None}
        waits = plan.waits if live is None else live_waits(self.spec, library.length)
        try:
            await self._judge(ended, library, findings.planned(self.spec.steps, waits), live)
        except CarrierError as error:
            return self._carrier_failed(error)
        if live is not None:
            await self._note_live(live)
        if self.seen.facts.get("left_on_hold"):
            # Whom the line put us through to need not say the words of a recording.
            self.seen.findings = [f for f in self.seen.findings if f.failure in _OF_THE_LINE]
            message = "somebody seemed to answer while we were on hold, and was told what this is; nobody can be judged"
            return self._unknown(Failure.INTERRUPTED, message)
        if "left_at" in self.seen.facts:
            return self._left_early()
        return self._observation()

    def _left_early(self) -> Observation:
        """Return what was seen of a call that we left before its last step: what we did not do by then is nobody's fault."""
        undone = {step.title for step in self.spec.steps[int(str(self.seen.facts["left_at"])) :]}
        self.seen.findings = [f for f in self.seen.findings if f.failure not in _NOT_DONE or f.step not in undone]
        if any(f.failure not in (*_AS_PLANNED, *_OF_THE_LINE) for f in self.seen.findings):
            return self._observation()
        message = "somebody unknown seemed to answer, and was told what this is; the rest of the steps were left undone"
        return self._unknown(Failure.INTERRUPTED, message)

    async def _note_live(self, live: LiveConversation) -> None:
        self.seen.facts |= live.facts
        log = json.dumps(live.log, indent=1).encode()
        await self._keep(log, "conversation", "application/json", "call-conversation.json")

    async def _judge(
        self, ended: Ended, library: PromptLibrary, script: Sequence[PlannedStep], live: LiveConversation | None
    ) -> None:
        status = ended.call.status
        if not ended.call.duration:
            self.left = None  # nobody answered, so nothing was recorded
        if status == "completed":
            await self._hear(ended, library, script, live.sound if live else None)
        elif status == "busy":
            self._blame(Failure.BUSY, "the line was busy")
        elif status == "no-answer":
            self._blame(Failure.NO_ANSWER, f"nobody answered within {self.spec.ring_timeout:g}s")
        elif status == "failed":
            failure, attribution, message = await self.driver.why_failed(ended)
            self._blame(failure, message, attribution)
        else:
            self._unknown(Failure.MONITOR_ERROR, f"the call ended as {status}: somebody at our end stopped it")

    async def _hear(
        self, ended: Ended, library: PromptLibrary, script: Sequence[PlannedStep], far_end: bytes | None
    ) -> None:
        recorded = await self.driver.recording(ended.call)
        self.seen.facts["recording_sid"] = recorded.sid
        self.left = Leftover(
            "delete_recordings",
            self.driver.carrier.name,
            ended.call.sid,
            "kept nowhere else",
            recorded.sid,
            _ONLY_EVIDENCE,
        )
        if recorded.wav is None:
            self.left = None
            self._no_recording(recorded, ended.call)
            return
        try:
            heard = await self._heard(recorded.wav, script, library, ended.call.duration, far_end)
        except (WavError, ChannelError, UnusableError) as error:
            self._unknown(Failure.RECORDING_UNREADABLE, f"the recording cannot be judged: {error}")
            await self._keep_unheard(recorded.wav, recorded.sid, script)
            return
        except EngineError as error:
            self._unknown(Failure.TRANSCRIPTION_FAILED, f"nobody could tell the words: {error}", Attribution.MONITOR)
            await self._keep_unheard(recorded.wav, recorded.sid, script)
            return
        self._note(heard, ended)
        await self._learn(heard, library)
        if await self._keep_heard(heard, script, recorded.wav):
            await self._delete_recording(recorded.sid)

    async def _heard(
        self,
        wav: bytes,
        script: Sequence[PlannedStep],
        library: PromptLibrary,
        seconds: float | None,
        far_end: bytes | None,
    ) -> Hearing:
        texts = [*(text for step in script for text in (*step.expect, *step.misroute)), *self.spec.phrases.all]
        transcriber = self.ctx.transcriber
        texts += [prompt.text for prompt in library.prompts]
        if transcriber is not None:
            await transcriber.settled(self.extension)
        make_engine = None if transcriber is None else partial(transcriber.engine, texts, self.extension)
        return await in_worker(listen, wav, script, library, self.spec.phrases, seconds, make_engine, far_end)

    def _note(self, heard: Hearing, ended: Ended) -> None:
        self.seen.findings += findings.findings(self.spec, heard.report)
        self.seen.steps = findings.observed_steps(heard.report, self.seen.measures.get("answer", 0.0))
        self.seen.measures |= findings.measures(heard.report)
        self.seen.facts |= findings.facts(self.spec, heard.report, ended.call.duration)

    async def _learn(self, heard: Hearing, library: PromptLibrary) -> None:
        """Keep what the next call is planned by, and hold prompts in other words against what the last call heard."""
        baselines, run = self.ctx.baselines, self.ctx.run
        if baselines is None or run.why is Why.CONTROL:
            return
        try:
            lesson = changes.Lesson(baselines, run.probe, run.id, library, self.ctx.clock.now())
            self.seen.findings = await changes.compared(self.seen.findings, heard.report, heard.cuts, lesson)
            changes.settled(heard.report, baselines, run.probe)
            if all(finding.failure in _AS_PLANNED for finding in self.seen.findings):
                baselines.remember(run.probe, self.titles, findings.timings(heard.report))
        except (OSError, WavError) as error:
            _log.warning("baseline_not_kept", probe=run.probe, error=type(error).__name__)

    async def _keep_heard(self, heard: Hearing, script: Sequence[PlannedStep], wav: bytes) -> bool:
        """Keep the transcript always, the sound when somebody will want to hear it. Return whether all of it was kept."""
        silenced = None
        if self.seen.findings or self.ctx.run.why is Why.MANUAL:
            silenced = await in_worker(silence_keys, wav, script, heard.report)
        text = json.dumps(findings.transcript(heard.report, silenced), indent=1).encode()
        kept = await self._keep(text, "transcript", "application/json", "call-transcript.json")
        if silenced is None:
            return kept
        return await self._keep(silenced.wav, "recording", "audio/wav", "call-recording.wav") and kept

    async def _keep_unheard(self, wav: bytes, sid: str, script: Sequence[PlannedStep]) -> None:
        """Keep a recording that nobody can be judged by, if no secret key can be heard on it. Else it stays at the carrier."""
        try:
            silenced = await in_worker(silence_keys, wav, script, None)
        except WavError:
            if any(step.secret for step in script):
                _log.info("recording_not_kept", run=self.ctx.run.id, why="secret keys in it could not be silenced")
            elif await self._keep(wav, "recording", "application/octet-stream", "call-recording.unreadable"):
                await self._delete_recording(sid)
            return
        if await self._keep(silenced.wav, "recording", "audio/wav", "call-recording.wav"):
            await self._delete_recording(sid)

    async def _delete_recording(self, sid: str) -> None:
        try:
            await self.driver.carrier.delete_recording(sid)
            self.seen.facts["recording_deleted"], self.left = True, None
        except CarrierError as error:
            self.seen.facts["recording_deleted"] = False
            if self.left is not None:
                self.left = replace(self.left, reason="not deleted", wait=0.0)
            _log.warning("recording_not_deleted", recording_sid=sid, error=str(error))

    def _no_recording(self, recorded: Recorded, call: CarrierCall) -> None:
        """Say what it means that the carrier kept no recording.

        It keeps none of silence. If we pressed a key or spoke, there was no silence, and the recording is the carrier's loss.
        """
        we_sounded = any(step.acts for step in self.spec.steps) or self.spec.may_reach_people
        if recorded.error_code == SILENT_NOT_STORED and not we_sounded and (call.duration or 0) > _SILENT_CALL:
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


_NOT_LIVE = (
    "driver: live needs a running daemon that the carrier can reach; set public_url in the carrier's twilio section, or use "
    "driver: recorded"
)


def _extension(ctx: RunContext, carrier: Carrier) -> Extension | None:
    """Return where the carrier's callbacks and live sound of this run arrive, if it can reach us at all."""
    account = carrier.spec.twilio
    if ctx.switchboard is None or account.public_url is None:
        return None
    return ctx.switchboard.open(account.auth_token, account.public_url)
