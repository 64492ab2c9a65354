"""The far end of a live call, listened to while it goes on: what is heard from one moment to now.

Seconds are counted by the sound itself, never by a clock: what is decided at a second of the sound is decided alike on a machine that is late, and
where the sound comes in bursts. A look costs alike however long the call has lasted: what it measures is the new sound, see `audio.measured`, and
prompts are searched where they may have ended since the last search.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from earwitness.audio.frames import RATE
from earwitness.audio.line import Line, first_silence
from earwitness.audio.listener import ENOUGH_SPEECH, Listener
from earwitness.audio.match import LONGEST_GAP
from earwitness.audio.measured import Growing
from earwitness.audio.music import Span
from earwitness.audio.prompts import SHORTEST, Prompt
from earwitness.audio.tones import ToneName
from earwitness.audio.wav import mulaw_decode
from earwitness.telephony.errors import CarrierError
from earwitness.telephony.switchboard import Extension

SETTLED = 0.4  # s of silence after a recognised prompt, before we act
WINDOW = 60.0  # s of the latest sound that is looked at, however long the wait
_VOICE_END = 0.3  # s before the last sound's end to which a voice must last for the sound to have ended with it
_SEARCH = 1.0  # s from one search for prompts to the next while somebody speaks, or nobody does
_NETWORK = (ToneName.RING_BACK, ToneName.BUSY, ToneName.REORDER, ToneName.DIAL, ToneName.SIT)


class StreamLostError(CarrierError):
    """The sound stopped coming while the call went on. `what` is how that showed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}; nobody can be judged. If it comes again, see that the proxy at public_url keeps WebSockets open for whole calls"
        )


class LineGoneError(Exception):
    """The far end hung up, or we did: there is nobody to talk to."""


@dataclass(frozen=True, slots=True)
class Found:
    """A prompt that was heard, in part at least: its words, how well it agrees, the share that was heard, and the second of the sound at which it ends."""

    text: str
    score: float
    share: float
    whole: bool
    end: float


@dataclass(frozen=True, slots=True)
class Look:
    """What is heard from one moment to now. Seconds; `spoken` of sound like speech, `silence` since the last of it.

    `voices` is where it is neither music nor a tone, in seconds of the whole sound, and `voice_last` whether its end is; both are known once a
    pause has come. `found` is the prompt that agrees best.
    """

    spoken: float
    silence: float
    voices: tuple[Span, ...]
    voice_last: bool
    found: Found | None

    @property
    def speaking(self) -> bool:
        return self.spoken > 0 and self.silence < SETTLED

    @property
    def voice(self) -> float:
        """Seconds."""
        return sum(span.duration for span in self.voices)

    @property
    def words(self) -> bool:
        """Whether somebody has spoken; a click, or the last bit of a ring, is shorter."""
        return self.voice >= ENOUGH_SPEECH

    @property
    def says(self) -> str:
        return f'"{self.found.text}"' if self.found else "something that is not recognised"


class _Search:
    """What was found of `references` since `start`, in the sound up to `done`, seconds."""

    def __init__(self, start: float, references: Sequence[Prompt]) -> None:
        self.start, self.references, self.done = start, tuple(references), start
        self.best: Found | None = None
        self._longest = max(prompt.duration for prompt in references)

    def goes_on(self, start: float, references: Sequence[Prompt]) -> bool:
        """Whether it is this that is asked for. Prompts are the same where they are the very same."""
        return self.start == start and [*map(id, self.references)] == [*map(id, references)]

    def search(self, sound: Growing) -> int:
        """Look for them where they may have ended since the last time; return in how many samples."""
        now = sound.duration
        start, part = sound.since(max(self.start, self.done - self._longest - LONGEST_GAP))
        self.done = now
        if self.best is not None and self.best.end < now - WINDOW:
            self.best = None
        if len(part.samples) < SHORTEST * RATE:
            return 0
        found = Listener(part).best(self.references, 0.0, now - start)
        if found is not None and (self.best is None or found[1].score >= self.best.score):
            prompt, match = found
            self.best = Found(prompt.text, match.score, match.coverage, match.whole, start + match.end)
        return len(part.samples)


class Ear:
    """The far end's sound as it comes, at 8 kHz."""

    def __init__(self, extension: Extension, first_limit: float, limit: float) -> None:
        """`first_limit`: seconds until the first sound must have come; `limit`: until the next one must."""
        self._extension, self._limits = extension, (first_limit, limit)
        self._frames: list[bytes] = []
        self._new: list[bytes] = []
        self._bytes = 0
        self._heard = Growing(WINDOW)
        self._search: _Search | None = None
        self._searched = 0  # samples
        # since when, and when sound had ended; and what of it was voice
        self._voices: tuple[tuple[float, float], tuple[Span, ...], bool] = ((-1.0, -1.0), (), False)

    @property
    def now(self) -> float:
        """Seconds of sound that were taken in."""
        return self._bytes / RATE

    @property
    def analysed(self) -> int:
        """Samples that were measured so far, by all detectors together, and searched for prompts."""
        return self._heard.analysed + self._searched

    @property
    def sound(self) -> bytes:
        """All of it, mu-law."""
        return b"".join(self._frames)

    async def until(self, moment: float) -> None:
        """Take in sound until `moment`, and no more, however much has come.

        Raises StreamLostError when none comes, and LineGoneError when there will be no more.
        """
        while self.now < moment:
            frame = await self._next()
            if frame is None:
                raise LineGoneError
            self._take(frame)

    async def catch_up(self) -> None:
        """Take in all that has come: after something of ours, what was on its way before is not an answer to it."""
        while (frame := await self._waiting()) is not None:
            self._take(frame)

    async def _next(self) -> bytes | None:
        first, following = self._limits
        try:
            async with asyncio.timeout(following if self._frames else first):
                return await self._extension.frame()
        except TimeoutError as error:
            frame = await self._waiting()  # it may be we who were late
            if frame is None:
                what = f"the live sound stopped coming after {self.now:.1f}s and the call went on"
                raise StreamLostError(what) from error
            return frame

    async def _waiting(self) -> bytes | None:
        """Return the next sound that has come already, be it that the event loop has only now a turn to hand it over."""
        frame = self._extension.waiting_frame()
        if frame is None:
            await asyncio.sleep(0)
            frame = self._extension.waiting_frame()
        return frame

    def _take(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._new.append(frame)
        self._bytes += len(frame)

    def _listener(self, start: float) -> tuple[float, Listener]:
        """Return what was heard since then, WINDOW seconds at most, and the second at which it begins."""
        self._digest()
        began, part = self._heard.since(max(start, self.now - WINDOW))
        return began, Listener(part)

    def _digest(self) -> None:
        if self._new:
            self._heard.take(mulaw_decode(b"".join(self._new)))
            self._new.clear()

    def look(self, start: float, references: Sequence[Prompt], *, eager: bool = False) -> Look:
        """Return what is heard since `start`, and which of `references`. `eager`: it matters at once, not only when the prompt has ended."""
        began, listener = self._listener(start)
        segments = [segment for segment in listener.segments if segment.end > 0]
        silence = listener.duration - segments[-1].end if segments else listener.duration
        found = self._found(start, references, silence, eager=eager) if references else None
        voices, last = self._told_voices(start, began, listener, silence)
        return Look(sum(s.duration for s in segments), silence, voices, last, found)

    def _found(self, start: float, references: Sequence[Prompt], silence: float, *, eager: bool) -> Found | None:
        if self._search is None or not self._search.goes_on(start, references):
            self._search = _Search(start, references)
        search = self._search
        paused = silence >= SETTLED and search.done < self.now - silence + SETTLED
        if eager or paused or self.now - search.done >= _SEARCH:
            self._searched += search.search(self._heard)
        return search.best

    def _told_voices(
        self, start: float, began: float, listener: Listener, silence: float
    ) -> tuple[tuple[Span, ...], bool]:
        """Return the voices, and whether the last sound was one; they are told once for each pause, since what was before it stays the same."""
        if not listener.segments or silence < SETTLED:
            return (), False
        pause = (start, round(self.now - silence, 1))
        if self._voices[0] != pause:
            voices = Line(listener).voices(listener.segments)
            last = bool(voices) and voices[-1].end > listener.segments[-1].end - _VOICE_END
            self._voices = (pause, tuple(Span(began + v.start, began + v.end) for v in voices), last)
        return self._voices[1], self._voices[2]

    def known_until(self, start: float, prompts: Sequence[Prompt]) -> float | None:
        """Return when the last of `prompts` ended that was heard whole since `start`; None if none was."""
        began, listener = self._listener(start)
        whole = [prompt.end for prompt in listener.identify(prompts, 0.0, listener.duration) if prompt.whole]
        return began + max(whole) if whole else None

    def only_tones(self, start: float) -> bool:
        """Whether tones of a network were heard since `start`, and nobody's words."""
        _, listener = self._listener(start)
        line = Line(listener)
        tones = (*line.tones, *line.cadences_in(0.0, listener.duration))
        voice = sum(span.duration for span in line.voices(listener.segments))
        return any(tone.name in _NETWORK for tone in tones) and voice < ENOUGH_SPEECH

    def first_silence(self, seconds: float, start: float) -> float | None:
        """Return when the first silence of so many seconds since `start` began; None if there was none yet."""
        began, listener = self._listener(start)
        silent = first_silence(listener.segments, seconds, 0.0, listener.duration)
        return None if silent is None else began + silent
