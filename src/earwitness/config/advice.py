"""What is allowed and yet probably not meant: told by `validate` and at start, refused by nobody."""

from collections.abc import Iterator

from earwitness.audio.words import PromptError
from earwitness.browser.authorities import find_certutil
from earwitness.browser.executable import NoBrowserError, find_browser
from earwitness.clock import SystemClock
from earwitness.config.rules import carrier_of
from earwitness.config.schema import Config
from earwitness.config.times import Once
from earwitness.model import Severity
from earwitness.presentation import iso_time
from earwitness.probes import KINDS
from earwitness.telephony.references import unchecked_texts

_CUSTOMERS_NOTICE = (Severity.SEV1, Severity.SEV2, Severity.SEV3)
_OF_A_RUN = 1500  # bytes of the database that one run of a probe with one request takes
_LARGE = 20e9  # bytes
_OF_CALLBACKS = ("signing_secret", "webhook_secret")


def advice_on(config: Config) -> Iterator[str]:
    """Yield one sentence for each thing that a person should know before relying on this configuration."""
    try:
        yield from _on_words(config)
    except PromptError as error:
        yield f"prompts: {error}"
    yield from _on_controls(config)
    yield from _on_second_ways(config)
    if not config.network.known_good and any(probe.call is None for probe in config.probes.values()):
        yield (
            "network.known_good: no address is named, so when our own uplink is down it looks as if the targets were; "
            "name one or two that are known to answer"
        )
    yield from _on_history(config)
    yield from _on_what_is_over(config)
    yield from _on_browsers(config)
    yield from _on_agents(config)
    yield from _on_telling(config)


def _on_telling(config: Config) -> Iterator[str]:
    if not config.hooks:
        yield "hooks: there is none, so nobody is told of incidents; they are shown in the console and at /metrics"
    if config.routes:
        for severity in _CUSTOMERS_NOTICE:
            if not any(severity in route.match.severity or not route.match.severity for route in config.routes):
                yield f"routes: none is for {severity.value}, so nobody is told of such an incident when it opens"
        named = {hook for route in config.routes for hook in (*route.to, *route.failover)}
        named |= {hook for ladder in config.escalations.values() for rung in ladder.steps for hook in rung.to}
        for hook in sorted(config.hooks.keys() - named):
            yield f"hooks.{hook}: no route and no ladder names it, so it is never told of anything"
    if config.http.public_url is None:
        for name, spec in config.hooks.items():
            for secret in _OF_CALLBACKS:
                if getattr(getattr(spec, spec.kind), secret, None) is not None:
                    advice = "set http.public_url, to which it sends what people did"
                    yield f"hooks.{name}.{spec.kind}.{secret}: nobody at the provider can reach this daemon; {advice}"


def _on_controls(config: Config) -> Iterator[str]:
    used = {name for probe in config.probes.values() if (name := carrier_of(config, probe)) is not None}
    for name in sorted(name for name in used if config.carriers[name].control is None):
        yield (
            f"carriers.{name}: there is no control call, so a failed call may be blamed on the number where the account or the "
            'carrier is at fault; add control: {to: "+..."}, a number that is known to answer'
        )


def _on_second_ways(config: Config) -> Iterator[str]:
    for name, account in config.carriers.items():
        alone = [
            probe
            for probe, spec in config.probes.items()
            if spec.call and not spec.call.confirm_carrier and carrier_of(config, spec) == name
        ]
        if alone and len(account.twilio.from_) == 1:
            yield (
                f"carriers.{name}: it has one number, so a failed call is confirmed from the same one, and a block of that number looks "
                f"like an outage; add a second to from, or set confirm_carrier on {', '.join(alone[:3])}"
            )


def _on_history(config: Config) -> Iterator[str]:
    per_second = sum(1 / probe.every for probe in config.probes.values() if probe.every)
    size = per_second * config.history.keep * _OF_A_RUN
    if size > _LARGE:
        yield (
            f"history.keep: {per_second:.0f} runs a second, each kept for {config.history.keep / 86400:.3g} days, make a database of "
            f"some {size / 1e9:.0f} GB; have that much room, or keep them for less"
        )


def _on_what_is_over(config: Config) -> Iterator[str]:
    now = SystemClock().now()
    for key in ("maintenance", "critical_periods", "test_windows"):
        for name, section in getattr(config, key).items():
            times = section.times(config.calendars)
            if isinstance(times, Once) and times.until <= now:
                yield f"{key}.{name}: it is over since {iso_time(times.until)}; remove it, or give it new times"


def _on_browsers(config: Config) -> Iterator[str]:
    named = [name for name, probe in config.probes.items() if probe.browser]
    if not named:
        return
    try:
        find_browser(config.browser.executable)
        if config.network.ca_file is not None:
            find_certutil()
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
