"""Deliveries of a running daemon: what was told to whom, and once more what did not arrive."""

import json
from typing import Annotated, Any

import typer

from earwitness.cli.daemon_api import HERE, AsJson, TokenFile, Url, ask
from earwitness.cli.terminal import Terminal

app = typer.Typer(help="What was told to whom, by a running daemon.", no_args_is_help=True)


@app.command("list")
def list_(
    url: Url = HERE,
    token_file: TokenFile = None,
    incident: Annotated[str | None, typer.Option(help="Of this incident only.")] = None,
    state: Annotated[str | None, typer.Option(help="pending, leased, delivered, refused, expired, skipped ...")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first, each with its last answer."""
    asked = {"incident": incident, "state": state, "limit": limit}
    params = {key: value for key, value in asked.items() if value is not None}
    found = ask("GET", url, "deliveries", token_file, params=params).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    terminal = Terminal()
    for row in found:
        terminal.print(_shown(row), soft_wrap=True)
    if not found:
        terminal.print("no deliveries")


def _shown(row: dict[str, Any]) -> str:
    """A key is there to be copied, so it has a line that is never cut."""
    at = row["at"][:19].replace("T", " ")
    answer = row["trail"][-1]["detail"] if row["trail"] else "not tried yet"
    return f"{row['key']}\n    {at}  {row['kind']}  {row['state']} after {row['attempts']} attempts: {answer}"


@app.command()
def drop(
    hook: str, url: Url = HERE, token_file: TokenFile = None, who: str = "cli", *, as_json: AsJson = False
) -> None:
    """Owe nothing more to a hook that is configured no more: what it knows of is not ended there."""
    found = ask("POST", url, f"deliveries/drop/{hook}", token_file, json={"who": who}).json()
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else f"{found['dropped']} deliveries to {hook} dropped")


@app.command()
def retry(
    key: str, url: Url = HERE, token_file: TokenFile = None, who: str = "cli", *, as_json: AsJson = False
) -> None:
    """Send a settled delivery again, under the same key and with the same body."""
    found = ask("POST", url, f"deliveries/{key}/retry", token_file, json={"who": who}).json()
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else f"{found['key']} is {found['state']}")
