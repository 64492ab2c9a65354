"""A call's walk through a contact centre: which prompts it plays when, given the keys that reach it.

The walk is a discrete-event simulation: it runs through the whole call at once, in seconds since the answer.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from earwitness.simulator.faults import ActiveFaults
from earwitness.simulator.menu import Announce, Centre, Check, Collect, Echo, HangUp, Hold, Menu, Node, Route
from earwitness.simulator.timeline import Clip, EchoSpan, KeyPress
from earwitness.simulator.tones import RATE, Samples, hold_music, seconds_to_samples

REACTION = 0.4  # seconds between what the caller did, or the answer, and the next prompt
_MISSING_PROMPT_SILENCE = 10.0  # seconds until the centre gives up on a prompt that does not load
_PROMPT_GAP = 0.25  # seconds between two prompts


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
    centre: Centre, prompts: Mapping[str, Samples], keys: Iterable[KeyPress], faults: ActiveFaults, leaves_at: float
) -> Conversation:
    """Return what `centre` does until it hangs up, or the caller leaves at `leaves_at` (seconds)."""
    return _Walk(centre, prompts, keys, faults, leaves_at).run()


class _HangsUp(Exception):  # noqa: N818 - a turn of the conversation, no error
    pass


class _Walk:
    def __init__(
        self,
        centre: Centre,
        prompts: Mapping[str, Samples],
        keys: Iterable[KeyPress],
        faults: ActiveFaults,
        leaves_at: float,
    ) -> None:
        self.centre, self.prompts, self.faults = centre, prompts, faults
        self.keys = deque(() if "dtmf-ignored" in faults else sorted(keys, key=lambda key: key.at))
        self.leaves_at = leaves_at
        self.cut_at = faults.number("early-hangup", "seconds") if "early-hangup" in faults else float("inf")
        self.now = 0.0
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
            case HangUp():
                raise _HangsUp
        return node.then

    def _offer(self, node: Menu) -> str:
        for _ in range(node.attempts):
            self._say(node.prompt, node.barge_in)
            pressed = self._key_within(node.timeout)
            if pressed is not None and pressed in node.choices:
                return node.choices[pressed]
            self._say("nothing_heard" if pressed is None else "not_an_option", node.barge_in)
        return node.otherwise

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

    def _say(self, prompt: str, barge_in: bool, outcome: str | None = None) -> None:
        """Play a prompt, which tells the caller of `outcome`.

        A key pressed meanwhile ends it and stays in the queue, or is lost if there is no barge-in.
        """
        delay = self.faults.number("slow-prompts", "seconds") if "slow-prompts" in self.faults else 0.0
        pause = REACTION if self._reacts() else _PROMPT_GAP
        self._wait(pause + delay)
        if barge_in and self.keys and self.keys[0].at <= self.now:
            return  # typed ahead
        if "prompt-missing" in self.faults and self.faults.word("prompt-missing", "prompt") == prompt:
            self._wait(_MISSING_PROMPT_SILENCE)
            raise _HangsUp
        sound = self._sound(prompt)
        self.done.said.append(Said(self.now, prompt))
        if outcome:
            self.done.outcomes.append((self.now, outcome))
        end = self.now + len(sound) / RATE
        if barge_in and self.keys and self.keys[0].at < end:
            end = self.keys[0].at
        self.done.clips.append(Clip(self.now, sound[: seconds_to_samples(end - self.now)]))
        self._wait(end - self.now)
        if not barge_in:
            self._forget_keys()

    def _reacts(self) -> bool:
        return not self.done.said or bool(self.done.heard and self.done.heard[-1].at >= self.done.said[-1].at)

    def _sound(self, prompt: str) -> Samples:
        sound = self.prompts[prompt]
        if "prompt-truncated" in self.faults and self.faults.word("prompt-truncated", "prompt") == prompt:
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
