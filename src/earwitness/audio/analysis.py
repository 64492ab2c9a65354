"""A call judged from its recording alone: a pure function of the recording, the script and the reference recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from earwitness.audio.channels import Sides, tell_sides
from earwitness.audio.explain import Explainer, Question
from earwitness.audio.frames import at_telephone_rate
from earwitness.audio.listener import Listener, heard_prompt
from earwitness.audio.match import Match
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.quality import POOR
from earwitness.audio.script import CallReport, PlannedStep, Result, StepReport
from earwitness.audio.speech import speech
from earwitness.audio.wav import Recording

_PUNCTUAL = 1.5  # s by which the carrier may be late with our keys
_MISSING_SPEECH = 0.3  # s of a prompt's head or tail that must be missing before it counts as cut
_END = 0.3  # s before the end of the recording at which a prompt counts as cut by the hang-up
_WORDS_PAUSE = 1.5  # s of silence that may lie within our own words
_NOISY_COVERAGE = 0.5  # of a prompt that must be recognised where noise hides the rest
UNCHECKED = "someone spoke; words not checked: no reference recording"


def analyse(
    recording: Recording, script: Sequence[PlannedStep], library: PromptLibrary, errors: Sequence[str] = ()
) -> CallReport:
    """Return what was heard of each step. `errors` are words that mean failure wherever another prompt was expected.

    Raises ChannelError when it cannot be told which side of the recording is ours.
    """
    recording = at_telephone_rate(recording)
    keys = "".join(_tones(step.keys) for step in script)
    expected = [prompt for step in script for text in step.expect for prompt in library.find(text)]
    sides = tell_sides(recording, keys, _first_action(script), expected, we_speak=any(s.verb == "say" for s in script))
    return _Walk(sides, script, library, errors).run()


def _tones(keys: str) -> str:
    return keys.replace("w", "").replace("W", "")


def _first_action(script: Sequence[PlannedStep]) -> float:
    """Return when our first key is due, seconds after the answer, with the time that the carrier may take."""
    first = next((place for place, step in enumerate(script) if step.verb == "press"), len(script))
    return sum(step.wait for step in script[:first]) + _PUNCTUAL


@dataclass(frozen=True, slots=True)
class _Action:
    """Our key or word, as it is on our channel; seconds."""

    start: float
    end: float


class _Walk:
    """Goes through the script with the recording. `anchor` is when that ended from which the next prompt's delay is counted."""

    def __init__(
        self, sides: Sides, script: Sequence[PlannedStep], library: PromptLibrary, errors: Sequence[str]
    ) -> None:
        self.sides, self.script, self.library = sides, script, library
        self.line = Listener(sides.theirs)
        self.errors = errors
        self.actions = _actions(sides, script)
        self.anchor = 0.0
        self.due = 0.0  # when the next key is due by the script
        self.after_key = False
        self.agreements: list[float] = []

    def run(self) -> CallReport:
        reports: list[StepReport] = []
        for place, step in enumerate(self.script):
            if any(report.result.fatal for report in reports):
                reports.append(StepReport(step, Result.NOT_JUDGED, "not judged: an earlier step failed"))
            else:
                reports.append(self._step(place, step))
                self.due += step.wait
        agreement = float(np.mean(self.agreements)) if self.agreements else None
        return CallReport(tuple(reports), self.line.quality(agreement), self.line.duration, self.sides.our_channel)

    def _step(self, place: int, step: PlannedStep) -> StepReport:
        if step.verb in ("press", "say"):
            return self._act(place, step)
        if step.verb == "listen":
            return self._listen(step)
        if step.verb == "expect":
            return self._expect(place, step)
        return StepReport(step, Result.OK)

    def _act(self, place: int, step: PlannedStep) -> StepReport:
        action = self.actions.get(place)
        if action is None:
            if self.line.duration < self.due + _PUNCTUAL:
                return StepReport(step, Result.HUNG_UP, f"the line hung up after {self.line.duration:.1f}s")
            return StepReport(step, Result.NOT_SENT, "not heard on our own channel")
        self.anchor = self.due = action.end
        self.after_key = step.verb == "press"
        return StepReport(step, Result.OK, at=action.start, end=action.end)

    def _listen(self, step: PlannedStep) -> StepReport:
        spoken = self.line.first_speech(self.due, self.due + step.wait)
        if spoken is not None:
            return StepReport(step, Result.OK, "someone spoke", at=spoken.start, end=spoken.end)
        return self._explain(step, self.due + step.wait)

    def _expect(self, place: int, step: PlannedStep) -> StepReport:
        references = [prompt for text in step.expect for prompt in self.library.find(text)]
        now = self._next_action(place)
        if not references:
            return self._expect_speech(step, now)
        until = now.start if now else self.line.duration
        found = self._find(references, until)
        if found is not None and self._is_it(found, now):
            return self._recognised(step, found, now)
        report = self._explain(step, until, place)
        if report.result is Result.WRONG and self._unreferenced(step.expect):
            return self._expect_speech(step, now)  # it may be the alternative that nobody knows the sound of
        return report

    def _unreferenced(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for text in texts if not self.library.find(text))

    def _find(self, references: Sequence[Prompt], until: float) -> tuple[Prompt, Match] | None:
        """Return the whole prompt if it is heard before `until`, or later, else the part of it that is."""
        in_time = self.line.best(references, self.anchor, until)
        if in_time and in_time[1].whole:
            return self._earliest(references, in_time)
        ever = self.line.best(references, self.anchor, self.line.duration)
        if ever and ever[1].whole:
            return self._earliest(references, ever)
        return in_time or ever

    def _earliest(self, references: Sequence[Prompt], found: tuple[Prompt, Match]) -> tuple[Prompt, Match]:
        """Return the first time that the prompt was said, which need not be the time that fits best."""
        while (earlier := self.line.best(references, self.anchor, found[1].start)) and earlier[1].whole:
            found = earlier
        return found

    def _next_action(self, place: int) -> _Action | None:
        return next((self.actions[later] for later in sorted(self.actions) if later > place), None)

    def _is_it(self, found: tuple[Prompt, Match], now: _Action | None) -> bool:
        """Say whether it is the prompt itself, not one that shares words or a voice with it."""
        prompt, match = found
        rivals = [other for other in self.library.prompts if other.words != prompt.words]
        rival = self.line.best(rivals, match.start, match.end)
        if rival and rival[1].score > match.score and _overlap(rival[1], match) > (0.5 if match.whole else 0.1):
            return False
        if match.whole:
            return True
        if match.clear:
            return self._is_cut(match) or _cut_by_us(match, now)
        return match.coverage >= _NOISY_COVERAGE and self._is_noisy()

    def _is_cut(self, match: Match) -> bool:
        return max(match.head, match.tail) > _MISSING_SPEECH

    def _is_noisy(self) -> bool:
        quality = self.line.quality(None)
        return quality is None or quality.index < POOR

    def _recognised(self, step: PlannedStep, found: tuple[Prompt, Match], now: _Action | None) -> StepReport:
        prompt, match = found
        at, delay = match.start, max(0.0, match.start - self.anchor)
        self.anchor, self.after_key = (min(match.end, now.start) if now and now.start > at else match.end), False
        if match.whole:
            self.agreements.append(match.score)
        report = StepReport(step, Result.OK, "", at, match.end, delay, match.score, (heard_prompt(found),))
        if self._is_cut(match) and not _cut_by_us(match, now):
            return self._truncated(report, prompt, match)
        return _timed(report)

    def _truncated(self, report: StepReport, prompt: Prompt, match: Match) -> StepReport:
        lost = match.head + match.tail
        if match.tail > _MISSING_SPEECH and match.end > self.line.duration - _END:
            return replace(
                report,
                result=Result.HUNG_UP,
                note=f'the line hung up {match.tail:.1f}s before the end of "{prompt.text}"',
            )
        where = "beginning" if match.head > match.tail else "end"
        return replace(
            report, result=Result.TRUNCATED, note=f'{lost:.1f}s of "{prompt.text}" are missing at its {where}'
        )

    def _expect_speech(self, step: PlannedStep, now: _Action | None) -> StepReport:
        until = now.start if now else self.line.duration
        spoken = self.line.first_speech(self.anchor, until) or self.line.first_speech(self.anchor, self.line.duration)
        if spoken is None:
            return self._explain(step, until)
        wrong = self._explainer().known_failure(self._question(step, until))
        if wrong is not None:
            return wrong
        at = max(spoken.start, self.anchor)
        delay, self.anchor, self.after_key = at - self.anchor, min(spoken.end, until), False
        unchecked = self._unreferenced((*step.expect, *step.misroute))
        return _timed(StepReport(step, Result.OK, UNCHECKED, at, spoken.end, delay, unchecked=unchecked))

    def _explain(self, step: PlannedStep, until: float, place: int | None = None) -> StepReport:
        later = () if place is None else tuple(text for later in self.script[place + 1 :] for text in later.expect)
        return self._explainer().explain(self._question(step, until, later))

    def _explainer(self) -> Explainer:
        return Explainer(self.line, self.library, self.errors)

    def _question(self, step: PlannedStep, until: float, later: tuple[str, ...] = ()) -> Question:
        return Question(step, self.anchor, until, self.due, later, after_key=self.after_key)


def _timed(report: StepReport) -> StepReport:
    """Return `report` judged by its delay."""
    assert report.delay is not None
    if report.delay > report.step.major:
        return replace(report, result=Result.TOO_SLOW)
    if report.step.minor is not None and report.delay > report.step.minor:
        return replace(report, result=Result.SLOW)
    return report


def _overlap(left: Match, right: Match) -> float:
    """Return the share of the shorter one that lies in the other."""
    common = min(left.end, right.end) - max(left.start, right.start)
    return max(0.0, common) / max(1e-9, min(left.end - left.start, right.end - right.start))


def _cut_by_us(match: Match, now: _Action | None) -> bool:
    """Say whether our own key or word interrupted the prompt, as callers do who know their way."""
    return now is not None and match.clear and match.start < now.start < match.end and match.head <= _MISSING_SPEECH


def _actions(sides: Sides, script: Sequence[PlannedStep]) -> dict[int, _Action]:
    """Return what is on our channel of each key and word of the script, by the step's place, up to the first that is not there."""
    actions: dict[int, _Action] = {}
    at, after = 0, 0.0
    for place, step in enumerate(script):
        if step.verb == "press":
            wanted = _tones(step.keys)
            heard = sides.keys[at : at + len(wanted)]
            if "".join(key.key for key in heard) != wanted:
                break
            at, after = at + len(wanted), heard[-1].end
            actions[place] = _Action(heard[0].start, after)
        elif step.verb == "say":
            until = sides.keys[at].start if at < len(sides.keys) else len(sides.ours)
            said = _words(sides, after, until)
            if said is None:
                break
            actions[place], after = said, said.end
    return actions


def _words(sides: Sides, after: float, until: float) -> _Action | None:
    """Return our own speech that begins between `after` and `until`, up to its first long pause; keys are no speech."""
    words: _Action | None = None
    for segment in speech(sides.ours):
        is_key = any(key.start < segment.end and key.end > segment.start for key in sides.keys)
        if is_key or segment.start < after or segment.start >= until:
            continue
        if words is not None and segment.start > words.end + _WORDS_PAUSE:
            break
        words = _Action(words.start if words else segment.start, segment.end)
    return words
