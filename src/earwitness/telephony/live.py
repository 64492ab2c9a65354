"""The live driver: listens while the call goes on, and replies when a prompt has ended.

The carrier streams the far end's sound to us; keys and words go out by replacing the call's script. It decides only *when* we act.
What the call was like is judged afterwards from the recording, as with the recorded driver, so both come to one result.
Seconds are counted by the sound itself, 20 ms a frame.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import structlog

from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.workers import at_once
from earwitness.model import Scalar
from earwitness.telephony.carrier import Carrier, CarrierCall
from earwitness.telephony.driver import Ended
from earwitness.telephony.ear import SETTLED, Ear, Found, LineGoneError, Look, StreamLostError
from earwitness.telephony.errors import NOT_IN_PROGRESS, CarrierError
from earwitness.telephony.spec import QUEUE_ALLOWANCE, CallSpec
from earwitness.telephony.steps import StepSpec
from earwitness.telephony.switchboard import Extension
from earwitness.telephony.twiml import PromptLength, press_twiml, say_twiml, spoken_length

STREAM_LIMIT = 15.0  # seconds in which the next sound must come, or the first one once the call was answered
_STRIDE = 0.2  # s of new sound between two looks at it
_ENDED = 1.6  # s of silence after words that were not recognised, which ends a prompt
_PERSON_WAITS = 2.5  # s of silence after somebody unknown has spoken briefly, as a person does who waits for an answer
_BRIEF = 8.0  # s, the longest that a person speaks who answers a call
_PATIENCE = 1.0  # s past the major limit
_TAIL = 0.5  # s that a prompt's last sound may last beyond the end of its recording
_BARGE = 0.3  # share of a prompt that must be recognised before we barge in
_TRAILING = 2.0  # s, so that the last prompt's end is on the recording
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


class LiveConversation:
    """One call's conversation. `facts` and `log` tell how it went; keys are masked in both."""

    def __init__(self, spec: CallSpec, library: PromptLibrary, carrier: Carrier, extension: Extension) -> None:
        self.spec, self.library, self.carrier, self.extension = spec, library, carrier, extension
        self.facts: dict[str, Scalar] = {}
        self.log: list[dict[str, Any]] = []
        self._ear = Ear(extension, QUEUE_ALLOWANCE + spec.ring_timeout + STREAM_LIMIT, STREAM_LIMIT)
        self._anchor = 0.0
        self._known_until = 0.0  # up to where what was said is in the library
        self._stranger = False  # whether the latest that was said is not recognised: a person may have said it
        self._sid = ""

    @property
    def sound(self) -> bytes:
        """The far end's sound as it was streamed: mu-law at 8 kHz."""
        return self._ear.sound

    async def during(self, call: CarrierCall, follow: Callable[[CarrierCall], Awaitable[Ended]]) -> Ended:
        """Converse while `follow` waits for the call to end. Raises CarrierError, also when the sound stops coming."""
        self._sid = call.sid
        talk = asyncio.create_task(self.converse())
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

    async def converse(self) -> None:
        try:
            for step in self.spec.steps:
                await self._do(step)
            if self.spec.steps[-1].hang_up is None:
                await self._ear.until(self._ear.now + _TRAILING)
                await self._leave()
        except LineGoneError:
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
        await self._ear.catch_up()
        await self._ear.until(self._ear.now + seconds)
        self._anchor = self._ear.now

    async def _in_call(self, request: Awaitable[None]) -> None:
        """Do something to the call. Raises LineGoneError when it is over: the far end was quicker."""
        try:
            await request
        except CarrierError as error:
            if error.code == NOT_IN_PROGRESS:
                raise LineGoneError from error
            raise

    async def _expect(self, step: StepSpec) -> None:
        """Wait until the prompt has ended, or began to if it is barged into; in the end nobody waits for ever."""
        references = [prompt for text in step.texts for prompt in self.library.find(text)]
        latest = self._anchor + step.limits[1] + _PATIENCE
        while True:
            heard = await at_once(self._ear.look, self._anchor, references, eager=step.barge_in)
            self._stranger = heard.spoken > 0 and heard.found is None
            end = self._end_of(step, heard)
            if end is not None:
                self._note(f"{step.title}: {heard.says}", score=heard.found.score if heard.found else None)
                self._anchor = end
                return
            if await self._is_person(heard):
                self.facts |= {"left_on_hold": bool(step.hold), "left_at": self._place_of(step)}
                await self._tell_the_person("a person seemed to answer")
                raise LineGoneError
            if self._ear.now > latest and not heard.speaking:
                await self._give_up(step)
                return
            await self._ear.until(self._ear.now + _STRIDE)

    async def _give_up(self, step: StepSpec) -> None:
        """Go on without the prompt, unless nothing but the network is there. Raises LineGoneError then."""
        if not step.optional and await at_once(self._ear.only_tones, self._anchor):
            await self._leave_the_tones(step)
        self._note(f"{step.title}: not heard in time")
        self._anchor = self._ear.now

    async def _leave_the_tones(self, step: StepSpec) -> None:
        """Nobody is there to hear our keys, which may be a card's."""
        self._note(f"{step.title}: nothing but tones of the network; hung up")
        self.facts |= {"left_at": self._place_of(step), "hung_up_by": "us"}
        await self._in_call(self.carrier.hang_up(self._sid))
        raise LineGoneError

    def _place_of(self, step: StepSpec) -> int:
        return next(place for place, other in enumerate(self.spec.steps, 1) if other is step)

    def _end_of(self, step: StepSpec, heard: Look) -> float | None:
        """Return when the prompt was over, or over enough for us; None while it is to be waited for."""
        found = heard.found
        if step.barge_in and _is_clear(found):
            return self._ear.now
        if found is not None and found.whole:
            return found.end if heard.silence >= SETTLED or self._ear.now > found.end + _ENDED else None
        if step.optional and not _is_clear(found) and heard.silence >= SETTLED and heard.words:
            return self._anchor  # something else is said: what follows is to be looked for in it
        if heard.words and heard.silence >= _ENDED and not self._hears_out(step) and not self._may_be_person(heard):
            return self._ear.now - heard.silence
        return None

    def _hears_out(self, step: StepSpec) -> bool:
        """Whether other words do not end the wait: on hold there are many, and after the last prompt nobody waits for our reply."""
        return bool(step.hold) or step is self.spec.steps[-1]

    def _may_be_person(self, heard: Look) -> bool:
        return self.spec.may_reach_people and self._unknown_voice(heard) <= _BRIEF and not _is_clear(heard.found)

    def _unknown_voice(self, heard: Look) -> float:
        """Return the seconds of voices that said no prompt of the library, as far as they were asked for."""
        return sum(span.duration for span in heard.voices if span.end > self._known_until + _TAIL)

    def _seems_person(self, heard: Look) -> bool:
        waits = heard.voice_last and heard.silence >= _PERSON_WAITS and heard.found is None
        return waits and self._unknown_voice(heard) > 0 and self._may_be_person(heard)

    async def _is_person(self, heard: Look) -> bool:
        """Whether somebody seems to wait for our word. An announcement, which is in the library, is no person; who speaks after it may be one."""
        if not self._seems_person(heard):
            return False
        announced = await at_once(self._ear.known_until, self._anchor, self.library.prompts)
        self._known_until = max(self._known_until, announced or 0.0)
        return self._seems_person(heard)

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
            began = await at_once(self._ear.first_silence, wanted, self._anchor)
            if began is not None:
                self._anchor = began + wanted
                return
            await self._ear.until(self._ear.now + _STRIDE)
        self._anchor = self._ear.now

    async def _listen(self, seconds: float) -> None:
        latest = self._ear.now + seconds
        while self._ear.now < latest:
            heard = await at_once(self._ear.look, self._anchor, [])
            if heard.words and heard.silence >= _ENDED:
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


def _is_clear(found: Found | None) -> bool:
    return found is not None and found.share >= _BARGE
