"""The network's tones in place of a prompt: busy, congestion, special information, ringing; and what they say after the far end has spoken.

What a caller hears names the class, before any cause. After the far end has spoken a busy or congestion tone may say two things: what it put the call
through to is busy, or it has let the call go, since many switches give these tones to whoever is left on a line (ITU-T E.180). Only where nobody can have
been put through, in the middle of a prompt or before our reply to it, is it a hang-up for certain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from earwitness.audio.line import Line
from earwitness.audio.question import Question, reported
from earwitness.audio.script import HeardPrompt, Result, StepReport
from earwitness.audio.tones import Tone, ToneName

_LATE = 0.3  # s after the last ring from which on speech is an answer
_RINGING = 2  # ring-back tones after the answer that make it no answer
_BEFORE = (
    2  # bursts of a tone before our reply, with which it began before it: a vowel of the prompt may seem to be one
)
_CUT_IN = 0.6  # s about the place where a prompt breaks off, within which a tone begins that cut it off
_RELEASE = (Result.BUSY, Result.CONGESTED)
_TONES: Mapping[ToneName, tuple[Result, str]] = MappingProxyType(
    {
        ToneName.UNOBTAINABLE: (Result.UNOBTAINABLE, "the tone of a number that cannot be reached"),
        ToneName.SIT: (Result.UNOBTAINABLE, "special information tones: the number cannot be reached"),
        ToneName.BUSY: (Result.BUSY, "the busy tone"),
        ToneName.REORDER: (Result.CONGESTED, "the network's congestion tone"),
        ToneName.DIAL: (Result.HUNG_UP, "a dial tone: the far end had hung up"),
        ToneName.FAX_CALLING: (Result.FAX, "a fax machine calling"),
        ToneName.FAX_ANSWER: (Result.FAX, "a fax machine answering"),
    }
)


class Network:
    def __init__(self, line: Line, duration: float) -> None:
        """`duration`: seconds that the recording lasts."""
        self._line, self._duration = line, duration

    def report(self, question: Question, heard: Sequence[HeardPrompt] = ()) -> StepReport | None:
        """Return the report by the network's, or a machine's, tones: they say more than words. None if there are none, or a prompt came before."""
        tones = self._tones(question.anchor)
        named = next((tone for tone in tones if tone.name in _TONES), None)
        if named is None or any(prompt.whole and prompt.start < named.start for prompt in heard):
            return self._still_ringing(question, tones)
        result, note = _TONES[named.name]
        note = f"heard {note}{_detail(named)}"
        if result in _RELEASE and self._has_spoken(question.anchor):
            if self._line.pure_tones(named.start, question.anchor) >= _BEFORE:
                return _hung_up(question, named)
            note += "; the far end had spoken before: it put the call through to where this is the answer, or let it go"
        return reported(question, result, note, tuple(heard), named.start)

    def before_reply(self, question: Question) -> StepReport | None:
        """Return the report by tones at a key or word of ours for which the line was gone too early; None if there are none."""
        told = self.report(question)
        if told is not None and told.result in _RELEASE and self._has_spoken(question.anchor):
            return replace(told, result=Result.HUNG_UP, note=f"the far end had hung up: {told.note.split(';')[0]}")
        return told

    def cut_in(self, end: float) -> Tone | None:
        """Return the tone that cut off a prompt that breaks off at `end`: busy, congestion or dial tone; None if none did."""
        named = (ToneName.BUSY, ToneName.REORDER, ToneName.DIAL)
        return next((t for t in self._tones(end - _CUT_IN) if t.name in named and abs(t.start - end) < _CUT_IN), None)

    def _tones(self, start: float) -> Sequence[Tone]:
        tones = self._line.tones_in(start, self._duration)
        if any(tone.name in _TONES or tone.name is ToneName.RING_BACK for tone in tones):
            return tones
        return self._line.cadences_in(start, self._duration)

    def _has_spoken(self, until: float) -> bool:
        return until > 0 and self._line.voice(0.0, until) is not None

    def _still_ringing(self, question: Question, tones: Sequence[Tone]) -> StepReport | None:
        rings = [tone for tone in tones if tone.name is ToneName.RING_BACK]
        lasting = sum(tone.end - tone.start for tone in rings)
        if not rings or (len(rings) < _RINGING and lasting < question.step.major / 2):
            return None
        answered = self._line.spoken(rings[-1].end + _LATE, self._duration)
        if answered and rings[-1].end < question.given_up_at:
            return None
        note = f"it went on ringing for {rings[-1].end - rings[0].start:.0f}s after it was answered"
        return reported(question, Result.STILL_RINGING, note, at=rings[0].start)


def _hung_up(question: Question, tone: Tone) -> StepReport:
    note = f"the far end had hung up before our reply: heard {_TONES[tone.name][1]}{_detail(tone)}"
    return reported(question, Result.HUNG_UP, note, at=tone.start)


def _detail(tone: Tone) -> str:
    return f" ({tone.detail})" if tone.detail else ""
