"""The live driver: listens while the call goes on, and replies when a prompt has ended.

The carrier streams the far end's sound to us; keys and words go out by replacing the call's script. It decides only *when* we act.
What the call was like is judged afterwards from the recording, as with the recorded driver, so both come to one result.
Seconds are counted by the sound itself, 20 ms a frame.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import structlog

from earwitness.audio.frames import RATE
from earwitness.audio.line import Line, first_silence
from earwitness.audio.listener import ENOUGH_SPEECH, Listener
from earwitness.audio.prompts import Prompt, PromptLibrary
from earwitness.audio.tones import ToneName
from earwitness.audio.wav import Samples, mulaw_decode
from earwitness.audio.workers import in_worker
from earwitness.model import Scalar
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.driver import Ended
from earwitness.telephony.errors import NOT_IN_PROGRESS, CarrierError
from earwitness.telephony.spec import QUEUE_ALLOWANCE, CallSpec
from earwitness.telephony.steps import StepSpec
from earwitness.telephony.switchboard import Extension
from earwitness.telephony.twiml import PromptLength, press_twiml, say_twiml, spoken_length

STREAM_LIMIT = 15.0  # seconds in which the next sound must come, or the first one once the call was answered
_STRIDE = 0.2  # s of new sound between two looks at it
_SETTLED = 0.4  # s of silence after a recognised prompt, before we act
_ENDED = 1.6  # s of silence after words that were not recognised, which ends a prompt
_PERSON_WAITS = 2.5  # s of silence after somebody unknown has spoken briefly, as a person does who waits for an answer
_BRIEF = 8.0  # s, the longest that a person speaks who answers a call
_VOICE_END = 0.3  # s before the last sound's end to which a voice must last for the sound to have ended with it
_LEAST = RATE // 2  # samples
_WINDOW = 60.0  # s of the latest sound that is looked at, however long the wait
_PATIENCE = 1.0  # s past the major limit
_BARGE = 0.3  # share of a prompt that must be recognised before we barge in
_TRAILING = 2.0  # s, so that the last prompt's end is on the recording
_NETWORK = (ToneName.RING_BACK, ToneName.BUSY, ToneName.REORDER, ToneName.DIAL, ToneName.SIT)
_log = structlog.get_logger(__name__)


def stream_twiml(extension: Extension, opening: str = "") -> str:
    """Return the script that streams the far end's sound to us, and otherwise stays on the line. `opening`: TwiML before it."""
    stream = f'<Stream url={quoteattr(extension.stream_url)} track="inbound_track"/>'
    return f'<Response>{opening}<Start>{stream}</Start><Pause length="900"/></Response>'


def live_waits(spec: CallSpec, prompt_length: PromptLength) -> tuple[int, ...]:
    """Return the whole seconds that each step may wait at most: its major limit and its length."""

    def wait(step: StepSpec) -> float:
        if step.acts or step.hang_up:
            return 0.0
        if not step.texts:
            return step.listen or step.pause or step.limits[1] + (step.silence or 0.0)
        lengths = [prompt_length(text) or spoken_length(text) for text in step.texts]
        return step.limits[1] + max(lengths) + _PATIENCE

    return tuple(int(np.ceil(wait(step))) for step in spec.steps)


class StreamLostError(CarrierError):
    """The sound stopped coming while the call went on. `what` is how that showed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; nobody can be judged. If it comes again, see that the proxy at public_url keeps WebSockets open for whole calls"
        )


class LiveConversation:
    """One call's conversation. `facts` and `log` tell how it went; keys are masked in both."""

    def __init__(self, spec: CallSpec, library: PromptLibrary, carrier: Carrier, extension: Extension) -> None:
        self.spec, self.library, self.carrier, self.extension = spec, library, carrier, extension
        self.facts: dict[str, Scalar] = {}
        self.log: list[dict[str, Any]] = []
        self._ear = _Ear(extension, QUEUE_ALLOWANCE + spec.ring_timeout + STREAM_LIMIT)
        self._anchor = 0.0
        self._announced_at: float | None = None  # the anchor since which an announcement was heard
        self._stranger = False  # whether the latest that was said is not recognised: a person may have said it
        self._sid = ""

    @property
    def sound(self) -> bytes:
        """The far end's sound as it was streamed: mu-law at 8 kHz."""
        return self._ear.sound

    async def during(self, call: CarrierCall, follow: Callable[[CarrierCall], Awaitable[Ended]]) -> Ended:
        """Converse while `follow` waits for the call to end. Raises CarrierError, also when the sound stops coming."""
        self._sid = call.sid
        talk = asyncio.create_task(self._converse())
        end = asyncio.ensure_future(follow(call))
        try:
            await asyncio.wait({talk, end}, return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                await self._unless_it_failed(talk, end)
            ended = await end
            if not self._ear.now and (ended.call.duration or 0.0) > STREAM_LIMIT:
                raise StreamLostError("no live sound came while somebody talked")
            return ended
        finally:
            for task in (talk, end):
                task.cancel()
            await asyncio.gather(talk, end, return_exceptions=True)
            self.facts |= {"stream_seconds": round(self._ear.now, 2), "stream_dropped": self.extension.dropped_frames}

    async def _unless_it_failed(self, talk: asyncio.Task[None], end: asyncio.Future[Ended]) -> None:
        """Leave no call behind to whose end nobody talks. Raises StreamLostError when the call outlasts its sound."""
        try:
            await talk
            if self.facts.get("hung_up_by") == "far end":
                await self._call_ends_too(end)
        except Exception:
            await self._hang_up_quietly()
            raise

    async def _call_ends_too(self, end: asyncio.Future[Ended]) -> None:
        await asyncio.wait({end}, timeout=STREAM_LIMIT)
        if not end.done():
            raise StreamLostError("the live sound ended while the call went on")

    async def _converse(self) -> None:
        try:
            for step in self.spec.steps:
                await self._do(step)
            if self.spec.steps[-1].hang_up is None:
                await self._ear.until(self._ear.now + _TRAILING)
                await self._leave()
        except _LineGoneError:
            self.facts.setdefault("hung_up_by", "far end")
            self._note("the line is gone")

    async def _leave(self) -> None:
        self.facts["hung_up_by"] = "us"
        if self.spec.may_reach_people or (self._stranger and self.spec.announce == "auto"):
            await self._tell_the_person("goodbye")
        else:
            await self._in_call(self.carrier.hang_up(self._sid))

    async def _do(self, step: StepSpec) -> None:
        if step.press is not None:
            await self._act(step, press_twiml(step.press.reveal()), 0.35 * len(step.press.reveal()))
        elif step.say is not None:
            await self._act(step, say_twiml(step.say, self.spec.manner), spoken_length(step.say) - 1)
        elif step.hang_up:
            self.facts["hung_up_by"] = "us"
            await self._in_call(self.carrier.hang_up(self._sid))
        elif step.texts:
            await self._expect(step)
        elif step.silence is not None:
            await self._silence(step)
        elif step.listen is not None:
            await self._listen(step.listen)
        else:
            await self._ear.until(self._ear.now + (step.pause or 0.0))

    async def _act(self, step: StepSpec, twiml: str, seconds: float) -> None:
        self._note(step.title)
        await self._in_call(self.carrier.play(self._sid, twiml))
        await self._ear.until(self._ear.now + seconds)
        self._anchor = self._ear.now

    async def _in_call(self, request: Awaitable[None]) -> None:
        """Do something to the call. Raises _LineGoneError when it is over: the far end was quicker."""
        try:
            await request
        except CarrierError as error:
            if error.code == NOT_IN_PROGRESS:
                raise _LineGoneError from error
            raise

    async def _expect(self, step: StepSpec) -> None:
        """Wait until the prompt has ended, or began to if it is barged into; in the end nobody waits for ever."""
        references = [prompt for text in step.texts for prompt in self.library.find(text)]
        latest = self._anchor + step.limits[1] + _PATIENCE
        while True:
            heard = await in_worker(self._ear.look, max(self._anchor, self._ear.now - _WINDOW), references)
            self._stranger = heard.spoken > 0 and not heard.known
            end = self._end_of(step, heard)
            if end is not None:
                self._note(f"{step.title}: {heard.says}", score=heard.score)
                self._anchor = end
                return
            if self._is_person(heard) and not await self._is_announcement():
                self.facts |= {"left_on_hold": bool(step.hold), "left_at": self._place_of(step)}
                await self._tell_the_person("a person seemed to answer")
                raise _LineGoneError
            if self._ear.now > latest and not heard.speaking:
                if not step.optional and await in_worker(
                    self._ear.only_tones, max(self._anchor, self._ear.now - _WINDOW)
                ):
                    await self._leave_the_tones(step)
                self._note(f"{step.title}: not heard in time")
                self._anchor = self._ear.now
                return
            await self._ear.until(self._ear.now + _STRIDE)

    async def _leave_the_tones(self, step: StepSpec) -> None:
        """Nobody is there to hear our keys, which may be a card's."""
        self._note(f"{step.title}: nothing but tones of the network; hung up")
        self.facts |= {"left_at": self._place_of(step), "hung_up_by": "us"}
        await self._in_call(self.carrier.hang_up(self._sid))
        raise _LineGoneError

    def _place_of(self, step: StepSpec) -> int:
        return next(place for place, other in enumerate(self.spec.steps, 1) if other is step)

    def _end_of(self, step: StepSpec, heard: "_Look") -> float | None:
        """Return when the prompt was over, or over enough for us; None while it is to be waited for."""
        if heard.found and step.barge_in:
            return self._ear.now
        if heard.whole:
            return heard.end if heard.silence >= _SETTLED or self._ear.now > heard.end + _ENDED else None
        if step.optional and not heard.found and heard.silence >= _SETTLED and heard.voice:
            return self._anchor  # something else is said: what follows is to be looked for in it
        if heard.voice and heard.silence >= _ENDED and not self._hears_out(step) and not self._may_be_person(heard):
            return self._ear.now - heard.silence
        return None

    def _hears_out(self, step: StepSpec) -> bool:
        """Whether other words do not end the wait: on hold there are many, and after the last prompt nobody waits for our reply."""
        return bool(step.hold) or step is self.spec.steps[-1]

    def _may_be_person(self, heard: "_Look") -> bool:
        return self.spec.may_reach_people and heard.voice <= _BRIEF and not heard.found

    def _is_person(self, heard: "_Look") -> bool:
        waits = heard.voice_last and heard.silence >= _PERSON_WAITS
        return waits and self._may_be_person(heard) and not heard.known

    async def _is_announcement(self) -> bool:
        """Whether what was said is in the library: an announcement while we wait is no person."""
        if self._announced_at != self._anchor and await in_worker(self._ear.knows, self._anchor, self.library.prompts):
            self._announced_at = self._anchor
        return self._announced_at == self._anchor

    async def _tell_the_person(self, why: str) -> None:
        """Say what this is, then hang up: whoever answers a test call should know."""
        self._note(f"{why}: {self.spec.statement}")
        self.facts |= {"statement_said": True, "hung_up_by": "us"}
        twiml = say_twiml(self.spec.statement, self.spec.manner, then_hang_up=True)
        await self._in_call(self.carrier.play(self._sid, twiml))
        await self._ear.until(self._ear.now + spoken_length(self.spec.statement) + _TRAILING)

    async def _silence(self, step: StepSpec) -> None:
        wanted, latest = step.silence or 0.0, self._anchor + step.limits[1]
        while self._ear.now < latest:
            began = await in_worker(self._ear.first_silence, wanted, self._anchor)
            if began is not None:
                self._anchor = began + wanted
                return
            await self._ear.until(self._ear.now + _STRIDE)
        self._anchor = self._ear.now

    async def _listen(self, seconds: float) -> None:
        latest = self._ear.now + seconds
        while self._ear.now < latest:
            heard = await in_worker(self._ear.look, self._anchor, [])
            if heard.voice >= ENOUGH_SPEECH and heard.silence >= _ENDED:
                break
            await self._ear.until(min(latest, self._ear.now + _STRIDE))
        self._anchor = self._ear.now

    async def _hang_up_quietly(self) -> None:
        try:
            await self.carrier.hang_up(self._sid)
        except CarrierError as error:
            _log.warning("call_not_hung_up", call_sid=self._sid, error=str(error))

    def _note(self, what: str, score: float | None = None) -> None:
        self.log.append({"at": round(self._ear.now, 2), "what": what, "score": score})


class _LineGoneError(Exception):
    """The far end hung up, or we did: there is nobody to talk to."""


class _Look:
    """What is heard from one moment to now. Seconds; `spoken` of sound like speech, `silence` since the last of it.

    `voice` is how much of it is neither music nor a tone, `voice_last` whether its end is; both are known once a pause has come.
    """

    def __init__(self, listener: Listener, start: float, references: list[Prompt]) -> None:
        self._listener = listener
        segments = [s for s in listener.segments if s.end > 0]
        found = listener.best(references, 0.0, listener.duration) if references else None
        self.score = found[1].score if found else None
        self.whole = found is not None and found[1].whole
        self.found = found is not None and found[1].coverage >= _BARGE
        self.end = start + (found[1].end if found else 0.0)
        self.known = found is not None
        self.says = f'"{found[0].text}"' if found else "something that is not recognised"
        self.spoken = sum(s.duration for s in segments)
        self.silence = listener.duration - segments[-1].end if segments else listener.duration
        self.speaking = bool(segments) and self.silence < _SETTLED
        self.voice, self.voice_last = 0.0, False

    def tell_voice(self) -> tuple[float, bool]:
        """Return `voice` and `voice_last`, which take longer to tell than the rest."""
        segments = [s for s in self._listener.segments if s.end > 0]
        voices = Line(self._listener).voices(segments)
        last = bool(voices) and voices[-1].end > segments[-1].end - _VOICE_END
        return sum(span.duration for span in voices), last


class _Ear:
    """The far end's sound as it comes, at 8 kHz."""

    def __init__(self, extension: Extension, first_limit: float) -> None:
        """`first_limit`: seconds until the first sound must have come."""
        self._extension, self._first_limit = extension, first_limit
        self._frames: list[bytes] = []
        self._bytes = 0
        self._voice: tuple[float, tuple[float, bool]] = (
            -1.0,
            (0.0, False),
        )  # when sound ended, and what of it was voice

    @property
    def now(self) -> float:
        """Seconds of sound that have come."""
        return self._bytes / RATE

    async def until(self, moment: float) -> None:
        """Take in sound until `moment`. Raises StreamLostError when none comes, and _LineGoneError when there will be no more."""
        while self.now < moment:
            try:
                async with asyncio.timeout(STREAM_LIMIT if self._frames else self._first_limit):
                    frame = await self._extension.frame()
            except TimeoutError as error:
                raise StreamLostError(
                    f"the live sound stopped coming after {self.now:.1f}s and the call went on"
                ) from error
            if frame is None:
                raise _LineGoneError
            self._take(frame)
        while frame := self._extension.waiting_frame():  # what has come meanwhile: a look takes time
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)

    @property
    def sound(self) -> bytes:
        return b"".join(self._frames)

    def look(self, start: float, references: list[Prompt]) -> _Look:
        look = _Look(Listener(self._since(start)), start, references)
        if look.spoken and look.silence >= _SETTLED:
            ended = round(self.now - look.silence, 1)
            if self._voice[0] != ended:  # one pause is looked at many times, and what was before it stays the same
                self._voice = (ended, look.tell_voice())
            look.voice, look.voice_last = self._voice[1]
        return look

    def knows(self, start: float, prompts: Sequence[Prompt]) -> bool:
        """Whether a recorded prompt is heard, whole, since `start`: an announcement is no person."""
        listener = Listener(self._since(start))
        return any(prompt.whole for prompt in listener.identify(prompts, 0.0, listener.duration))

    def only_tones(self, start: float) -> bool:
        """Whether tones of a network were heard since `start`, and no voice."""
        listener = Listener(self._since(start))
        line = Line(listener)
        return any(tone.name in _NETWORK for tone in line.tones) and not line.voices(listener.segments)

    def first_silence(self, seconds: float, start: float) -> float | None:
        listener = Listener(self._since(start))
        began = first_silence(listener.segments, seconds, 0.0, listener.duration)
        return None if began is None else start + began

    def _since(self, start: float) -> Samples:
        """Return the sound since then; never less than the hearing needs to look at."""
        sound = mulaw_decode(self.sound[max(0, int(start * RATE)) :])
        return np.pad(sound, (0, max(0, _LEAST - len(sound))))
