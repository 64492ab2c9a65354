"""The API of a running daemon, as commands use it: where it is, and what went wrong in words."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console

Url = Annotated[str, typer.Option(help="Where the daemon is.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the daemon's token.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HERE = "http://127.0.0.1:8420"


def ask(
    method: str, url: str, path: str, token_file: Path | None, timeout: float = 30.0, **more: Any
) -> httpx.Response:
    headers = {"authorization": f"Bearer {_token(token_file)}"} if token_file else {}
    try:
        reply = httpx.request(method, f"{url.rstrip('/')}/api/v1/{path}", headers=headers, timeout=timeout, **more)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"no daemon answers at {url}: {error}; is it running, and is --url right?")
    if reply.is_error:
        fail(f"{url} answered {reply.status_code}: {reply.text.strip()[:300]}")
    return reply


def _token(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def console() -> Console:
    """Return a terminal that takes no markup from what targets said."""
    return Console(markup=False, highlight=False)


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
