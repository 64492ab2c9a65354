"""What can go wrong on a made call, one fault for each way in which a class of failure comes about.

A fault says which class it is, what the script must have for it, at which steps it can happen, and what the far end does then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench import call_sounds
from earwitness.model import Failure
from earwitness.simulator.tones import RATE

_END = 900.0  # s, beyond every call


@dataclass(frozen=True, slots=True)
class Fault:
    """`failure` is the class, `acceptable` what may be said as well. `happen(play, place)` plays it; `line` changes the usual line."""

    name: str
    failure: Failure | None
    happen: Callable = None
    where: Callable = lambda script: [script.hearing[0]]
    needs: str = ""
    acceptable: tuple = ()
    line: Callable = lambda _random, line: line
    silent: bool = False  # nothing comes before the first word
    deaf: bool = False  # the far end talks on through the key before


def _any(script):
    return script.hearing


def _not_first(script):
    return script.hearing[1:]


def _last(script):
    return script.hearing[-1:]


def _not_last(script):
    return script.hearing[:-1]


def _after_key(script):
    return [n for n in script.hearing if script.after_key(n)]


def _after_barged_in(script):
    return [n for n in _after_key(script) if any(script.steps[m].get("barge_in") for m in (n - 2, n - 3) if m >= 0)][:1]


def _silence(play, _place):
    play.over = True


def _no_media(play, _place):
    play.over, play.mute_from = True, 0.0


def _media_stop(play, _place):
    play.over, play.mute_from = True, play.turn + 0.4


def _quiet(_random, line):
    """A line with a noise of its own; people in the background would be speech, and the line not dead."""
    return replace(line, snr=line.snr or 35.0, noise="white" if line.noise == "babble" else line.noise)


def _noisy(_random, line):
    """A line that is never digitally silent."""
    return replace(line, snr=line.snr or 35.0)


def _wrong(sound_of):
    def happen(play, place):
        end = play.say(play.turn + play.usual_delay(place), sound_of(play))
        play.over = True
        if play.random.random() < 0.3:
            play.hang_up = end + float(play.random.uniform(0.5, 2.5))

    return happen


def _known(play):
    return play.other().samples


def _error(play):
    return play.centre.errors[play.random.integers(len(play.centre.errors))].samples


def _skipped(play, place):
    """The far end goes on as if it had been said."""


def _cut(from_head):
    def happen(play, place):
        sound = play.script.prompts[place].samples
        kept = int(len(sound) * play.random.uniform(0.35, 0.7))
        part = sound[-kept:] if from_head else sound[:kept]
        play.tell(place, play.usual_delay(place), part)

    return happen


def _repeated(play, _place):
    """What was said before the key is said again, perhaps twice."""
    before, end = play.said[-1].samples, play.turn
    for _ in range(play.random.integers(1, 3)):
        end = play.say(end + play.random.uniform(0.4, 4.0), before)
    play.over = True


def _sorry(play, place):
    """First it says that it did not understand, then it says the menu again."""
    end = play.say(play.turn + play.usual_delay(place), play.foreign())
    play.say(end + play.random.uniform(0.2, 0.8), play.said[-1].samples)
    play.over = True


def _hung_up(moment):
    def happen(play, place):
        prompt, start = play.script.prompts[place].samples, play.turn + play.usual_delay(place)
        play.over = True
        if moment == "before":
            play.hang_up = play.turn + float(play.random.uniform(0.6, 1.4))
            return
        end = play.say(start, prompt)
        play.onsets[place] = start
        lost = min(0.8, 0.4 * (end - start))
        play.hang_up = float(play.random.uniform(start + 0.6, end - lost)) if moment == "within" else end + 0.6

    return happen


def _before_key(script):
    return [
        n
        for n in script.hearing
        if n + 1 < len(script.steps) and "press" in script.steps[n + 1] and not script.steps[n].get("barge_in")
    ]


def _late(play, place):
    """Past the minor limit, but in time for the next key."""
    minor, major = play.spec.steps[place].limits
    play.tell(place, float(play.random.uniform(minor + 0.25, min(minor + 0.8, major - 0.1))))


def _too_late(play, place):
    play.tell(place, play.spec.steps[place].limits[1] + float(play.random.uniform(0.3, 1.2)))


def _with_minor(script):
    """Steps whose prompt is not cut by our own key when it is late."""
    steps = script.steps
    return [
        n for n in script.hearing if "minor" in steps[n].get("within", {}) and not {"barge_in", "hold"} & set(steps[n])
    ]


def _held(past):
    def happen(play, place):
        minor, major = play.spec.steps[place].limits
        ways = {"minor": (minor + 0.5, major - 0.5), "major": (major + 0.3, major + 1.5), "never": (_END, _END)}
        seconds = float(play.random.uniform(*ways[past]))
        at, agent = play.turn + 0.4, play.turn + seconds
        until = min(agent, play.turn + major + 20.0)
        while at < until - 2.0:
            length = min(float(play.random.uniform(6, 14)), until - at)
            at = play.say(at, play.music(length))
            if until - at > 6.0 and play.random.random() < 0.6:
                sound = play.other().samples if play.random.random() < 0.5 else play.foreign()
                at = play.say(at + 0.2, sound) + 0.2 if at + len(sound) / RATE < until else at
        if past == "never":
            play.over = True
        else:
            play.tell(place, seconds)

    return happen


def _music_instead(play, _place):
    play.say(play.turn + 0.5, play.music(60.0))
    play.over = play.unheeding = True


def _misrouted(play, place):
    step, start = play.spec.steps[place], play.turn + play.usual_delay(place)
    if play.random.random() < 0.3:
        start = play.say(start, call_sounds.cadence(call_sounds.RING_BACK["us"], 2.0, -20.0)) + 0.5
    wrong = next(p for p in play.centre.plain if p.text in step.misroute_texts)
    play.say(start, wrong.samples)
    play.over = True


def _with_misroute(script):
    return [n for n in script.hearing if "misroute" in script.steps[n]]


def _changed(play, place):
    play.turn = play.say(play.turn + play.usual_delay(place), play.foreign(2.0))


def _tone(table):
    def happen(play, _place):
        kind = table[str(play.random.choice(list(table)))]
        play.say(
            play.turn + play.random.uniform(0.2, 1.5),
            call_sounds.cadence(kind, 60.0, float(play.random.uniform(-26, -14))),
        )
        play.over = play.unheeding = True
        if play.random.random() < 0.3:
            play.hang_up = play.turn + float(play.random.uniform(12, 20))

    return happen


def _special(play, _place):
    """Special information tones and an announcement, perhaps twice."""
    at = play.turn + play.random.uniform(0.2, 1.5)
    kind = str(play.random.choice(list(call_sounds.SIT)))
    sound = play.foreign(2.0) if play.random.random() < 0.7 else play.other().samples
    for _ in range(play.random.integers(1, 3)):
        at = play.say(at, call_sounds.special_information(kind, -18.0)) + 0.2
        at = play.say(at, sound) + 0.8
    play.over = play.unheeding = True


def _fine(play, place):
    play.tell(place, play.usual_delay(place))


def _poor(kind):
    def line(random, usual):
        if kind == "noise":
            return replace(usual, snr=float(random.uniform(8, 11)))
        if kind == "clipping":
            return replace(usual, clipped=float(random.uniform(0.04, 0.12)), snr=max(usual.snr or 40.0, 35.0))
        return replace(usual, loss=float(random.uniform(0.03, 0.1)))

    return line


HEALTHY = Fault("healthy", None)
FAULTS = (
    Fault("dead air", Failure.DEAD_AIR, _silence, silent=True, line=_quiet),
    Fault("no media", Failure.ONE_WAY, _no_media, silent=True),
    Fault("media stop", Failure.ONE_WAY, _media_stop, _not_first, line=_noisy),
    Fault("another prompt", Failure.WRONG_PROMPT, _wrong(_known), _any),
    Fault("unknown words", Failure.WRONG_PROMPT, _wrong(lambda play: play.foreign()), _last),
    Fault("error prompt", Failure.WRONG_PROMPT, _wrong(_error), _any),
    Fault("then silence", Failure.PROMPT_MISSING, _silence, _not_first),
    Fault("skipped", Failure.PROMPT_MISSING, _skipped, _not_last),
    Fault("end cut", Failure.PROMPT_TRUNCATED, _cut(from_head=False), _any),
    Fault("beginning cut", Failure.PROMPT_TRUNCATED, _cut(from_head=True), _any),
    Fault("menu again", Failure.DTMF_IGNORED, _repeated, _after_key),
    Fault("key not heeded", Failure.DTMF_IGNORED, _silence, _after_barged_in, needs="barge_in", deaf=True),
    Fault("sorry, menu again", Failure.DTMF_IGNORED, _sorry, _after_key, acceptable=(Failure.WRONG_PROMPT,)),
    Fault("hung up before", Failure.EARLY_HANGUP, _hung_up("before"), _any),
    Fault("hung up within", Failure.EARLY_HANGUP, _hung_up("within"), _any),
    Fault("hung up after", Failure.EARLY_HANGUP, _hung_up("after"), _before_key),
    Fault("late", Failure.SLOW, _late, _with_minor, needs="minor"),
    Fault("too late", Failure.SLOW, _too_late, _last, needs="expect"),
    Fault("held long", Failure.HOLD_TOO_LONG, _held("minor"), _last, needs="hold"),
    Fault("held too long", Failure.HOLD_TOO_LONG, _held("major"), _last, needs="hold"),
    Fault("held for ever", Failure.HOLD_TOO_LONG, _held("never"), _last, needs="hold"),
    Fault(
        "music instead",
        Failure.HOLD_TOO_LONG,
        _music_instead,
        _last,
        needs="expect",
        acceptable=(Failure.PROMPT_MISSING,),
    ),
    Fault("wrong place", Failure.MISROUTED, _misrouted, _with_misroute, needs="misroute"),
    Fault("noise", Failure.POOR_AUDIO, _fine, line=_poor("noise")),
    Fault("clipping", Failure.POOR_AUDIO, _fine, line=_poor("clipping")),
    Fault("packet loss", Failure.POOR_AUDIO, _fine, line=_poor("loss")),
    Fault("busy", Failure.BUSY, _tone(call_sounds.BUSY), _any),
    Fault("unobtainable", Failure.UNOBTAINABLE, _special, _any),
    Fault("rings on", Failure.NO_ANSWER, _tone(call_sounds.RING_BACK), _any),
    Fault("congestion", Failure.NEVER_CONNECTED, _tone(call_sounds.REORDER), _any),
    Fault("other words", Failure.PROMPT_CHANGED, _changed, _not_last),
)
BY_NAME = {fault.name: fault for fault in (HEALTHY, *FAULTS)}


def fault_place(script, fault, random):
    """Return the step at which the fault happens."""
    places = fault.where(script)
    return int(places[random.integers(len(places))]) if places else -1
