"""The far end's channel, asked for prompts and for speech."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from earwitness.audio.fingerprint import Fingerprint, fingerprint
from earwitness.audio.frames import RATE
from earwitness.audio.match import Heard, Match, Verdict, find
from earwitness.audio.prompts import Prompt
from earwitness.audio.quality import Quality, judge_quality
from earwitness.audio.script import HeardPrompt
from earwitness.audio.speech import Segment, speech
from earwitness.audio.wav import Samples

_SAME_PLACE = 0.3  # share of the shorter of two prompts that may overlap when both were said
_LATE = 0.3  # s that a prompt may begin before we are done: reactions are quick, detectors are not exact


class Listener:
    """One channel at 8 kHz, shape (n,). Times are seconds into it."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.duration = len(samples) / RATE

    @cached_property
    def _print(self) -> Fingerprint:
        return fingerprint(self.samples)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        return speech(self.samples)

    def quality(self, agreement: float | None) -> Quality | None:
        return judge_quality(self.samples, agreement)

    def best(self, prompts: Iterable[Prompt], start: float, end: float) -> tuple[Prompt, Match] | None:
        """Return which of `prompts` is heard best between `start` and `end`, in part at least."""
        heard = self._window(start, end)
        found = [(prompt, find(prompt.print, prompt.samples, heard)) for prompt in prompts]
        found = [(prompt, match) for prompt, match in found if match.verdict is not Verdict.NONE]
        return max(found, key=lambda pair: pair[1].score, default=None)

    def identify(self, prompts: Iterable[Prompt], start: float, end: float) -> tuple[HeardPrompt, ...]:
        """Return those of `prompts` that are heard between `start` and `end`, in order; of several in one place the best."""
        heard = self._window(start, end)
        found = [
            _heard(prompt, match) for prompt in prompts if (match := find(prompt.print, prompt.samples, heard)).lags
        ]
        kept: list[HeardPrompt] = []
        for candidate in sorted(found, key=lambda prompt: -prompt.score):
            if not any(_overlap(candidate, other) > _SAME_PLACE for other in kept):
                kept.append(candidate)
        return tuple(sorted(kept, key=lambda prompt: prompt.start))

    def first_speech(self, start: float, end: float) -> Segment | None:
        """Return the first speech that begins, or goes on for a while, after `start`, and begins before `end`."""
        return next((s for s in self.segments if s.end > start + _LATE and s.start < end), None)

    def _window(self, start: float, end: float) -> Heard:
        return Heard(self.samples, self._print, max(0.0, start - _LATE), end)


def _heard(prompt: Prompt, match: Match) -> HeardPrompt:
    return HeardPrompt(prompt.name, prompt.text, match.start, match.end, match.score, match.coverage, match.whole)


def heard_prompt(found: tuple[Prompt, Match]) -> HeardPrompt:
    return _heard(*found)


def _overlap(left: HeardPrompt, right: HeardPrompt) -> float:
    """Return the share of the shorter prompt that lies in the other."""
    common = min(left.end, right.end) - max(left.start, right.start)
    return max(0.0, common) / max(1e-9, min(left.end - left.start, right.end - right.start))


def texts(heard: Sequence[HeardPrompt]) -> str:
    """Return what was heard, as a sentence quotes it."""
    return ", then ".join(f'"{prompt.text}"' for prompt in heard)
