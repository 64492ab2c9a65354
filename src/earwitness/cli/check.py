"""`earwitness check`: probes run once, in a pipeline, and judged as the daemon would. It opens nothing and tells nobody."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from earwitness.cli.check_report import as_json_text, junit_report, print_verdict
from earwitness.cli.evidence_folder import keep_evidence
from earwitness.cli.once import STORE, CannotRunError, Once
from earwitness.cli.verdict import FAIL_ON, Verdict, judged
from earwitness.clock import SystemClock
from earwitness.config.fields import NAME, Money, parse_count
from earwitness.config.rules import rules_of
from earwitness.config.schema import Config
from earwitness.dispatch.pace import Pace
from earwitness.model import Channel, Observation, Request

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run, how often and how fast, what it may cost, and as part of which test."""

    probes: tuple[str, ...]
    environment: str | None
    repeat: int
    concurrent: int
    data_dir: Path | None
    max_spend: Money | None
    rate: float | None = None  # runs begun a second
    test_window: str | None = None
    evidence: Path | None = None  # a folder for what failed runs leave behind

    @property
    def may_telephone(self) -> bool:
        return self.data_dir is not None or self.max_spend is not None


def parse_rate(text: str | None) -> float | None:
    """Return runs a second from `5/s` or `30/m`. Raises ValueError."""
    if text is None:
        return None
    found = parse_count(text, _SECONDS)
    if found is None:
        raise ValueError(f"{text!r} is no rate; write runs in a time, such as 5/s or 30/m")
    number, unit = found
    return number / _SECONDS[unit]


def parse_fail_on(text: str) -> str:
    if text not in FAIL_ON:
        raise ValueError(f"--fail-on takes {', '.join(FAIL_ON)}; not {text}")
    return text


async def check_once(config: Config, chosen: Selection, *, junit: Path | None, as_json: bool, fail_on: str) -> int:
    """Return the exit code. Raises ValueError for a selection that makes no sense, CannotRunError for our own trouble."""
    names = _select(config, chosen)
    verdict = await _run(_tested(config, chosen.test_window), names, chosen, quiet=as_json)
    if junit:
        await asyncio.to_thread(_write, junit, junit_report(verdict))
    if as_json:
        typer.echo(as_json_text(verdict))
    else:
        print_verdict(verdict, chosen.repeat)
    return verdict.exit_code(fail_on)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CannotRunError(f"{file} cannot be written: {error.strerror}") from error


def _select(config: Config, chosen: Selection) -> list[str]:
    unknown = [name for name in chosen.probes if name not in config.probes]
    if unknown:
        raise ValueError(f"there is no probe {unknown[0]}; there are {', '.join(config.probes)}")
    names = [
        name
        for name, probe in config.probes.items()
        if (not chosen.probes or name in chosen.probes) and chosen.environment in (None, config.environment_of(probe))
    ]
    if not names:
        there = dict.fromkeys(config.environment_of(probe) for probe in config.probes.values())
        which = "none of these probes" if chosen.probes else "no probe"
        raise ValueError(f"{which} belongs to the environment {chosen.environment}; there are {', '.join(there)}")
    if chosen.data_dir is not None and not (chosen.data_dir / STORE).is_file():
        raise ValueError(f"{chosen.data_dir} holds no daemon's data; give the --data-dir that the daemon runs with")
    if chosen.data_dir is not None and chosen.max_spend is not None:
        raise ValueError(
            "give either --data-dir, to spend from the daemon's budget, or --max-spend, to spend beside it"
        )
    calls = [name for name in names if config.probes[name].kind.channel is Channel.CALL]
    if calls and not chosen.may_telephone:
        raise ValueError(
            f"{calls[0]} telephones, which costs money; give --max-spend '1 USD', or --data-dir of the daemon"
        )
    return names


def _tested(config: Config, window: str | None) -> Config:
    """Return the configuration with all of it outside production, in an environment named after the test, if there is one."""
    if window is None:
        return config
    if not re.fullmatch(NAME, window):
        raise ValueError(
            f"{window!r} is no name for a test; write such as load-test-3, in small letters, digits, - and _"
        )
    sections = {
        key: {name: spec.model_copy(update={"environment": None}) for name, spec in getattr(config, key).items()}
        for key in ("journeys", "probes")
    }
    return config.model_copy(update={**sections, "environment": window, "production_environments": ()})


async def _run(config: Config, names: Sequence[str], chosen: Selection, *, quiet: bool) -> Verdict:
    rules = rules_of(config)
    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("checking", total=len(names) * chosen.repeat)
        async with Once.of(config, data_dir=chosen.data_dir, max_spend=chosen.max_spend) as once:
            seen = await _runs(once, names, chosen, lambda: progress.advance(task))
            progress.update(task, description="confirming")

            async def asked(request: Request) -> Observation | None:
                if rules.probes[request.probe].channel is Channel.CALL and not chosen.may_telephone:
                    return None
                return await once.asked(replace(request, not_after=float("inf")))

            verdict = await judged(seen, rules, asked)
            if chosen.evidence is None:
                return verdict
            files = await asyncio.to_thread(keep_evidence, once.evidence, verdict, chosen.evidence)
            return replace(verdict, files=files)


async def _runs(once: Once, names: Sequence[str], chosen: Selection, done: Callable[[], None]) -> list[Observation]:
    """Run each probe as often as wanted, of all probes and of one at most so many at once, and none sooner than the rate allows."""
    room, pace = asyncio.Semaphore(chosen.concurrent), Pace(chosen.rate, SystemClock()) if chosen.rate else None

    async def checked(name: str) -> Observation:
        async with room:
            if pace is not None:
                await pace.turn()
            observation = await once.run(name)
        done()
        return observation

    return await asyncio.gather(*(checked(name) for _ in range(chosen.repeat) for name in names))
