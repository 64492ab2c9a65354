"""What is allowed and yet probably not meant: told by `validate` and at start, refused by nobody."""

from collections.abc import Iterator

from earwitness.audio.words import PromptError
from earwitness.browser.executable import NoBrowserError, find_browser
from earwitness.config.schema import Config
from earwitness.model import Severity
from earwitness.probes import KINDS
from earwitness.telephony.references import unchecked_texts


def advice_on(config: Config) -> Iterator[str]:
    """Yield one sentence for each thing that a person should know before relying on this configuration."""
    try:
        yield from _on_words(config)
    except PromptError as error:
        yield f"prompts: {error}"
    yield from _on_controls(config)
    yield from _on_browsers(config)
    yield from _on_agents(config)
    if not config.hooks:
        yield "hooks: there is none, so nobody is told of incidents; they are shown in the console and at /metrics"
    elif config.routes and not any(Severity.SEV1 in r.match.severity or not r.match.severity for r in config.routes):
        yield "routes: none is for sev1, so nobody is told of the worst"


def _on_controls(config: Config) -> Iterator[str]:
    used = {probe.call.carrier or next(iter(config.carriers)) for probe in config.probes.values() if probe.call}
    for name in sorted(name for name in used if config.carriers[name].control is None):
        yield (
            f"carriers.{name}: there is no control call, so a failed call may be blamed on the number where the account or the "
            'carrier is at fault; add control: {to: "+..."}, a number that is known to answer'
        )


def _on_browsers(config: Config) -> Iterator[str]:
    named = [name for name, probe in config.probes.items() if probe.browser]
    if not named:
        return
    try:
        find_browser(config.browser.executable)
    except NoBrowserError as error:
        yield f"probes.{named[0]}.browser: {error}; until then such runs end as unknown"


def _on_agents(config: Config) -> Iterator[str]:
    for name, probe in config.probes.items():
        if config.journeys[probe.journey].by != "agent":
            continue
        section = next(kind for kind in KINDS if getattr(probe, kind) is not None)
        if "effect" not in getattr(probe, section).model_fields_set and not probe.effects:
            yield (
                f"probes.{name}.{section}: an agent goes this journey, and nothing says what its failure does to customers, so it "
                "counts as blocked; declare effect"
            )
        if not probe.depends_on:
            yield (
                f"probes.{name}: an agent goes this journey, and nothing says what it needs, so no customer's failure is "
                "explained by it; declare depends_on, such as [crm]"
            )


def _on_words(config: Config) -> Iterator[str]:
    if config.transcription is not None:
        return  # words are heard without a recording
    calls = [(f"probes.{name}.call", probe.call) for name, probe in config.probes.items() if probe.call]
    calls += [(f"carriers.{name}.control", spec.control.call) for name, spec in config.carriers.items() if spec.control]
    for name, call in calls:
        texts = unchecked_texts(call, config.prompts)
        if texts:
            quoted = ", ".join(f'"{text}"' for text in texts)
            yield (
                f"{name}: there is no reference recording of {quoted}; such a call can be found failing but never "
                "right, and ends as unknown. Add NAME.wav with its words in NAME.txt to the prompts folder, or use listen"
            )
