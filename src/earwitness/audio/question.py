"""A prompt that was not heard where it was expected, and what is reported of it."""

from dataclasses import dataclass

from earwitness.audio.script import HeardPrompt, PlannedStep, Result, StepReport


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


def reported(
    question: Question, result: Result, note: str, heard: tuple[HeardPrompt, ...] = (), at: float | None = None
) -> StepReport:
    return StepReport(question.step, result, note, at=question.anchor if at is None else at, heard=heard)
