"""Far ends of live calls without a carrier: sound that is handed over as a test wants it, and what the conversation asks for."""

import asyncio

import numpy as np
from calling import PROMPTS, spec
from virtual import until

from earwitness.audio.frames import at_telephone_rate
from earwitness.audio.prompts import load_prompts
from earwitness.audio.wav import mulaw_encode, read_wav
from earwitness.config.fields import Secret
from earwitness.telephony.live import LiveConversation
from earwitness.telephony.switchboard import Extension, Switchboard

FRAME = 160  # bytes of 20 ms


def live_spec(steps, **rest):
    return spec(steps, driver="live", **rest)


class Lines:
    """What a conversation asks of the carrier, which refuses it with `error`, if there is one."""

    def __init__(self, error=None):
        self.asked, self.error = [], error

    async def play(self, _sid, twiml):
        if self.error is not None:
            raise self.error
        self.asked.append(twiml)

    async def hang_up(self, _sid):
        self.asked.append("hang up")


class HandedOver(Extension):
    """Gives `burst` frames of 20 ms at once, so long as one is asked for, and then no more."""

    def __init__(self, sound, burst=1):
        super().__init__("token", Secret("t"), "https://ours.example")
        self._left = [sound[at : at + FRAME] for at in range(0, len(sound), FRAME)][::-1]
        self._burst, self._come = burst, 0

    async def frame(self):
        if not self._left:
            return None
        if not self._come:
            self._come = self._burst
        return self._taken()

    def waiting_frame(self):
        return self._taken() if self._come and self._left else None

    def _taken(self):
        self._come -= 1
        return self._left.pop()


async def stream(sound, extension):
    """Send ten frames of 20 ms at a time, the next when those before were taken, and hang up."""
    for start in range(0, len(sound), FRAME):
        extension.hear(sound[start : start + FRAME])
        if start % (10 * FRAME) == 0:
            await until(extension._frames.empty)
    extension.hung_up()


def a_line(seconds, *said):
    """Return `seconds` of a line's faint noise with what is said on it, each at its second, a prompt's name or a sound; and the library of prompts."""
    library = load_prompts(PROMPTS)
    sound = {prompt.name: prompt.samples for prompt in library.prompts}
    stranger = at_telephone_rate(read_wav((PROMPTS.parent / "unforeseen" / "person_answers.wav").read_bytes()))
    sound["person_answers"] = stranger.samples.mean(axis=0)
    line = np.random.default_rng(1).normal(0, 0.001, seconds * 8000).astype(np.float32)
    for at, what in said:
        samples = sound[what] if isinstance(what, str) else what
        line[round(at * 8000) :][: len(samples)] += samples[: max(0, len(line) - round(at * 8000))]
    return mulaw_encode(line), library


async def conversation(call, line, library, lines):
    extension = Switchboard().open(Secret("t"), "https://ours.example")
    talk = LiveConversation(call, library, lines, extension)
    streaming = asyncio.create_task(stream(line, extension))
    try:
        await talk.converse()
    finally:
        streaming.cancel()
    return talk


async def handed_over(call, line, library, burst=1):
    """Return the conversation on a line whose sound comes in bursts of so many frames, and what it asked for."""
    lines = Lines()
    talk = LiveConversation(call, library, lines, HandedOver(line, burst))
    await talk.converse()
    return talk, lines.asked
