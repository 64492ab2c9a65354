"""The commands that need no others: to run the daemon, to check and to show. Each is a few lines; the work is done in the rooms."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated, NoReturn

import typer

EXIT_FAILED, EXIT_CONFIG, EXIT_UNKNOWN = 1, 2, 3

app = typer.Typer(
    name="earwitness",
    help="A monitor that behaves like your most demanding customer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


ConfigPath = Annotated[Path, typer.Option("--config", help="A YAML file, or a folder of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _as_if_without(*packages: str) -> Iterator[None]:
    """Import as where these packages are not installed, but for what is loaded already: for libraries that use them if they can."""
    hidden: dict[str, ModuleType | None] = {name: None for name in packages if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None is Python's own word for what is not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@app.command()
def run(
    config: ConfigPath,
    data_dir: Annotated[Path, typer.Option(help="Where the database and the evidence are kept.")] = Path(
        "earwitness-data"
    ),
    role: Annotated[str, typer.Option(help="all; coordinator and worker come with clustering.")] = "all",
    location: Annotated[str, typer.Option(help="What this place is called in metrics and observations.")] = "local",
    log_level: Annotated[LogLevel, typer.Option(case_sensitive=False)] = LogLevel.INFO,
) -> None:
    """Run the daemon. SIGHUP reloads the configuration, SIGTERM stops cleanly."""
    # 6 MB: for what structlog and httpx would write to a terminal, and for threads of a kind that the daemon has not
    with _as_if_without("rich", "pygments", "greenlet"):
        from earwitness.app import run_daemon  # noqa: PLC0415  Other commands start faster without.
        from earwitness.config.load import ConfigError  # noqa: PLC0415
        from earwitness.data_dir import AlreadyRunningError, UnusableStoreError  # noqa: PLC0415
        from earwitness.logs import SecretMask, set_up_logs  # noqa: PLC0415
        from earwitness.serving import CannotListenError  # noqa: PLC0415

    if role != "all":
        _fail(f"--role {role} is not available in this version; leave it out", EXIT_CONFIG)
    mask = SecretMask()
    mask.learn_environment(os.environ)
    set_up_logs(mask, log_level.value)
    try:
        asyncio.run(run_daemon(config, data_dir, mask, location))
    except ConfigError as error:
        _fail(str(error), EXIT_CONFIG)
    except (AlreadyRunningError, CannotListenError, UnusableStoreError, OSError) as error:
        _fail(str(error), EXIT_FAILED)


@app.command()
def validate(config: ConfigPath, *, as_json: AsJson = False) -> None:
    """Check a configuration and print every error as file:line:column: key: what is wrong; what to do."""
    from earwitness.config.advice import advice_on  # noqa: PLC0415
    from earwitness.config.load import ConfigError, load_config  # noqa: PLC0415

    try:
        loaded = load_config(config)
    except ConfigError as error:
        if as_json:
            rows = [{**p.mark._asdict(), "key": p.key, "message": p.message} for p in error.problems]
            typer.echo(json.dumps({"valid": False, "problems": rows}, ensure_ascii=False))
            raise typer.Exit(EXIT_CONFIG) from error
        _fail(str(error), EXIT_CONFIG)
    advice = list(advice_on(loaded))
    counts = {"probes": len(loaded.probes), "journeys": len(loaded.journeys)}
    if as_json:
        typer.echo(json.dumps({"valid": True, **counts, "advice": advice}, ensure_ascii=False))
        return
    told = (f"{number} {what.removesuffix('s') if number == 1 else what}" for what, number in counts.items())
    typer.echo(f"{config}: {' in '.join(told)}, no errors")
    for line in advice:
        typer.echo(f"note: {line}", err=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from earwitness.config.schema import Config  # noqa: PLC0415

    typer.echo(json.dumps(Config.model_json_schema(by_alias=True), indent=2))


@app.command()
def check(  # noqa: PLR0913, PLR0917  The options are the command's own.
    config: ConfigPath,
    probe: Annotated[list[str] | None, typer.Option(help="Run this probe only; may be repeated.")] = None,
    environment: Annotated[str | None, typer.Option(help="Run the probes of this environment only.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often to run each probe.")] = 1,
    concurrent: Annotated[int, typer.Option(min=1, help="How many runs at once, of one probe too.")] = 10,
    rate: Annotated[str | None, typer.Option(help="How many runs to begin in a time, such as 5/s or 30/m.")] = None,
    test_window: Annotated[
        str | None, typer.Option(help="The test that these runs are part of: what they find is no production incident.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option(help="Exit with 1 from this on: finding, incident (confirmed), diverted, blocked.")
    ] = "finding",
    data_dir: Annotated[Path | None, typer.Option(help="Take calls from the budget of this daemon's data.")] = None,
    max_spend: Annotated[str | None, typer.Option(help="What calls may cost in all, such as '1 USD'.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.")] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="Keep what failed runs leave behind, such as pictures, in this folder.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Run probes once, without a daemon: 0 all passed, 1 findings, 2 bad config, 3 the monitor could not tell."""
    from earwitness.cli.check import Selection, check_once, parse_fail_on, parse_rate  # noqa: PLC0415
    from earwitness.cli.once import CannotRunError  # noqa: PLC0415
    from earwitness.config.fields import parse_money  # noqa: PLC0415
    from earwitness.config.load import ConfigError, load_config  # noqa: PLC0415
    from earwitness.logs import SecretMask, set_up_logs  # noqa: PLC0415

    mask = SecretMask()
    set_up_logs(mask, "WARNING")  # on standard error: what a pipeline reads on standard output is the result alone
    try:
        loaded = load_config(config)
        mask.learn(loaded)
        spend = parse_money(max_spend) if max_spend else None
        chosen = Selection(
            tuple(probe or ()),
            environment,
            repeat,
            concurrent,
            data_dir,
            spend,
            parse_rate(rate),
            test_window,
            evidence,
        )
        code = asyncio.run(check_once(loaded, chosen, junit=junit, as_json=as_json, fail_on=parse_fail_on(fail_on)))
    except (ConfigError, ValueError) as error:
        _fail(str(error), EXIT_CONFIG)
    except CannotRunError as error:
        _fail(str(error), EXIT_UNKNOWN)
    raise typer.Exit(code)


@app.command()
def demo(
    scenario: Annotated[str, typer.Option(help="Which story to play.")] = "black-friday",
    *,
    exit_: Annotated[bool, typer.Option("--exit", help="Play all four levels, then exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Play the founding story on the simulator, and stay up with the console at http://127.0.0.1:8420."""
    from earwitness.cli.demo import play  # noqa: PLC0415
    from earwitness.cli.story import SCENARIOS  # noqa: PLC0415
    from earwitness.serving import CannotListenError  # noqa: PLC0415

    if scenario not in SCENARIOS:
        _fail(f"there is no scenario {scenario}; there is {', '.join(SCENARIOS)}", EXIT_FAILED)
    try:
        passed = asyncio.run(play(scenario, stay=not exit_, as_json=as_json))
    except CannotListenError as error:
        _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(0)
    raise typer.Exit(0 if passed else EXIT_FAILED)


@app.command()
def simulate(
    listen: Annotated[str, typer.Option(help="HOST:PORT")] = "127.0.0.1:4020",
    speed: Annotated[float, typer.Option(min=0.1, help="Seconds of a call that pass in a second.")] = 1.0,
    auth_token: Annotated[
        str | None,
        typer.Option(
            envvar="EARWITNESS_SIMULATOR_TOKEN",
            help="Signs webhooks and streams, instead of the token that a call is placed with.",
        ),
    ] = None,
    call_anywhere: Annotated[
        bool, typer.Option("--call-anywhere", help="Send webhooks and streams to other machines too.")
    ] = False,
) -> None:
    """Run the simulator alone: Twilio below /2010-04-01, the shop at /shop/pay, faults at /faults."""
    from earwitness.serving import CannotListenError  # noqa: PLC0415
    from earwitness.simulator.server import serve  # noqa: PLC0415

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        _fail(f"{listen} is not HOST:PORT", EXIT_CONFIG)
    typer.echo(f"simulator at http://{listen}  (faults: curl http://{listen}/faults)", err=True)
    try:
        asyncio.run(serve(host.strip("[]"), int(port), speed, auth_token=auth_token, call_anywhere=call_anywhere))
    except CannotListenError as error:
        _fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
