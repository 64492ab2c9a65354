"""What we did on a call ourselves: the script's keys and words, as our own channel of the recording holds them."""

from collections.abc import Sequence

from earwitness.audio.channels import Sides
from earwitness.audio.frames import RATE
from earwitness.audio.recognition import Action
from earwitness.audio.script import PlannedStep
from earwitness.audio.speech import speech

_FAREWELL = 3.0  # s before the end in which our last words end when we hang up after them
_WORDS_PAUSE = 1.5  # s of silence that may lie within our own words


def tones_of(keys: str) -> str:
    return keys.replace("w", "").replace("W", "")


def due(script: Sequence[PlannedStep], verb: str) -> float:
    """Return when the first step of this verb is due by the script, seconds after the answer."""
    first = next((place for place, step in enumerate(script) if step.verb == verb), len(script))
    return sum(step.wait for step in script[:first])


def actions_in(sides: Sides, script: Sequence[PlannedStep]) -> dict[int, Action]:
    """Return what is on our channel of each key and word of the script, by the step's place, up to the first that is not there."""
    actions: dict[int, Action] = {}
    at, after = 0, 0.0
    for place, step in enumerate(script):
        if step.verb == "press":
            wanted = tones_of(step.keys)
            heard = sides.keys[at : at + len(wanted)]
            if "".join(key.key for key in heard) != wanted:
                break
            at, after = at + len(wanted), heard[-1].end
            actions[place] = Action(heard[0].start, after)
        elif step.verb == "say":
            until = sides.keys[at].start if at < len(sides.keys) else len(sides.ours)
            said = _words(sides, after, until)
            if said is None:
                break
            actions[place], after = said, said.end
    return actions


def ends_with_our_words(sides: Sides, after: float) -> bool:
    """Say whether we spoke last, and what no step says: what a person is told before we hang up."""
    spoken = [segment for segment in speech(sides.ours, sides.keys) if segment.start > after]
    return bool(spoken) and spoken[-1].end > len(sides.ours) / RATE - _FAREWELL


def _words(sides: Sides, after: float, until: float) -> Action | None:
    """Return our own speech that begins between `after` and `until`, up to its first long pause; keys are no speech."""
    words: Action | None = None
    for segment in speech(sides.ours):
        is_key = any(key.start < segment.end and key.end > segment.start for key in sides.keys)
        if is_key or segment.start < after or segment.start >= until:
            continue
        if words is not None and segment.start > words.end + _WORDS_PAUSE:
            break
        words = Action(words.start if words else segment.start, segment.end)
    return words
