"""`earwitness replay`: how people dare to change a rule."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from earwitness.model import Incident

_EXIT_CONFIG = 2


def replay(
    config: Annotated[Path, typer.Option("--config", help="The configuration to judge by.")],
    data_dir: Annotated[Path, typer.Option(help="Where the daemon keeps its data.")] = Path("earwitness-data"),
    since: Annotated[str, typer.Option(help="How far back, such as 30d or 12h.")] = "7d",
    *,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="Hear recordings that were kept again, by the steps and limits of now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge stored history by this configuration's rules: what would have opened, how bad, how many alerts. Changes nothing."""
    from earwitness.alerting.routing import Router  # noqa: PLC0415  Other commands start faster without.
    from earwitness.clock import SystemClock  # noqa: PLC0415
    from earwitness.config.fields import parse_duration  # noqa: PLC0415
    from earwitness.config.load import ConfigError, load_config  # noqa: PLC0415
    from earwitness.config.rules import rules_of  # noqa: PLC0415
    from earwitness.replay import History, seen_by  # noqa: PLC0415
    from earwitness.replay import replay as judge_again  # noqa: PLC0415

    try:
        loaded, seconds = load_config(config), parse_duration(since)
    except (ConfigError, ValueError) as error:
        _fail(str(error), _EXIT_CONFIG)
    begin = SystemClock().now() - seconds
    try:
        history = History(data_dir / "earwitness.db")
    except OSError as error:
        _fail(str(error), _EXIT_CONFIG)
    with Console(stderr=True).status("judging ..."):
        silenced = history.quiet_events(begin)
        seen = history.observations(begin)
        rehearing = _rehearing(loaded, data_dir) if recordings else None
        seen = map(rehearing.again, seen) if rehearing else seen
        done = judge_again(seen_by(loaded, seen), rules_of(loaded), Router.of(loaded), silenced)
        then = history.incidents(begin)
    history.close()
    told = _told(done, then, rehearing)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        _print(told)


def _rehearing(config: Any, data_dir: Path) -> Any:
    from earwitness.rehearing import Rehearing  # noqa: PLC0415 - loads numpy

    return Rehearing(config, data_dir)


def _told(done: Any, then: list[Incident], rehearing: Any) -> dict[str, Any]:
    from earwitness.presentation import incident_json  # noqa: PLC0415

    return {
        "observations": done.observations,
        "passed_over": done.passed_over,
        "stopped": done.stopped,
        "recordings": {key: getattr(rehearing, key) for key in ("heard", "changed", "lost")} if rehearing else None,
        "incidents": [
            {**incident_json(c.incident, "evidence"), "worst": c.worst.value, "alerts": dict(c.told)}
            for c in done.courses.values()
        ],
        "alerts": dict(done.alerts),
        "would_have_asked": done.asked - done.answered,
        "then": dict(Counter(incident.severity.value for incident in then)),
    }


def _print(told: dict[str, Any]) -> None:
    table = Table("opened (UTC)", "resolved (UTC)", "worst", "what", "alerts")
    for incident in told["incidents"]:
        times = [(incident[key] or "")[:16].replace("T", " ") for key in ("opened_at", "resolved_at")]
        table.add_row(*times, incident["worst"], incident["title"], str(sum(incident["alerts"].values())))
    console = Console(soft_wrap=True)
    console.print(table)
    now = Counter(incident["worst"] for incident in told["incidents"])
    console.print(f"{told['observations']} observations; {sum(told['alerts'].values())} alerts")
    console.print(f"by this configuration: {_counted(now)}; as it was: {_counted(Counter(told['then']))}")
    if told["would_have_asked"]:
        console.print(f"would have asked for {told['would_have_asked']} runs that history does not hold")
    if told["recordings"]:
        heard = told["recordings"]
        console.print(
            f"{heard['heard']} recordings heard again, {heard['changed']} with other findings, {heard['lost']} unusable"
        )
    if told["stopped"]:
        console.print(
            f"{told['stopped']} observations are of times in which a maintenance of this configuration stops the probe"
        )
    if told["passed_over"]:
        console.print(f"{told['passed_over']} observations are of probes that this configuration does not have")


def _counted(severities: Counter[str]) -> str:
    return ", ".join(f"{count} {severity}" for severity, count in sorted(severities.items())) or "no incident"


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
