"""The language in which a contact centre is written down: nodes that name prompts and the nodes that follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from earwitness.simulator.tones import Samples


@dataclass(frozen=True, slots=True)
class Announce:
    """Say something, then go on. With `barge_in` a key ends it, and counts for the node that follows."""

    prompt: str
    then: str
    barge_in: bool = False
    outcome: str | None = None  # what reaching this node means for the caller


@dataclass(frozen=True, slots=True)
class Menu:
    """Offer choices by key. With nothing heard for `timeout` seconds, or a wrong key, say so and offer them again."""

    prompt: str
    choices: Mapping[str, str]
    otherwise: str
    timeout: float = 5.0
    attempts: int = 3
    barge_in: bool = True
    main: bool = False  # the menu that `wrong-queue` and `speech-menu` are about


@dataclass(frozen=True, slots=True)
class Collect:
    """Ask for a number. It may take `timeout` seconds to begin, and ends with the hash key or `pause` seconds after a digit."""

    prompt: str
    then: str
    otherwise: str
    refusal: str = "not_an_option"
    shortest: int = 6
    longest: int = 19
    timeout: float = 15.0
    pause: float = 5.0
    attempts: int = 3
    barge_in: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """Ask a service behind the centre, which takes `seconds`; `up` and `down` are what follows."""

    service: str  # the fault that breaks it is called SERVICE-down
    up: str
    down: str
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """Put the caller through; the fault `misroute` puts them through to the wrong team."""

    then: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Play music, with an announcement after each `music` seconds, `rounds` times."""

    announcement: str
    then: str
    music: float = 15.0
    rounds: int = 4


@dataclass(frozen=True, slots=True)
class Echo:
    """Send back what is heard, for `seconds`."""

    seconds: float
    then: str


@dataclass(frozen=True, slots=True)
class Tone:
    """Play a sound that is no speech, or wait in silence; keys pressed meanwhile are lost."""

    sound: Callable[[], Samples]
    then: str


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


Node = Announce | Menu | Collect | Check | Route | Hold | Echo | Tone | HangUp


@dataclass(frozen=True, slots=True)
class Centre:
    """A contact centre: its nodes by name, and the one that a call begins with."""

    start: str
    nodes: Mapping[str, Node]

    @property
    def has_main_menu(self) -> bool:
        return any(isinstance(node, Menu) and node.main for node in self.nodes.values())
