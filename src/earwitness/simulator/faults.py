"""The fault switches: what can be broken in the simulator, and what is broken now."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from earwitness.model import Scalar
from earwitness.simulator.wording import WORDING

Parameters = Mapping[str, Scalar]


class FaultError(ValueError):
    """A fault was asked for in a way that makes no sense."""


class UnknownFaultError(LookupError):
    """There is no fault of that name. `nearest` holds names that look like it."""

    def __init__(self, name: str) -> None:
        self.nearest = difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else "; GET /faults lists them all"
        super().__init__(f"no fault is called {name!r}{hint}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be broken. `defaults` are its parameters; `limits` the range of a number, `words` the choices."""

    description: str
    defaults: Parameters = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def parameters(self, given: Mapping[str, object]) -> Parameters:
        """Return the defaults overlaid by what was `given`. Raises FaultError."""
        unknown = sorted(set(given) - set(self.defaults))
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise FaultError(f"unknown parameter {unknown[0]!r}; the parameters of this fault are: {known}")
        return {**self.defaults, **{name: self._checked(name, value) for name, value in given.items()}}

    def _checked(self, name: str, value: object) -> Scalar:
        if isinstance(self.defaults[name], str):
            return self._checked_word(name, value)
        low, high = self.limits[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise FaultError(f"{name} is {value!r}; it must be a number from {low:g} to {high:g}")
        return value

    def _checked_word(self, name: str, value: object) -> str:
        if not isinstance(value, str) or (name in self.words and value not in self.words[name]):
            choices = ", ".join(self.words.get(name, ())) or "text"
            raise FaultError(f"{name} is {value!r}; it must be one of: {choices}")
        return value


def _timed(description: str, name: str, default: float, highest: float) -> Fault:
    return Fault(description, {name: default}, {name: (0, highest)})


# The business behind shop and telephone.
SERVICE_FAULTS = {
    "card-processor-down": Fault("The card processor refuses every payment, on the web and on the telephone."),
    "bank-down": Fault("Payments from a bank account fail, on the web and on the telephone."),
    "crm-down": Fault(
        "Customers' records cannot be read: agents cannot open them, the telephone cannot tell a balance."
    ),
}
# The production contact centre.
CENTRE_FAULTS = {
    "prompt-missing": Fault(
        "A prompt fails to load: ten seconds of dead air, then the centre hangs up.",
        {"prompt": "enter_card"},
        words={"prompt": tuple(WORDING)},
    ),
    "misroute": Fault("Callers for the mortgage team are put through to lost and stolen cards."),
    "poor-audio": Fault(
        "The centre's sound suffers packet loss, noise and clipping; level 0 is none, 1 is hardly intelligible.",
        {"level": 0.5},
        {"level": (0, 1)},
    ),
    "dead-air": _timed("The centre answers, says and hears nothing, and hangs up after `seconds`.", "seconds", 30, 600),
    "dtmf-ignored": Fault("The centre hears no key."),
    "prompt-truncated": Fault(
        "A prompt falls silent after a share of its length.",
        {"prompt": "enter_card", "share": 0.5},
        {"share": (0, 1)},
        {"prompt": tuple(WORDING)},
    ),
    "slow-prompts": _timed("Every prompt comes late by `seconds`.", "seconds", 5, 60),
    "early-hangup": _timed("The centre hangs up `seconds` after it answered.", "seconds", 4, 600),
    "one-way": _timed(
        "Nothing of the centre is heard from `after` seconds on; the centre still hears.", "after", 0, 600
    ),
}
STAGING_FAULTS = {
    "staging-down": Fault("The staging shop answers 503."),
    "staging-phone-down": Fault("The staging contact centre says that it has technical difficulties, and hangs up."),
}
SHOP_FAULTS = {
    "shop-slow": _timed("The shop answers late by `seconds`.", "seconds", 2, 120),
    "shop-down": Fault("The shop answers 503."),
}
# The carrier.
CARRIER_FAULTS = {
    "twilio-down": Fault("Twilio's API closes every connection without an answer."),
    "twilio-500": Fault("Twilio's API answers 500 with error 20500."),
    "twilio-429": Fault("Twilio's API answers 429 with error 20429."),
    "twilio-html": Fault("Twilio's API answers 503 with a web page instead of JSON."),
    "twilio-auth": Fault("Twilio's API answers 401 with error 20003, whatever the credentials."),
    "account-suspended": Fault("The account is suspended: it can be read, and dials nothing."),
    "create-lost": Fault(
        "The call is created and dials, but the POST answers 500, never answers, or the connection is closed.",
        {"answer": "500"},
        words={"answer": ("500", "never", "closed")},
    ),
    "calls-queued": _timed(
        "Calls wait in the carrier's queue for `seconds` before they are dialled.", "seconds", 60, 86400
    ),
    "recording-absent": Fault("Recordings end as absent with error 16102, as if they were silent."),
    "recording-truncated": Fault("Recordings hold only a share of the call.", {"share": 0.5}, {"share": (0, 1)}),
    "recording-late": _timed("Recordings are completed `seconds` later.", "seconds", 120, 86400),
    "recording-never": Fault("Recordings are in processing for ever."),
    "callbacks-lost": Fault("No webhook is told of anything."),
    "callbacks-duplicated": Fault("Webhooks are told of everything twice."),
    "callbacks-reordered": Fault("Webhooks are told of every two events in the wrong order."),
    "callbacks-late": _timed(
        "Webhooks are told of everything `seconds` late, in the call's time.", "seconds", 30, 86400
    ),
    "callbacks-forged": Fault(
        "After the first status callback comes one that is not Twilio's: signed wrongly, and untrue."
    ),
    "stream-refused": Fault("Media streams never connect: error 31920."),
    "stream-late": _timed("Media streams connect `seconds` late, and miss what was said.", "seconds", 5, 600),
    "stream-stalls": _timed("Media streams stay open but carry nothing after `seconds`.", "seconds", 5, 600),
    "stream-dropped-on-update": Fault("Media streams end when the call's TwiML is replaced."),
    "channels-swapped": Fault("The two channels of dual recordings are exchanged."),
}
FAULTS: Mapping[str, Fault] = MappingProxyType(
    {**SERVICE_FAULTS, **CENTRE_FAULTS, **STAGING_FAULTS, **SHOP_FAULTS, **CARRIER_FAULTS}
)


@dataclass(frozen=True, slots=True)
class ActiveFaults:
    """The faults of one moment, with their parameters."""

    active: Mapping[str, Parameters] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        if name not in FAULTS:
            raise UnknownFaultError(name)
        return name in self.active

    def number(self, name: str, parameter: str) -> float:
        """Return a parameter of an active fault."""
        value = self.active[name][parameter]
        assert isinstance(value, int | float)
        return float(value)

    def word(self, name: str, parameter: str) -> str:
        """Return a parameter of an active fault."""
        return str(self.active[name][parameter])

    def only(self, names: frozenset[str]) -> "ActiveFaults":
        return ActiveFaults({name: given for name, given in self.active.items() if name in names})


class FaultBoard:
    """The switches. What is on holds for every request, and for every call placed while it is on."""

    def __init__(self) -> None:
        self._active: dict[str, Parameters] = {}

    def now(self) -> ActiveFaults:
        return ActiveFaults(dict(self._active))

    def turn_on(self, name: str, given: Mapping[str, object] | None = None) -> Parameters:
        """Return the parameters in force. Raises UnknownFaultError, FaultError."""
        if name not in FAULTS:
            raise UnknownFaultError(name)
        self._active[name] = FAULTS[name].parameters(given or {})
        return self._active[name]

    def turn_off(self, name: str) -> None:
        """Turn a fault off; one that is not on stays off. Raises UnknownFaultError."""
        if name not in FAULTS:
            raise UnknownFaultError(name)
        self._active.pop(name, None)
