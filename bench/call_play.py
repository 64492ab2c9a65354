"""A call as it is played, on two clocks, before any line stands between the two ends. Seconds since the answer.

Ours is the carrier's script: keys and words go out when `compile_plan` says so, whatever is heard. The far end's is an IVR that waits for its
turn, reacts to keys, and does what the fault in hand makes it do.
"""

from dataclasses import dataclass, field

import numpy as np

from bench import call_sounds
from earwitness.simulator.tones import RATE
from earwitness.telephony.spec import CallSpec
from earwitness.telephony.twiml import TRAILING_PAUSE

_REPEATS_AFTER = 2.2  # s without a key after which some menus are read again

_GOES_ON = 1.6  # s that a menu goes on after a key that it does not heed


@dataclass(slots=True)
class Play:
    """`script` is what a healthy call is; `fault` happens at step `fault_at`."""

    random: np.random.Generator
    centre: object
    script: object
    spec: CallSpec
    waits: tuple[int, ...]
    fault: object
    fault_at: int  # -1 where nothing fails
    words: tuple = ()  # sounds of our own voice
    tunes: tuple = ()  # recorded music
    clock: float = 0.0  # of our script
    turn: float = 0.0  # when the far end's next prompt begins to be waited for
    happened: bool = False  # the fault
    unheeding: bool = False  # what sounds now is the network's, or music: no key stops it
    over: bool = False  # the far end says nothing any more
    hang_up: float = float("inf")  # when the far end cuts the line
    mute_from: float = float("inf")  # when its media stop
    theirs: list = field(default_factory=list)  # (second, sound)
    ours: list = field(default_factory=list)
    onsets: dict = field(
        default_factory=dict
    )  # of expected prompts that were begun at their beginning, by the step's place
    said: list = field(default_factory=list)  # the far end's prompts, in order

    def say(self, at, sound):
        """Have the far end sound like this; return when it ends."""
        self.theirs.append((at, np.asarray(sound, np.float64)))
        return at + len(sound) / RATE

    def tell(self, place, delay, part=None):
        """Have the far end say the prompt of a step, or `part` of its sound, `delay` after its turn has come."""
        prompt = self.script.prompts[place]
        start = self.turn + delay
        if part is None:
            self.onsets[place] = start
        self.turn = self.say(start, prompt.samples if part is None else part)
        self.said.append(prompt)

    def usual_delay(self, place):
        """Return a delay that nobody minds. What comes before the first word, counted from the answer, is part of it."""
        minor = self.spec.steps[place].limits[0]
        before = 0.0 if self.said or self.ours else self.turn
        longest = 0.85 * (3.0 if minor is None else minor) - before
        return float(self.random.uniform(0.1, max(0.12, min(2.2, longest))))

    def foreign(self, shortest=1.6):
        """Return words that are in no reference recording."""
        long = [sound for sound in self.centre.foreign if len(sound) > shortest * RATE]
        return long[self.random.integers(len(long))]

    def other(self):
        """Return a prompt of the library that the script does not name."""
        return self.script.others[self.random.integers(len(self.script.others))]

    def music(self, seconds):
        """Return hold music, recorded where there is any, or a made tune."""
        if not self.tunes or self.random.random() < 0.4:
            return call_sounds.music(seconds, self.random)
        tune, count = self.tunes[self.random.integers(len(self.tunes))], round(seconds * RATE)
        start = self.random.integers(max(1, len(tune) - count))
        return tune[start : start + count]

    def interrupted(self, at):
        """Cut what the far end is saying at `at`."""
        self.theirs = [
            (start, sound[: max(0, round((at - start) * RATE))]) for start, sound in self.theirs if start < at
        ]

    def perform(self):
        """Play the whole call."""
        self._begin()
        for place, step in enumerate(self.spec.steps):
            if step.texts:
                self._hear(place)
                self.clock += self.waits[place]
            elif step.acts:
                self._act(place, step)
            else:
                self.clock += self.waits[place]
        self._end()

    def _begin(self):
        """What may come before the first word: the last of the ringing, a click, a chime, a breath."""
        if self.fault.silent:
            return
        kind = self.random.random()
        if kind < 0.12:
            tone, _ = call_sounds.RING_BACK[str(self.random.choice(["us", "uk", "de"]))]
            self.turn = self.say(0.0, call_sounds.tone(tone, self.random.uniform(0.2, 0.7), -20.0))
        elif kind < 0.24:
            self.say(self.random.uniform(0.02, 0.4), call_sounds.click(self.random))
        elif kind < 0.36:
            self.turn = self.say(self.random.uniform(0.05, 0.3), call_sounds.chime(self.random))
        elif kind < 0.44:
            self.turn = self.say(0.05, call_sounds.breath(self.random)) - 0.1

    def _hear(self, place):
        if self.over:
            return
        if place == self.fault_at:
            self.happened = True
            self.fault.happen(self, place)
            return
        step = self.spec.steps[place]
        if step.optional and self.random.random() < 0.5:
            return
        if step.hold:
            self._hold(place)
            return
        self.tell(place, self.usual_delay(place))

    def _hold(self, place):
        """Wait for an agent for less than anybody minds."""
        minor = self.spec.steps[place].limits[0]
        seconds = self.random.uniform(2.5, 0.7 * minor)
        self.say(self.turn + 0.3, self.music(seconds - 0.3))
        self.tell(place, seconds + self.random.uniform(0.1, 0.5))

    def _act(self, place, step):
        """Press or say what the script has; the far end stops talking, and its next prompt is counted from the end of ours."""
        start = self.clock + float(self.random.uniform(0.05, 0.5))
        self._repeat_before(start)
        keys = step.press.reveal() if step.press else ""
        if keys:
            sound = call_sounds.keys(keys, self.random, float(self.random.uniform(-20, -8)))
        else:
            sound = self.words[self.random.integers(len(self.words))]
        pause = 0.5 * (len(keys) - len(keys.lstrip("w")))
        talks_on = self.fault.deaf and place + 1 == self.fault_at
        if talks_on and self.turn < start + _GOES_ON:
            menu = self.said[-1].samples
            self.turn = self.say(
                max(self.turn + 0.3, start - float(self.random.uniform(0.2, 0.4)) * len(menu) / RATE), menu
            )
        if not talks_on and not self.unheeding:
            self.interrupted(start + pause + float(self.random.uniform(0.08, 0.3)))
        self.ours.append((start, sound))
        self.clock = start + len(sound) / RATE
        self.turn = max(self.clock, self.turn if talks_on else 0.0)

    def _repeat_before(self, key):
        """Some menus are read again when no key comes."""
        if self.said and not self.happened and key - self.turn > _REPEATS_AFTER and self.random.random() < 0.15:
            self.turn = self.say(self.turn + self.random.uniform(1.5, 2.0), self.said[-1].samples)

    def _end(self):
        """What the far end does when the goal is reached: nothing, read it again, say something else, or hang up."""
        self.clock += 0.0 if self.spec.steps[-1].hang_up else TRAILING_PAUSE
        if self.spec.may_reach_people:
            words = self.words[0]
            self.ours.append((self.clock, words))
            self.clock += len(words) / RATE
        if self.over or self.fault_at == len(self.spec.steps) - 1:
            return
        kind = self.random.random()
        if kind < 0.2:
            self.say(self.turn + self.random.uniform(1.0, 3.0), self.said[-1].samples)
        elif kind < 0.35:
            self.say(self.turn + self.random.uniform(0.8, 2.0), self.foreign())
        elif kind < 0.55:
            self.hang_up = self.turn + float(self.random.uniform(0.5, 3.0))

    @property
    def seconds(self):
        return min(self.clock, self.hang_up)
