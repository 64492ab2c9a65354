"""Maintenance and silences of a running daemon, over its API."""

import json
from typing import Annotated, Any

import typer

from earwitness.cli.daemon_api import HERE, AsJson, TokenFile, Url, ask
from earwitness.cli.terminal import Terminal

maintenance = typer.Typer(help="When people work on something, and nobody is to be told.", no_args_is_help=True)
silence = typer.Typer(help="What nobody is to be told of, for a while.", no_args_is_help=True)

Lasts = Annotated[str | None, typer.Option("--for", help="How long, such as 2h; this or --until is required.")]
Until = Annotated[str | None, typer.Option(help="When it ends, with its zone, such as 2026-12-01T06:00+01:00.")]
BeginsIn = Annotated[str, typer.Option("--in", help="When it begins, from now, such as 30m.")]
From = Annotated[str | None, typer.Option("--from", help="When it begins, instead of --in, as --until.")]
Names = Annotated[list[str] | None, typer.Option()]
Who = Annotated[str, typer.Option(help="Who says so.")]
Why = Annotated[str, typer.Option(help="The reason, shown with what is muted.")]


@maintenance.command("add")
def add_maintenance(  # noqa: PLR0913, PLR0917  Each matcher is an option.
    lasts: Lasts = None,
    until: Until = None,
    begins_in: BeginsIn = "0s",
    begins_at: From = None,
    probe: Names = None,
    journey: Names = None,
    environment: Names = None,
    owner: Names = None,
    dependency: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All probes are meant.")] = False,
    mode: Annotated[str, typer.Option(help="mute: probe and tell nobody; stop: do not probe.")] = "mute",
    who: Who = "cli",
    why: Why = "",
    url: Url = HERE,
    token_file: TokenFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Set a maintenance. What is still open when it ends is told then."""
    match = {"probe": probe, "journey": journey, "environment": environment, "owner": owner, "dependency": dependency}
    said = {"mode": mode, "who": who, "why": why, "all": everything}
    times = _times(lasts, until, begins_in, begins_at)
    _show(ask("POST", url, "maintenance", token_file, json={**said, **times, **_named(match)}).json(), as_json)


@silence.command("add")
def add_silence(  # noqa: PLR0913, PLR0917  Each matcher is an option.
    lasts: Lasts = None,
    until: Until = None,
    begins_in: BeginsIn = "0s",
    begins_at: From = None,
    probe: Names = None,
    journey: Names = None,
    severity: Names = None,
    incident: Names = None,
    who: Who = "cli",
    why: Why = "",
    url: Url = HERE,
    token_file: TokenFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Set a silence. What is still open when it ends is told then."""
    match = {"probe": probe, "journey": journey, "severity": severity, "incident": incident}
    times = _times(lasts, until, begins_in, begins_at)
    _show(
        ask("POST", url, "silences", token_file, json={"who": who, "why": why, **times, **_named(match)}).json(),
        as_json,
    )


@maintenance.command("list")
def list_maintenance(url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """List what the configuration plans and what people set."""
    _list(ask("GET", url, "maintenance", token_file).json(), "no maintenance", as_json)


@silence.command("list")
def list_silences(url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """List the silences that are not over."""
    _list(ask("GET", url, "silences", token_file).json(), "no silences", as_json)


@maintenance.command("end")
def end_maintenance(period: str, url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """End a maintenance that a person set."""
    _ended(ask("POST", url, f"maintenance/{period}/end", token_file).json(), as_json)


@silence.command("end")
def end_silence(period: str, url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """End a silence."""
    _ended(ask("POST", url, f"silences/{period}/end", token_file).json(), as_json)


def _times(lasts: str | None, until: str | None, begins_in: str, begins_at: str | None) -> dict[str, str]:
    said = {"lasts": lasts, "ends_at": until, "begins_in": begins_in, "begins_at": begins_at}
    return {key: value for key, value in said.items() if value is not None}


def _named(match: dict[str, list[str] | None]) -> dict[str, list[str]]:
    return {key: names for key, names in match.items() if names}


def _list(found: list[dict[str, Any]], nothing: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    terminal = Terminal()
    for period in found:
        terminal.print(_line(period), soft_wrap=True)
    if not found:
        terminal.print(nothing)


def _show(period: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(period, ensure_ascii=False) if as_json else _line(period))


def _ended(period: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(period, ensure_ascii=False) if as_json else f"{period['id']} is ended")


def _line(period: dict[str, Any]) -> str:
    match = ", ".join(f"{key} {' or '.join(names)}" for key, names in period["match"].items()) or "everything"
    if "id" not in period:
        until = period["active_until"]
        when = f"until {_minute(until)}" if until else "not now"
        return f"{period['name']}  {period['mode']}  {when}  {match}  (configuration)  {period['why']}".rstrip()
    when = f"{_minute(period['begins'])} - {_minute(period['ends'])} UTC"
    return f"{period['id']}  {period['mode']}  {when}  {match}  {period['who']}  {period['why']}".rstrip()


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")
