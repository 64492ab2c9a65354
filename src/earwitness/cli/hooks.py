"""Hooks: try one before it is needed."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from earwitness.cli.daemon_api import AsJson, TokenFile, ask

if TYPE_CHECKING:
    from earwitness.config.schema import Config

app = typer.Typer(help="Ways of telling people.", no_args_is_help=True)

ConfigPath = Annotated[Path, typer.Option("--config", help="A YAML file, or a folder of them.")]
_EXIT_FAILED, _EXIT_CONFIG = 1, 2
_HERE = Path("earwitness.yaml")
_PATIENCE = 130.0  # seconds: longer than two talks may take


@app.callback()
def hooks() -> None:
    """Ways of telling people."""


@app.command("test")
def try_(
    name: str,
    config: ConfigPath = _HERE,
    url: Annotated[
        str | None, typer.Option(help="Let the daemon that runs there send it; only a daemon calls.")
    ] = None,
    token_file: TokenFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Send a marked test and its resolve through one hook. Exits with 0 when both were delivered."""
    told = _tried_here(name, config) if url is None else _tried_there(name, url, token_file)
    typer.echo(json.dumps({"hook": name, "attempts": told}, ensure_ascii=False) if as_json else _shown(name, told))
    raise typer.Exit(0 if all(row["outcome"] == "delivered" for row in told) else _EXIT_FAILED)


def _tried_there(name: str, url: str, token_file: Path | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask("POST", url, f"hooks/{name}/test", token_file, timeout=_PATIENCE).json()[
        "attempts"
    ]
    return found


def _tried_here(name: str, config: Path) -> list[dict[str, Any]]:
    from earwitness.config.load import ConfigError, load_config  # noqa: PLC0415  Other commands start faster without.
    from earwitness.logs import SecretMask, set_up_logs  # noqa: PLC0415

    mask = SecretMask()
    set_up_logs(mask, "WARNING")
    try:
        loaded = load_config(config)
    except ConfigError as error:
        _fail(str(error))
    mask.learn(loaded)
    if name not in loaded.hooks:
        _fail(f"{name} is no hook of {config}; there is {', '.join(loaded.hooks) or 'none'}")
    return asyncio.run(_tried(loaded, name))


def _shown(name: str, told: list[dict[str, Any]]) -> str:
    return "\n".join(f"{name}: {t['change']}: {t['outcome']} ({t['reason']}) {t['detail']}".rstrip() for t in told)


async def _tried(config: "Config", name: str) -> list[dict[str, Any]]:
    from earwitness.alerting.couriers import hook_of  # noqa: PLC0415
    from earwitness.alerting.notices import Links  # noqa: PLC0415
    from earwitness.alerting.senders import Senders  # noqa: PLC0415
    from earwitness.alerting.trial import attempt_json, try_hook  # noqa: PLC0415
    from earwitness.clock import SystemClock  # noqa: PLC0415
    from earwitness.transport.client import WebClient  # noqa: PLC0415

    hook, web = hook_of(name, config.hooks[name]), WebClient(config.network)
    senders = Senders(web.client(timeout=hook.timeout), Path)
    links = Links((config.http.public_url or f"http://{config.http.listen}").rstrip("/"))
    try:
        tried = try_hook(hook, senders, links, SystemClock())
        return [attempt_json(kind, outcome) async for kind, outcome in tried]
    finally:
        await web.aclose()


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_EXIT_CONFIG)
