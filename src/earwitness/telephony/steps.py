"""The step language of a call: what to hear, press and say, one step after the other.

This module loads neither numpy nor the carrier's SDK: a configuration without calls pays for neither.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from earwitness.audio.number_masking import mask_numbers
from earwitness.audio.words import WILDCARD, raw_words
from earwitness.config.fields import Duration, Flag, Limits, OneOrMore, Secret, Share, Spec, as_list, problem
from earwitness.model import Effect

Verb = Literal["expect", "hold", "press", "say", "listen", "silence", "pause", "hang_up"]
VERBS: tuple[Verb, ...] = ("expect", "hold", "press", "say", "listen", "silence", "pause", "hang_up")
_HEARING = ("expect", "hold")
_BELONGS: Mapping[str, tuple[str, ...]] = {  # which steps a key belongs to
    "within": ("expect", "hold", "silence"),
    "match": _HEARING,
    "misroute": _HEARING,
    "optional": ("expect",),
    "barge_in": ("expect",),
    "secret": ("press", "say"),
    "effect": ("expect", "hold", "press", "say", "listen", "silence"),  # what can fail
}
_RANGES: Mapping[str, tuple[float, float]] = {"listen": (1, 600), "pause": (1, 600), "silence": (0.3, 20)}  # seconds
_LONGEST_WAIT: Mapping[str, float] = {"expect": 120, "hold": 840, "silence": 120}  # seconds
_USUAL_WAIT: Mapping[str, float] = {"expect": 10, "hold": 120, "silence": 15}  # seconds, where no major limit is given

_KEYS = re.compile(r"[0-9A-D*#wW]{1,64}")
_CARD_DIGITS = 12  # the shortest card numbers; only of those the last four are ever shown
_MENU_DIGITS = 2
_HIDDEN = "****"
_SECRET_DIGITS = 4  # the shortest numbers, PINs, that are told from choices in menus when they are pressed in pieces
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIGIT = re.compile(r"[0-9A-D]")  # A to D are tones like any digit


def mask_keys(keys: str, *, secret: bool = False) -> str:
    """Return `keys` as they may be shown: a menu choice as it is, of a card number the last four digits, of others and of `secret` none."""
    digits = len(_DIGIT.findall(keys))
    if digits <= _MENU_DIGITS and not secret:
        return keys
    hidden = digits - (4 if digits >= _CARD_DIGITS and not secret else 0)
    return _DIGIT.sub("*", keys, count=hidden) if hidden else keys


def _keys(value: Any) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _KEYS.fullmatch(text):
        raise problem("press takes 1 to 64 of 0-9 A-D * # and w (a pause of 0.5 s) or W (1 s); quote it, as in '2#'")
    if not text.strip("wW"):
        raise problem("press names no key, only pauses; use pause: 1s for those")
    return Secret(text)


def _places(value: Any) -> Any:
    """Accept a text, a list of texts, or a mapping from a queue's name to its text or texts."""
    if isinstance(value, Mapping):
        return {name: as_list(texts) for name, texts in value.items()}
    return {"": as_list(value)}


Keys = Annotated[Secret, BeforeValidator(_keys, json_schema_input_type=str)]


def _speakable(value: str) -> str:
    """Refuse what no script of the carrier's can hold: characters outside XML 1.0."""
    bad = _NO_XML.search(value)
    if bad is not None:
        raise problem(f"a text holds the character U+{ord(bad[0]):04X}, which cannot be said; take it out")
    return value


Prompt = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_speakable)]
Prompts = Annotated[tuple[Prompt, ...], OneOrMore()]
Places = Annotated[
    dict[str, tuple[Prompt, ...]],
    BeforeValidator(_places, json_schema_input_type=str | list[str] | dict[str, str | list[str]]),
]


class MatchLimits(Spec):
    """How much of a prompt must be recognised: below `minor` a nuisance, below `major` it is not this prompt. Shares."""

    minor: Share | None = None
    major: Share | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minor is not None and self.major is not None and self.major > self.minor:
            raise problem("match.major is above match.minor; the minor limit is passed first on the way down", "major")
        return self


class StepSpec(Spec):
    """One step: exactly one of the eight verbs.

    `within` holds the seconds to the start of the prompt (or to the silence), from the end of what was before it: our key or
    word, the prompt that was expected before, or the answer. `misroute` are prompts which, heard instead, mean that the call was
    put through to the wrong place, by the name of the place. In texts, `*` stands for any words.
    """

    expect: Prompts | None = None
    hold: Prompts | None = None  # stay on hold until this is heard; music and announcements may come first
    press: Keys | None = None
    say: Prompt | None = None
    listen: Duration | None = None  # somebody must speak in these seconds
    silence: Duration | None = None  # the line must be silent for so long
    pause: Duration | None = None  # wait, whatever is heard
    hang_up: Flag | None = None  # end the call here: before an agent answers
    within: Limits | None = None
    match: MatchLimits | None = None
    misroute: Places = Field(default_factory=dict)
    optional: Flag = False  # it may be left out, as a holiday message is
    barge_in: Flag = False  # what follows does not wait for its end
    secret: Flag = False  # its keys, or words, are shown nowhere, however few they are
    effect: Effect | None = None  # instead of the probe's, when this step fails

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        verbs = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(verbs) != 1:
            said = f"this step has {' and '.join(verbs)}" if verbs else "this step has no verb"
            raise problem(f"{said}; write exactly one of {', '.join(VERBS)}", verbs[1] if verbs else None)
        verb = verbs[0]
        for key, belongs in _BELONGS.items():
            if key in self.model_fields_set and verb not in belongs:
                where = " or ".join(belongs)
                article = "an" if where[0] in "aeiou" else "a"
                raise problem(f"{key} belongs to {article} {where} step; this one is a {verb} step", key)
        if verb in _HEARING and not getattr(self, verb):
            raise problem(f"{verb} is empty; write the words of the prompt", verb)
        if self.hang_up is False:
            raise problem("hang_up takes true; leave the step out to stay on the line", "hang_up")
        self._check_words()
        self._check_waits(verb)
        return self

    def _check_words(self) -> None:
        for text in self.texts:
            if not raw_words(text):
                raise problem(f"{text!r} holds no words; write what is said, with * for words that change")
        seen: set[str] = set()
        for text in (*self.texts, *self.misroute_texts):
            words = f" {WILDCARD} ".join(" ".join(raw_words(part)) for part in text.split(WILDCARD))
            if words in seen:
                raise problem(f"{text!r} stands twice in this step; it can mean one thing only: take one out")
            seen.add(words)

    def _check_waits(self, verb: str) -> None:
        if verb in _RANGES:
            low, high = _RANGES[verb]
            if not low <= getattr(self, verb) <= high:
                raise problem(f"{verb} takes {low:g}s to {high:g}s", verb)
        longest = _LONGEST_WAIT.get(verb, 0)
        if self.within is not None and self.within.major is not None and not 1 <= self.within.major <= longest:
            raise problem(f"within.major takes 1s to {longest:g}s in a {verb} step", "within")

    @property
    def verb(self) -> Verb:
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompt to be heard, and its alternatives; none where no prompt is waited for."""
        return self.expect or self.hold or ()

    @property
    def misroute_texts(self) -> tuple[str, ...]:
        return tuple(text for texts in self.misroute.values() for text in texts)

    @property
    def must_hear(self) -> bool:
        """Whether the line has to do something for the step to pass."""
        return not self.optional and self.verb in ("expect", "hold", "listen", "silence")

    @property
    def acts(self) -> bool:
        """Whether we do something that the line hears."""
        return self.press is not None or self.say is not None

    @property
    def shown_keys(self) -> str:
        """Return the keys that are pressed as they may be shown; empty for other steps."""
        return mask_keys(self.press.reveal(), secret=self.secret) if self.press else ""

    @property
    def shown_words(self) -> str:
        """Return the words that are said as they may be shown; empty for other steps."""
        return _HIDDEN if self.secret and self.say else mask_numbers(self.say or "")

    @property
    def hides(self) -> bool:
        """Whether its keys or words may be heard in nothing that is kept: it says so, or a part of them is not shown."""
        if self.press is not None:
            return self.shown_keys != self.press.reveal()
        return self.say is not None and self.shown_words != self.say

    @property
    def limits(self) -> tuple[float | None, float]:
        """The minor limit, if there is one, and the major limit: by default 10 s, on hold 120 s, for silence 15 s. Seconds."""
        minor = self.within.minor if self.within else None
        major = self.within.major if self.within else None
        usual = _USUAL_WAIT.get(self.verb, 10.0)
        return minor, max(usual, minor or 0.0) if major is None else major

    @property
    def title(self) -> str:
        """What the step is called in observations; keys and long numbers are masked."""
        match self.verb:
            case "press":
                return f"press {self.shown_keys}"
            case "expect":
                return f"expect {mask_numbers(' | '.join(self.texts))}"
            case "hold":
                return f"hold until {mask_numbers(' | '.join(self.texts))}"
            case "say":
                return f"say {self.shown_words}"
            case "hang_up":
                return "hang up"
        return f"{self.verb} {getattr(self, self.verb):g}s"


def keeping_secrets(steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    """Return `steps` with the pieces of one secret number marked as secret.

    Keys between which no prompt must be heard are one number; an optional prompt may stay away. One step tells by itself
    whether its keys are secret.
    """
    kept = list(steps)
    number: list[tuple[int, int]] = []  # of each piece, its place and its digits
    for place, step in enumerate((*steps, None)):
        if step is None or (step.texts and not step.optional) or step.listen is not None:
            if len(number) > 1 and sum(digits for _, digits in number) >= _SECRET_DIGITS:
                for piece, _ in number:
                    kept[piece] = steps[piece].model_copy(update={"secret": True})
            number = []
        elif step.press is not None:
            number.append((place, len(_DIGIT.findall(step.press.reveal()))))
    return tuple(kept)
