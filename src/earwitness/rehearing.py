"""Recordings of earlier calls judged again, by the steps, prompts and limits of another configuration: for a replay.

Only what was kept can be heard: recordings of calls in which something was found. Of other runs the findings stay as they were.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from earwitness.audio.channels import ChannelError
from earwitness.audio.restoring import TranscriptError
from earwitness.audio.transcription.base import EngineError
from earwitness.audio.wav import WavError
from earwitness.audio.words import PromptError
from earwitness.config.schema import Config
from earwitness.evidence.storage import EvidenceStorage
from earwitness.model import Observation, Outcome, Why
from earwitness.telephony.baselines import FOLDER, Baselines
from earwitness.telephony.hearing import UnusableError
from earwitness.telephony.offline import judge_recording
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.transcription import Transcription

_DEAF = (WavError, TranscriptError, ChannelError, UnusableError, PromptError, EngineError)


@dataclass(slots=True)
class Rehearing:
    """Hears recordings below `data_dir` again; `heard` counts them, `changed` those that came out otherwise, `lost` those that could not be heard."""

    config: Config
    data_dir: Path
    heard: int = 0
    changed: int = 0
    lost: int = 0
    _storage: EvidenceStorage = field(init=False)
    _baselines: Baselines = field(init=False)
    _transcription: Transcription | None = field(init=False)

    def __post_init__(self) -> None:
        self._storage = EvidenceStorage(self.data_dir / "evidence")
        self._baselines = Baselines(self.data_dir / FOLDER)
        self._transcription = Transcription(self.config.transcription) if self.config.transcription else None

    def again(self, seen: Observation) -> Observation:
        """Return the observation with what its recording tells now, if it has one that was judged."""
        probe = self.config.probes.get(seen.run.probe)
        judged = seen.outcome in (Outcome.OK, Outcome.FINDING) and seen.run.why is not Why.CONTROL
        wav = self._kept(seen, "recording")
        if probe is None or probe.call is None or not judged or wav is None:
            return seen
        try:
            findings = self._judged(seen, wav, probe.call)
        except _DEAF:
            self.lost += 1
            return seen
        self.heard += 1
        self.changed += {f.failure for f in findings} != {f.failure for f in seen.findings}
        return replace(seen, findings=findings)

    def _judged(self, seen: Observation, wav: bytes, spec: CallSpec) -> tuple[Any, ...]:
        folders = [f for f in (self.config.prompts, self._baselines.accepted) if f is not None and f.is_dir()]
        superseded = self._baselines.superseded(seen.run.probe)
        return judge_recording(wav, spec, folders, self._transcription, superseded, self._transcript(seen)).findings

    def _transcript(self, seen: Observation) -> Mapping[str, Any] | None:
        kept = self._kept(seen, "transcript")
        found = None if kept is None else json.loads(kept)
        return found if isinstance(found, dict) else None

    def _kept(self, seen: Observation, kind: str) -> bytes | None:
        paths = [self._storage.path(file.sha256) for file in seen.evidence if file.kind == kind]
        return paths[0].read_bytes() if paths and paths[0].is_file() else None
