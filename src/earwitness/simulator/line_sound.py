"""What the carrier hears and says during a call, as its recordings and media streams carry it.

Whatever is done to the sound looks only back in time, and draws its chances from a source of its own: so what was heard
before a moment is the same under every plan that agrees up to that moment.
"""

from functools import lru_cache

import numpy as np

from earwitness.simulator import line_damage as damage
from earwitness.simulator import mixer
from earwitness.simulator.call import Plan
from earwitness.simulator.tones import Samples, hum, noise, seconds_to_samples
from earwitness.simulator.voice import SPEECH_LEVEL


@lru_cache(maxsize=16)
def line_sound(plan: Plan) -> Samples:
    """Return the whole call, shape (2, n) at 8 kHz: what the carrier received, what it sent."""
    ours = mixer.laid_out(plan.ours.clips, plan.talk)
    theirs = mixer.with_echo(mixer.laid_out(plan.theirs.clips, plan.talk), ours, plan.theirs.echoes)
    arriving = mixer.over_telephone(_spoilt(theirs, ours, plan), _random(plan, "theirs"))
    return np.stack([_lost(arriving, plan), mixer.over_telephone(ours, _random(plan, "ours"))])


def _random(plan: Plan, purpose: str) -> np.random.Generator:
    return mixer.random_of(f"{plan.name}/{purpose}")


def _spoilt(theirs: Samples, ours: Samples, plan: Plan) -> Samples:
    """Return the centre's sound as it enters the line."""
    faults = plan.faults
    if "echo-of-caller" in faults:
        delay, loss = faults.number("echo-of-caller", "delay"), faults.number("echo-of-caller", "loss")
        theirs = theirs + damage.delayed(ours, delay) * np.float32(10 ** (-loss / 20))
    if "robotic" in faults:
        theirs = damage.robotic(theirs)
    if "muffled" in faults:
        theirs = damage.muffled(theirs)
    if "low-level" in faults:
        theirs = theirs * np.float32(10 ** (-faults.number("low-level", "loss") / 20))
    if "noise" in faults:
        level = SPEECH_LEVEL - faults.number("noise", "snr")
        theirs = theirs + noise(len(theirs), level, _random(plan, "noise"))
    if "hum" in faults:
        theirs = theirs + hum(len(theirs), faults.number("hum", "hertz"), faults.number("hum", "level"))
    if "clipping" in faults:
        theirs = damage.clipped(theirs, faults.number("clipping", "gain"))
    if "poor-audio" in faults:
        theirs = mixer.degraded(theirs, faults.number("poor-audio", "level"), _random(plan, "degraded"))
    return theirs


def _lost(arriving: Samples, plan: Plan) -> Samples:
    """Return what is left of the sound after the packets' way; where none arrives it is digital silence."""
    faults = plan.faults
    if "poor-audio" in faults:
        share = 0.08 * faults.number("poor-audio", "level")
        arriving = damage.with_lost_packets(arriving, share, _random(plan, "poor"), repeat=False)
    if "packet-loss" in faults:
        share, repeat = faults.number("packet-loss", "share"), faults.word("packet-loss", "mode") == "repeat"
        arriving = damage.with_lost_packets(arriving, share, _random(plan, "lost"), repeat=repeat)
    if "dropouts" in faults:
        every, seconds = faults.number("dropouts", "every"), faults.number("dropouts", "seconds")
        arriving = damage.with_dropouts(arriving, every, seconds, _random(plan, "dropouts"))
    if "one-way" in faults:
        arriving = arriving.copy()
        arriving[seconds_to_samples(faults.number("one-way", "after")) :] = 0
    return arriving
