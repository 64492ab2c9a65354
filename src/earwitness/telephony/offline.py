"""A recording judged apart from any call: what a probe's steps make of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from earwitness.audio.prompts import load_prompts
from earwitness.audio.restoring import restore_keys
from earwitness.model import Finding, Outcome, outcome_of
from earwitness.telephony import findings
from earwitness.telephony.hearing import listen
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.transcription import Transcription
from earwitness.telephony.twiml import compile_plan


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found on a recording; `outcome` is what a run would have ended as."""

    findings: tuple[Finding, ...]
    transcript: dict[str, Any]

    @property
    def outcome(self) -> Outcome:
        return outcome_of(self.findings)


def judge_recording(
    wav: bytes,
    spec: CallSpec,
    prompts: Sequence[Path],
    transcription: Transcription | None = None,
    superseded: Collection[str] = (),
    kept: Mapping[str, Any] | None = None,
) -> Judged:
    """Return what is wrong with the recording of a call; `prompts` are folders of reference recordings, without those of the marks `superseded`.

    `kept` is the transcript that was kept beside the recording: where it says that keys were silenced, they were sent.

    Raises WavError, TranscriptError, ChannelError, UnusableError, PromptError and EngineError.
    """
    library = load_prompts(*prompts).without(superseded)
    waits = compile_plan(spec, library.length).waits
    texts = [*(t for step in spec.steps for t in (*step.texts, *step.misroute_texts)), *spec.phrases.all]
    texts += [prompt.text for prompt in library.prompts]
    make_engine = partial(transcription.engine, texts, None) if transcription else None
    script = findings.planned(spec.steps, waits)
    if kept is not None:
        wav = restore_keys(wav, script, kept)
    heard = listen(wav, script, library, spec.phrases, None, make_engine)
    return Judged(findings.findings(spec, heard.report), findings.transcript(heard.report, None))
