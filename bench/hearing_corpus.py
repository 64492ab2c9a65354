"""A corpus of judged calls as a folder, so that recordings from elsewhere can be tried, and made ones can be taken elsewhere.

FOLDER/prompts/NAME.wav, NAME.txt   the reference recordings, as the product takes them
FOLDER/calls/NAME.wav               one dual-channel recording of a call, from its answer to its end
FOLDER/calls/NAME.json              what was to happen on it, and what did:
    {"steps": [...],                the steps of the call, as in the configuration, in JSON
     "failure": null,               null for a healthy call, else a class of failure as `docs/calls.md` names it
     "acceptable": [],              classes that may be said instead, if the call can be taken for several
     "onsets": {"0": 1.25}}         seconds at which expected prompts can be heard to begin, by the step's place; may be left out
"""

import json

from bench.call_corpus import Case, spec_of, waits_of
from earwitness.audio.prompts import load_prompts
from earwitness.audio.wav import read_wav, write_wav
from earwitness.model import Failure
from earwitness.simulator.tones import RATE
from earwitness.telephony.findings import planned


class CorpusError(Exception):
    """A folder cannot be judged; the message names the file and says why."""


def read_corpus(folder):
    """Yield the cases of `folder`, a Path. Raises CorpusError, and PromptError for its prompts."""
    library = load_prompts(folder / "prompts")
    told = sorted((folder / "calls").glob("*.json"))
    if not told:
        raise CorpusError(f"{folder / 'calls'} holds no NAME.json; see bench/hearing_corpus.py for what is in one")
    for path in told:
        yield _case(path, library)


def _case(path, library):
    try:
        told = json.loads(path.read_text("utf-8"))
        spec = spec_of(told["steps"])
        failure = None if told["failure"] is None else Failure(told["failure"])
        acceptable = frozenset(Failure(name) for name in told.get("acceptable", ())) | {failure}
        onsets = {int(place): float(at) for place, at in told.get("onsets", {}).items()}
        recording = read_wav(path.with_suffix(".wav").read_bytes())
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path} or its recording cannot be used: {type(error).__name__}: {error}") from error
    script = planned(spec.steps, waits_of(spec, library))
    return Case(path.stem, spec, script, library, recording, failure, acceptable, onsets, told.get("fault", ""))


def write_corpus(folder, cases):
    """Write `cases` to `folder`, a Path. The libraries of all of them become one."""
    for part in ("prompts", "calls"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in cases:
        for prompt in case.library.prompts:
            wav = folder / "prompts" / f"{prompt.name}.wav"
            if not wav.exists():
                wav.write_bytes(write_wav(prompt.samples[None, :], RATE))
                wav.with_suffix(".txt").write_text(prompt.text + "\n")
        (folder / "calls" / f"{case.name}.wav").write_bytes(write_wav(case.recording.samples, RATE, mulaw=True))
        (folder / "calls" / f"{case.name}.json").write_text(json.dumps(_told(case), indent=1) + "\n")


def _told(case):
    steps = [step.model_dump(mode="json", exclude_unset=True, exclude={"press"}) for step in case.spec.steps]
    for told, step in zip(steps, case.spec.steps, strict=True):
        if step.press:
            told["press"] = step.press.reveal()
    return {
        "steps": steps,
        "failure": case.failure,
        "acceptable": sorted(name for name in case.acceptable if name and name != case.failure),
        "onsets": {str(place): round(at, 3) for place, at in case.onsets.items()},
        "fault": case.fault,
    }
