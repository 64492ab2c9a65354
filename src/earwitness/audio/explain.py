"""Why an expected prompt was not heard: what was there instead."""

from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.audio.listener import Listener, texts
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.script import HeardPrompt, PlannedStep, Result, StepReport

_STILL_GOING = 0.5  # s before our key at which a prompt that goes on after it must have begun
_UNINTELLIGIBLE = 2.0  # quality index below which nobody can say what the words were
_HUNG_UP = 0.5  # s before the end of what was waited for


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt that was not heard between `anchor`, when we had finished, and `until`; seconds into the recording.

    `due` is when the step began by the script; `later` are the prompts that were expected afterwards; `after_key` says that a
    key of ours came just before.
    """

    step: PlannedStep
    anchor: float
    until: float
    due: float
    later: tuple[str, ...] = ()
    after_key: bool = False

    @property
    def given_up_at(self) -> float:
        """When a caller stops waiting: at the major limit, or at the next key."""
        return min(self.anchor + self.step.major, self.due + self.step.wait)


class Explainer:
    def __init__(self, line: Listener, library: PromptLibrary, errors: Sequence[str]) -> None:
        self.line, self.library = line, library
        self.error_prompts = library.saying(errors)

    def explain(self, question: Question) -> StepReport:
        """Return the report of a step whose prompt was not heard."""
        heard = self.line.identify(self.library.prompts, question.anchor, self.line.duration)
        heard = tuple(prompt for prompt in heard if prompt.end > question.anchor + _STILL_GOING)
        return (
            self._failure(question, heard)
            or self._skipped(question, heard)
            or self._ignored_key(question, heard)
            or self._hung_up(question, heard)
            or self._wrong(question, heard)
            or self._quiet(question)
        )

    def known_failure(self, question: Question) -> StepReport | None:
        """Return the report of a step at which a prompt was heard that means failure; None if there was none."""
        return self._failure(question, self.line.identify(self.library.prompts, question.anchor, question.until))

    def _misroutes(self, question: Question) -> list[Prompt]:
        return [prompt for text in question.step.misroute for prompt in self.library.find(text)]

    def _failure(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        failures = _among(heard, self.error_prompts)
        if failures:
            return _report(question, Result.WRONG, f"heard {texts(failures)}", heard, failures[0].start)
        wrong_place = _among(heard, self._misroutes(question))
        if wrong_place:
            return _report(question, Result.MISROUTED, f"heard {texts(wrong_place)}", heard, wrong_place[0].start)
        return None

    def _ignored_key(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if not question.after_key or not heard:
            return None
        soon = self.line.identify(self.library.prompts, question.anchor, question.until)
        first = soon[0] if soon else heard[0]
        if first.end > question.anchor + _STILL_GOING and first.start < question.anchor - _STILL_GOING:
            return _report(question, Result.KEY_IGNORED, f'the line went on with "{first.text}"', heard, first.start)
        before = {prompt.name for prompt in self.line.identify(self.library.prompts, 0.0, question.anchor)}
        if first.name in before:
            return _report(question, Result.KEY_IGNORED, f'the line repeated "{first.text}"', heard, first.start)
        return None

    def _skipped(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        whole = [prompt for prompt in heard if prompt.whole]
        skipped_to = _among(whole, [prompt for text in question.later for prompt in self.library.find(text)])
        if not skipped_to:
            return None
        return _report(question, Result.SKIPPED, f"the line went straight on to {texts(skipped_to[:1])}", heard)

    def _hung_up(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if not self._is_cut_short(question) or any(prompt.whole for prompt in heard):
            return None
        after = f" after {texts(heard)}" if heard else ""
        waited = self.line.duration - question.anchor
        return _report(question, Result.HUNG_UP, f"the line hung up{after}, {waited:.1f}s into the wait", heard)

    def _is_cut_short(self, question: Question) -> bool:
        return self.line.duration < question.given_up_at - _HUNG_UP

    def _wrong(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if heard:
            then = ", then the line hung up" if self._is_cut_short(question) else ""
            return _report(question, Result.WRONG, f"heard {texts(heard)}{then}", heard, heard[0].start)
        spoken = self.line.first_speech(question.anchor, question.until)
        if spoken is None:
            return None
        quality = self.line.quality(None)
        if quality is not None and quality.index < _UNINTELLIGIBLE:
            return _report(question, Result.UNINTELLIGIBLE, "someone spoke, unintelligibly", at=spoken.start)
        return _report(question, Result.WRONG, "heard words that are in no reference recording", at=spoken.start)

    def _quiet(self, question: Question) -> StepReport:
        if self.line.first_speech(0.0, question.anchor) is None:
            return _report(question, Result.SILENT, "nothing was heard from the line")
        return _report(question, Result.MISSING, "the line was silent")


def _among(heard: Sequence[HeardPrompt], prompts: Sequence[Prompt]) -> tuple[HeardPrompt, ...]:
    names = {prompt.name for prompt in prompts}
    return tuple(prompt for prompt in heard if prompt.name in names)


def _report(
    question: Question, result: Result, note: str, heard: tuple[HeardPrompt, ...] = (), at: float | None = None
) -> StepReport:
    return StepReport(question.step, result, note, at=question.anchor if at is None else at, heard=heard)
