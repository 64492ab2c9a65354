"""`earwitness baseline`: what prompts sound like and payment pages deliver, as the latest runs found it; accepted or rejected here."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from earwitness.browser.pages import PageBaselines, PageInventory, PageProposal
from earwitness.presentation import iso_time
from earwitness.telephony.baselines import FOLDER, Accepted, Baselines, Proposal, UnknownWordsError

app = typer.Typer(help="What prompts sound like and payment pages deliver, as runs found it.", no_args_is_help=True)

ProbeName = Annotated[str, typer.Option(help="The call probe, or the browser probe that watches a page.")]
StepName = Annotated[
    str | None, typer.Option(help="Only the prompt of this step; by default all that waits for the probe.")
]
Seen = Annotated[
    str | None,
    typer.Option(help="The mark of the page's list that you looked at; one that changed since is not accepted."),
]
DataDir = Annotated[Path, typer.Option(help="Where the daemon keeps its data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_HERE = Path("earwitness-data")
_EXIT_FAILED = 1


class _Waiting:
    """What waits for somebody's word in one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.listing = f"earwitness baseline list --data-dir {shlex.quote(str(data_dir))}"
        self.prompts, self.pages = Baselines(data_dir / FOLDER), PageBaselines(data_dir / FOLDER)

    def of(self, probe: str, step: str | None) -> tuple[list[Proposal], list[PageProposal]]:
        """Return the probe's. Ends the command when there is none."""
        prompts = [p for p in self.prompts.proposals() if p.probe == probe and step in (None, p.step)]
        pages = [p for p in self.pages.proposals() if p.inventory.probe == probe and step is None]
        if not prompts and not pages:
            _fail(f"no prompt or page of {probe} waits to be accepted; see: {self.listing}")
        return prompts, pages

    def accept(self, proposal: Proposal) -> str:
        try:
            return str(self.prompts.accept(proposal))
        except UnknownWordsError as error:
            _fail(str(error))

    def check_seen(self, pages: list[PageProposal], seen: str | None) -> None:
        """End the command where the page is not as it was when somebody looked at it."""
        for page in pages:
            if seen is not None and page.inventory.mark != seen:
                _fail(f"{page.inventory.page} has changed again since {seen}; look at it: {self.listing}")


@contextmanager
def _disk(data_dir: Path) -> Iterator[None]:
    """End the command in words where the disk refuses."""
    try:
        yield
    except OSError as error:
        _fail(f"the baselines in {error.filename or data_dir} cannot be read or written: {error.strerror or error}")


@app.command("list")
def list_(data_dir: DataDir = _HERE, *, as_json: AsJson = False) -> None:
    """List the prompts that calls heard and the pages that browsers saw, and nobody has accepted yet; and prompts that were."""
    waiting = _Waiting(data_dir)
    with _disk(data_dir):
        prompts, pages = waiting.prompts.proposals(), waiting.pages.proposals()
        accepted, accepted_pages = waiting.prompts.accepted_prompts(), waiting.pages.accepted_pages()
    if as_json:
        rows: list[dict[str, Any]] = [{"kind": "prompt", "state": "proposed", **asdict(p)} for p in prompts]
        rows += [{"state": "proposed", **p.shown()} for p in pages]
        rows += [{"kind": "prompt", "state": "accepted", **asdict(a)} for a in accepted]
        rows += [
            {"kind": "page", "state": "accepted", "name": _page_name(a.probe), **asdict(a)} for a in accepted_pages
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    if not prompts and not pages:
        typer.echo("no prompt or page waits to be accepted")
    if prompts:
        _print_prompts(prompts, data_dir)
    if pages:
        _print_pages(pages, waiting.pages)
    for known in accepted:
        typer.echo(_accepted(known))
    for page in accepted_pages:
        told = f"{len(page.scripts)} scripts, {len(page.headers)} security headers, seen {_minute(page.taken_at)} UTC"
        typer.echo(f"accepted {_page_name(page.probe)}: {page.page}, {told}")


def _accepted(known: Accepted) -> str:
    heard = "" if known.heard_at is None else f", heard {_minute(known.heard_at)} UTC"
    replaced = ", ".join(mark.rsplit(" ", 1)[0] for mark in known.supersedes)
    instead = f", in place of {replaced}" if replaced else ""
    return f'accepted {known.name}: "{known.text}"{heard}{instead}'


def _print_prompts(prompts: list[Proposal], data_dir: Path) -> None:
    table = Table("probe", "step", "what was said", "last heard (UTC)", "calls", "sound")
    for p in prompts:
        sound = data_dir / FOLDER / "proposed" / f"{p.key}.wav"
        table.add_row(p.probe, p.step, p.words or "not transcribed", _minute(p.heard_at), str(p.calls), str(sound))
    Console(soft_wrap=True).print(table)


def _print_pages(proposals: list[PageProposal], pages: PageBaselines) -> None:
    for p in proposals:
        page = p.inventory
        typer.echo(
            f"page of {page.probe}: {page.page}, seen {_minute(page.taken_at)} UTC; to accept it: {pages.accepting(page)}"
        )
        for line in (*p.difference.scripts, *p.difference.headers) or tuple(_whole(page)):
            typer.echo(f"  {line}")


def _whole(inventory: PageInventory) -> Iterator[str]:
    """Yield the lines of a first inventory: all of it."""
    yield f"first inventory: {len(inventory.scripts)} scripts, {len(inventory.headers)} security headers"
    yield from inventory.lines


def _page_name(probe: str) -> str:
    return f"page-{probe}"


@app.command()
def accept(
    probe: ProbeName,
    step: StepName = None,
    data_dir: DataDir = _HERE,
    seen: Seen = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make what the latest runs found the probe's baseline; the daemon holds its next run against it."""
    waiting = _Waiting(data_dir)
    with _disk(data_dir):
        prompts, pages = waiting.of(probe, step)
        waiting.check_seen(pages, seen)
        accepted = [*(waiting.accept(p) for p in prompts), *(str(waiting.pages.accept(p)) for p in pages)]
    typer.echo(json.dumps(accepted) if as_json else "\n".join(f"accepted {file}" for file in accepted))


@app.command()
def reject(probe: ProbeName, step: StepName = None, data_dir: DataDir = _HERE) -> None:
    """Forget what the latest runs found."""
    waiting = _Waiting(data_dir)
    with _disk(data_dir):
        prompts, pages = waiting.of(probe, step)
        for prompt in prompts:
            waiting.prompts.discard(prompt)
            typer.echo(f"rejected {prompt.step}")
        for page in pages:
            waiting.pages.discard(page.inventory.probe)
            typer.echo(f"rejected {page.inventory.page}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="The name of an accepted prompt or page, as `list` shows it.")],
    data_dir: DataDir = _HERE,
) -> None:
    """Take back an accepted prompt, and what it was in place of counts again; or a page, and the next visit proposes it anew."""
    waiting = _Waiting(data_dir)
    with _disk(data_dir):
        of_page = name.startswith(_page_name("")) and waiting.pages.remove(name.removeprefix(_page_name("")))
        removed = of_page or waiting.prompts.remove(name)
    if not removed:
        _fail(f"no accepted prompt or page is called {name}; see: {waiting.listing}")
    typer.echo(f"removed {name}")


def _minute(moment: float) -> str:
    return str(iso_time(moment))[:16].replace("T", " ")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_EXIT_FAILED)
