"""What an engine that turns speech into words promises. Loads no numpy, so that a configuration can be checked without."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from earwitness.audio.alignment import Word

if TYPE_CHECKING:
    from earwitness.audio.wav import Samples


class EngineError(Exception):
    """Speech cannot be transcribed: the monitor's fault, never the target's. The message says what, where and what to do."""


class Engine(Protocol):
    """Turns speech into words. Is used by one thread at a time."""

    def transcribe(self, samples: "Samples") -> tuple[Word, ...]:
        """Return the words in `samples`, shape (n,) at 8 kHz, in order; times in seconds. Takes seconds: call it in a worker."""

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the words of `text` that it can never hear, because they are not in its dictionary."""


class Settings(Protocol):
    """The section `transcription` of the configuration."""

    @property
    def engine(self) -> str: ...
    @property
    def model(self) -> Path | None: ...
    @property
    def language(self) -> str: ...


@dataclass(frozen=True, slots=True)
class EngineKind:
    """How an engine is found: our `module`, the `package` that it needs, and the extra that installs it.

    `model_files` are the patterns that a model folder has to hold, alternatives divided by `|`; without any it takes no folder.
    `languages` are the only ones it knows; by default the model decides. `uses_texts`: it listens for the expected words.
    """

    module: str
    package: str
    extra: str
    model_files: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    uses_texts: bool = False
