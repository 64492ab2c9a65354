"""A recording judged apart from any call: what a probe's steps make of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from earwitness.audio.prompts import load_prompts
from earwitness.model import Finding
from earwitness.telephony import findings
from earwitness.telephony.hearing import listen
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.transcription import Transcription
from earwitness.telephony.twiml import compile_plan


@dataclass(frozen=True, slots=True)
class Judged:
    findings: tuple[Finding, ...]
    transcript: dict[str, Any]


def judge_recording(
    wav: bytes,
    spec: CallSpec,
    prompts: Sequence[Path],
    transcription: Transcription | None = None,
    superseded: Collection[str] = (),
) -> Judged:
    """Return what is wrong with the recording of a call; `prompts` are folders of reference recordings, without those of the marks `superseded`.

    Raises WavError, ChannelError, UnusableError, PromptError and EngineError.
    """
    library = load_prompts(*prompts).without(superseded)
    waits = compile_plan(spec, library.length).waits
    texts = [*(t for step in spec.steps for t in (*step.texts, *step.misroute_texts)), *spec.phrases.all]
    texts += [prompt.text for prompt in library.prompts]
    make_engine = partial(transcription.engine, texts, None) if transcription else None
    script = findings.planned(spec.steps, waits)
    heard = listen(wav, script, library, spec.phrases, None, make_engine)
    return Judged(findings.findings(spec, heard.report), findings.transcript(heard.report, None))
