"""A call judged from its recording alone: a pure function of the recording, the script and the reference recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from earwitness.audio.actions import actions_in, due, ends_with_our_words, tones_of
from earwitness.audio.channels import Sides, tell_sides
from earwitness.audio.dropouts import LONGEST
from earwitness.audio.echo import own_echo, returned
from earwitness.audio.explain import Explainer
from earwitness.audio.frames import FRAMES_PER_SECOND, HOP, at_telephone_rate
from earwitness.audio.line import Line, first_silence
from earwitness.audio.listener import Listener, heard_prompt
from earwitness.audio.match import Match
from earwitness.audio.measures import measure_call
from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.pesq import listening_quality_of
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import SHORTEST, Prompt, PromptLibrary
from earwitness.audio.quality import Quality, with_own_echo
from earwitness.audio.question import Question
from earwitness.audio.recognition import MISSING_SPEECH, Action, Recognised, Recogniser
from earwitness.audio.script import CallReport, PlannedStep, Result, StepReport
from earwitness.audio.transcript import MakeEngine, Transcript
from earwitness.audio.wav import Recording, Samples
from earwitness.audio.words import spoken_letters

_PUNCTUAL = 1.5  # s by which the carrier may be late with our keys
_END = 0.3  # s before the end of the recording at which a prompt counts as cut by the hang-up
_ON_HOLD = 0.5  # share of a wait that music fills, where it was spent on hold
_SENTENCES = 0.7  # s of silence that may lie between the sentences of a prompt
_LETTERS_PER_SECOND = 15.0  # of a prompt's text, spoken
_NO_PHRASES = Phrases()
UNCHECKED = "someone spoke; words not checked: no reference recording"


def analyse(
    recording: Recording,
    script: Sequence[PlannedStep],
    library: PromptLibrary,
    phrases: Phrases = _NO_PHRASES,
    make_engine: MakeEngine | None = None,
    far_end: Samples | None = None,
) -> CallReport:
    """Return what was heard of each step. `phrases` mean something wherever another prompt was expected.

    `make_engine` makes the engine that turns speech into words, if it is needed; without one, prompts are recognised by their
    sound alone. `far_end` is what a live stream of the far end held, shape (n,) at 8 kHz. Raises ChannelError when it cannot be told which side of the recording is ours, and EngineError.
    """
    recording = at_telephone_rate(recording)
    keys = "".join(tones_of(step.keys) for step in script)
    expected = [prompt for step in script for text in step.expect for prompt in library.find(text)]
    live = far_end is not None  # then we speak as soon as may be, else not before it is due
    we_may = live or recording.duration > due(script, "say") - _PUNCTUAL
    we_speak = we_may and any(step.verb == "say" for step in script)
    first_key_at = due(script, "press") + _PUNCTUAL
    sides = tell_sides(recording, keys, first_key_at, expected, we_speak=we_speak, far_end=far_end)
    return _Walk(sides, script, library, phrases, make_engine).run()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk stands; seconds.

    `anchor` is when that ended from which the next prompt's delay is counted, `due` when the next key is due by the script.
    `after_key`: a key of ours came just before.
    """

    anchor: float = 0.0
    due: float = 0.0
    after_key: bool = False


class _Walk:
    """Goes through the script with the recording."""

    def __init__(
        self,
        sides: Sides,
        script: Sequence[PlannedStep],
        library: PromptLibrary,
        phrases: Phrases,
        make_engine: MakeEngine | None,
    ) -> None:
        self.sides, self.script, self.library = sides, script, library
        self.echo = own_echo(sides.ours, sides.theirs)
        our_echo = returned(sides.ours, sides.theirs, self.echo) if self.echo else ()
        self.listener = Listener(sides.theirs, sides.their_keys, our_echo)
        self.line = Line(self.listener)
        self.recogniser = Recogniser(self.listener, library, Transcript(sides.theirs, make_engine))
        self.actions = actions_in(sides, script)
        left_by_us = ends_with_our_words(sides, max((a.end for a in self.actions.values()), default=0.0))
        self.explainer = Explainer(self.listener, self.line, self.recogniser, phrases, left_by_us=left_by_us)
        self.at = _Place()
        self.heard_whole: list[tuple[Prompt, Match]] = []
        self.distorted = False

    def run(self) -> CallReport:
        reports = self._without_forbidden(self._rest(0))
        measures = measure_call(self.sides, self.listener, self.line, reports, self.echo)
        quality = self._quality()
        if quality and "dropouts" in quality.defects:
            reports = [_not_truncated(report) for report in reports]
        mos = listening_quality_of(self.sides.theirs, self.heard_whole)
        return CallReport(tuple(reports), quality, self.listener.duration, self.sides.our_channel, measures, mos)

    def _without_forbidden(self, reports: list[StepReport]) -> list[StepReport]:
        """Return `reports` with the step failed after which a prompt was heard that means failure, wherever it was."""
        if any(report.result.fatal for report in reports):
            return reports
        said = [(r.at, r.end) for r in reports if r.step.hears and r.at is not None and r.end is not None]
        found = self.explainer.forbidden(said)
        if found is None:
            return reports
        at, text = found
        begun = [place for place, r in enumerate(reports) if r.at is not None and r.at <= at]
        place = begun[-1] if begun else 0
        failed = replace(reports[place], result=Result.WRONG, note=f"heard {text}, which means failure", at=at)
        return [*reports[:place], failed, *reports[place + 1 :]]

    def _quality(self) -> Quality | None:
        torn = self._uninterrupted(self.listener.torn_prompts(self.library.prompts))
        quality = self.listener.quality(self._uninterrupted(self.heard_whole), torn, distorted=self.distorted)
        return with_own_echo(quality, self.echo) if quality and self.echo else quality

    def _uninterrupted(self, heard: Sequence[tuple[Prompt, Match]]) -> list[tuple[Prompt, Match]]:
        """Return what was heard up to our next key or word: the far end may break off there, and that is no fault of the line."""
        acts = [action.start for action in self.actions.values()]
        cut = [_up_to(min((at for at in acts if at > m.start), default=m.end), p, m) for p, m in heard]
        return [(prompt, match) for prompt, match in cut if prompt.duration >= SHORTEST]

    def _rest(self, first: int) -> list[StepReport]:
        """Return the reports of all steps from `first` on."""
        reports: list[StepReport] = []
        for place in range(first, len(self.script)):
            step = self.script[place]
            report = self._step(place, step)
            if report.result is Result.WRONG and (changed := self._changed(place, report)):
                return [*reports, *changed]
            reports.append(report)
            if report.result.fatal:
                left = self.script[place + 1 :]
                return reports + [StepReport(s, Result.NOT_JUDGED, "not judged: an earlier step failed") for s in left]
            self.at = replace(self.at, due=self.at.due + step.wait)
        return reports

    def _changed(self, place: int, report: StepReport) -> list[StepReport] | None:
        """Return the reports from `place` on if its prompt is fluent in other words and the call reaches its goal all the same."""
        if (
            not report.foreign
            or not report.step.hears
            or not any(step.hears and not step.optional for step in self.script[place + 1 :])
        ):
            return None
        assert report.at is not None and report.end is not None  # noqa: PT018 - words were heard somewhere
        said, read = report.end, min(report.end, self._prompt_end(report.at, report.step.expect))
        words = mask_numbers(self.recogniser.transcript.text(report.at, read)) if report.words else ""
        note = f'heard "{words}"' if words else report.note
        delay = report.at - self.at.anchor
        report = replace(report, result=Result.CHANGED, end=read, delay=delay, words=words, note=note)
        anchors = dict.fromkeys((said, read))  # all that was said is one prompt, or the next one is in it as well
        return next(([report, *rest] for anchor in anchors if (rest := self._reached(place, anchor))), None)

    def _reached(self, place: int, anchor: float) -> list[StepReport] | None:
        """Return the reports after `place`, whose prompt is over at `anchor`, if everything is heard."""
        before, known = self.at, len(self.heard_whole)
        self.at = _Place(anchor, before.due + self.script[place].wait)
        rest = self._rest(place + 1)
        heard = [r for r in rest if r.step.hears and not r.step.optional]
        if not any(r.result.fatal for r in rest) and all(r.result is not Result.SKIPPED and r.score for r in heard):
            return rest
        self.at = before
        del self.heard_whole[known:]
        return None

    def _step(self, place: int, step: PlannedStep) -> StepReport:
        match step.verb:
            case "press" | "say":
                return self._act(place, step)
            case "listen":
                return self._listen(step)
            case "silence":
                return self._silence(step)
            case "expect" | "hold":
                return self._expect(place, step)
        return StepReport(step, Result.OK)

    def _act(self, place: int, step: PlannedStep) -> StepReport:
        action = self.actions.get(place)
        if action is None:
            if self.listener.duration < self.at.due + _PUNCTUAL:
                return self.explainer.hung_up_before(self._question(step, self.listener.duration))
            return StepReport(step, Result.NOT_SENT, "not heard on our own channel")
        self.at = _Place(action.end, action.end, step.verb == "press")
        return StepReport(step, Result.OK, at=action.start, end=action.end)

    def _listen(self, step: PlannedStep) -> StepReport:
        until = self.at.due + step.wait
        wrong = self.explainer.known_failure(self._question(step, until))
        if wrong is not None:
            return wrong
        spoken = self.explainer.voice(self.at.due, until)
        if spoken is not None:
            return StepReport(step, Result.OK, "someone spoke", at=spoken.start, end=spoken.end)
        return self._explain(step, until)

    def _silence(self, step: PlannedStep) -> StepReport:
        began = first_silence(self.listener.segments, step.silence, self.at.anchor, self.listener.duration)
        delay = (self.listener.duration if began is None else began) - self.at.anchor
        if began is None or delay > step.major:
            note = f"the line was not silent for {step.silence:g}s within {step.major:g}s"
            return StepReport(step, Result.NOISY_LINE, note, at=self.at.anchor, delay=delay)
        self.at = replace(self.at, anchor=began + step.silence)
        return _timed(StepReport(step, Result.OK, at=began, end=began + step.silence, delay=delay))

    def _expect(self, place: int, step: PlannedStep) -> StepReport:
        now = self._next_action(place)
        until = now.start if now else self.listener.duration
        found = (
            self.recogniser.by_sound(step, self.at.anchor, now)
            or self.recogniser.by_loudness(step, self.at.anchor, now)
            or self.recogniser.by_words(step, self.at.anchor, until, self._others(place))
        )
        if found is not None:
            return self._recognised(step, found, now)
        if step.optional:
            return StepReport(step, Result.LEFT_OUT, "left out")
        unknowable = self.recogniser.unknowable(step.expect)
        if len(unknowable) == len(step.expect):
            return self._expect_speech(step, now)
        report = self._with_agreement(self._explain(step, until, place))
        if report.result is Result.WRONG and unknowable:
            return self._expect_speech(step, now)  # it may be the alternative that nobody knows the sound of
        return report

    def _with_agreement(self, report: StepReport) -> StepReport:
        """Return the report of a prompt that was not heard, with how little of it was."""
        like = self.recogniser.agreement(report.step, self.at.anchor)
        return report if like is None else replace(report, score=like[0], share=like[1], method="sound")

    def _others(self, place: int) -> list[str]:
        """Return the texts that might be said where the step's prompt is expected."""
        step = self.script[place]
        expected = [text for other in self.script if other is not step for text in other.expect]
        return list(dict.fromkeys([*expected, *step.misroute, *(p.text for p in self.library.prompts)]))

    def _next_action(self, place: int) -> Action | None:
        return next((self.actions[later] for later in sorted(self.actions) if later > place), None)

    def _recognised(self, step: PlannedStep, found: Recognised, now: Action | None) -> StepReport:
        at, delay = found.start, max(0.0, found.start - self.at.anchor)
        end = min(found.end, now.start) if now and now.start > at else found.end
        self.at = replace(self.at, anchor=end, after_key=False)
        if found.whole and found.match:
            self.heard_whole.append(found.match)
        heard = (heard_prompt(found.match),) if found.match else ()
        is_distorted = found.method == "loudness"
        self.distorted |= is_distorted
        words = self.recogniser.transcript.text(found.start, found.end) if found.method == "words" else ""
        report = StepReport(
            step,
            Result.OK,
            "the voice is distorted" if is_distorted else "",
            at,
            found.end,
            delay,
            found.score,
            found.share,
            found.method,
            heard,
            words,
        )
        if max(found.head, found.tail) > MISSING_SPEECH:
            return self._truncated(report, found)
        on_hold = self.line.music_in(at - delay, at) > delay * _ON_HOLD
        return _partly(_timed(report, held=on_hold or step.verb == "hold"))

    def _truncated(self, report: StepReport, found: Recognised) -> StepReport:
        if found.tail > MISSING_SPEECH and found.end > self.listener.duration - _END:
            note = f'the line hung up {found.tail:.1f}s before the end of "{found.text}"'
            return replace(report, result=Result.HUNG_UP, note=note)
        if found.tail > MISSING_SPEECH and (tone := self.explainer.network.cut_in(found.end - found.tail)):
            note = f'"{found.text}" broke off {found.tail:.1f}s before its end: the far end hung up, heard the {tone.name} tone'
            return replace(report, result=Result.HUNG_UP, note=note)
        where = "beginning" if found.head > found.tail else "end"
        note = f'{found.head + found.tail:.1f}s of "{found.text}" are missing at its {where}'
        return replace(report, result=Result.TRUNCATED, note=note, lost=found.head + found.tail)

    def _expect_speech(self, step: PlannedStep, now: Action | None) -> StepReport:
        until = now.start if now else self.listener.duration
        spoken = self.explainer.voice(self.at.anchor, until) or self.explainer.voice(
            self.at.anchor, self.listener.duration
        )
        if spoken is None:
            return self._explain(step, until)
        wrong = self.explainer.known_failure(self._question(step, until))
        if wrong is not None:
            return wrong
        at, end = max(spoken.start, self.at.anchor), min(self._prompt_end(spoken.start, step.expect), until)
        delay = at - self.at.anchor
        self.at = replace(self.at, anchor=end, after_key=False)
        unchecked = self.recogniser.unknowable((*step.expect, *step.misroute))
        return _timed(StepReport(step, Result.OK, UNCHECKED, at, end, delay, unchecked=unchecked))

    def _prompt_end(self, start: float, texts: Sequence[str]) -> float:
        """Return when the prompt that began at `start` is over, as far as its text tells.

        Sentences of one prompt follow each other closely, but so may another prompt: of the pauses, the one is taken that comes
        when somebody who reads the text would have ended.
        """
        ends: list[float] = []
        for segment in self.listener.segments:
            if segment.end > start and (not ends or segment.start <= ends[-1] + _SENTENCES):
                ends.append(segment.end)
        read = start + max(map(spoken_letters, texts)) / _LETTERS_PER_SECOND
        return min(ends, key=lambda end: abs(end - read))

    def _explain(self, step: PlannedStep, until: float, place: int | None = None) -> StepReport:
        later = () if place is None else tuple(text for later in self.script[place + 1 :] for text in later.expect)
        return self.explainer.explain(self._question(step, until, later))

    def _question(self, step: PlannedStep, until: float, later: tuple[str, ...] = ()) -> Question:
        return Question(step, self.at.anchor, until, self.at.due, later, after_key=self.at.after_key)


def _timed(report: StepReport, *, held: bool = False) -> StepReport:
    """Return `report` judged by its delay; `held`: it was spent on hold."""
    assert report.delay is not None
    if report.delay > report.step.major:
        return replace(report, result=Result.HELD_TOO_LONG if held else Result.TOO_SLOW)
    if report.step.minor is not None and report.delay > report.step.minor:
        return replace(report, result=Result.HELD_LONG if held else Result.SLOW)
    return report


def _not_truncated(report: StepReport) -> StepReport:
    """Return `report` without what is missing of its prompt where no more is than the line drops elsewhere."""
    if report.result is not Result.TRUNCATED or report.lost > LONGEST:
        return report
    return replace(report, result=Result.OK, note=f"{report.note}; the line drops out")


def _partly(report: StepReport) -> StepReport:
    """Return `report` judged by how much of the prompt was recognised, where it was in time."""
    wanted = report.step.match_minor
    if report.result is not Result.OK or wanted is None or report.share is None or report.share >= wanted:
        return report
    return replace(report, result=Result.PARTLY, note=f"{report.share:.0%} of it was recognised")


def _up_to(end: float, prompt: Prompt, match: Match) -> tuple[Prompt, Match]:
    if end >= match.end:
        return prompt, match
    frames = int((end - match.start) * FRAMES_PER_SECOND)
    lags = tuple(pair for pair in match.lags if pair[0] < frames) or match.lags[:1]
    return replace(prompt, samples=prompt.samples[: frames * HOP]), replace(match, end=end, lags=lags)
