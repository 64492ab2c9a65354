"""What the simulator's tests share: a clock turned by hand, calls placed on it, and ears that know nothing of the simulator."""

from dataclasses import dataclass

import numpy as np

from earwitness.audio.wav import read_wav
from earwitness.simulator.call import Call
from earwitness.simulator.carrier import Carrier
from earwitness.simulator.faults import FaultBoard
from earwitness.simulator.recording import recordings_of
from earwitness.simulator.voice import PROMPTS_DIR, UNFORESEEN_DIR

ACCOUNT = "AC" + "a" * 32
API = f"/2010-04-01/Accounts/{ACCOUNT}"
FROM = "+12025550143"
CARD = "4242424242424242#"
PAY_BY_CARD = (
    f'<Response><Pause length="6"/><Play digits="2"/><Pause length="6"/><Play digits="{CARD}"/>'
    '<Pause length="12"/></Response>'
)
RATE = 8000


@dataclass
class HandClock:
    """Time passes when the test says so."""

    seconds: float = 1_800_000_000.0

    def now(self):
        return self.seconds

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.seconds += seconds


def form(to, twiml=PAY_BY_CARD, **more):
    recorded = {"Record": "true", "RecordingChannels": "dual", "Trim": "do-not-trim"}
    return {"To": to, "From": FROM, "Twiml": twiml, **recorded, **more}


def place(to, *faults, twiml=PAY_BY_CARD, more=None, **parameters) -> Call:
    """Return a call placed while `faults` are on; the first of them gets the parameters."""
    board = FaultBoard()
    for name in faults:
        board.turn_on(name, parameters if name == faults[0] else {})
    carrier = Carrier(HandClock(), board)
    return carrier.create_call(ACCOUNT, form(to, twiml, **(more or {})))


def recorded(call, channels=2):
    """Return the call's first recording, shape (channels, n), read back from its WAV file."""
    recording = read_wav(recordings_of(call, 1e6)[0].wav(channels))
    assert recording.rate == RATE
    return recording.samples


def reference(prompt):
    folder = PROMPTS_DIR if (PROMPTS_DIR / f"{prompt}.wav").exists() else UNFORESEEN_DIR
    return read_wav((folder / f"{prompt}.wav").read_bytes()).samples[0]


def likeness(prompt, channel):
    """Return the highest normalised cross-correlation of a prompt with the channel, -1..1, and where it is in seconds."""
    wanted = reference(prompt)
    size = 1 << (len(channel) + len(wanted)).bit_length()
    product = np.fft.irfft(np.fft.rfft(channel, size) * np.conj(np.fft.rfft(wanted, size)), size)[: len(channel)]
    energy = np.concatenate([np.cumsum(np.pad(channel.astype(float) ** 2, (1, len(wanted))))])
    beside = energy[len(wanted) : len(wanted) + len(channel)] - energy[: len(channel)]
    scores = product / np.sqrt(np.maximum(beside, 1e-3) * (wanted.astype(float) ** 2).sum())
    best = int(np.argmax(scores))
    return float(scores[best]), best / RATE


def hears(prompt, channel):
    return likeness(prompt, channel)[0] > 0.9


_LOW, _HIGH, _KEYS = (697, 770, 852, 941), (1209, 1336, 1477, 1633), "123A456B789C*0#D"


def keys_in(channel):
    """Return the DTMF keys in `channel`, by the Goertzel algorithm over 20 ms blocks."""
    blocks = channel[: len(channel) // 160 * 160].reshape(-1, 160)
    low = np.array([_goertzel(blocks, hertz) for hertz in _LOW])
    high = np.array([_goertzel(blocks, hertz) for hertz in _HIGH])
    share = (low.max(axis=0) + high.max(axis=0)) / np.maximum((blocks**2).sum(axis=1), 1e-9)
    heard = [
        _KEYS[4 * low[:, n].argmax() + high[:, n].argmax()] if share[n] > 0.7 and (blocks[n] ** 2).mean() > 1e-3 else ""
        for n in range(len(blocks))
    ]
    return "".join(key for before, key in zip(["", *heard], heard, strict=False) if key and key != before)


def _goertzel(blocks, hertz):
    """Return the energy of each block at `hertz`."""
    turn = 2 * np.cos(2 * np.pi * hertz / RATE)
    last = before = np.zeros(len(blocks))
    for sample in blocks.T:
        last, before = sample + turn * last - before, last
    return (last**2 + before**2 - turn * last * before) * 2 / blocks.shape[1]


def level(channel):
    """Return the RMS in dBFS."""
    return 10 * np.log10((channel.astype(float) ** 2).mean() + 1e-12)
