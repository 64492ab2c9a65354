"""Whether an expected prompt was heard: by its sound where there is a reference recording, else by its words where an engine hears them."""

from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.audio.alignment import BestText, best_text
from earwitness.audio.contour import Likeness
from earwitness.audio.listener import Listener
from earwitness.audio.match import Match
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.quality import POOR
from earwitness.audio.script import PlannedStep
from earwitness.audio.transcript import Transcript

MISSING_SPEECH = 0.3  # s of a prompt's head or tail that must be missing before it counts as cut
_NOISY_COVERAGE = 0.5  # of a prompt that must be recognised where noise hides the rest
_BEGUN = 0.3  # of a prompt that must be recognised before our key or word cut it off
_PRESENT = 0.6  # of what is there of a cut prompt that must be recognised
WORDS_NEEDED = 0.6  # accuracy of the words below which they are another prompt's, where the step says nothing else
_CUT_WORDS = 2  # words that must be missing at an end before the prompt counts as cut
_WORD = 0.35  # s, a word's length
_ALIKE = (
    0.82  # correlation of loudness; 0.88 at least for a robot's voice on poor lines, 0.71 at most for other prompts
)
_MARGIN = 0.1  # of accuracy by which the expected words must fit better than those of another prompt


@dataclass(frozen=True, slots=True)
class Recognised:
    """An expected prompt that was heard. Times in seconds; `share` of it 0..1; `lost` are seconds missing at its head and tail."""

    name: str
    text: str
    start: float
    end: float
    score: float
    share: float
    method: str  # sound, loudness, words
    whole: bool
    head: float = 0.0
    tail: float = 0.0
    match: tuple[Prompt, Match] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """Our key or word, as it is on our channel; seconds."""

    start: float
    end: float


class Recogniser:
    """Looks for expected prompts on the far end's channel."""

    def __init__(self, listener: Listener, library: PromptLibrary, transcript: Transcript) -> None:
        self.listener, self.library, self.transcript = listener, library, transcript

    def by_sound(self, step: PlannedStep, anchor: float, now: Action | None) -> Recognised | None:
        """Return the step's prompt if its sound is heard after `anchor`; `now` is our next key or word."""
        references = [prompt for text in step.expect for prompt in self.library.find(text)]
        until = now.start if now else self.listener.duration
        found = self._find(references, anchor, until, now) if references else None
        if found is None or not self._is_it(found, now):
            return None
        prompt, match = found
        if step.match_major is not None and match.coverage < step.match_major:
            return None
        cut = self._is_cut(match) and not cut_by_us(match, now)
        return Recognised(
            prompt.name,
            prompt.text,
            match.start,
            match.end,
            match.score,
            match.coverage,
            "sound",
            match.whole,
            match.head if cut else 0.0,
            match.tail if cut else 0.0,
            found,
        )

    def by_loudness(self, step: PlannedStep, anchor: float, now: Action | None) -> Recognised | None:
        """Return the step's prompt if the loudness follows it after `anchor` though the sound is no prompt's: the voice is distorted."""
        references = [prompt for text in step.expect for prompt in self.library.find(text)]
        for until in (now.start if now else self.listener.duration, self.listener.duration):
            found = [(prompt, self.listener.likeness(prompt, anchor, until)) for prompt in references]
            prompt, like = max(found, key=lambda pair: pair[1].score, default=(None, None))
            if prompt is not None and like is not None and like.score >= _ALIKE and self._is_nothing_else(prompt, like):
                start, end = like.start, like.start + prompt.duration
                return Recognised(prompt.name, prompt.text, start, end, like.score, 1.0, "loudness", whole=True)
        return None

    def _is_nothing_else(self, prompt: Prompt, like: Likeness) -> bool:
        """Whether no prompt is clearly heard there by its sound, not even this one in part, and the loudness is no other's."""
        start, end = like.start, like.start + prompt.duration
        heard = self.listener.best(self.library.prompts, start, end)
        if heard is not None and heard[1].clear:
            return False
        others = [other for other in self.library.prompts if other.words != prompt.words]
        return all(self.listener.likeness(other, start, end).score < like.score for other in others)

    def by_words(self, step: PlannedStep, anchor: float, until: float, others: Sequence[str]) -> Recognised | None:
        """Return the step's prompt if its words are heard between `anchor` and `until`, and those of no other text fit better.

        `others` are the texts that might be said instead.
        """
        words = self.transcript.words(anchor, until)
        if not words:
            return None
        best = best_text([self.transcript.hearable(text) for text in step.expect], words)
        if best is None or best.score < (WORDS_NEEDED if step.match_major is None else step.match_major):
            return None
        rival = best_text([text for text in others if text not in step.expect], words)
        if rival is not None and not _fits_better(best, rival):
            return None
        said = best.alignment
        head, tail = (_lost(count) for count in (said.head_missing, said.tail_missing))
        return Recognised(
            "",
            step.expect[best.index],
            said.start,
            said.end,
            best.score,
            best.score,
            "words",
            whole=True,
            head=head,
            tail=tail,
        )

    def agreement(self, step: PlannedStep, anchor: float) -> tuple[float, float] | None:
        """Return the score and the share with which the step's prompt fits best what came after `anchor`; None without a recording."""
        references = [prompt for text in step.expect for prompt in self.library.find(text)]
        return self.listener.agreement(references, anchor, self.listener.duration)

    def unknowable(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return those of `texts` that nobody can tell from others: no recording of them is there, nor an engine that knows their words."""
        return tuple(text for text in texts if not self.library.find(text) and not self.transcript.can_hear(text))

    def by_words_alone(self, step: PlannedStep) -> bool:
        """Whether the step's prompt can be recognised by its words only."""
        return not any(self.library.find(text) for text in step.expect)

    def _find(
        self, references: Sequence[Prompt], anchor: float, until: float, now: Action | None
    ) -> tuple[Prompt, Match] | None:
        """Return the whole prompt if it is heard before `until`, or later, else the part of it that is.

        What we interrupted was heard in time, though it may be said again, whole, later.
        """
        in_time = self.listener.best(references, anchor, until)
        if in_time and in_time[1].whole:
            return self._earliest(references, anchor, in_time)
        if in_time and _was_interrupted(in_time[1], now):
            return in_time
        ever = self.listener.best(references, anchor, self.listener.duration)
        if ever and ever[1].whole:
            return self._earliest(references, anchor, ever)
        return in_time or ever

    def _earliest(
        self, references: Sequence[Prompt], anchor: float, found: tuple[Prompt, Match]
    ) -> tuple[Prompt, Match]:
        """Return the first time that the prompt was said, which need not be the time that fits best."""
        while (earlier := self.listener.best(references, anchor, found[1].start)) and earlier[1].whole:
            found = earlier
        return found

    def _is_it(self, found: tuple[Prompt, Match], now: Action | None) -> bool:
        """Say whether it is the prompt itself, not one that shares words or a voice with it."""
        prompt, match = found
        if self._rivalled(prompt, match):
            return False
        if match.whole:
            return True
        if match.clear and _is_there(match, now):
            return self._is_cut(match) or cut_by_us(match, now)
        return match.coverage >= _NOISY_COVERAGE and self._is_noisy()

    def _rivalled(self, prompt: Prompt, match: Match) -> bool:
        """Whether another prompt fits better what was heard of this one; where its missing end would be, another may follow."""
        rivals = [other for other in self.library.prompts if other.words != prompt.words]
        start, end = match.start + match.head, match.end - match.tail
        rival = self.listener.best(rivals, start, end)
        if rival is None or rival[1].score <= match.score:
            return False
        other = rival[1]
        shared = _overlap((other.start + other.head, other.end - other.tail), (start, end))
        return shared > (0.5 if match.whole else 0.1)

    def _is_cut(self, match: Match) -> bool:
        return max(match.head, match.tail) > MISSING_SPEECH

    def _is_noisy(self) -> bool:
        quality = self.listener.quality()
        return quality is None or quality.index < POOR


def _was_interrupted(match: Match, now: Action | None) -> bool:
    """Whether the prompt had begun clearly, and for a good part, when our key or word cut it off."""
    return match.clear and match.coverage >= _BEGUN and cut_by_us(match, now) and _is_there(match, now)


def _is_there(match: Match, now: Action | None) -> bool:
    """Whether the part of a cut prompt that is not missing was recognised, for the most part."""
    length = max(1e-9, match.end - match.start)
    present = 1 - (match.head + match.tail) / length
    if now is not None and cut_by_us(match, now):
        present = min(present, (now.start - match.start) / length)  # another prompt may have followed at once
    return match.coverage >= _PRESENT * present


def _lost(words: int) -> float:
    """Return the seconds that so many missing words take; engines miss a single one easily."""
    return _WORD * words if words >= _CUT_WORDS else 0.0


def _fits_better(best: BestText, rival: BestText) -> bool:
    """Whether the expected text is what was said, and not another one that lies at the same place."""
    if rival.alignment.start >= best.alignment.end or rival.alignment.end <= best.alignment.start:
        return True
    return best.score >= rival.score + _MARGIN or best.alignment.gain > rival.alignment.gain


def _overlap(left: tuple[float, float], right: tuple[float, float]) -> float:
    """Return the share of the shorter stretch that lies in the other."""
    common = min(left[1], right[1]) - max(left[0], right[0])
    return max(0.0, common) / max(1e-9, min(left[1] - left[0], right[1] - right[0]))


def cut_by_us(match: Match, now: Action | None) -> bool:
    """Say whether our own key or word interrupted the prompt, as callers do who know their way."""
    return now is not None and match.start < now.start < match.end and match.head <= MISSING_SPEECH
