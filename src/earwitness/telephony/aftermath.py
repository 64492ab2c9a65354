"""What became of a call that is over: its status, its recording fetched, heard and kept, and what the next call learns from it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from earwitness.audio.channels import ChannelError
from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.script import PlannedStep
from earwitness.audio.silencing import silence_keys
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.wav import WavError
from earwitness.audio.workers import in_worker
from earwitness.model import Attribution, Failure, Why
from earwitness.probes.context import Leftover
from earwitness.telephony import changes, findings
from earwitness.telephony.carrier import CarrierCall
from earwitness.telephony.driver import SILENT_NOT_STORED, CallDriver, Ended, Recorded
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.hearing import Hearing, UnusableError, listen
from earwitness.telephony.seen import Seen
from earwitness.telephony.switchboard import Extension

AS_PLANNED = (Failure.WORDS_NOT_CHECKED, Failure.PROMPT_CHANGED)  # findings of calls that others may be timed by
_SILENT_CALL = 2.0  # seconds that a call must last before its silence is the far end's
_ONLY_EVIDENCE = 7 * 24 * 3600.0  # seconds that a recording stays at the carrier which is kept nowhere else
_log = structlog.get_logger(__name__)


class Aftermath:
    """Judges one call that is over, and writes what it finds into `seen`."""

    def __init__(self, seen: Seen, driver: CallDriver, extension: Extension | None) -> None:
        self.seen, self.driver, self.extension = seen, driver, extension
        self.spec, self.ctx = seen.spec, seen.ctx

    async def judge(
        self, ended: Ended, library: PromptLibrary, script: Sequence[PlannedStep], far_end: bytes | None
    ) -> None:
        """Say what became of it; `far_end` is the sound that was streamed live. Raises CarrierError."""
        status = ended.call.status
        if not ended.call.duration:
            self.seen.left = None  # nobody answered, so nothing was recorded
        if status == "completed":
            await self._hear(ended, library, script, far_end)
        elif status == "busy":
            self.seen.blame(Failure.BUSY, "the line was busy")
        elif status == "no-answer":
            self.seen.blame(Failure.NO_ANSWER, f"nobody answered within {self.spec.ring_timeout:g}s")
        elif status == "failed":
            failure, attribution, message = await self.driver.why_failed(ended)
            self.seen.blame(failure, message, attribution)
        else:
            self.seen.unknown(Failure.MONITOR_ERROR, f"the call ended as {status}: somebody at our end stopped it")

    async def _hear(
        self, ended: Ended, library: PromptLibrary, script: Sequence[PlannedStep], far_end: bytes | None
    ) -> None:
        recorded = await self.driver.recording(ended.call)
        self.seen.facts["recording_sid"] = recorded.sid
        self.seen.left = Leftover(
            "delete_recordings",
            self.driver.carrier.name,
            ended.call.sid,
            "kept nowhere else",
            recorded.sid,
            _ONLY_EVIDENCE,
        )
        if recorded.wav is None:
            self.seen.left = None
            self._no_recording(recorded, ended.call)
            return
        try:
            heard = await self._heard(recorded.wav, script, library, ended.call.duration, far_end)
        except (WavError, ChannelError, UnusableError) as error:
            self.seen.unknown(Failure.RECORDING_UNREADABLE, f"the recording cannot be judged: {error}")
            await self._keep_unheard(recorded.wav, recorded.sid, script)
            return
        except EngineError as error:
            self.seen.unknown(
                Failure.TRANSCRIPTION_FAILED, f"nobody could tell the words: {error}", Attribution.MONITOR
            )
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
            if all(finding.failure in AS_PLANNED for finding in self.seen.findings):
                baselines.remember(run.probe, [step.title for step in self.spec.steps], findings.timings(heard.report))
        except (OSError, WavError) as error:
            _log.warning("baseline_not_kept", probe=run.probe, error=type(error).__name__)

    async def _keep_heard(self, heard: Hearing, script: Sequence[PlannedStep], wav: bytes) -> bool:
        """Keep the transcript always, the sound when somebody will want to hear it. Return whether all of it was kept."""
        silenced = None
        if self.seen.findings or self.ctx.run.why is Why.MANUAL:
            silenced = await in_worker(silence_keys, wav, script, heard.report)
        text = json.dumps(findings.transcript(heard.report, silenced), indent=1).encode()
        kept = await self.seen.keep(text, "transcript", "application/json", "call-transcript.json")
        if silenced is None:
            return kept
        return await self.seen.keep(silenced.wav, "recording", "audio/wav", "call-recording.wav") and kept

    async def _keep_unheard(self, wav: bytes, sid: str, script: Sequence[PlannedStep]) -> None:
        """Keep a recording that nobody can be judged by, if no secret key can be heard on it. Else it stays at the carrier."""
        try:
            silenced = await in_worker(silence_keys, wav, script, None)
        except WavError:
            if any(step.secret for step in script):
                _log.info("recording_not_kept", run=self.ctx.run.id, why="secret keys in it could not be silenced")
            elif await self.seen.keep(wav, "recording", "application/octet-stream", "call-recording.unreadable"):
                await self._delete_recording(sid)
            return
        if await self.seen.keep(silenced.wav, "recording", "audio/wav", "call-recording.wav"):
            await self._delete_recording(sid)

    async def _delete_recording(self, sid: str) -> None:
        try:
            await self.driver.carrier.delete_recording(sid)
            self.seen.facts["recording_deleted"], self.seen.left = True, None
        except CarrierError as error:
            self.seen.facts["recording_deleted"] = False
            if self.seen.left is not None:
                self.seen.left = replace(self.seen.left, reason="not deleted", wait=0.0)
            _log.warning("recording_not_deleted", recording_sid=sid, error=str(error))

    def _no_recording(self, recorded: Recorded, call: CarrierCall) -> None:
        """Say what it means that the carrier kept no recording.

        It keeps none of silence. If we pressed a key or spoke, there was no silence, and the recording is the carrier's loss.
        """
        we_sounded = any(step.acts for step in self.spec.steps) or self.spec.may_reach_people
        if recorded.error_code == SILENT_NOT_STORED and not we_sounded and (call.duration or 0) > _SILENT_CALL:
            self.seen.blame(
                Failure.DEAD_AIR, "nothing was heard from the line: the carrier found the whole call silent"
            )
            return
        code = f" (the carrier's code {recorded.error_code})" if recorded.error_code else ""
        self.seen.unknown(Failure.RECORDING_MISSING, f"the carrier kept no recording of the call{code}")
