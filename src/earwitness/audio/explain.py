"""Why an expected prompt was not heard: what was there instead. The class of the failure comes before its cause."""

import math
from collections.abc import Sequence

from earwitness.audio.alignment import contains_phrase
from earwitness.audio.frames import RATE
from earwitness.audio.line import Line
from earwitness.audio.listener import Listener, texts
from earwitness.audio.music import Span
from earwitness.audio.network import Network
from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.phrases import Phrases
from earwitness.audio.prompts import Prompt
from earwitness.audio.quality import POOR
from earwitness.audio.question import Question, reported
from earwitness.audio.recognition import Action, Recogniser
from earwitness.audio.script import HeardPrompt, PlannedStep, Result, StepReport
from earwitness.audio.speech import level
from earwitness.audio.tones import ToneName

_LATE = 0.3  # s after we are done from which on speech is an answer
_STILL_GOING = 0.5  # s after our key that a prompt must last to have gone on
_KEY = 0.05  # s before the end of our last key's tone, which no answer to it precedes: receivers want 40 ms of it first
_ENOUGH = 0.6  # of a prompt; less may be a beginning or an end that it shares with others
_UNINTELLIGIBLE = 2.0  # quality index below which nobody can say what the words were
_SOMETHING = 0.8  # s of speech that are more than a word
_GARBAGE = -25.0  # dBFS of a wait in which nobody speaks, above which it is no silence
_HUNG_UP = 0.5  # s before the end of what was waited for
_ON_HOLD = 0.5  # share of the wait that music fills
_CLEAR = 0.7  # agreement of a part with what it is part of, below which it is a likeness by chance
_TONE_ALONE = 0.5  # share of the wait that a steady tone fills


class Explainer:
    def __init__(
        self, listener: Listener, line: Line, recogniser: Recogniser, phrases: Phrases, *, left_by_us: bool
    ) -> None:
        """`left_by_us`: we told somebody what this is, and hung up."""
        self.listener, self.line, self.recogniser, self.phrases = listener, line, recogniser, phrases
        self.left_by_us = left_by_us
        self.network = Network(line, listener.duration)
        self.library, self.transcript = recogniser.library, recogniser.transcript
        self.error_prompts = self.library.saying(phrases.errors)
        self.no_key_prompts = self.library.saying(phrases.no_key)

    def explain(self, question: Question) -> StepReport:
        """Return the report of a step whose prompt was not heard."""
        heard = self._after(question.anchor, self.listener.duration)
        return (
            self._failure(question, heard)
            or self.network.report(question, heard)
            or self._skipped(question, heard)
            or self._holding(question, heard)
            or self._ignored_key(question, heard)
            or self._hung_up(question, heard)
            or self._on_hold(question)
            or self._wrong(question, heard)
            or self._quiet(question)
        )

    def known_failure(self, question: Question) -> StepReport | None:
        """Return the report of a step at which a prompt was heard that means failure; None if there was none."""
        heard = self._heard(question.anchor, question.until)
        return self._failure(question, heard) or self.network.report(question, heard)

    def _heard(self, start: float, end: float) -> tuple[HeardPrompt, ...]:
        """Return the prompts of the library that were said, whole or in a clear part."""
        heard = self.listener.identify(self.library.prompts, start, end)
        return tuple(prompt for prompt in heard if prompt.whole or prompt.score >= _CLEAR * prompt.coverage)

    def _after(self, anchor: float, end: float) -> tuple[HeardPrompt, ...]:
        """Return those that were said after `anchor`, or went on then."""
        return tuple(prompt for prompt in self._heard(anchor, end) if _goes_on(prompt, anchor))

    def hung_up_before(self, question: Question) -> StepReport:
        """Return the report of a key or word of ours that came too late: the line was gone, or the network's tones tell why."""
        note = f"the line hung up after {self.listener.duration:.1f}s"
        return self.network.before_reply(question) or StepReport(question.step, Result.HUNG_UP, note)

    def voice(self, start: float, end: float) -> Span | None:
        """Return the first of what somebody says that goes on after `start` and begins before `end`; None if it is next to nothing."""
        return self.line.voice(start + _LATE, end)

    def _failure(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        heard = tuple(p for p in heard if p.whole or p.coverage >= _ENOUGH or p.end > self.listener.duration)
        failures = _among(heard, self.error_prompts)
        if failures:
            return reported(question, Result.WRONG, f"heard {texts(failures)}", heard, failures[0].start)
        misroutes = [prompt for text in question.step.misroute for prompt in self.library.find(text)]
        wrong_place = _among(heard, misroutes)
        if wrong_place:
            name = self._place_of(question.step, wrong_place[0].name)
            return reported(
                question, Result.MISROUTED, f"{name}heard {texts(wrong_place)}", heard, wrong_place[0].start
            )
        return self._failure_in_words(question)

    def _place_of(self, step: PlannedStep, prompt: str) -> str:
        for text, place in step.places.items():
            if place and any(found.name == prompt for found in self.library.find(text)):
                return f"put through to {place}: "
        return ""

    def _failure_in_words(self, question: Question) -> StepReport | None:
        """The same by words, where an engine hears them."""
        if not self.transcript.available:
            return None
        words = self.transcript.words(question.anchor, self.listener.duration)
        phrase = contains_phrase(self.phrases.errors, words)
        if phrase is not None:
            return reported(question, Result.WRONG, f'heard "{phrase.phrase}"', at=phrase.start)
        for text in question.step.misroute:
            found = contains_phrase([text], words)
            if found is not None:
                place = question.step.places.get(text, "")
                name = f"put through to {place}: " if place else ""
                return reported(question, Result.MISROUTED, f'{name}heard "{found.phrase}"', at=found.start)
        return None

    def _ignored_key(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if not question.after_key:
            return None
        return self._said_no_key(question, heard) or self._went_on(question, heard) or self._repeated(question, heard)

    def _said_no_key(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        """The line says so itself, before our next key; until then it may have waited with a menu that we had not heard yet."""
        said = [prompt for prompt in _among(heard, self.no_key_prompts) if prompt.start < question.until]
        if said:
            return reported(question, Result.KEY_IGNORED, f"heard {texts(said)}", heard, said[0].start)
        words = self.transcript.words(question.anchor, question.until) if self.transcript.available else ()
        phrase = contains_phrase(self.phrases.no_key, words)
        if phrase is None:
            return None
        return reported(question, Result.KEY_IGNORED, f'heard "{phrase.phrase}"', heard, phrase.start)

    def _went_on(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        """The prompt that our key should have ended went on."""
        so_far = self._heard(0.0, question.until)
        going = [
            prompt
            for prompt in so_far
            if prompt.whole and prompt.start < question.anchor - _KEY and prompt.last_part > question.anchor - _KEY
        ]
        if not going:
            return None
        return reported(
            question, Result.KEY_IGNORED, f"the line went on with {texts(going[:1])}", heard, going[0].start
        )

    def _repeated(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        """What was said before our key is said again, or what came after it; and not because the call went on to where it is due."""
        if not heard:
            return None
        soon = self._after(question.anchor, question.until) or heard
        if self._among_later(question, soon[:1]) and self._said_otherwise(question, heard) is not None:
            return None
        before = {prompt.name for prompt in self._heard(0.0, question.anchor)}
        same = [p for p in soon if p.name in before and not self._among_later(question, (p,))]
        repeated = same or (soon[:1] if self._is_said_again(soon[0]) else ())
        if not repeated:
            return None
        return reported(
            question, Result.KEY_IGNORED, f"the line repeated {texts(repeated[:1])}", heard, repeated[0].start
        )

    def _is_said_again(self, prompt: HeardPrompt, since: float | None = None) -> bool:
        """Whether the prompt is heard once more: later, or earlier from `since` on."""
        known = [each for each in self.library.prompts if each.name == prompt.name]
        spans = [(prompt.end, math.inf)] if since is None else [(prompt.end, math.inf), (since, prompt.start)]
        again = [self.listener.best(known, start, end) for start, end in spans if end - start > known[0].duration]
        return any(found is not None and found[1].coverage >= _ENOUGH for found in again)

    def forbidden(self, expected: Sequence[tuple[float, float]]) -> tuple[float, str] | None:
        """Return when and as what a prompt was heard that means failure, apart from the stretches of `expected` prompts.

        Where an engine wrote down the words already, they are looked through as well.
        """
        heard = self.listener.identify(self.error_prompts, 0.0, self.listener.duration)
        found = [(p.start, texts((p,))) for p in heard if p.whole and self._is_itself(p)]
        if self.transcript.written:
            phrase = contains_phrase(self.phrases.errors, self.transcript.words(0.0, self.listener.duration))
            found += [(phrase.start, f'"{phrase.phrase}"')] if phrase is not None else []
        apart = (f for f in found if not any(start - _LATE <= f[0] < end for start, end in expected))
        return min(apart, default=None)

    def _is_itself(self, prompt: HeardPrompt) -> bool:
        """Whether no other prompt of the library fits its place better: what is said there may share words with it."""
        there = self.listener.identify(self.library.prompts, prompt.start, prompt.end)
        return any(other.name == prompt.name for other in there)

    def _skipped(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        skipped_to = self._among_later(question, [prompt for prompt in heard if prompt.whole])
        if not skipped_to or self._said_otherwise(question, heard) is not None:
            return None
        return reported(question, Result.SKIPPED, f"the line went straight on to {texts(skipped_to[:1])}", heard)

    def _among_later(self, question: Question, heard: Sequence[HeardPrompt]) -> tuple[HeardPrompt, ...]:
        return _among(heard, [prompt for text in question.later for prompt in self.library.find(text)])

    def _said_otherwise(self, question: Question, heard: tuple[HeardPrompt, ...]) -> Action | None:
        """Return where words that no recording holds were spoken first, before a known prompt or our next key; None if they were not."""
        known = min((p.start for p in heard if p.end > question.anchor), default=math.inf)
        end = min(question.until, question.given_up_at, known, self.listener.duration)
        spoken = self.line.spoken(question.anchor + _STILL_GOING, end)
        seconds = sum(min(s.end, end) - max(s.start, question.anchor) for s in spoken)
        if seconds < _SOMETHING or self.line.music_in(spoken[0].start, spoken[-1].end) > seconds / 2:
            return None
        return Action(max(spoken[0].start, question.anchor), min(spoken[-1].end, end))

    def _hung_up(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if not self._is_cut_short(question) or any(prompt.whole for prompt in heard):
            return None
        otherwise = self._said_otherwise(question, heard)
        if otherwise is not None and otherwise.end < self.listener.duration - _HUNG_UP:
            return None  # it was said to its end, which says more than the end of the call
        after = f" after {texts(heard)}" if heard else ""
        waited = self.listener.duration - question.anchor
        return reported(question, Result.HUNG_UP, f"the line hung up{after}, {waited:.1f}s into the wait", heard)

    def _is_cut_short(self, question: Question) -> bool:
        return not self.left_by_us and self.listener.duration < question.given_up_at - _HUNG_UP

    def _holding(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        """While we hold, announcements are no answer to our key: music, or the same words again and again, keep us waiting."""
        if question.step.verb != "hold":
            return None
        on_hold = self._on_hold(question)
        if on_hold is not None or self._is_cut_short(question):
            return on_hold
        before = (
            {p.name for p in self._heard(0.0, question.anchor)} if question.after_key else set()
        )  # a menu, not a comfort
        new = (p for p in heard if p.whole and p.name not in before)
        comfort = next((p for p in new if self._is_said_again(p, question.anchor)), None)
        if comfort is None:
            return None
        waited = min(question.until, self.listener.duration) - question.anchor
        note = f"on hold for {waited:.0f}s, told {texts((comfort,))} again and again"
        return reported(question, Result.STILL_HOLDING, note, heard)

    def _on_hold(self, question: Question) -> StepReport | None:
        """Music, or announcements between music, until nobody waits any longer."""
        end = self.listener.duration if question.step.verb == "hold" else min(question.until, self.listener.duration)
        waited = end - question.anchor
        music = self.line.music_in(question.anchor, end)
        if waited <= 0 or (music < _ON_HOLD * waited and not (question.step.verb == "hold" and music > 0)):
            return None
        note = f"on hold for {waited:.0f}s, {music:.0f}s of it music"
        return reported(question, Result.STILL_HOLDING, note)

    def _wrong(self, question: Question, heard: tuple[HeardPrompt, ...]) -> StepReport | None:
        if not heard and self._is_no_voice(question):
            return None
        otherwise = self._said_otherwise(question, heard)
        if heard and otherwise is None:
            then = ", then the line hung up" if self._is_cut_short(question) else ""
            return reported(question, Result.WRONG, f"heard {texts(heard)}{then}", heard, heard[0].start)
        end = min(
            question.until, question.given_up_at
        )  # what comes later is no answer, and may be the echo of our own words
        spoken = otherwise or next(iter(self.line.spoken(question.anchor + _LATE, end)), None)
        if spoken is None:
            return None
        if self._is_unintelligible(question):
            return reported(question, Result.UNINTELLIGIBLE, "someone spoke, unintelligibly", at=spoken.start)
        words = mask_numbers(self.transcript.text(question.anchor, spoken.end))
        note = f'heard "{words}"' if words else "heard words that are in no reference recording"
        note += f", then {texts(heard)}" if heard else ""
        at, end = max(spoken.start, question.anchor), min(spoken.end, question.until)
        foreign = otherwise is not None
        return StepReport(question.step, Result.WRONG, note, at, end, words=words, foreign=foreign)

    def _is_no_voice(self, question: Question) -> bool:
        """Whether any words would do, and there are none."""
        any_words = len(self.recogniser.unknowable(question.step.expect)) == len(question.step.expect)
        return any_words and self.voice(question.anchor, self.listener.duration) is None

    def _is_unintelligible(self, question: Question) -> bool:
        """Whether the line is so poor that nobody could say what the words are. Engines are deaf before people are."""
        words_alone = self.recogniser.by_words_alone(question.step)
        if not words_alone and any(prompt.whole for prompt in self._heard(0.0, self.listener.duration)):
            return False
        quality = self.listener.quality()
        return quality is not None and quality.index < (POOR if words_alone else _UNINTELLIGIBLE)

    def _quiet(self, question: Question) -> StepReport:
        end = min(self.listener.duration, question.given_up_at)
        if self.line.has_no_media(question.anchor, end):
            return reported(question, Result.NO_MEDIA, "no sound at all came from the far end, not even a line's noise")
        tones = self.line.tones_in(question.anchor, end)
        steady = [tone for tone in tones if tone.name is ToneName.TONE]
        if sum(tone.end - tone.start for tone in steady) > _TONE_ALONE * (end - question.anchor):
            return reported(question, Result.WRONG, f"heard a steady tone of {steady[0].detail}", at=steady[0].start)
        loudness = level(self.listener.samples[int(question.anchor * RATE) : int(end * RATE)])
        if loudness > _GARBAGE and not tones:
            return reported(question, Result.UNINTELLIGIBLE, f"nothing but noise was heard, at {loudness:.0f} dBFS")
        besides = f" but {tones[0].name.replace('_', ' ')} ({tones[0].detail})" if tones else ""
        if not self.line.spoken(_LATE, question.anchor):
            return reported(question, Result.SILENT, f"nothing{besides} was heard from the line")
        return reported(question, Result.MISSING, f"the line was silent{besides}")


def _among(heard: Sequence[HeardPrompt], prompts: Sequence[Prompt]) -> tuple[HeardPrompt, ...]:
    names = {prompt.name for prompt in prompts}
    return tuple(prompt for prompt in heard if prompt.name in names)


def _goes_on(prompt: HeardPrompt, anchor: float) -> bool:
    """Whether a prompt is said after `anchor`: one that began before is only if it was recognised beyond it. Our key may have cut it off there."""
    return prompt.end > anchor + _STILL_GOING and max(prompt.start, prompt.last_part) > anchor - _KEY
