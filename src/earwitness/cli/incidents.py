"""Incidents of a running daemon, over its API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from earwitness.cli.daemon_api import HERE, AsJson, TokenFile, Url, ask, fail
from earwitness.cli.terminal import Terminal, clean
from earwitness.config.fields import parse_duration

app = typer.Typer(help="Incidents of a running daemon.", no_args_is_help=True)


@app.command("list")
def list_(url: Url = HERE, token_file: TokenFile = None, status: str | None = None, *, as_json: AsJson = False) -> None:
    """List incidents, newest first; with --status suspected the failures that are not believed yet."""
    found = ask("GET", url, "incidents", token_file, params={"status": status} if status else None).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif found and status == "suspected":
        Terminal().print("\n".join(f"{s['failing_since'][:16].replace('T', ' ')}  {s['title']}" for s in found))
    else:
        Terminal().print(_listed(found) if found else "no incidents")


def _listed(found: list[dict[str, Any]]) -> Table:
    """An id is there to be copied, so it is never cut; titles wrap."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "severity", "status", "opened (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("what", ratio=1)
    for i in found:
        table.add_row(i["id"], i["severity"], i["status"], i["opened_at"][:16].replace("T", " "), clean(i["title"]))
    return table


@app.command()
def show(incident: str, url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """Show one incident."""
    found = ask("GET", url, f"incidents/{incident}", token_file).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    terminal = Terminal()
    terminal.print(f"{found['severity']} {found['title']}  ({found['status']})", style="bold", soft_wrap=True)
    if found["muted"]:
        terminal.print(f"muted by {found['muted']['by']} until {found['muted']['until']}", soft_wrap=True)
    terminal.print(found["reason"], soft_wrap=True)
    for entry in found["timeline"]:
        terminal.print(f"  {entry['at']}  {entry['kind']}  {entry['text']}", soft_wrap=True)
    for file in found["evidence"]:
        terminal.print(f"  {file['kind']}: {url.rstrip('/')}{file['url']}", soft_wrap=True)


@app.command()
def ack(
    incident: str,
    url: Url = HERE,
    token_file: TokenFile = None,
    who: str = "cli",
    note: str = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say that somebody looks after it."""
    _act("acknowledge", incident, url, token_file, {"who": who, "note": note}, as_json)


@app.command()
def resolve(
    incident: str,
    url: Url = HERE,
    token_file: TokenFile = None,
    who: str = "cli",
    note: str = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say that it is over."""
    _act("resolve", incident, url, token_file, {"who": who, "note": note}, as_json)


@app.command()
def note(
    incident: str,
    text: str,
    url: Url = HERE,
    token_file: TokenFile = None,
    who: str = "cli",
    *,
    as_json: AsJson = False,
) -> None:
    """Write something down in its timeline. Nobody is told."""
    _act("note", incident, url, token_file, {"who": who, "note": text}, as_json)


@app.command()
def merge(
    incident: str,
    into: Annotated[str, typer.Option(help="The incident that survives.")],
    url: Url = HERE,
    token_file: TokenFile = None,
    who: str = "cli",
    note: str = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say that it is the same as another; it ends, and goes on in that one."""
    _act("merge", incident, url, token_file, {"who": who, "note": note, "into": into}, as_json)


@app.command()
def split(
    incident: str,
    probe: Annotated[list[str], typer.Option(help="A probe that gets an incident of its own.")],
    url: Url = HERE,
    token_file: TokenFile = None,
    who: str = "cli",
    note: str = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Say that some of its probes fail for another reason; they get an incident of their own."""
    _act("split", incident, url, token_file, {"who": who, "note": note, "probes": probe}, as_json)


@app.command()
def evidence(
    incident: str, url: Url = HERE, token_file: TokenFile = None, output: Annotated[Path | None, typer.Option()] = None
) -> None:
    """Save all evidence of an incident as one zip."""
    target = output or Path(f"{incident}.zip")
    content = ask("GET", url, f"incidents/{incident}/evidence.zip", token_file).content
    try:
        target.write_bytes(content)
    except OSError as error:
        fail(f"{target} cannot be written: {error.strerror}")
    typer.echo(str(target))


@app.command()
def share(
    incident: str,
    lasts: Annotated[str, typer.Option("--for", help="How long the link is good, such as 7d; 30 days at most.")] = "7d",
    url: Url = HERE,
    token_file: TokenFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a link to an incident's evidence for somebody without a login. It can be taken back."""
    try:
        seconds = parse_duration(lasts)
    except ValueError as error:
        fail(str(error))
    made = ask("POST", url, f"incidents/{incident}/evidence-links", token_file, params={"seconds": seconds}).json()
    typer.echo(json.dumps(made, ensure_ascii=False) if as_json else made["url"])


@app.command()
def links(
    incident: Annotated[str | None, typer.Argument(help="Of this incident only.")] = None,
    url: Url = HERE,
    token_file: TokenFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the links to evidence that were given out."""
    found = ask("GET", url, "evidence-links", token_file, params={"incident": incident} if incident else None).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    for link in found:
        until = link["expires_at"][:16].replace("T", " ")
        Terminal().print(f"{link['id']}  {link['incident']}  {link['state']}  until {until}", soft_wrap=True)
    if not found:
        typer.echo("no links")


@app.command()
def unshare(link: str, url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """Take a link back: from now on it leads nowhere."""
    done = ask("DELETE", url, f"evidence-links/{link}", token_file).json()
    typer.echo(json.dumps(done) if as_json else f"{link} leads nowhere any more")


def explain(incident: str, url: Url = HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """Print the argument of an incident: the facts used, the cause, and what would change the verdict."""
    found = ask("GET", url, f"incidents/{incident}", token_file).json()
    if as_json:
        told = {key: found[key] for key in ("id", "severity", "reason", "argument", "cause")}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    terminal = Terminal()
    terminal.print(found["reason"], soft_wrap=True)
    for line in (*_caused(found["cause"]), *_argued(found["argument"] or {"journeys": [], "would_be": []})):
        terminal.print(line, soft_wrap=True)


def _caused(cause: dict[str, Any]) -> Iterator[str]:
    if cause["dependency"] is None:
        yield "  cause   none is shared by what fails"
        return
    against = ", ".join(cause["against"]) or "nothing"
    yield f"  cause   {cause['dependency']}, confidence {cause['confidence']:.2f}"
    yield f"          for it: {', '.join(cause['for'])}; against it: {against}"
    if cause["alternatives"]:
        yield f"          as good: {', '.join(cause['alternatives'])}"


def _argued(argument: dict[str, Any]) -> Iterator[str]:
    """Yield the argument line by line: facts, rule, what would change it."""
    for journey in argument["journeys"]:
        failing = ", ".join(journey["failing"])
        yield f"  fact    {journey['journey']}: {journey['effect']}, workaround {journey['workaround']} ({failing})"
    if argument["journeys"]:
        yield f"  fact    {'production' if argument['production'] else 'not production'}, scope {argument['scope']}"
        yield f"  fact    attributed to {argument['attribution']}"
        if len(places := argument["locations"]["failing"] + argument["locations"]["passing"]) > 1:
            yield f"  fact    fails from {', '.join(argument['locations']['failing'])}, of {', '.join(places)}"
        yield f"  rule    {argument['rule']}: {argument['why']}" if argument["why"] else f"  rule    {argument['rule']}"
    yield from (f"  period  {name}" for name in argument.get("critical_periods", ()))
    yield from (f"  change  {w['severity']} {w['condition']}" for w in argument["would_be"])


def _act(action: str, incident: str, url: str, token_file: Path | None, said: dict[str, Any], as_json: bool) -> None:
    found = ask("POST", url, f"incidents/{incident}/{action}", token_file, json=said).json()
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else f"{found['id']} is {found['status']}")
