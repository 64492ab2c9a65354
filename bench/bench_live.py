"""Live calls: CPU for each second of a call while it is listened to, by how long it has lasted.

    python -m bench live [--seconds N] [--line NAME]

A caller waits on hold for a prompt that never comes, the costliest thing to do, on three lines: a silent one, one with hold music and
announcements, and one that talks all the time. The sound is handed over as fast as it is asked for. Compared are the first and the last third:
what a second costs must not grow with the call.
"""

import argparse
import asyncio
import time
from pathlib import Path

import numpy as np

import earwitness.simulator
from earwitness.audio.frames import RATE
from earwitness.audio.prompts import load_prompts
from earwitness.audio.wav import mulaw_encode
from earwitness.config.fields import Secret
from earwitness.simulator.tones import hold_music
from earwitness.telephony.live import LiveConversation
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.switchboard import Extension

_PROMPTS = Path(earwitness.simulator.__file__).parent / "prompts"
_FRAME = RATE // 50  # bytes of 20 ms
_WANTED = "You are through to the mortgage team"
_GAP = 1.0  # s between what is said


class _PunctualLine(Extension):
    """Gives each frame when it is asked for, and notes the CPU that had been spent by then."""

    def __init__(self, sound):
        super().__init__("bench", Secret("bench"), "https://bench.example")
        self._left = iter([sound[at : at + _FRAME] for at in range(0, len(sound), _FRAME)])
        self.spent = []

    async def frame(self):
        self.spent.append(time.process_time())
        return next(self._left, None)

    def waiting_frame(self):
        return None


class _Carrier:
    async def play(self, _sid, _twiml):
        pass

    async def hang_up(self, _sid):
        pass


def measure(arguments=()):
    options = _options(arguments)
    library = load_prompts(_PROMPTS)
    for name, line in _LINES.items():
        if options.line in (None, name):
            yield from _listened(name, line(library, options.seconds), library)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m bench live")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--line", choices=_LINES)
    return parser.parse_args(list(arguments))


def _listened(name, sound, library):
    steps = [{"hold": _WANTED, "within": {"major": "14m"}}]
    told = {"to": "+12025550199", "steps": steps, "driver": "live", "announce": "never", "length_limit": "15m"}
    spec = CallSpec.model_validate(told)
    line = _PunctualLine(mulaw_encode(sound))
    asyncio.run(LiveConversation(spec, library, _Carrier(), line).converse())
    third = len(line.spent) // 3
    seconds = third * _FRAME / RATE
    for part, first in (("first", 0), ("last", len(line.spent) - third - 1)):
        spent = line.spent[first + third] - line.spent[first]
        yield f"{name}: CPU a second, {part} {seconds:.0f} s of the call", f"{1000 * spent / seconds:.1f} ms"


def _noise(seconds):
    return np.random.default_rng(1).normal(0, 0.001, seconds * RATE).astype(np.float32)


def _silent(_library, seconds):
    return _noise(seconds)


def _said(library, seconds, music):
    line, at, place = _noise(seconds), RATE, 0
    prompts = [prompt for prompt in library.prompts if _WANTED not in prompt.text]
    while at < len(line):
        sound = prompts[place % len(prompts)].samples
        for part in [hold_music(15).astype(np.float32), sound] if music else [sound]:
            piece = part[: max(0, len(line) - at)]
            line[at : at + len(piece)] += piece
            at += len(part) + round(_GAP * RATE)
        place += 1
    return line


_LINES = {
    "silent": _silent,
    "hold music": lambda library, seconds: _said(library, seconds, music=True),
    "talking": lambda library, seconds: _said(library, seconds, music=False),
}
