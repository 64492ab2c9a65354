"""A call's walk through a contact centre: which prompts it plays when, given the keys that reach it.

The walk is a discrete-event simulation: it runs through the whole call at once, in seconds since the answer.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from earwitness.simulator.faults import ActiveFaults
from earwitness.simulator.menu import (
    Announce,
    Centre,
    Check,
    Collect,
    Echo,
    HangUp,
    Hold,
    Menu,
    Node,
    Route,
    Tone,
)
from earwitness.simulator.timeline import Clip, EchoSpan, KeyPress
from earwitness.simulator.tones import RATE, Samples, hold_music, ring_back, seconds_to_samples
from earwitness.simulator.twiml import Performance

REACTION = 0.4  # seconds between what the caller did, or the answer, and the next prompt
_MISSING_PROMPT_SILENCE = 10.0  # seconds until the centre gives up on a prompt that does not load
_PROMPT_GAP = 0.25  # seconds between two prompts
_RECOGNITION = 0.8  # seconds of silence after which the caller is taken to have said something


@dataclass(frozen=True, slots=True)
class Said:
    """A prompt was begun."""

    at: float
    prompt: str


@dataclass(slots=True)
class Conversation:
    """The centre's side of a call. `heard` are the keys it acted on; `ends_at` is when the centre hung up, if it did."""

    clips: list[Clip] = field(default_factory=list)
    echoes: list[EchoSpan] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    heard: list[KeyPress] = field(default_factory=list)
    outcomes: list[tuple[float, str]] = field(default_factory=list)
    ends_at: float | None = None

    def outcome(self, until: float) -> str | None:
        """Return what the caller had achieved at `until`."""
        reached = [outcome for at, outcome in self.outcomes if at <= until]
        return reached[-1] if reached else None


def converse(
    centre: Centre, prompts: Mapping[str, Samples], caller: Performance, faults: ActiveFaults, leaves_at: float
) -> Conversation:
    """Return what `centre` does until it hangs up, or the caller leaves at `leaves_at` (seconds)."""
    return _Walk(centre, prompts, caller, faults, leaves_at).run()


class _HangsUp(Exception):  # noqa: N818 - a turn of the conversation, no error
    pass


class _Walk:
    def __init__(
        self,
        centre: Centre,
        prompts: Mapping[str, Samples],
        caller: Performance,
        faults: ActiveFaults,
        leaves_at: float,
    ) -> None:
        self.centre, self.prompts, self.faults = centre, prompts, faults
        self.keys = deque(_keys_that_reach(caller, faults))
        self.spoken = deque(caller.spoken if "speech-menu" in faults else ())
        self.leaves_at = leaves_at
        self.cut_at = faults.number("early-hangup", "seconds") if "early-hangup" in faults else float("inf")
        self.now = self.menu_began = 0.0
        self.held = False
        self.done = Conversation()

    def run(self) -> Conversation:
        try:
            self._begin()
        except _HangsUp:
            self.now = min(self.now, self.cut_at)
        if self.now < self.leaves_at:
            self.done.ends_at = self.now
        return self.done

    def _begin(self) -> None:
        if "dead-air" in self.faults:
            self.keys.clear()
            self._wait(self.faults.number("dead-air", "seconds"))
            return
        if "ring-back-after-answer" in self.faults:
            self._play(ring_back(self.faults.number("ring-back-after-answer", "seconds")))
        if "holiday-message" in self.faults and self.centre.has_main_menu:
            self._say("holiday_message", barge_in=True)
        node = self.centre.start
        while True:
            node = self._visit(self.centre.nodes[node])

    def _visit(self, node: Node) -> str:
        """Return the name of the node that follows."""
        match node:
            case Announce():
                self._say(node.prompt, node.barge_in, node.outcome)
            case Menu():
                return self._offer(node)
            case Collect():
                return self._collect(node)
            case Check(service, up, down, seconds):
                self._wait(seconds)
                return down if f"{service}-down" in self.faults else up
            case Route(then, wrong):
                return wrong if "misroute" in self.faults else then
            case Hold():
                self._hold(node)
            case Echo(seconds):
                self.done.echoes.append(EchoSpan(self.now, seconds))
                self._wait(seconds)
            case Tone(sound):
                self._play(sound())
            case HangUp():
                raise _HangsUp
        return node.then

    def _offer(self, node: Menu) -> str:
        for _ in range(node.attempts):
            self.menu_began = self.now
            self._say(node.prompt, node.barge_in)
            pressed = self._choice_within(node)
            if pressed is not None and pressed in node.choices:
                return self._chosen(node, pressed)
            self._say("nothing_heard" if pressed is None else "not_an_option", node.barge_in)
        return node.otherwise

    def _choice_within(self, node: Menu) -> str | None:
        """Return the key, or what speech stands for where the menu takes it, within the menu's timeout."""
        while node.main and self.spoken and self.spoken[0] < self.menu_began:
            self.spoken.popleft()  # said to something else
        heard_at = max(self.now, self.spoken[0] + _RECOGNITION) if node.main and self.spoken else float("inf")
        first_key = max(self.now, self.keys[0].at) if self.keys else float("inf")
        if heard_at > min(first_key, self.now + node.timeout):
            return self._key_within(node.timeout)
        self.spoken.popleft()
        self._wait(heard_at - self.now)
        return self.faults.word("speech-menu", "choice")

    def _chosen(self, node: Menu, pressed: str) -> str:
        """Return the node behind a choice, or that of another team."""
        astray = "wrong-queue" in self.faults and pressed == self.faults.word("wrong-queue", "choice")
        return self.faults.word("wrong-queue", "queue") if node.main and astray else node.choices[pressed]

    def _collect(self, node: Collect) -> str:
        for _ in range(node.attempts):
            self._say(node.prompt, node.barge_in)
            digits = self._digits(node)
            if node.shortest <= len(digits) <= node.longest:
                return node.then
            self._say(node.refusal if digits else "nothing_heard", node.barge_in)
        return node.otherwise

    def _digits(self, node: Collect) -> str:
        digits = ""
        while (key := self._key_within(node.pause if digits else node.timeout)) not in (None, "#"):
            digits += str(key)
        return digits

    def _hold(self, node: Hold) -> None:
        for _ in range(node.rounds):
            self.done.clips.append(Clip(self.now, hold_music(node.music)))
            self._wait(node.music)
            self._say(node.announcement, barge_in=False)

    def _play(self, sound: Samples) -> None:
        """Play what is no prompt; nothing is heard of the caller meanwhile."""
        self.done.clips.append(Clip(self.now, sound))
        self._wait(len(sound) / RATE)
        self._forget_keys()

    def _say(self, prompt: str, barge_in: bool, outcome: str | None = None) -> None:
        """Play a prompt, which tells the caller of `outcome`.

        A key pressed meanwhile ends it and stays in the queue, or is lost if there is no barge-in.
        """
        if not self.held and self._meant("hold-music", prompt, "before"):
            self.held = True
            self._play(hold_music(self.faults.number("hold-music", "seconds")))
        delay = self.faults.number("slow-prompts", "seconds") if "slow-prompts" in self.faults else 0.0
        pause = REACTION if self._reacts() else _PROMPT_GAP
        self._wait(pause + delay)
        if barge_in and self.keys and self.keys[0].at <= self.now:
            return  # typed ahead
        if self._meant("prompt-missing", prompt):
            self._wait(_MISSING_PROMPT_SILENCE)
            raise _HangsUp
        if self._meant("error-prompt", prompt):
            self._utter(self.faults.word("error-prompt", "says"), barge_in=False)
            raise _HangsUp
        if outcome:
            self.done.outcomes.append((self.now, outcome))
        self._utter(f"{prompt}_reworded" if self._meant("reworded-prompt", prompt) else prompt, barge_in)

    def _utter(self, prompt: str, barge_in: bool) -> None:
        sound = self._sound(prompt)
        self.done.said.append(Said(self.now, prompt))
        end = self.now + len(sound) / RATE
        if barge_in and self.keys and self.keys[0].at < end:
            end = self.keys[0].at
        self.done.clips.append(Clip(self.now, sound[: seconds_to_samples(end - self.now)]))
        self._wait(end - self.now)
        if not barge_in:
            self._forget_keys()

    def _meant(self, fault: str, prompt: str, parameter: str = "prompt") -> bool:
        """Whether the fault is on, and about this prompt."""
        return fault in self.faults and self.faults.word(fault, parameter) == prompt

    def _reacts(self) -> bool:
        return not self.done.said or bool(self.done.heard and self.done.heard[-1].at >= self.done.said[-1].at)

    def _sound(self, prompt: str) -> Samples:
        sound = self.prompts[prompt]
        if self._meant("prompt-truncated", prompt):
            sound = sound.copy()
            sound[int(len(sound) * self.faults.number("prompt-truncated", "share")) :] = 0
        return sound

    def _forget_keys(self) -> None:
        while self.keys and self.keys[0].at <= self.now:
            self.keys.popleft()

    def _key_within(self, timeout: float) -> str | None:
        """Return the next key if it comes within `timeout` seconds, else None when they have passed."""
        if self.keys and self.keys[0].at <= self.now + timeout:
            key = self.keys.popleft()
            self._wait(max(0.0, key.at - self.now))
            self.done.heard.append(KeyPress(self.now, key.key))
            return key.key
        self._wait(timeout)
        return None

    def _wait(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= min(self.cut_at, self.leaves_at):
            raise _HangsUp


def _keys_that_reach(caller: Performance, faults: ActiveFaults) -> list[KeyPress]:
    """Return the caller's keys that the centre hears, at the moments when it acts on them."""
    if "dtmf-ignored" in faults:
        return []
    late = faults.number("dtmf-slow", "seconds") if "dtmf-slow" in faults else 0.0
    return sorted((KeyPress(key.at + late, key.key) for key in caller.keys), key=lambda key: key.at)
