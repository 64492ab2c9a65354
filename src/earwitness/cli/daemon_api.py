"""The API of a running daemon, as commands use it: where it is, and what went wrong in words."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer

from earwitness.cli.terminal import clean

Url = Annotated[str, typer.Option(help="Where the daemon is.")]
TokenFile = Annotated[Path | None, typer.Option(help="File with the daemon's token.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_OPTIONS = {"lasts": "--for", "begins_in": "--in", "begins_at": "--from", "ends_at": "--until"}
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
        fail(_refusal(url, reply))
    return reply


def _refusal(url: str, reply: httpx.Response) -> str:
    """Return what the daemon says is wrong, in its words; what somebody else answered is quoted."""
    try:
        detail = reply.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return clean(f"{url} answered {reply.status_code}: {reply.text.strip()[:300]}")
    if isinstance(detail, str):
        return clean(detail)
    return clean("\n".join(f"{_place(wrong['loc'])}: {wrong['msg']}" for wrong in detail))


def _place(loc: list[str | int]) -> str:
    """Return what is wrong as the option is called: `body`, `lasts` is `--for`."""
    named = [str(part) for part in loc if part not in ("body", "query", "path")]
    return " ".join(_OPTIONS.get(part, part) for part in named) or "what was asked"


def _token(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
