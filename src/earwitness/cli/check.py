"""`earwitness check`: probes run once, in a pipeline, without a daemon. It opens nothing and tells nobody."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from earwitness.cli.once import STORE, CannotRunError, Once
from earwitness.config.fields import Money
from earwitness.config.schema import Config
from earwitness.model import Channel, Observation, Outcome
from earwitness.presentation import observation_json

_COLOUR = {Outcome.OK: "green", Outcome.FINDING: "red", Outcome.UNKNOWN: "yellow", Outcome.SKIPPED: "yellow"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run, how often, and what it may cost."""

    probes: tuple[str, ...]
    environment: str | None
    repeat: int
    concurrent: int
    data_dir: Path | None
    max_spend: Money | None


async def check_once(config: Config, chosen: Selection, *, junit: Path | None, as_json: bool) -> int:
    """Return the exit code. Raises ValueError for a selection that makes no sense, CannotRunError for our own trouble."""
    names = _select(config, chosen)
    seen = await _run(config, names, chosen, quiet=as_json)
    if junit:
        await asyncio.to_thread(_write, junit, junit_report(seen))
    if as_json:
        typer.echo(json.dumps([observation_json(o, "evidence") for o in seen], ensure_ascii=False))
    else:
        Console().print(_table(seen))
    return exit_code(seen)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CannotRunError(f"{file} cannot be written: {error.strerror}") from error


def exit_code(seen: Sequence[Observation]) -> int:
    """1 if anything was found, else 3 if anything could not be told, else 0."""
    outcomes = {o.outcome for o in seen}
    if Outcome.FINDING in outcomes:
        return 1
    return 3 if outcomes & {Outcome.UNKNOWN, Outcome.SKIPPED} else 0


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
        raise ValueError(f"no probe belongs to the environment {chosen.environment}")
    if chosen.data_dir is not None and not (chosen.data_dir / STORE).is_file():
        raise ValueError(f"{chosen.data_dir} holds no daemon's data; give the --data-dir that the daemon runs with")
    if chosen.data_dir is not None and chosen.max_spend is not None:
        raise ValueError(
            "give either --data-dir, to spend from the daemon's budget, or --max-spend, to spend beside it"
        )
    calls = [name for name in names if config.probes[name].kind.channel is Channel.CALL]
    if calls and chosen.data_dir is None and chosen.max_spend is None:
        raise ValueError(
            f"{calls[0]} telephones, which costs money; give --max-spend '1 USD', or --data-dir of the daemon"
        )
    return names


async def _run(config: Config, names: Sequence[str], chosen: Selection, *, quiet: bool) -> list[Observation]:
    room = asyncio.Semaphore(chosen.concurrent)
    with Progress(console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("checking", total=len(names) * chosen.repeat)
        async with Once.of(config, data_dir=chosen.data_dir, max_spend=chosen.max_spend) as once:

            async def checked(name: str) -> Observation:
                async with room:
                    observation = await once.run(name)
                progress.advance(task)
                return observation

            return await asyncio.gather(*(checked(name) for _ in range(chosen.repeat) for name in names))


def _table(seen: Sequence[Observation]) -> Table:
    table = Table("probe", "outcome", "took", "what was found")
    for o in seen:
        text = "; ".join(f.message for f in o.findings) or o.skipped or ""
        table.add_row(o.run.probe, Text(o.outcome, _COLOUR[o.outcome]), f"{o.duration:.2f} s", Text(text))
    return table


def junit_report(seen: Sequence[Observation]) -> bytes:
    """Return JUnit XML: a finding is a failure, what the monitor could not tell is an error."""
    suite = ET.Element("testsuite", name="earwitness", tests=str(len(seen)))
    counts = {Outcome.FINDING: "failure", Outcome.UNKNOWN: "error", Outcome.SKIPPED: "skipped"}
    for tag in counts.values():
        name = {"failure": "failures", "error": "errors"}.get(tag, tag)
        suite.set(name, str(sum(counts.get(o.outcome) == tag for o in seen)))
    for o in seen:
        case = ET.SubElement(suite, "testcase", classname=o.run.journey, name=o.run.probe, time=f"{o.duration:.3f}")
        if o.outcome in counts:
            message = "; ".join(f.message for f in o.findings) or o.skipped or ""
            ET.SubElement(case, counts[o.outcome], message=message)
    report: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return report
