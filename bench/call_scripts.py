"""Scripts of made calls: what a caller expects, presses and says, in the step language of the configuration."""

from dataclasses import dataclass, field

CARD_LENGTHS = (12, 13, 16, 19)


@dataclass(slots=True)
class Script:
    """`steps` as in the configuration; `prompts`: what a healthy far end says at a step, by the step's place."""

    steps: list = field(default_factory=list)
    prompts: dict = field(default_factory=dict)
    others: list = field(default_factory=list)  # prompts of the library that the script does not name

    @property
    def hearing(self):
        """The places of the steps that must hear a prompt."""
        return [n for n in self.prompts if not self.steps[n].get("optional")]

    def after_key(self, place):
        return place > 0 and "press" in self.steps[place - 1]

    def has_later(self, place):
        return any(n > place for n in self.hearing)


def made_script(random, centre, *, needs=""):
    """Return a script of 2 to 6 prompts. `needs` is what it must have: `barge_in`, `minor`, `hold` or `misroute`."""
    pool = [centre.plain[n] for n in random.permutation(len(centre.plain))]
    script = Script()
    turns = int(random.integers(1, 4)) if needs != "barge_in" else int(random.integers(1, 3))
    if random.random() < 0.15:
        _expect(script, random, pool, optional=True)
    for turn in range(turns):
        for _ in range(int(random.integers(1, 3))):
            _expect(script, random, pool, needs=needs)
        if needs == "barge_in" and turn == 0:
            _longest_last(script, pool)
        elif random.random() < 0.2:
            script.steps[-1]["barge_in"] = True
        _act(script, random, first=turn == 0)
    _last(script, random, pool, needs)
    script.others = pool
    return script


def _expect(script, random, pool, *, optional=False, needs=""):
    prompt = pool.pop()
    step = {"expect": prompt.text}
    if random.random() < 0.15 and len(pool) > 8:
        step["expect"] = [pool.pop().text, prompt.text]
    limits = _limits(random, needs)
    if limits:
        step["within"] = limits
    if optional:
        step["optional"] = True
    script.prompts[len(script.steps)] = prompt
    script.steps.append(step)


def _limits(random, needs):
    kind = random.random()
    minor = round(float(random.uniform(1.5, 4.0)), 1)
    if kind < 0.35 or needs == "minor":
        return {"minor": minor}
    if kind < 0.6:
        return {"minor": minor, "major": minor + round(float(random.uniform(2.0, 5.0)), 1)}
    return {}


def _longest_last(script, pool):
    """Have the last prompt be a long one that our key comes into."""
    place = len(script.steps) - 1
    longest = max([*pool, script.prompts[place]], key=lambda prompt: prompt.duration)
    if longest in pool:
        pool.remove(longest)
        pool.append(script.prompts[place])
    script.prompts[place] = longest
    script.steps[place] = {"expect": longest.text, "barge_in": True}


def _act(script, random, *, first):
    kind = random.random()
    if kind < 0.1 and not first:
        script.steps.append({"say": "I would like to speak to somebody"})
        return
    if kind < 0.2:
        script.steps.append({"pause": int(random.integers(1, 3))})
    digits = 1 if first or random.random() < 0.5 else int(random.choice([4, 8, *CARD_LENGTHS]))
    keys = "".join(random.choice(list("0123456789"), digits)) + ("#" if digits > 1 else "")
    script.steps.append({"press": ("w" if random.random() < 0.3 else "") + keys})


def _last(script, random, pool, needs):
    place, prompt = len(script.steps), pool.pop()
    verb = "hold" if needs == "hold" or (needs != "expect" and random.random() < 0.12) else "expect"
    step = {verb: prompt.text}
    if verb == "hold":
        minor = int(random.integers(8, 15))
        step["within"] = {"minor": minor, "major": minor + int(random.integers(5, 12))}
    elif limits := _limits(random, needs):
        step["within"] = limits
    if needs == "misroute" or random.random() < 0.2:
        wrong = pool.pop()
        step["misroute"] = {"somewhere-else": wrong.text} if random.random() < 0.5 else wrong.text
        script.prompts[place], script.steps = prompt, [*script.steps, step]
        return
    script.prompts[place] = prompt
    script.steps.append(step)
