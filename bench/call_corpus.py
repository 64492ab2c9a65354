"""Made calls with their truth: dual-channel recordings at 8 kHz of healthy and failing walks through an IVR, one for each seed."""

from dataclasses import dataclass

import numpy as np

from bench import call_sounds
from bench.call_faults import BY_NAME, FAULTS, HEALTHY, fault_place
from bench.call_line import over_line, usual_line
from bench.call_play import Play
from bench.call_scripts import made_script
from bench.call_voices import centres, retold, tunes
from earwitness.audio.prompts import PromptLibrary
from earwitness.audio.script import PlannedStep
from earwitness.audio.wav import Recording, mulaw_decode, mulaw_encode
from earwitness.simulator.tones import RATE
from earwitness.telephony.findings import planned
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.twiml import compile_plan

NUMBER = "+442079460000"
_HEALTHY_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One call. `failure` is its class, None for a healthy one; `acceptable` are the classes that may be said instead; `onsets` are the
    seconds at which expected prompts begin, by the step's place; `detail` tells people what was done."""

    name: str
    spec: CallSpec
    script: tuple[PlannedStep, ...]
    library: PromptLibrary
    recording: Recording
    failure: str | None
    acceptable: frozenset
    onsets: dict
    fault: str = ""
    detail: str = ""


def made(seed, fault=None, line=None, *, only_recorded=False):
    """Return the call of `seed`. `fault` is one of call_faults by name, else one is drawn; so is the `line`, a Line, if none is given.

    `only_recorded`: with the simulator's voice alone, the same on every machine.
    """
    random = np.random.default_rng(seed)
    places = centres(only_recorded)
    centre = places[random.integers(len(places))]
    chosen = _drawn(random) if fault is None else BY_NAME[fault]
    usual = usual_line(random)
    line = chosen.line(random, usual) if line is None else line
    play = _prepared(random, centre, chosen)
    play.words = tuple(retold(p.samples, 0.8) for p in places[random.integers(len(places))].plain[:4])
    play.tunes = tunes(only_recorded)
    play.perform()
    return _case(seed, play, line)


def _drawn(random):
    return HEALTHY if random.random() < _HEALTHY_SHARE else FAULTS[random.integers(len(FAULTS))]


def _prepared(random, centre, fault):
    script = made_script(random, centre, needs=fault.needs)
    place = fault_place(script, fault, random) if fault.happen else -1
    while fault.happen and place < 0:
        script = made_script(random, centre, needs=fault.needs)
        place = fault_place(script, fault, random)
    spec = spec_of(script.steps)
    return Play(random, centre, script, spec, waits_of(spec, centre.library), fault, place)


def spec_of(steps):
    return CallSpec.model_validate({"to": NUMBER, "steps": steps, "length_limit": 900})


def waits_of(spec, library):
    lengths = lambda text: max((p.duration for p in library.find(text)), default=None)  # noqa: E731
    return compile_plan(spec, lengths).waits


def _case(seed, play, line):
    theirs, ours = (_laid_out(part, play.seconds) for part in (play.theirs, play.ours))
    if play.random.random() < 0.4 and not play.fault.silent:
        theirs += _echo(ours, play.random) * 10 ** (-(line.level + 20) / 20)  # the line's gain comes after it
    marks = list(play.onsets.values())
    babble = play.centre.foreign[:6]
    theirs, marks = over_line(theirs, line, babble, marks)
    theirs[round(play.mute_from * RATE) if play.mute_from < 900 else len(theirs) :] = 0.0
    count = round(play.seconds * RATE)
    theirs = np.pad(theirs[:count], (0, max(0, count - len(theirs))), mode="edge")
    ours = mulaw_decode(
        mulaw_encode(ours + (play.random.normal(size=len(ours)) * 3e-4 if play.random.random() < 0.5 else 0))
    )
    channels = [theirs, ours] if play.random.random() < 0.5 else [ours, theirs]
    return Case(
        name=str(seed),
        spec=play.spec,
        script=planned(play.spec.steps, play.waits),
        library=play.centre.library,
        recording=Recording(RATE, np.stack(channels).astype(np.float32)),
        failure=play.fault.failure,
        acceptable=frozenset({play.fault.failure, *play.fault.acceptable}),
        onsets={n: mark for n, mark in zip(play.onsets, marks, strict=True) if mark < play.seconds - 0.5},
        fault=play.fault.name,
        detail=f"{play.centre.name}, {play.fault.name} at step {play.fault_at}, {line}",
    )


def _laid_out(parts, seconds):
    channel = call_sounds.silence(seconds)
    for at, sound in parts:
        start = round(at * RATE)
        piece = sound[: max(0, len(channel) - start)]
        channel[start : start + len(piece)] += piece
    return channel


def _echo(ours, random):
    """Return what the far end sends back of our own side: too faint to annoy the caller."""
    delay = int(random.uniform(0.02, 0.25) * RATE)
    return np.concatenate([np.zeros(delay), ours])[: len(ours)] * 10 ** (-random.uniform(38, 50) / 20)
