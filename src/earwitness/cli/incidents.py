"""Incidents of a running daemon, over its API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich import box
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="Incidents of a running daemon.", no_args_is_help=True)

Url = Annotated[str, typer.Option(help="Where the daemon is.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the daemon's token.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_HERE = "http://127.0.0.1:8420"


@app.command("list")
def list_(
    url: Url = _HERE, token_file: TokenFile = None, status: str | None = None, *, as_json: AsJson = False
) -> None:
    """List incidents, newest first; with --status suspected the failures that are not believed yet."""
    found = ask("GET", url, "incidents", token_file, params={"status": status} if status else None).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif found and status == "suspected":
        terminal().print("\n".join(f"{s['failing_since'][:16].replace('T', ' ')}  {s['title']}" for s in found))
    else:
        terminal().print(_listed(found) if found else "no incidents")


def _listed(found: list[dict[str, Any]]) -> Table:
    """An id is there to be copied, so it is never cut; titles wrap."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "severity", "status", "opened (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("what", ratio=1)
    for i in found:
        table.add_row(i["id"], i["severity"], i["status"], i["opened_at"][:16].replace("T", " "), i["title"])
    return table


@app.command()
def show(incident: str, url: Url = _HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """Show one incident."""
    found = ask("GET", url, f"incidents/{incident}", token_file).json()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = terminal()
    console.print(f"{found['severity']} {found['title']}  ({found['status']})", style="bold", soft_wrap=True)
    if found["muted"]:
        console.print(f"muted by {found['muted']['by']} until {found['muted']['until']}", soft_wrap=True)
    console.print(found["reason"], soft_wrap=True)
    for entry in found["timeline"]:
        console.print(f"  {entry['at']}  {entry['kind']}  {entry['text']}", soft_wrap=True)
    for file in found["evidence"]:
        console.print(f"  {file['kind']}: {url.rstrip('/')}{file['url']}", soft_wrap=True)


@app.command()
def ack(
    incident: str,
    url: Url = _HERE,
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
    url: Url = _HERE,
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
    url: Url = _HERE,
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
    url: Url = _HERE,
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
    url: Url = _HERE,
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
    incident: str, url: Url = _HERE, token_file: TokenFile = None, output: Annotated[Path | None, typer.Option()] = None
) -> None:
    """Save all evidence of an incident as one zip."""
    target = output or Path(f"{incident}.zip")
    content = ask("GET", url, f"incidents/{incident}/evidence.zip", token_file).content
    try:
        target.write_bytes(content)
    except OSError as error:
        _fail(f"{target} cannot be written: {error.strerror}")
    typer.echo(str(target))


def explain(incident: str, url: Url = _HERE, token_file: TokenFile = None, *, as_json: AsJson = False) -> None:
    """Print the argument of an incident: the facts used, the cause, and what would change the verdict."""
    found = ask("GET", url, f"incidents/{incident}", token_file).json()
    if as_json:
        told = {key: found[key] for key in ("id", "severity", "reason", "argument", "cause")}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    console = terminal()
    console.print(found["reason"], soft_wrap=True)
    for line in _argued(found["argument"] or {"journeys": [], "would_be": []}):
        console.print(line, soft_wrap=True)


def _argued(argument: dict[str, Any]) -> Iterator[str]:
    """Yield the argument line by line: facts, rule, what would change it."""
    for journey in argument["journeys"]:
        failing = ", ".join(journey["failing"])
        yield f"  fact    {journey['journey']}: {journey['effect']}, workaround {journey['workaround']} ({failing})"
    if argument["journeys"]:
        yield f"  fact    {'production' if argument['production'] else 'not production'}, scope {argument['scope']}"
        yield f"  rule    {argument['rule']}: {argument['why']}" if argument["why"] else f"  rule    {argument['rule']}"
    yield from (f"  period  {name}" for name in argument.get("critical_periods", ()))
    yield from (f"  change  {w['severity']} {w['condition']}" for w in argument["would_be"])


def _act(action: str, incident: str, url: str, token_file: Path | None, said: dict[str, Any], as_json: bool) -> None:
    found = ask("POST", url, f"incidents/{incident}/{action}", token_file, json=said).json()
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else f"{found['id']} is {found['status']}")


def ask(method: str, url: str, path: str, token_file: Path | None, **more: Any) -> httpx.Response:
    """Return the daemon's answer; end the command with a message when there is none, or an error."""
    headers = {"authorization": f"Bearer {_token(token_file)}"} if token_file else {}
    try:
        reply = httpx.request(method, f"{url.rstrip('/')}/api/v1/{path}", headers=headers, timeout=30, **more)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _fail(f"no daemon answers at {url}: {error}; is it running, and is --url right?")
    if reply.is_error:
        _fail(f"{url} answered {reply.status_code}: {reply.text.strip()[:300]}")
    return reply


def _token(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        _fail(f"{file} cannot be read: {error.strerror}")


def terminal() -> Console:
    """Return a terminal that takes no markup from what targets said."""
    return Console(markup=False, highlight=False)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
