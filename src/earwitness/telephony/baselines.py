"""What calls taught about a probe's line, in one folder: accepted recordings of prompts, proposals for new ones, measured timings.

    accepted/NAME.wav, NAME.txt   reference recordings that people accepted, beside those of the configuration
    accepted/NAME.json            whose they are, and which recordings the probe is no longer held against
    proposed/KEY.wav, KEY.json    how a prompt sounds that is said in other words now, until somebody accepts it
    timings/PROBE.json            how long each step's prompt was waited for, and lasted, in the latest calls

Every file is replaced whole. A file that cannot be read counts as none: the next call writes it anew.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earwitness.audio.words import WILDCARD
from earwitness.files import read_json, replace_file
from earwitness.presentation import accept_command
from earwitness.telephony.twiml import Timing

FOLDER = "baselines"  # in a daemon's data directory
_KEPT = 5  # calls whose timings are kept


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt as it is said now, in place of `text`. `calls`: how many calls in a row heard the same; `run`: the latest of them.

    `supersedes` are the marks of the recordings that it takes the place of; none where nobody can tell which they are.
    """

    key: str
    probe: str
    step: str
    text: str  # what is said, as the step expects it
    words: str  # what was said, if an engine transcribed it
    heard_at: float  # epoch seconds
    calls: int = 1
    run: str = ""
    supersedes: tuple[str, ...] = ()

    @property
    def stable(self) -> bool:
        return self.calls >= 2


@dataclass(frozen=True, slots=True)
class Accepted:
    """A reference recording that somebody accepted, for a step of a probe; both empty where nobody noted them."""

    name: str
    text: str
    probe: str = ""
    step: str = ""
    heard_at: float | None = None  # epoch seconds
    supersedes: tuple[str, ...] = ()


class UnknownWordsError(Exception):
    """A recording cannot become a reference, because nobody knows which words it says."""


class Baselines:
    """The folder. Methods raise OSError where the disk refuses to write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accepted = folder / "accepted"
        self._proposed, self._timings = folder / "proposed", folder / "timings"

    def accepting(self, probe: str) -> str:
        """Return the command that accepts what is proposed for the probe."""
        return accept_command(probe, self.folder.parent)

    # --- timings -----------------------------------------------------------------------------------------------------

    def timings(self, probe: str, steps: Sequence[str]) -> dict[int, Timing]:
        """Return what earlier calls measured of `steps` (titles), the longest of each, by place; none for a step that was edited."""
        calls = [call for call in self._calls(probe) if call.get("steps") == list(steps)]
        found: dict[int, Timing] = {}
        for place in range(len(steps)):
            measured = [timing for call in calls if (timing := _timing(call, place))]
            if measured:
                found[place] = Timing(max(t.delay for t in measured), max(t.length for t in measured))
        return found

    def remember(self, probe: str, steps: Sequence[str], measured: dict[int, Timing]) -> None:
        """Add what a call measured that went well."""
        call = {"steps": list(steps), "timings": {str(place): asdict(timing) for place, timing in measured.items()}}
        calls = [*self._calls(probe), call][-_KEPT:]
        replace_file(self._timings / f"{probe}.json", json.dumps({"calls": calls}, indent=1).encode())

    def _calls(self, probe: str) -> list[dict[str, Any]]:
        calls = read_json(self._timings / f"{probe}.json").get("calls")
        return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []

    # --- prompts in other words --------------------------------------------------------------------------------------

    def propose(self, proposal: Proposal, wav: bytes) -> None:
        replace_file(self._sound(proposal.key), wav)
        replace_file(self._proposed / f"{proposal.key}.json", json.dumps(asdict(proposal), indent=1).encode())

    def proposal(self, key: str) -> tuple[Proposal, bytes] | None:
        """Return the proposal and its sound."""
        try:
            stored = read_json(self._proposed / f"{key}.json")
            stored["supersedes"] = tuple(stored.get("supersedes", ()))
            return Proposal(**stored), self._sound(key).read_bytes()
        except (TypeError, OSError):
            return None

    def proposals(self) -> list[Proposal]:
        """Return all that wait for somebody's word, by probe and step."""
        keys = sorted(path.stem for path in self._proposed.glob("*.json"))
        found = [known[0] for key in keys if (known := self.proposal(key))]
        return sorted(found, key=lambda proposal: (proposal.probe, proposal.step))

    def accept(self, proposal: Proposal) -> Path:
        """Make the proposal a reference recording, and return its file. The daemon takes it up with its next call.

        It takes the place of what was accepted for the same step and text before, and the probe is no longer held against the
        recordings that it supersedes; those of the user's own folder stay where they are.
        Raises UnknownWordsError where the step's text is open and no engine heard the words.
        """
        if WILDCARD in proposal.text:
            raise UnknownWordsError(
                f"{proposal.step}: which words stand for {WILDCARD} is not known, so it cannot be told which part of the "
                f"sound stays the same. Listen to {self._sound(proposal.key)}, copy it to your folder of reference "
                "recordings as NAME.wav and write its words to NAME.txt"
            )
        target = self.accepted / f"{proposal.key}.wav"
        superseded = dict.fromkeys((*self._note_of(target).supersedes, *proposal.supersedes))
        note = {
            "probe": proposal.probe,
            "step": proposal.step,
            "heard_at": proposal.heard_at,
            "supersedes": [*superseded],
        }
        sound = self._sound(proposal.key).read_bytes()
        replace_file(
            target.with_suffix(".txt"), proposal.text.encode()
        )  # first: a recording without its words is an error
        replace_file(target.with_suffix(".json"), json.dumps(note, indent=1).encode())
        replace_file(target, sound)
        self.discard(proposal)
        return target

    def accepted_prompts(self) -> list[Accepted]:
        """Return what people accepted, by name."""
        return [self._note_of(file) for file in sorted(self.accepted.glob("*.wav"))]

    def superseded(self, probe: str) -> frozenset[str]:
        """Return the marks of the recordings that `probe` is no longer held against."""
        return frozenset(mark for known in self.accepted_prompts() if known.probe == probe for mark in known.supersedes)

    def remove(self, name: str) -> bool:
        """Take back what was accepted under this name, and with it what it supersedes. False: there is none."""
        known = next((file for file in self.accepted.glob("*.wav") if file.stem == name), None)
        if known is None:
            return False
        for suffix in (".wav", ".txt", ".json"):
            known.with_suffix(suffix).unlink(missing_ok=True)
        return True

    def _note_of(self, file: Path) -> Accepted:
        note = read_json(file.with_suffix(".json"))
        try:
            text = file.with_suffix(".txt").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        supersedes = tuple(note.get("supersedes", ()))
        return Accepted(
            file.stem, text, str(note.get("probe", "")), str(note.get("step", "")), note.get("heard_at"), supersedes
        )

    def discard(self, proposal: Proposal) -> None:
        for file in (self._proposed / f"{proposal.key}.json", self._sound(proposal.key)):
            file.unlink(missing_ok=True)

    def _sound(self, key: str) -> Path:
        return self._proposed / f"{key}.wav"


def proposal_key(probe: str, place: int, text: str) -> str:
    """Return the name of a proposal's files: the same for the same text at the same place among a probe's steps."""
    return f"{probe}-{hashlib.sha256(f'{place} {text}'.encode()).hexdigest()[:10]}"


def _timing(call: dict[str, Any], place: int) -> Timing | None:
    try:
        stored = call["timings"][str(place)]
        return Timing(float(stored["delay"]), float(stored["length"]))
    except (KeyError, TypeError, ValueError):
        return None
